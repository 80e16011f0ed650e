"""Everything that a report shows, from a run folder's predictions; no training is repeated to change an analysis."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.analysis.bootstrap import FEWEST_REPLICATES, multi_bootstrap, resample
from xstilts.analysis.covariates import covariates
from xstilts.analysis.diagnostics import checkpoints, degenerate_runs, improvement, selection
from xstilts.analysis.effects import Effect, effect, paired_cells
from xstilts.analysis.gain_by_distance import distance_to_sources, rank_correlation, slope
from xstilts.analysis.inference import FIXED_LANGUAGES, RANDOM_LANGUAGES, families_of, random_language_effect, refusal
from xstilts.analysis.power import decision, decision_words
from xstilts.analysis.verdicts import UNDETERMINED, answer, as_json, rounded, sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES
from xstilts.runs.reader import BASELINE, Run, encoder_kinds, read_json, read_run
from xstilts.runs.score_table import ScoreTable

AFTER_RETRY, BY_ORACLE = "predictions-after-retry", "predictions-by-oracle"
Result = dict[str, Any]


def analyse(run: Path) -> Result:
    """Scores, effects, verdicts and the relation to distance of a finished (or partly finished) run.

    Raises XstiltsError where the folder holds no run, or a declared contrast cannot be judged.
    """
    found = read_run(run)
    study, plan, budgets = found.study, found.plan, found.budgets
    tables = {target: found.score_table(target) for target in found.labelled}
    encoders = sorted({cell[1] for table in tables.values() for cell in table.cluster_stats if cell[1]})
    held_out = list(plan["held_out"])
    context = {"study": study, "plan": plan, "encoders": encoders, "held_out": held_out, "kinds": encoder_kinds(plan)}
    declared = [*study["contrasts"], *study["controls"]]
    judged = [_judge(tables, contrast, context) for contrast in study["contrasts"]]
    controls = [_judge(tables, contrast, context) for contrast in study["controls"]]
    strategies = {name: arm.get("languages", "english") for name, arm in study["arms"].items() if "intermediate" in arm}
    baselines = [row for table in tables.values() for row in _against_baseline(table, context)]
    retried, chosen = (_cubes(replace(found, tables=name, score_tables={})) for name in (AFTER_RETRY, BY_ORACLE))
    oracle = _told_again(chosen, context)
    told = answer([(v["left"], v["right"], v["verdict"]) for v in judged], strategies)
    return {
        **context,
        "answer": told and told + _caveat(judged, baselines),
        "verdicts": judged,
        "controls": controls,
        "scores": [row for table in tables.values() for row in _scores(table, held_out)],
        "also": _also(found, held_out),
        "baselines": baselines,
        "languages": [row for c in declared for row in _per_language(tables, c, context)],
        "distance": [_distance(tables, contrast, context, run) for contrast in study["contrasts"]],
        "selection": selection(tables.values(), budgets, held_out),
        "degenerate_runs": degenerate_runs(budgets),
        "after_retry": _told_again(retried, context),
        "by_oracle": oracle and {**oracle, "checkpoints": checkpoints(tables, chosen, held_out)},
        "budgets": budgets,
        "estimates": _optional(run / "estimates.json"),
        "translations": _optional(run / "translations.json"),
    }


def _cubes(run: Run) -> dict[str, ScoreTable]:
    return {target: run.score_table(target) for target in run.scored}


def _told_again(tables: dict[str, ScoreTable], context: Result) -> Result | None:
    """Verdicts and scores by other predictions of the run's cells, as far as these go; None where there are none.

    A contrast that they cannot judge is left out: a step of theirs that failed must not hide the run's own verdicts.
    """
    if not tables:
        return None
    verdicts = []
    for contrast in context["study"]["contrasts"]:
        if set(contrast["targets"]) <= set(tables):
            with suppress(XstiltsError):
                verdicts.append(_judge(tables, contrast, context))
    return {
        "verdicts": verdicts,
        "scores": [row for table in tables.values() for row in _scores(table, context["held_out"])],
    }


def _optional(file: Path) -> list[Result]:
    """What a run keeps beside its predictions, nothing where it is older than that."""
    return list(read_json(file)) if file.is_file() else []


def counted(table: ScoreTable, held_out: list[str]) -> list[str]:
    """The held-out languages that a target is scored in."""
    return [code for code in held_out if code in table.clusters]


def _judge(tables: dict[str, ScoreTable], contrast: Result, context: Result) -> Result:
    """The verdict on the primary targets together, and beside it other readings and parts of the same contrast."""
    study, encoders, held_out, kinds = (context[name] for name in ("study", "encoders", "held_out", "kinds"))
    left, right = contrast["left"], contrast["right"]
    family = study["controls"] if contrast in study["controls"] else study["contrasts"]
    level = 1 - (1 - study["level"]) / len(family)
    primary = [tables[target] for target in contrast["targets"]]
    codes = [counted(table, held_out) for table in primary]
    whole = effect(primary, left, right, codes, encoders, level, kinds)
    word = verdict(whole, study["equivalence"])
    text = sentence(left, right, whole, word, study["equivalence"], len(encoders))
    decides = decision(whole, study["equivalence"], len(encoders)) if word == UNDETERMINED else None
    return as_json(
        whole, **contrast, verdict=word, sentence=text,
        decision=decides and {**rounded(vars(decides)),
                              "text": decision_words(decides, whole.replicates // len(encoders))},
        readings=_readings(primary, contrast, codes, whole, context),
        bootstrap=_bootstrap(primary, contrast, codes, whole, context),
        runs=improvement(primary, left, right, codes, encoders),
        parts=_parts(tables, contrast, context),
    )  # fmt: skip


def _parts(tables: dict[str, ScoreTable], contrast: Result, context: Result) -> list[Result]:
    """The contrast per encoder, per target, and on the classification tasks together: each for itself."""
    study, encoders = context["study"], context["encoders"]

    def part(targets: list[str], among: list[str]) -> Effect:
        chosen = [tables[target] for target in targets]
        codes = [counted(table, context["held_out"]) for table in chosen]
        return effect(chosen, contrast["left"], contrast["right"], codes, among, study["level"], context["kinds"])

    parts = [as_json(part(contrast["targets"], [encoder]), encoder=encoder) for encoder in encoders]
    parts += [as_json(part([target], encoders), target=target) for target in tables]
    together = [target for target in tables if study["types"][target] == "classification"]
    if len(together) > 1:
        parts.append(as_json(part(together, encoders), target=f"classification tasks: {', '.join(together)}"))
    return parts


def _readings(
    primary: list[ScoreTable], contrast: Result, codes: list[list[str]], whole: Effect, context: Result
) -> list[Result]:
    """Both readings of a contrast; the second one in words where it is refused."""
    families = families_of([code for own in codes for code in own])
    told = refusal(codes, families)
    second: Result = {"reading": RANDOM_LANGUAGES, "refused": told}
    if not told:
        found = random_language_effect(
            primary,
            contrast["left"],
            contrast["right"],
            codes,
            context["encoders"],
            whole.level,
            families,
            context["kinds"],
        )
        second = as_json(found, reading=RANDOM_LANGUAGES, families=len(set(families.values())))
    return [as_json(whole, reading=FIXED_LANGUAGES), second]


def _bootstrap(
    primary: list[ScoreTable], contrast: Result, codes: list[list[str]], whole: Effect, context: Result
) -> Result | None:
    """The multi-bootstrap's intervals, where every encoder has replicates enough."""
    left, right = contrast["left"], contrast["right"]
    pairs = {encoder: paired_cells(primary, left, right, encoder) for encoder in context["encoders"]}
    if min(map(len, pairs.values())) < FEWEST_REPLICATES:
        return None
    cells = list(dict.fromkeys(cell for own in pairs.values() for pair in own for cell in pair))
    scores = [
        dict(zip(cells, resample(table, cells, own).T, strict=True)) for table, own in zip(primary, codes, strict=True)
    ]
    return rounded(vars(multi_bootstrap(scores, pairs, whole.level, whole.degrees)))


def _caveat(judged: list[Result], baselines: list[Result]) -> str:
    """A warning where no judged arm beats the baseline: such arms cannot differ in what they learnt of the task."""
    compared = {(target, v[side]) for v in judged for side in ("left", "right") for target in v["targets"]}
    beaten = [row["beaten"] for row in baselines if (row["target"], row["arm"]) in compared]
    if not beaten or any(beaten):
        return ""
    return " But no arm scores better than the baseline, so this says nothing of transfer."


def _scores(table: ScoreTable, held_out: list[str]) -> list[Result]:
    """Mean and standard deviation over all replicates, per arm and language."""
    rows = []
    for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats):
        cells = table.cells(arm)
        for code in table.languages:
            values = np.array([table.score(cell, code) for cell in cells])
            spread = float(values.std(ddof=1)) if len(values) > 1 else None
            rows.append({"target": table.target, "metric": table.metric, "arm": arm, "language": code,
                         "held_out": code in held_out, "mean": float(values.mean()), "sd": spread,
                         "replicates": len(values)})  # fmt: skip
    return rows


def _also(run: Run, held_out: list[str]) -> list[Result]:
    """Scores by the metrics that a task names beside the one that it is judged by."""
    named = [(target, name) for target in run.labelled for name in run.study["also"][target]]
    return [row for target, name in named for row in _scores(run.score_table(target, name), held_out)]


def _against_baseline(table: ScoreTable, context: Result) -> list[Result]:
    """Each arm against the baseline of its target over the held-out languages: is it better at all?"""
    rows = []
    codes = counted(table, context["held_out"])
    if not table.cells(BASELINE):
        return []
    for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats if cell[0] != BASELINE):
        found = effect([table], arm, BASELINE, [codes], context["encoders"], context["study"]["level"],
                       context["kinds"])  # fmt: skip
        floor = float(np.mean([table.score(cell, code) for cell in table.cells(BASELINE) for code in codes]))
        rows.append(as_json(found, target=table.target, arm=arm, baseline=table.kind.BASELINE, floor=floor,
                            beaten=bool(found.low > 0)))  # fmt: skip
    return rows


def _per_language(tables: dict[str, ScoreTable], contrast: Result, context: Result) -> list[Result]:
    """Paired effect in each language of each target, without correction for their number: exploratory."""
    left, right = contrast["left"], contrast["right"]
    rows = []
    for table in tables.values():
        for code in table.languages:
            found = effect([table], left, right, [[code]], context["encoders"], context["study"]["level"],
                           context["kinds"])  # fmt: skip
            rows.append(as_json(found, contrast=contrast["contrast"], target=table.target, language=code,
                                held_out=code in context["held_out"]))  # fmt: skip
    return rows


def _distance(tables: dict[str, ScoreTable], contrast: Result, context: Result, run: Path) -> Result:
    """Gain of each held-out language on the primary targets against its distance from the left arm's sources."""
    left, right, kinds, encoders = contrast["left"], contrast["right"], context["kinds"], context["encoders"]
    sources = [list(codes) for codes in context["plan"]["sources"][left].values()]
    primary = context["study"]["measure"]
    chosen = [tables[target] for target in contrast["targets"]]
    codes = [code for code in context["held_out"] if any(code in table.clusters for table in chosen)]
    by_measure = {
        name: {code: distance_to_sources(code, sources, name) for code in codes}
        for name in (primary, *(name for name in MEASURES if name != primary))
    }
    points = []
    for code in codes:
        counted = [table for table in chosen if code in table.clusters]
        found = effect(counted, left, right, [[code]] * len(counted), encoders, 0.95, kinds)
        points.append({"language": code, "gain": found.estimate, "distance": by_measure[primary][code],
                       "from_anchor": context["plan"]["distances"].get(code)})  # fmt: skip
    gains = np.array([point["gain"] for point in points])
    rho, p, permutations = rank_correlation(np.array([point["distance"] for point in points], float), gains)

    def line(columns: Result) -> Result:
        return rounded(slope(chosen, left, right, encoders, context["study"]["level"], kinds, columns))

    more = covariates(run, codes, sources)
    straight = {name: line({name: column}) | {"measure": name} for name, column in by_measure.items()}
    adjusted = [line({primary: by_measure[primary], name: column}) for name, column in more.items()]
    joint = line({primary: by_measure[primary], **more})
    return {"contrast": contrast["contrast"], "measure": primary, "points": [_without_nan(p) for p in points],
            "permutations": permutations, **_without_nan({"rho": rho, "p": p}), "slopes": list(straight.values()),
            "adjusted": adjusted, "joint": joint}  # fmt: skip


def _without_nan(row: Result) -> Result:
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
