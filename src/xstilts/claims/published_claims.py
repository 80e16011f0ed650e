"""Nine claims about Phang et al. 2020 and the main question of this project, each in one function.

The paper is "English Intermediate-Task Training Improves Zero-Shot Cross-Lingual Transfer Too" (arXiv 2005.13013: v1 of
May 2020, v2 the AACL paper). The docstring of a function is the claim; claims.yaml says what is known of it.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from xstilts.analysis.effects import Comparison
from xstilts.claims.judge import Check, other_encoders
from xstilts.runs.reader import Run
from xstilts.tasks.xtreme import GROUPS, TARGETS

TRAINED = tuple(group for group in GROUPS if group != "retrieval")
"""The groups of XTREME that have training data."""


def judge_claims(run: Run) -> list[dict[str, Any]]:
    """Judge every claim by a run, as JSON objects; raises XstiltsError if predictions cannot be read."""
    results = []
    for name, facts in yaml.safe_load(files(__package__).joinpath("claims.yaml").read_text("utf-8")).items():
        check = Check(run)
        CLAIMS[name](check)
        says = " ".join((CLAIMS[name].__doc__ or "").split())
        results.append({"claim": name, "says": says, **facts, **check.outcome()})
    return results


def claim_1(check: Check) -> None:
    """SQuAD, MNLI and HellaSwag as intermediate tasks give large average target gains (+8.2, +7.5, +7.0 points)."""
    targets, none = check.groups(*GROUPS), check.no_phase()
    for task, figure in (("squad_v1 or squad_v2", 8.2), ("mnli", 7.5), ("hellaswag", 7.0)):
        arms = sorted(check.arms(task), key=lambda arm: check.run.arms[arm].tasks)
        check.compare(arms[:1], none, targets, "large", figure=figure)


def claim_2(check: Check) -> None:
    """Multi-task training over all nine intermediate tasks is best (+8.7 points)."""
    targets, everything = check.groups(*GROUPS), check.arms("all")
    check.compare(everything, check.no_phase(), targets, "large", figure=8.7)
    check.compare(everything, check.arms("one") and check.each_of_the_nine(), targets, "more")


def claim_3(check: Check) -> None:
    """BUCC and Tatoeba, which have no training data, gain most."""
    others = [task for task in check.groups(*TRAINED) if TARGETS[task].group in TRAINED]
    tasks = [check.targets("bucc2018"), check.targets("tatoeba")]
    arms, none = check.arms("one"), check.no_phase()
    for task, other in itertools.product(tasks, others):
        check.compare(arms, none, task, "more", derive=pooled, over=other)


def claim_4(check: Check) -> None:
    """TyDiQA gains from many intermediate tasks; XNLI does not."""
    tydiqa, xnli = check.targets("tydiqa"), check.targets("xnli")
    arms, none = check.arms("one", least=3), check.no_phase()
    check.most = True
    check.compare(arms, none, tydiqa, "more")
    check.compare(arms, none, xnli, "no more")


def claim_5(check: Check) -> None:
    """The best intermediate task per target gives +5.4 points on XTREME over XLM-R Large."""
    check.everything_needed = True
    check.need_large()
    targets, arms = check.targets(*TARGETS), check.arms("one", least=2)
    check.compare(arms, check.no_phase(), targets, "large", derive=best_per_target, figure=5.4)


def claim_6(check: Check) -> None:
    """English intermediate training does as well as or better than (i) mixing in multilingual masked language modelling
    and (ii) translated intermediate data."""
    targets = check.groups()
    check.missing += [] if targets else ["a target of XTREME"]
    english = check.arms("some")
    for options in ({"mlm": True}, {"languages": "any", "translated": True}):
        alternative = check.arms("some", same_as=english, **options)
        check.compare_same_tasks(english, alternative, targets, "not less")


def claim_7(check: Check) -> None:
    """All intermediate training starts from XLM-R Large."""
    check.arms("some", mlm=None)
    check.missing += [] if check.run.targets else ["a target of XTREME"]
    others = other_encoders(check.run)
    if len(others) == len(check.run.plan["study"]["encoders"]):
        check.need_large()
    check.contradictions = [f"not all encoders are XLM-R Large: {', '.join(others)}"] if others else []


def claim_8(check: Check) -> None:
    """There are three phases - the pretrained model, an intermediate task, the target task."""
    arms = check.arms("some", mlm=None)
    trained = {target for task, target in check.run.targets.items() if TARGETS[task].group in TRAINED}
    cells = [cell for cell in check.run.budgets if cell["arm"] in arms and cell["target"] in trained]
    check.missing += [] if cells else ["cells of such an arm on a target of XTREME with training data"]
    short = [cell for cell in cells if not (cell.get("intermediate") and cell.get("training"))]
    check.contradictions = [f"{cell['target']} after {cell['arm']} lacks a phase" for cell in short]


def claim_9(check: Check) -> None:
    """There are nine English intermediate tasks."""
    check.each_of_the_nine(mlm=None)
    check.contradictions = []


def leading_question(check: Check) -> None:
    """Intermediate training in typologically distant source languages raises zero-shot accuracy on XNLI and PAWS-X more
    than English-only intermediate training."""
    check.published = False
    targets = check.targets("xnli", "pawsx")
    far = check.arms("any", "far", translated=None)
    english = check.arms("any", same_as=far)
    check.compare_same_tasks(far, english, targets, "more")
    near = check.arms("any", "near", translated=None, least=0)
    check.compare_same_tasks(far, near, targets, "more", judged=False)


def pooled(comparison: Comparison, arms: Sequence[str]) -> Comparison:
    """Put the predictions of several arms together on the left, in the replicates that all of them have.

    For accuracy the score is the mean of theirs; for F1 nearly so.
    """
    tables = []
    for table in comparison.tables:
        shared = set.intersection(*({cell[1:] for cell in table.cells(arm)} for arm in arms))
        sums = dict(table.cluster_stats)
        for cell in shared:
            parts = [table.cluster_stats[arm, *cell] for arm in arms]
            together = {code: np.sum([part[code] for part in parts], axis=0) for code in table.languages}
            sums["the arms together", *cell] = together
        tables.append(replace(table, cluster_stats=sums))
    return replace(comparison, tables=tuple(tables), left="the arms together")


def best_per_target(comparison: Comparison, arms: Sequence[str]) -> Comparison:
    """Put each target's best of several arms on the left.

    It has the highest mean score in the languages that do not count (in all languages if there are no others), so that
    it is not chosen by what it is judged on.
    """
    tables = []
    for table, judged in zip(comparison.tables, comparison.languages, strict=True):
        codes = [code for code in table.languages if code not in judged] or table.languages
        cells = {arm: table.cells(arm) for arm in arms}
        means = {arm: np.mean([table.scores(cells[arm], code) for code in codes]) for arm in arms if cells[arm]}
        best = max(means, key=means.__getitem__, default=arms[0])
        renamed = {("the best arm per target", *cell[1:]): table.cluster_stats[cell] for cell in cells[best]}
        tables.append(replace(table, cluster_stats=table.cluster_stats | renamed))
    return replace(comparison, tables=tuple(tables), left="the best arm per target")


JUDGES = (claim_1, claim_2, claim_3, claim_4, claim_5, claim_6, claim_7, claim_8, claim_9, leading_question)
CLAIMS: dict[str, Callable[[Check], None]] = {judge.__name__.rpartition("_")[2]: judge for judge in JUDGES}
"""The function that collects what each claim needs, by the claim's name in claims.yaml."""
