"""How well sources are ranked for languages that the model has not seen, beside what needs no model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import stats

from xstilts.languages import distance_matrix, language
from xstilts.runs.language_features import Numbers
from xstilts.transfer.gains import Row
from xstilts.transfer.model import Learnt, choose_penalty, standardised, weights
from xstilts.transfer.ranking import ndcg, spearman

MODEL, NEAREST, ENGLISH, RANDOM = "ridge", "nearest language", "English", "random"
METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"spearman": spearman, "ndcg@3": ndcg}
LEVEL = 0.95

Result = dict[str, Any]


def family(code: str) -> str:
    """A language's family; an isolate, or a language whose family is not known, is its own."""
    return language(code).family or code


def left_out(learnt: Learnt, rows: Sequence[Row], known: dict[str, Numbers], by: str) -> Result | None:
    """Spearman and NDCG@3 of each method in blocks (`language` or `family`) that are left out one after the other.

    What is ranked are the arms of one training (encoder and replicate) in one language and target; the model has seen
    neither the block nor that training, for the luck of a training is the same in all languages and would be learnt
    from the others. `over_nearest` is the difference to the nearest language. None where there are fewer than two
    blocks or trainings.
    """
    block = {code: code if by == "language" else family(code) for code in learnt.languages}
    if len(set(block.values())) < 2 or len(learnt.units) < 2:
        return None
    places = _places(rows)
    gains = np.array([row.gain for row in rows])
    x = standardised(rows, known, learnt.design)
    scores = {
        MODEL: np.zeros(len(rows)), NEAREST: -_distances(rows), RANDOM: np.zeros(len(rows)),
        ENGLISH: np.array([row.sources == ("en",) for row in rows], float),
    }  # fmt: skip
    blocks = sorted(set(block.values()))
    values = {
        (name, metric): np.full((len(blocks), len(learnt.units)), np.nan) for name in scores for metric in METRICS
    }
    for i, out in enumerate(blocks):
        inside = [code for code in learnt.languages if block[code] == out]
        for j, unit in enumerate(learnt.units):
            if found := [at for code in inside for at in places.get((unit, code), ())]:
                rest = learnt.without(inside, unit)
                scores[MODEL] = x @ weights(rest, choose_penalty(rest))
                for (name, metric), cells in values.items():
                    cells[i, j] = np.mean([METRICS[metric](scores[name][at], gains[at]) for at in found])
    told = {name: {metric: mean(values[name, metric]) for metric in METRICS} for name in scores}
    over = {metric: mean(values[MODEL, metric] - values[NEAREST, metric]) for metric in METRICS}
    sizes = [len(at) for found in places.values() for at in found]
    return {"by": by, "blocks": len(blocks), "units": len(learnt.units), "candidates": float(np.mean(sizes or [0])),
            "methods": told, "over_nearest": over}  # fmt: skip


def _places(rows: Sequence[Row]) -> dict[tuple[str, str], list[np.ndarray]]:
    """(unit, language) -> the rows of each target, where there is an order to find."""
    compared: dict[tuple, list[int]] = {}
    for i, row in enumerate(rows):
        compared.setdefault(row.compared, []).append(i)
    found: dict[tuple[str, str], list[np.ndarray]] = {}
    for (unit, _, code), at in compared.items():
        if len({rows[i].gain for i in at}) > 1:
            found.setdefault((unit, code), []).append(np.array(at))
    return found


def _distances(rows: Sequence[Row]) -> np.ndarray:
    """Distance to the nearest source; one that is not known is farther than any other."""
    codes = sorted({code for row in rows for code in (row.language, *row.sources)})
    far = np.nan_to_num(distance_matrix(codes).values, nan=2.0)
    return np.array([min(far[codes.index(row.language), codes.index(s)] for s in row.sources) for row in rows])


def mean(values: np.ndarray) -> Result:
    """Mean of values [blocks, units], NaN where there is none, with an interval whose ends are None for a single row or
    column.

    V(blocks) + V(units) − V(both), as for effects (Searle, Casella and McCulloch 1992, ch. 4), with t quantiles and
    Satterthwaite's degrees of freedom: blocks share trainings, and trainings share blocks.
    """
    values = values[~np.isnan(values).all(1)]
    values = values[:, ~np.isnan(values).all(0)]
    a, b = values.shape
    if not values.size:
        return {"mean": None, "low": None, "high": None}
    rows, columns, centre = np.nanmean(values, 1), np.nanmean(values, 0), float(np.nanmean(values))
    if min(a, b) < 2:
        return {"mean": centre, "low": None, "high": None}
    residual = values - rows[:, None] - columns + centre
    v = rows.var(ddof=1) / a, columns.var(ddof=1) / b, float(np.nansum(residual**2)) / ((a - 1) * (b - 1) * a * b)
    variance = max(v[0] + v[1] - v[2], *v[:2])
    pieces = v[0] ** 2 / (a - 1) + v[1] ** 2 / (b - 1) + v[2] ** 2 / ((a - 1) * (b - 1))
    degrees = variance**2 / pieces if pieces > 0 else 1.0
    half = float(stats.t.ppf(0.5 + LEVEL / 2, degrees)) * variance**0.5
    return {"mean": centre, "low": centre - half, "high": centre + half}
