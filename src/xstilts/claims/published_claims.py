"""Nine claims about Phang et al. 2020 and the leading question of this project, each judged by one function.

The paper is "English Intermediate-Task Training Improves Zero-Shot Cross-Lingual Transfer Too" (arXiv 2005.13013: v1 of
May 2020, v2 the AACL paper). The docstring of a function is the claim.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from xstilts.claims.derived_arms import best_per_target, pooled
from xstilts.claims.judge import NOT_TESTED, Check, Outcome, other_encoders
from xstilts.runs.reader import Run
from xstilts.tasks.xtreme import GROUPS, TARGETS

CLAIMS: dict[str, tuple[dict[str, str], Callable[[Run], Outcome]]] = {}
"""Name → what is known of a claim, and the function that judges it."""
TRAINED = tuple(group for group in GROUPS if group != "retrieval")
"""The groups of XTREME that have training data."""


def judge_claims(run: Run) -> list[dict[str, Any]]:
    """Judge every claim by a run, as JSON objects; raises XstiltsError if predictions cannot be read."""
    results = []
    for name, (facts, function) in CLAIMS.items():
        says = " ".join((function.__doc__ or "").split())
        results.append({"claim": name, "says": says, **facts, **vars(function(run))})
    return results


def claim(
    *, v1: str = "", v2: str = "", reference: str = "confirmed", judged: str = "on the study's configuration"
) -> Callable[[Callable[[Run], Outcome]], Callable[[Run], Outcome]]:
    """Register a claim under the last word of its function's name.

    v1, v2: what the paper's versions say, "" if nothing was found; reference: whether the claim was found there or in
    the authors' replication guide (confirmed, unconfirmed, or none for a question); judged: how, in words.
    """

    def register(function: Callable[[Run], Outcome]) -> Callable[[Run], Outcome]:
        facts = {"v1": v1, "v2": v2, "reference": reference, "judged": judged}
        CLAIMS[function.__name__.rpartition("_")[2]] = facts, function
        return function

    return register


@claim(
    v1="SQuAD is best, +8.4 points on average on development sets (abstract); seven intermediate tasks",
    v2="MNLI, SQuAD and HellaSwag achieve the best overall results as intermediate tasks (abstract, without figures)",
    reference="unconfirmed",
    judged="gain over no intermediate phase, mean over the run's targets of XTREME; large: over half of the figure",
)
def claim_1(run: Run) -> Outcome:
    """SQuAD, MNLI and HellaSwag as intermediate tasks give large average target gains (+8.2, +7.5, +7.0 points)."""
    check = Check(run)
    targets, none = check.groups(*GROUPS), check.no_phase()
    for task, figure in (("squad_v1 or squad_v2", 8.2), ("mnli", 7.5), ("hellaswag", 7.0)):
        arms = sorted(check.arms(task), key=lambda arm: run.arms[arm].tasks)
        check.compare(arms[:1], none, targets, "large", figure=figure)
    return check.outcome()


@claim(
    v1="multi-task training does not offer significant improvements (abstract)",
    v2="multi-task intermediate training offers small additional improvements (abstract)",
    reference="unconfirmed",
    judged="better than each of the nine alone, and a gain over no intermediate phase of more than half of the figure",
)
def claim_2(run: Run) -> Outcome:
    """Multi-task training over all nine intermediate tasks is best (+8.7 points)."""
    check = Check(run)
    targets, everything = check.groups(*GROUPS), check.arms("all")
    check.compare(everything, check.no_phase(), targets, "large", figure=8.7)
    check.compare(everything, check.arms("one") and check.each_of_the_nine(), targets, "more")
    return check.outcome()


@claim(
    v2="large improvements on BUCC and Tatoeba, moderate improvements on question answering (abstract)",
    judged="gain over no intermediate phase on each of the two less the gain on every other target; all arms with one "
    "of the nine intermediate tasks in English are taken together",
)
def claim_3(run: Run) -> Outcome:
    """BUCC and Tatoeba, which have no training data, gain most."""
    check = Check(run)
    others = [task for task in check.groups(*TRAINED) if TARGETS[task].group in TRAINED]
    tasks = [check.targets("bucc2018"), check.targets("tatoeba")]
    arms, none = check.arms("one"), check.no_phase()
    for task, other in itertools.product(tasks, others):
        check.compare(arms, none, task, "more", derive=pooled, over=other)
    return check.outcome()


@claim(
    v2="best intermediate task per target: TyDiQA +12.7, XNLI +0.8 (Chung et al. 2021, table 16; none per task)",
    reference="unconfirmed",
    judged="gain over no intermediate phase of each of at least three arms with one of the nine tasks in English: on "
    "TyDiQA more than half of them gain, on XNLI more than half gain nothing that matters",
)
def claim_4(run: Run) -> Outcome:
    """TyDiQA gains from many intermediate tasks; XNLI does not."""
    check = Check(run)
    tydiqa, xnli = check.targets("tydiqa"), check.targets("xnli")
    arms, none = check.arms("one", least=3), check.no_phase()
    check.compare(arms, none, tydiqa, "more")
    check.compare(arms, none, xnli, "no more")
    return check.outcome(most=True)


@claim(
    v1="+6.1 points (abstract)",
    v2="+5.4 points (abstract)",
    judged="mean over all nine targets of the gain over no intermediate phase by the arm that is best in languages "
    "that are not held out, so that it is not chosen by what it is judged on; more than half of the figure",
)
def claim_5(run: Run) -> Outcome:
    """The best intermediate task per target gives +5.4 points on XTREME over XLM-R Large."""
    check = Check(run)
    check.need_large()
    targets, arms = check.targets(*TARGETS), check.arms("one", least=2)
    check.compare(arms, check.no_phase(), targets, "large", derive=best_per_target, figure=5.4)
    outcome = check.outcome()
    return replace(outcome, result=NOT_TESTED) if outcome.missing else outcome


@claim(
    v1="continuing multilingual masked language modelling does not offer significant improvements (abstract)",
    v2="neither of the two consistently outperforms English intermediate training (abstract)",
    judged="non-inferiority to the arm with the same tasks, mean over the run's targets of XTREME",
)
def claim_6(run: Run) -> Outcome:
    """English intermediate training does as well as or better than (i) mixing in multilingual masked language modelling
    and (ii) translated intermediate data."""
    check = Check(run)
    targets, english = check.need(check.groups(), "a target of XTREME"), check.arms("some")
    for options in ({"mlm": True}, {"languages": "any", "translated": True}):
        alternative = check.arms("some", same_tasks_as=english, **options)
        check.compare(english, alternative, targets, "not less", same_tasks=True)
    return check.outcome()


@claim(
    v1="gains are over XLM-R Large (abstract)",
    v2="gains are over XLM-R Large (abstract), from which the authors' replication guide also starts",
)
def claim_7(run: Run) -> Outcome:
    """All intermediate training starts from XLM-R Large."""
    check = Check(run)
    check.arms("some", mlm=None)
    check.need(list(run.targets), "a target of XTREME")
    others = other_encoders(run)
    if len(others) == len(run.plan["study"]["encoders"]):
        check.need_large()
    return check.configuration([f"not all encoders are XLM-R Large: {', '.join(others)}"] if others else [])


@claim(
    v2="as in the authors' replication guide; BUCC and Tatoeba, without training data, end after the second",
    judged="on the study's configuration, and on what its cells were trained on",
)
def claim_8(run: Run) -> Outcome:
    """There are three phases - the pretrained model, an intermediate task, the target task."""
    check = Check(run)
    arms = check.arms("some", mlm=None)
    trained = {target for task, target in run.targets.items() if TARGETS[task].group in TRAINED}
    cells = [cell for cell in run.budgets if cell["arm"] in arms and cell["target"] in trained]
    check.need([cell["arm"] for cell in cells], "cells of such an arm on a target of XTREME with training data")
    short = [cell for cell in cells if not (cell.get("intermediate") and cell.get("training"))]
    return check.configuration([f"{cell['target']} after {cell['arm']} lacks a phase" for cell in short])


@claim(
    v1="seven (abstract)",
    v2="nine (abstract, which names MNLI, SQuAD and HellaSwag; the other names are unconfirmed)",
)
def claim_9(run: Run) -> Outcome:
    """There are nine English intermediate tasks."""
    check = Check(run)
    check.each_of_the_nine(mlm=None)
    return check.configuration([])


@claim(
    reference="none",
    judged="far less English with the same intermediate tasks, mean over XNLI and PAWS-X; far less near is only shown",
)
def leading_question(run: Run) -> Outcome:
    """Intermediate training in typologically distant source languages raises zero-shot accuracy on XNLI and PAWS-X more
    than English-only intermediate training."""
    check = Check(run, published=False)
    targets = check.targets("xnli", "pawsx")
    far = check.arms("any", "far", translated=None)
    english = check.arms("any", same_tasks_as=far)
    check.compare(far, english, targets, "more", same_tasks=True)
    near = check.arms("any", "near", translated=None, least=0)
    check.compare(far, near, targets, "more", same_tasks=True, judged=False)
    return check.outcome()
