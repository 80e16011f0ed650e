"""The rows of the report's tables: plain data that page, terminal and CSV share."""

import csv
import io
import re
from collections.abc import Iterable
from typing import Any

from xstilts.analysis.analyse import BASELINE
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.report.console import NONE, interval, number, signed  # noqa: F401  (the page uses them too)

Result = dict[str, Any]
Row = dict[str, Any]

PHASE_NUMBERS = {"examples": "{:,.0f}", "updates": "{:,.0f}", "tokens": "{:,.0f}", "loss": "{:.3f}",
                 "dev_score": "{:.1f}"}  # fmt: skip


def slug(text: str) -> str:
    """A text as part of a file name: letters, digits and hyphens alone."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"


def language_name(code: str) -> str:
    """A language's English name without a remark in brackets; the code if it is unknown."""
    try:
        return language(code).name.partition(" (")[0]
    except XstiltsError:
        return code


def anchor(result: Result) -> str:
    """The language of the target's training, from which distances are counted."""
    return str(result["plan"]["study"]["languages"]["anchor"])


def by_distance(codes: Iterable[str], distances: dict[str, float | None]) -> list[str]:
    """Languages near to far; those without a measured distance last."""

    def key(code: str) -> tuple[bool, float, str]:
        value = distances.get(code)
        return value is None, value or 0.0, code

    return sorted(codes, key=key)


def targets(result: Result) -> list[str]:
    """Targets that have scores, in the order of the study."""
    return list(dict.fromkeys(row["target"] for row in result["scores"]))


def metric(result: Result, target: str) -> str:
    """The metric that a target's scores are in; for retrieval with the layer and pooling of the embeddings."""
    name = next(str(row["metric"]) for row in result["scores"] if row["target"] == target)
    how = embedding(result, target)
    return f"{name} ({how})" if how else name


def embedding(result: Result, target: str) -> str:
    """Which embeddings a retrieval target compares, in words; "" for other targets."""
    choices = [cell["retrieval"] for cell in result["budgets"] if cell["target"] == target and "retrieval" in cell]
    if not choices:
        return ""
    layers = sorted({choice["layer"] for choice in choices})
    span = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}–{layers[-1]}"
    chosen = " by dev" if any(len(choice.get("dev_scores", ())) > 1 for choice in choices) else ""
    return f"{span}{chosen}, {choices[0]['pooling']} pooling"


def counted(result: Result, target: str) -> list[str]:
    """The held-out languages that a target is scored in, near to far."""
    codes = {row["language"] for row in result["scores"] if row["target"] == target and row["held_out"]}
    return by_distance(codes, result["plan"]["distances"])


def arms(result: Result, target: str) -> list[str]:
    """A target's arms: its baseline, arms that are baselines, arms, controls."""
    present = dict.fromkeys(row["arm"] for row in result["scores"] if row["target"] == target)
    order = {BASELINE: 0, "baseline": 1, "arm": 2, "control": 3}
    return sorted(present, key=lambda arm: order[BASELINE if arm == BASELINE else role(result, arm)])


def role(result: Result, arm: str) -> str:
    """What an arm is for: arm, control or baseline."""
    return "baseline" if arm == BASELINE else str(result["study"]["roles"].get(arm, "arm"))


def score_table(result: Result, target: str) -> list[Row]:
    """Mean held-out and English scores per arm, the baseline first, each with its gain over the baseline.

    `beaten` is None without a baseline, or without an interval.
    """
    gains = {row["arm"]: row for row in result["baselines"] if row["target"] == target}
    return [
        {"role": role(result, row["arm"]), "gain": gains.get(row["arm"]), **row}
        | {"beaten": gains[row["arm"]]["beaten"] if row["arm"] in gains else None}
        for row in _means(result, target, result["scores"])
    ]


def also_table(result: Result, target: str) -> list[Row]:
    """Held-out and English means by a target's other metrics: a row per metric and arm."""
    metrics = dict.fromkeys(row["metric"] for row in result["also"] if row["target"] == target)
    return [
        {"metric": name, **row}
        for name in metrics
        for row in _means(result, target, [row for row in result["also"] if row["metric"] == name])
    ]


def _means(result: Result, target: str, scores: list[Row]) -> list[Row]:
    """The mean over held-out languages and the English score of each arm of a target."""
    rows = []
    for arm in arms(result, target):
        cells = [row for row in scores if row["target"] == target and row["arm"] == arm]
        held_out = [row["mean"] for row in cells if row["held_out"]]
        english: Row = next((row for row in cells if row["language"] == anchor(result)), {})
        rows.append({"arm": arm, "held_out": sum(held_out) / len(held_out) if held_out else None,
                     "english": english.get("mean"), "english_sd": english.get("sd"),
                     "replicates": max((row["replicates"] for row in cells), default=0)})  # fmt: skip
    return rows


def baseline_name(result: Result, target: str) -> str:
    """What a target's baseline is; "" if it has none."""
    return next((str(row["baseline"]) for row in result["baselines"] if row["target"] == target), "")


def unbeaten(result: Result, target: str) -> list[str]:
    """Arms whose score on a target is not shown to be above the baseline's."""
    return [row["arm"] for row in score_table(result, target) if row["beaten"] is False]


def budget_table(result: Result, phase: str) -> list[Row]:
    """Budgets of a phase, `intermediate` or `training`: per arm, or per target and arm; means and ranges over cells.

    An intermediate phase that several targets share counts once.
    """
    cells: dict[tuple[str, str], dict[tuple[str, int], Row]] = {}
    order = list(result["study"]["types"])
    for cell in sorted(result["budgets"], key=lambda cell: order.index(cell["target"])):
        if phase in cell:
            key = (cell["target"] if phase == "training" else "", cell["arm"])
            cells.setdefault(key, {})[cell["encoder"], cell["replicate"]] = cell[phase]
    return [
        {"target": target, "arm": arm, "cells": len(phases)}
        | {name: _span([facts.get(name) for facts in phases.values()], form) for name, form in PHASE_NUMBERS.items()}
        for (target, arm), phases in cells.items()
    ]


def _span(values: list[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return NONE
    mean, low, high = (form.format(value) for value in (sum(known) / len(known), min(known), max(known)))
    return mean if low == high else f"{mean} ({low}–{high})"


def source_table(result: Result) -> list[Row]:
    """The sources that each arm drew; replicates with equal draws share a row."""
    rows = []
    for arm, draws in result["plan"]["sources"].items():
        shared: dict[tuple[str, ...], list[str]] = {}
        for replicate, codes in draws.items():
            shared.setdefault(tuple(codes), []).append(replicate)
        strategy = result["study"]["arms"].get(arm, {}).get("languages", "english")
        for position, (codes, replicates) in enumerate(shared.items()):
            rows.append({"arm": arm if position == 0 else "", "strategy": strategy if position == 0 else "",
                         "sources": ", ".join(codes), "replicates": ", ".join(replicates)})  # fmt: skip
    return rows


def scores_csv(result: Result) -> str:
    """All scores as one tidy CSV: a row per target, metric, arm and language."""
    columns = ["target", "metric", "embedding", "arm", "role", "language", "held_out", "distance", "mean", "sd",
               "replicates"]  # fmt: skip
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for row in [*result["scores"], *result["also"]]:
        more = {"role": role(result, row["arm"]), "distance": result["plan"]["distances"].get(row["language"]),
                "embedding": embedding(result, row["target"])}  # fmt: skip
        writer.writerow({**row, **more})
    return text.getvalue()
