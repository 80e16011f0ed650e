"""Published scores on XTREME beside a run's; what was not found stays empty."""

import csv
from importlib.resources import files
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.runs.reader import Run
from xstilts.tasks.xtreme import TARGETS

VERSIONS = ("v1", "v2")
LAYOUT = "the columns are row, task, metric, value and source; a value is a number of points"
BOTH = "both"
MEANS = {"f1_em": ("f1", "exact_match"), "mlqa_f1_em": ("mlqa_f1", "mlqa_exact_match")}
"""Metrics that are the mean of two published ones, as the benchmark scores question answering."""


def published_rows(version: str) -> dict[tuple[str, str], dict[str, tuple[float, str]]]:
    """(task, metric) -> row -> (score in points, where it was found), for a version of the paper or from a FILE.csv.

    Raises XstiltsError for a version that there is not, or a table that cannot be read, naming its line.
    """
    found: dict[tuple[str, str], dict[str, tuple[float, str]]] = {}
    rows = list(csv.DictReader(_text(version).splitlines()))
    if not any(row.get("task") in TARGETS for row in rows):
        raise XstiltsError(
            "bad-file", f"{version} holds no scores", f"no row is of a task of XTREME: {', '.join(TARGETS)}", LAYOUT
        )
    for line, row in enumerate(rows, 2):
        if row.get("version", version) in (version, BOTH):
            try:
                key, score = (row["task"], row["metric"]), float(row["value"])
                if not isfinite(score):
                    raise ValueError(score)
                found.setdefault(key, {})[row["row"]] = score, row["source"] or version
            except (KeyError, TypeError, ValueError):
                raise XstiltsError(
                    "bad-file", f"{version}, line {line} cannot be read", f"it holds {row}", LAYOUT
                ) from None
    for task in TARGETS:
        for name, (one, other) in MEANS.items():
            ones, others = found.get((task, one), {}), found.get((task, other), {})
            both = {row: ((ones[row][0] + others[row][0]) / 2, ones[row][1]) for row in ones if row in others}
            if both:
                found[task, name] = both
    return found


def _text(version: str) -> str:
    if version in VERSIONS:
        return files("xstilts.claims").joinpath("published.csv").read_text(encoding="utf-8")
    if not version.endswith(".csv"):
        hint = did_you_mean(version, VERSIONS) or "v2 is the AACL paper, v1 its preprint of May 2020"
        why = f"there are {', '.join(VERSIONS)}, or a table of your own, FILE.csv"
        raise XstiltsError("unknown-name", f"there is no version '{version}' of the published rows", why, hint)
    try:
        return Path(version).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise XstiltsError(
            "missing-file", f"cannot read the scores in {version}", str(error), "check the path"
        ) from None


def published_table(run: Run, version: str) -> list[dict[str, Any]]:
    """Every task of XTREME and metric, with the mean over all languages (English included) of each arm of the run.

    `whole` says whether the run scored all languages of the task, without which its mean is another thing than the
    published one. An empty `scores` is a task that the run does not have; None is a figure that was not found.
    """
    published = published_rows(version)
    names = list(dict.fromkeys(name for rows in published.values() for name in rows))
    table = []
    for task in TARGETS:
        target = run.targets.get(task, "")
        own = [run.study["metrics"][target], *run.study["also"][target]] if target else []
        known = [metric for one, metric in published if one == task]
        for metric in dict.fromkeys([m for m in own if m in known or m == own[0]] or known or [""]):
            rows = published.get((task, metric), {})
            scores, languages = _means(run, target, metric) if metric in own else ({}, [])
            table.append({
                "task": task, "metric": metric, "scores": scores, "languages": len(languages),
                "whole": set(languages) >= set(TARGETS[task].languages),
                "published": {name: rows[name][0] if name in rows else None for name in names},
                "sources": sorted({source for _, source in rows.values()}),
            })  # fmt: skip
    return table


def _means(run: Run, target: str, metric: str) -> tuple[dict[str, float], list[str]]:
    """Mean score of each arm over replicates and languages, and the languages."""
    table = run.score_table(target, metric)
    scores = {}
    for arm in run.arms:
        values = [table.score(cell, code) for cell in table.cells(arm) for code in table.languages]
        if values:
            scores[arm] = round(float(np.mean(values)), 4)
    return scores, table.languages
