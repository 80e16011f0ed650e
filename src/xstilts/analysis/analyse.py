"""Everything that a report shows, from a run folder's predictions; no training is repeated to change an analysis."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.analysis.cube import Cube, read_cube
from xstilts.analysis.distance import distance_to_sources, rank_correlation
from xstilts.analysis.effects import effect
from xstilts.analysis.verdicts import answer, as_json, sentence, verdict
from xstilts.errors import MISSING, XstiltsError

BASELINE = "baseline"
Result = dict[str, Any]


def analyse(run: Path) -> Result:
    """Scores, effects, verdicts and the relation to distance of a finished (or partly finished) run.

    Raises XstiltsError where the folder holds no run, or a declared contrast cannot be judged.
    """
    study, plan = _read(run / "study.json"), _read(run / "plan.json")
    cubes = {
        target: read_cube(run / "predictions" / f"{target}.parquet", study["types"][target], study["metrics"][target])
        for target in study["types"]
        if target not in study["withheld"]
    }
    encoders = sorted({cell[1] for cube in cubes.values() for cell in cube.sums if cell[1]})
    held_out = list(plan["held_out"])
    context = {"study": study, "plan": plan, "encoders": encoders, "held_out": held_out}
    declared = [*study["contrasts"], *study["controls"]]
    judged = [_judge(cubes, contrast, context) for contrast in study["contrasts"]]
    controls = [_judge(cubes, contrast, context) for contrast in study["controls"]]
    strategies = {name: arm.get("languages", "english") for name, arm in study["arms"].items() if "intermediate" in arm}
    baselines = [row for cube in cubes.values() for row in _against_baseline(cube, context)]
    told = answer([(v["left"], v["right"], v["verdict"]) for v in judged], strategies)
    return {
        **context,
        "answer": told and told + _caveat(judged, baselines),
        "verdicts": judged,
        "controls": controls,
        "scores": [row for cube in cubes.values() for row in _scores(cube, held_out)],
        "also": _also(run, study, held_out),
        "baselines": baselines,
        "languages": [row for c in declared for row in _per_language(cubes, c, context)],
        "distance": [_distance(cubes, contrast, context) for contrast in study["contrasts"]],
        "budgets": _read(run / "cells.json"),
    }


def _read(file: Path) -> Any:
    if not file.is_file():
        raise XstiltsError(
            f"{file.parent} holds no run", f"{file.name} is missing", "give the folder that `study` wrote to", MISSING
        )
    return json.loads(file.read_text(encoding="utf-8"))


def _counted(cube: Cube, held_out: list[str]) -> list[str]:
    return [code for code in held_out if code in cube.clusters]


def _judge(cubes: dict[str, Cube], contrast: Result, context: Result) -> Result:
    """The verdict on the primary targets together, with effects per target and per encoder beside it."""
    study, encoders, held_out = context["study"], context["encoders"], context["held_out"]
    left, right = contrast["left"], contrast["right"]
    family = study["controls"] if contrast in study["controls"] else study["contrasts"]
    level = 1 - (1 - study["level"]) / len(family)
    primary = [cubes[target] for target in contrast["targets"]]
    codes = [_counted(cube, held_out) for cube in primary]
    whole = effect(primary, left, right, codes, encoders, level)
    word = verdict(whole, study["equivalence"])
    parts = []
    for encoder in encoders:
        parts.append(as_json(effect(primary, left, right, codes, [encoder], study["level"]), encoder=encoder))
    for cube in cubes.values():
        own = effect([cube], left, right, [_counted(cube, held_out)], encoders, study["level"])
        parts.append(as_json(own, target=cube.target))
    text = sentence(left, right, whole, word, study["equivalence"], len(encoders))
    return as_json(whole, **contrast, verdict=word, sentence=text, parts=parts)


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


def _also(run: Path, study: Result, held_out: list[str]) -> list[Result]:
    """Scores by the metrics that a task names beside the one that it is judged by."""
    rows = []
    for target, names in study["also"].items():
        for name in names if target not in study["withheld"] else ():
            cube = read_cube(run / "predictions" / f"{target}.parquet", study["types"][target], name)
            rows += _scores(cube, held_out)
    return rows


def _against_baseline(cube: Cube, context: Result) -> list[Result]:
    """Each arm against the baseline of its target over the held-out languages: is it better at all?"""
    rows = []
    codes = _counted(cube, context["held_out"])
    if not cube.cells(BASELINE):
        return []
    for arm in dict.fromkeys(cell[0] for cell in cube.sums if cell[0] != BASELINE):
        found = effect([cube], arm, BASELINE, [codes], context["encoders"], context["study"]["level"])
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
            found = effect([cube], left, right, [[code]], context["encoders"], context["study"]["level"])
            rows.append(as_json(found, contrast=contrast["contrast"], target=cube.target, language=code,
                                held_out=code in context["held_out"]))  # fmt: skip
    return rows


def _distance(cubes: dict[str, Cube], contrast: Result, context: Result) -> Result:
    """Gain of each held-out language on the primary targets against its distance from the left arm's sources."""
    left, right = contrast["left"], contrast["right"]
    sources = [list(codes) for codes in context["plan"]["sources"][left].values()]
    points = []
    for code in context["held_out"]:
        counted = [cubes[target] for target in contrast["targets"] if code in cubes[target].clusters]
        if counted:
            found = effect(counted, left, right, [[code]] * len(counted), context["encoders"], 0.95)
            points.append({"language": code, "gain": found.estimate, "distance": distance_to_sources(code, sources),
                           "from_anchor": context["plan"]["distances"].get(code)})  # fmt: skip
    rho, p, permutations = rank_correlation(
        np.array([point["distance"] for point in points], float), np.array([point["gain"] for point in points])
    )
    return {"contrast": contrast["contrast"], "points": [_without_nan(p) for p in points], "permutations": permutations,
            **_without_nan({"rho": rho, "p": p})}  # fmt: skip


def _without_nan(row: Result) -> Result:
    return {name: None if isinstance(value, float) and value != value else value for name, value in row.items()}
