"""How well sources are ranked in languages and trainings that the model has not seen, and baselines for comparison."""

from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.covariates import families_of
from xstilts.transfer.from_runs.gains import groups
from xstilts.transfer.from_runs.ridge import TrainingSet, choose_penalty, features, weights
from xstilts.transfer.metrics import METRICS

MODEL, NEAREST, ENGLISH, RANDOM = "ridge", "nearest language", "English", "random"
LEVEL = 0.95

Result = dict[str, Any]


def leave_out(data: TrainingSet, by: str) -> Result | None:
    """Spearman and NDCG@3 of each method in blocks (`language` or `family`) that are left out one after the other.

    The arms of one training are ranked in one language and target. The model has seen neither the block nor that
    training, because the luck of a training is the same in all languages and could be learnt from the others.
    `over_nearest` is the difference from ranking by the nearest language. None if there are fewer than two blocks or
    trainings.
    """
    families = families_of(data.languages.tolist())
    block = data.languages if by == "language" else np.array([families[code] for code in data.languages])
    blocks, trainings = np.unique(block), np.unique(data.trainings)
    if len(blocks) < 2 or len(trainings) < 2:
        return None
    gains = data.gains
    points = np.array([gain.points for gain in gains])
    ranked = [members for members in groups(gains) if np.ptp(points[members])]
    scores = {
        MODEL: np.zeros(len(gains)),
        NEAREST: -np.nan_to_num(features(gains, {})["distance"], nan=2.0),  # an unknown one is the largest
        RANDOM: np.zeros(len(gains)),
        ENGLISH: np.array([gain.sources == ("en",) for gain in gains], float),
    }
    values = {(name, metric): np.full((len(blocks), len(trainings)), np.nan) for name in scores for metric in METRICS}
    for i, j in np.ndindex(len(blocks), len(trainings)):
        inside, trained = block == blocks[i], data.trainings == trainings[j]
        lists, rest = [at for at in ranked if (inside & trained)[at[0]]], ~inside & ~trained
        if lists and rest.any():
            x, y = data.x[rest], data.y[rest]
            scores[MODEL] = data.x @ weights(x, y, choose_penalty(x, y, data.languages[rest]))
            for (name, metric), cells in values.items():
                cells[i, j] = np.mean([METRICS[metric](scores[name][at], points[at]) for at in lists])
    return {
        "by": by,
        "blocks": len(blocks),
        "units": len(trainings),
        "candidates": float(np.mean([len(members) for members in ranked] or [0])),
        "methods": {name: {metric: mean(values[name, metric]) for metric in METRICS} for name in scores},
        "over_nearest": {metric: mean(values[MODEL, metric] - values[NEAREST, metric]) for metric in METRICS},
    }


def mean(values: np.ndarray) -> Result:
    """The mean of values [blocks, trainings], NaN if missing, with a t interval: `low` and `high` are None for a single
    row or column.

    Its variance is V(blocks) + V(trainings) − V(both), as for effects (Searle, Casella and McCulloch 1992, ch. 4), with
    Satterthwaite's degrees of freedom: blocks share trainings, and trainings share blocks.
    """
    values = values[~np.isnan(values).all(1)]
    values = values[:, ~np.isnan(values).all(0)]
    a, b = values.shape
    if min(a, b) < 2:
        return {"mean": float(np.nanmean(values)) if values.size else None, "low": None, "high": None}
    rows, columns, centre = np.nanmean(values, 1), np.nanmean(values, 0), float(np.nanmean(values))
    residual = values - rows[:, None] - columns + centre
    v = rows.var(ddof=1) / a, columns.var(ddof=1) / b, float(np.nansum(residual**2)) / ((a - 1) * (b - 1) * a * b)
    variance = max(v[0] + v[1] - v[2], *v[:2])
    pieces = v[0] ** 2 / (a - 1) + v[1] ** 2 / (b - 1) + v[2] ** 2 / ((a - 1) * (b - 1))
    degrees = variance**2 / pieces if pieces > 0 else 1.0
    half = float(stats.t.ppf(0.5 + LEVEL / 2, degrees)) * variance**0.5
    return {"mean": centre, "low": centre - half, "high": centre + half}
