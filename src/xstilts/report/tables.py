"""The rows of the report's tables: plain data that page, terminal and CSV share."""

import re
from collections.abc import Iterable, Iterator
from statistics import fmean
from typing import Any

from xstilts.analysis.analyse import BASELINE
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.report.console import NONE, csv_text

Result = dict[str, Any]
Row = dict[str, Any]

PHASE_NUMBERS = {"examples": ",.0f", "updates": ",.0f", "tokens": ",.0f", "loss": ".3f", "dev_score": ".1f"}


def slug(text: str) -> str:
    """A text as part of a file name: letters, digits and hyphens alone."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60] or "unnamed"


def language_name(code: str) -> str:
    """A language's English name without a remark in brackets; the code if it is unknown."""
    try:
        return language(code).name.partition(" (")[0]
    except XstiltsError:
        return code


ARTIFICIAL = "artificial languages"


def artificial(result: Result, targets: Iterable[str]) -> str:
    """What titles of these targets' scores end in: " (artificial languages)" if one of them is in such, else ""."""
    return f" ({ARTIFICIAL})" if set(targets) & set(result["study"].get("artificial", ())) else ""


def anchor(result: Result) -> str:
    """The language of the target's training, from which distances are counted."""
    return str(result["plan"]["study"]["languages"]["anchor"])


def columns_of(rows: Iterable[Row], names: Iterable[str]) -> list[Row]:
    """Some columns of rows, with numbers rounded to four digits.

    >>> columns_of([{"arm": "far", "mean": 61.23456, "text": "61.2"}], ("arm", "mean"))
    [{'arm': 'far', 'mean': 61.2346}]
    """
    names = list(names)
    return [{n: round(row[n], 4) if isinstance(row[n], float) else row[n] for n in names} for row in rows]


def reference_arm(result: Result) -> str:
    """The first arm without an intermediate training, which gains are measured against; "" if there is none."""
    arms = result["study"]["arms"]
    return next((arm for arm in arms if role(result, arm) == "arm" and not arms[arm].get("intermediate")), "")


def sources_of(result: Result, arm: str) -> str:
    """The source languages of an arm, in words: those of all replicates if they are equal, else how they were chosen.

    >>> sources_of({"plan": {"sources": {"far": {"e5:1": ["ar", "tr"], "e5:2": ["ar", "tr"]}}}}, "far")
    'ar, tr'
    """
    draws = list(dict.fromkeys(", ".join(codes) for codes in result["plan"]["sources"].get(arm, {}).values()))
    return draws[0] if len(draws) == 1 else f"{len(draws)} draws of languages" if draws else ""


def by_distance(codes: Iterable[str], result: Result) -> list[str]:
    """Languages near to far, from the anchor on; those without a measured distance last."""
    distances, first = result["plan"]["distances"], anchor(result)

    def key(code: str) -> tuple[bool, bool, float, str]:
        value = distances.get(code)
        return code != first, value is None, value or 0.0, code

    return sorted(codes, key=key)


def targets(result: Result) -> list[str]:
    """Targets that have scores, in the order of the study."""
    return list(dict.fromkeys(row["target"] for row in result["scores"]))


def role(result: Result, arm: str) -> str:
    """What an arm is for: arm, control or baseline."""
    return "baseline" if arm == BASELINE else str(result["study"]["roles"].get(arm, "arm"))


def target_table(result: Result, target: str) -> Row:
    """What is shown of a target's scores.

    `title`; `metric`, for retrieval with the embeddings that are compared; `languages`: held-out ones, near to far;
    `baseline`: its name or ""; `rows`: per arm, baselines first and controls last, mean held-out and English score,
    `gain` over the baseline and whether it is `beaten` (None without a baseline or an interval); `unbeaten`: the arms
    that are not shown to beat it; `also`: rows per other metric and arm.
    """
    scores, other = ([row for row in result[kind] if row["target"] == target] for kind in ("scores", "also"))
    gains = {row["arm"]: row for row in result["baselines"] if row["target"] == target}
    order = ["baseline", "arm", "control"]
    arms = list(dict.fromkeys(row["arm"] for row in scores))
    arms.sort(key=lambda arm: (arm != BASELINE, order.index(role(result, arm))))

    def means(cells: list[Row], arm: str) -> Row:
        cells = [row for row in cells if row["arm"] == arm]
        held_out = [row["mean"] for row in cells if row["held_out"]]
        english: Row = next((row for row in cells if row["language"] == anchor(result)), {})
        replicates = max((row["replicates"] for row in cells), default=0)
        row = {"arm": arm, "held_out": sum(held_out) / len(held_out) if held_out else None, "replicates": replicates}
        return row | {"english": english.get("mean"), "english_sd": english.get("sd")}

    rows = []
    for arm in arms:
        gain = gains.get(arm)
        comparison = {"gain": gain, "beaten": gain["beaten"] if gain else None}
        rows.append({"role": role(result, arm), **means(scores, arm), **comparison})
    also = []
    for metric in dict.fromkeys(row["metric"] for row in other):
        cells = [row for row in other if row["metric"] == metric]
        also += [{"metric": metric, **means(cells, arm)} for arm in arms]
    embedding = _embedding(result, target)
    return {
        "target": target,
        "title": f"{target}{artificial(result, [target])}",
        "metric": scores[0]["metric"] + (f" ({embedding})" if embedding else ""),
        "languages": by_distance({row["language"] for row in scores if row["held_out"]}, result),
        "baseline": next((row["baseline"] for row in gains.values()), ""),
        "rows": rows,
        "unbeaten": [row["arm"] for row in rows if row["beaten"] is False],
        "also": also,
    }


def _embedding(result: Result, target: str) -> str:
    """Which embeddings a retrieval target compares, in words; "" for other targets."""
    choices = [cell["retrieval"] for cell in result["budgets"] if cell["target"] == target and "retrieval" in cell]
    if not choices:
        return ""
    layers = sorted({choice["layer"] for choice in choices})
    span = f"layer {layers[0]}" if len(layers) == 1 else f"layers {layers[0]}–{layers[-1]}"
    chosen = " by dev" if any(len(choice.get("dev_scores", ())) > 1 for choice in choices) else ""
    return f"{span}{chosen}, {choices[0]['pooling']} pooling"


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
    rows = []
    for (target, arm), phases in cells.items():
        row = {"target": target, "arm": arm, "cells": len(phases)}
        for name, form in PHASE_NUMBERS.items():
            known = [facts[name] for facts in phases.values() if facts.get(name) is not None]
            mean, low, high = (format(value(known), form) if known else NONE for value in (fmean, min, max))
            row[name] = mean if low == high else f"{mean} ({low}–{high})"
        rows.append(row)
    return rows


def in_anchor(result: Result) -> list[Row]:
    """The effects of the declared contrasts in the language of the targets' training: what other sources cost it."""
    judged = [row["contrast"] for row in result["verdicts"]]
    return [row for row in result["languages"] if row["language"] == anchor(result) and row["contrast"] in judged]


def breakdown_tables(result: Result) -> list[Row]:
    """Per target with `breakdown` columns: its rows, and the contrasts and compared arms that are their columns."""
    judged = result["verdicts"]
    arms = dict.fromkeys(row[side] for side in ("right", "left") for row in judged)
    found = []
    for target in dict.fromkeys(row["target"] for row in result["breakdowns"]):
        rows = [row for row in result["breakdowns"] if row["target"] == target]
        title = f"{target}{artificial(result, [target])}"
        facts = {"title": title, "metric": result["study"]["metrics"][target], "languages": rows[0]["languages"]}
        facts |= {"columns": list(dict.fromkeys(row["column"] for row in rows)), "rows": rows}
        found.append(facts | {"arms": list(arms), "contrasts": [row["contrast"] for row in judged]})
    return found


def source_table(result: Result) -> list[Row]:
    """The sources that each arm drew; replicates with equal draws share a row."""
    rows = []
    for arm, draws in result["plan"]["sources"].items():
        shared: dict[str, list[str]] = {}
        for replicate, codes in draws.items():
            shared.setdefault(", ".join(codes), []).append(replicate)
        names = {"arm": arm, "strategy": result["study"]["arms"].get(arm, {}).get("languages", "english")}
        for codes, replicates in shared.items():
            rows.append({**names, "sources": codes, "replicates": ", ".join(replicates)})
            names = dict.fromkeys(names, "")
    return rows


def results_csv(result: Result) -> str:
    """All results as one tidy CSV.

    By its `kind`, a row is the score of an arm in a language; the mean of an arm over the held-out languages, with how
    far it is above the baseline; or a contrast, over all held-out languages or in one language.
    """
    names = [
        "kind",
        "target",
        "data",
        "metric",
        "embedding",
        "arm",
        "role",
        "contrast",
        "language",
        "held_out",
        "distance",
    ]
    columns = [*names, "mean", "sd", "difference", "low", "high", "level", "verdict", "replicates"]
    rows = []
    for row in [*_score_rows(result), *_mean_rows(result), *_contrast_rows(result)]:
        made = artificial(result, row["target"].split(" + "))
        rows.append(row | {"data": "artificial" if made else "real"})
    return csv_text(rows, columns)


def _score_rows(result: Result) -> Iterator[Row]:
    for row in [*result["scores"], *result["also"]]:
        distance, embedding = result["plan"]["distances"].get(row["language"]), _embedding(result, row["target"])
        yield row | {"kind": "score", "role": role(result, row["arm"]), "distance": distance, "embedding": embedding}


def _mean_rows(result: Result) -> Iterator[Row]:
    for target in targets(result):
        table = target_table(result, target)
        for row in table["rows"]:
            gain = row["gain"] or {}
            facts = {"kind": "held-out mean", "target": target, "metric": result["study"]["metrics"][target]}
            facts |= {"arm": row["arm"], "role": row["role"], "mean": row["held_out"], "replicates": row["replicates"]}
            yield facts | {"difference": gain.get("estimate"), **{n: gain.get(n) for n in ("low", "high", "level")}}


def _contrast_rows(result: Result) -> Iterator[Row]:
    for family, use in (("verdicts", "arm"), ("controls", "control")):
        for row in result[family]:
            facts = {"kind": "contrast", "role": use, "target": " + ".join(row["targets"])}
            yield {**row, **facts, "difference": row["estimate"]}
    for row in result["languages"]:
        yield {"kind": "contrast in a language", "difference": row["estimate"], **row}
