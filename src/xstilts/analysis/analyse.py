"""Everything that a report shows, from a run folder's predictions; no training is repeated to change an analysis."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.analysis.beside import checkpoints, dead_runs, improvement, selection
from xstilts.analysis.bootstrap import FEWEST_REPLICATES, multi_bootstrap, resample
from xstilts.analysis.covariates import covariates
from xstilts.analysis.cube import Cube
from xstilts.analysis.distance import distance_to_sources, rank_correlation, slope
from xstilts.analysis.effects import Effect, effect, paired_cells
from xstilts.analysis.power import decision, decision_words
from xstilts.analysis.readings import LIKE_THESE, THESE, families_of, like_these, refusal
from xstilts.analysis.runs import BASELINE, Run, encoder_kinds, read_json, read_run
from xstilts.analysis.verdicts import UNDETERMINED, answer, as_json, rounded, sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.languages import MEASURES

AFTER_RETRY, BY_ORACLE = "predictions-after-retry", "predictions-by-oracle"
Result = dict[str, Any]


def analyse(run: Path) -> Result:
    """Scores, effects, verdicts and the relation to distance of a finished (or partly finished) run.

    Raises XstiltsError where the folder holds no run, or a declared contrast cannot be judged.
    """
    found = read_run(run)
    study, plan, budgets = found.study, found.plan, found.budgets
    cubes = {target: found.cube(target) for target in found.labelled}
    encoders = sorted({cell[1] for cube in cubes.values() for cell in cube.sums if cell[1]})
    held_out = list(plan["held_out"])
    context = {"study": study, "plan": plan, "encoders": encoders, "held_out": held_out, "kinds": encoder_kinds(plan)}
    declared = [*study["contrasts"], *study["controls"]]
    judged = [_judge(cubes, contrast, context) for contrast in study["contrasts"]]
    controls = [_judge(cubes, contrast, context) for contrast in study["controls"]]
    strategies = {name: arm.get("languages", "english") for name, arm in study["arms"].items() if "intermediate" in arm}
    baselines = [row for cube in cubes.values() for row in _against_baseline(cube, context)]
    retried, chosen = (_cubes(replace(found, tables=name, cubes={})) for name in (AFTER_RETRY, BY_ORACLE))
    oracle = _told_again(chosen, context)
    told = answer([(v["left"], v["right"], v["verdict"]) for v in judged], strategies)
    return {
        **context,
        "answer": told and told + _caveat(judged, baselines),
        "verdicts": judged,
        "controls": controls,
        "scores": [row for cube in cubes.values() for row in _scores(cube, held_out)],
        "also": _also(found, held_out),
        "baselines": baselines,
        "languages": [row for c in declared for row in _per_language(cubes, c, context)],
        "distance": [_distance(cubes, contrast, context, run) for contrast in study["contrasts"]],
        "selection": selection(cubes.values(), budgets, held_out),
        "dead_runs": dead_runs(budgets),
        "after_retry": _told_again(retried, context),
        "by_oracle": oracle and {**oracle, "checkpoints": checkpoints(cubes, chosen, held_out)},
        "budgets": budgets,
        "estimates": _optional(run / "estimates.json"),
        "translations": _optional(run / "translations.json"),
    }


def _cubes(run: Run) -> dict[str, Cube]:
    return {target: run.cube(target) for target in run.scored}


def _told_again(cubes: dict[str, Cube], context: Result) -> Result | None:
    """Verdicts and scores by other predictions of the run's cells, as far as these go; None where there are none.

    A contrast that they cannot judge is left out: a step of theirs that failed must not hide the run's own verdicts.
    """
    if not cubes:
        return None
    verdicts = []
    for contrast in context["study"]["contrasts"]:
        if set(contrast["targets"]) <= set(cubes):
            with suppress(XstiltsError):
                verdicts.append(_judge(cubes, contrast, context))
    return {
        "verdicts": verdicts,
        "scores": [row for cube in cubes.values() for row in _scores(cube, context["held_out"])],
    }


def _optional(file: Path) -> list[Result]:
    """What a run keeps beside its predictions, nothing where it is older than that."""
    return list(read_json(file)) if file.is_file() else []


def counted(cube: Cube, held_out: list[str]) -> list[str]:
    """The held-out languages that a target is scored in."""
    return [code for code in held_out if code in cube.clusters]


def _judge(cubes: dict[str, Cube], contrast: Result, context: Result) -> Result:
    """The verdict on the primary targets together, and beside it other readings and parts of the same contrast."""
    study, encoders, held_out, kinds = (context[name] for name in ("study", "encoders", "held_out", "kinds"))
    left, right = contrast["left"], contrast["right"]
    family = study["controls"] if contrast in study["controls"] else study["contrasts"]
    level = 1 - (1 - study["level"]) / len(family)
    primary = [cubes[target] for target in contrast["targets"]]
    codes = [counted(cube, held_out) for cube in primary]
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
        parts=_parts(cubes, contrast, context),
    )  # fmt: skip


def _parts(cubes: dict[str, Cube], contrast: Result, context: Result) -> list[Result]:
    """The contrast per encoder, per target, and on the classification tasks together: each for itself."""
    study, encoders = context["study"], context["encoders"]

    def part(targets: list[str], among: list[str]) -> Effect:
        chosen = [cubes[target] for target in targets]
        codes = [counted(cube, context["held_out"]) for cube in chosen]
        return effect(chosen, contrast["left"], contrast["right"], codes, among, study["level"], context["kinds"])

    parts = [as_json(part(contrast["targets"], [encoder]), encoder=encoder) for encoder in encoders]
    parts += [as_json(part([target], encoders), target=target) for target in cubes]
    together = [target for target in cubes if study["types"][target] == "classification"]
    if len(together) > 1:
        parts.append(as_json(part(together, encoders), target=f"classification tasks: {', '.join(together)}"))
    return parts


def _readings(
    primary: list[Cube], contrast: Result, codes: list[list[str]], whole: Effect, context: Result
) -> list[Result]:
    """Both readings of a contrast; the second one in words where it is refused."""
    families = families_of([code for own in codes for code in own])
    told = refusal(codes, families)
    second: Result = {"reading": LIKE_THESE, "refused": told}
    if not told:
        found = like_these(primary, contrast["left"], contrast["right"], codes, context["encoders"], whole.level,
                           families, context["kinds"])  # fmt: skip
        second = as_json(found, reading=LIKE_THESE, families=len(set(families.values())))
    return [as_json(whole, reading=THESE), second]


def _bootstrap(
    primary: list[Cube], contrast: Result, codes: list[list[str]], whole: Effect, context: Result
) -> Result | None:
    """The multi-bootstrap's intervals, where every encoder has replicates enough."""
    left, right = contrast["left"], contrast["right"]
    pairs = {encoder: paired_cells(primary, left, right, encoder) for encoder in context["encoders"]}
    if min(map(len, pairs.values())) < FEWEST_REPLICATES:
        return None
    cells = list(dict.fromkeys(cell for own in pairs.values() for pair in own for cell in pair))
    scores = [
        dict(zip(cells, resample(cube, cells, own).T, strict=True)) for cube, own in zip(primary, codes, strict=True)
    ]
    return rounded(vars(multi_bootstrap(scores, pairs, whole.level, whole.degrees)))


def _caveat(judged: list[Result], baselines: list[Result]) -> str:
    """A warning where no judged arm beats the baseline: such arms cannot differ in what they learnt of the task."""
    compared = {(target, v[side]) for v in judged for side in ("left", "right") for target in v["targets"]}
    beaten = [row["beaten"] for row in baselines if (row["target"], row["arm"]) in compared]
    if not beaten or any(beaten):
        return ""
    return " But no arm scores better than the baseline, so this says nothing of transfer."


def _scores(cube: Cube, held_out: list[str]) -> list[Result]:
    """Mean and standard deviation over all replicates, per arm and language."""
    rows = []
    for arm in dict.fromkeys(cell[0] for cell in cube.sums):
        cells = cube.cells(arm)
        for code in cube.languages:
            values = np.array([cube.score(cell, code) for cell in cells])
            spread = float(values.std(ddof=1)) if len(values) > 1 else None
            rows.append({"target": cube.target, "metric": cube.metric, "arm": arm, "language": code,
                         "held_out": code in held_out, "mean": float(values.mean()), "sd": spread,
                         "replicates": len(values)})  # fmt: skip
    return rows


def _also(run: Run, held_out: list[str]) -> list[Result]:
    """Scores by the metrics that a task names beside the one that it is judged by."""
    named = [(target, name) for target in run.labelled for name in run.study["also"][target]]
    return [row for target, name in named for row in _scores(run.cube(target, name), held_out)]


def _against_baseline(cube: Cube, context: Result) -> list[Result]:
    """Each arm against the baseline of its target over the held-out languages: is it better at all?"""
    rows = []
    codes = counted(cube, context["held_out"])
    if not cube.cells(BASELINE):
        return []
    for arm in dict.fromkeys(cell[0] for cell in cube.sums if cell[0] != BASELINE):
        found = effect([cube], arm, BASELINE, [codes], context["encoders"], context["study"]["level"],
                       context["kinds"])  # fmt: skip
        floor = float(np.mean([cube.score(cell, code) for cell in cube.cells(BASELINE) for code in codes]))
        rows.append(as_json(found, target=cube.target, arm=arm, baseline=cube.kind.BASELINE, floor=floor,
                            beaten=bool(found.low > 0)))  # fmt: skip
    return rows


def _per_language(cubes: dict[str, Cube], contrast: Result, context: Result) -> list[Result]:
    """Paired effect in each language of each target, without correction for their number: exploratory."""
    left, right = contrast["left"], contrast["right"]
    rows = []
    for cube in cubes.values():
        for code in cube.languages:
            found = effect([cube], left, right, [[code]], context["encoders"], context["study"]["level"],
                           context["kinds"])  # fmt: skip
            rows.append(as_json(found, contrast=contrast["contrast"], target=cube.target, language=code,
                                held_out=code in context["held_out"]))  # fmt: skip
    return rows


def _distance(cubes: dict[str, Cube], contrast: Result, context: Result, run: Path) -> Result:
    """Gain of each held-out language on the primary targets against its distance from the left arm's sources."""
    left, right, kinds, encoders = contrast["left"], contrast["right"], context["kinds"], context["encoders"]
    sources = [list(codes) for codes in context["plan"]["sources"][left].values()]
    primary = context["study"]["measure"]
    chosen = [cubes[target] for target in contrast["targets"]]
    codes = [code for code in context["held_out"] if any(code in cube.clusters for cube in chosen)]
    by_measure = {
        name: {code: distance_to_sources(code, sources, name) for code in codes}
        for name in (primary, *(name for name in MEASURES if name != primary))
    }
    points = []
    for code in codes:
        counted = [cube for cube in chosen if code in cube.clusters]
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
