"""Published scores on XTREME next to a run's; those that were not found stay empty."""

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
MEANS = {"f1_em": ("f1", "exact_match"), "mlqa_f1_em": ("mlqa_f1", "mlqa_exact_match")}
"""Metrics that are the mean of two published ones, as the benchmark scores question answering."""


def published_rows(version: str) -> dict[tuple[str, str], dict[str, tuple[float, str]]]:
    """(task, metric) → row → (score in points, its source), for a version of the paper or from a FILE.csv.

    Raises XstiltsError for an unknown version, and for a table that cannot be read, naming its line.
    """
    if version not in VERSIONS and not version.endswith(".csv"):
        what, why = f"there is no version '{version}' of the published scores", f"known are {', '.join(VERSIONS)}"
        hint = did_you_mean(version, VERSIONS) or "give v2 (the AACL paper), v1 (its preprint) or FILE.csv"
        raise XstiltsError("unknown-name", what, why, hint)
    path = files(__package__).joinpath("published.csv") if version in VERSIONS else Path(version)
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        what = f"cannot read the scores in {version}"
        raise XstiltsError("missing-file", what, str(error), "check the path and the encoding (UTF-8)") from None
    if not any(row.get("task") in TARGETS for row in rows):
        why = f"no row is of a task of XTREME: {', '.join(TARGETS)}"
        raise XstiltsError("bad-file", f"{version} holds no scores", why, LAYOUT)
    scores: dict[tuple[str, str], dict[str, tuple[float, str]]] = {}
    for line, row in enumerate(rows, 2):
        if row.get("version", version) not in (version, "both"):
            continue
        try:
            key, score = (row["task"], row["metric"]), float(row["value"])
            if not isfinite(score):
                raise ValueError(score)
            scores.setdefault(key, {})[row["row"]] = score, row["source"] or version
        except (KeyError, TypeError, ValueError):
            what = f"{version}, line {line} cannot be read"
            raise XstiltsError("bad-file", what, f"it holds {row}", LAYOUT) from None
    for task in TARGETS:
        for name, parts in MEANS.items():
            first, second = (scores.get((task, part), {}) for part in parts)
            if shared := [row for row in first if row in second]:
                scores[task, name] = {row: ((first[row][0] + second[row][0]) / 2, first[row][1]) for row in shared}
    return scores


def published_table(run: Run, version: str) -> list[dict[str, Any]]:
    """Every task of XTREME and metric, with the mean over all languages (English included) of each arm of the run.

    `whole` says whether the run scored all languages of the task; otherwise its mean is not the published quantity.
    Empty `scores` mean that the run does not have the task; None is a figure that was not found.
    """
    published = published_rows(version)
    names = list(dict.fromkeys(name for rows in published.values() for name in rows))
    table = []
    for task, benchmark in TARGETS.items():
        target = run.targets.get(task)
        scored = [run.study["metrics"][target], *run.study["also"][target]] if target else []
        known = [metric for of, metric in published if of == task]
        for metric in dict.fromkeys([m for m in scored if m in known or m == scored[0]] or known or [""]):
            rows = published.get((task, metric), {})
            scores, languages = {}, []
            if target and metric in scored:
                results = run.score_table(target, metric)
                languages = results.languages
                for arm in run.arms:
                    if cells := results.cells(arm):
                        mean = np.mean([results.scores(cells, code) for code in languages])
                        scores[arm] = round(float(mean), 4)
            row = {"task": task, "metric": metric, "scores": scores, "languages": len(languages)}
            row["whole"] = set(languages) >= set(benchmark.languages)
            row["published"] = {name: rows[name][0] if name in rows else None for name in names}
            table.append(row | {"sources": sorted({source for _, source in rows.values()})})
    return table
