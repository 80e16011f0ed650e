"""Does the gain follow the distance between a language and the languages trained on?"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.effects import Comparison, combine, gains
from xstilts.languages import distance_matrix
from xstilts.randomness import generator

DRAWS = 40_320
"""Orders of languages that a p-value counts: all of them up to 8 languages (8! = 40,320), else so many random ones."""
PER_COVARIATE = 5
"""Languages that a joint model must have for each covariate."""


def distance_to_sources(language: str, source_sets: Sequence[Sequence[str]], measure: str) -> float:
    """Distance to the nearest source, averaged over the source sets of the replicates; NaN if none is known."""
    codes = list(dict.fromkeys([language, *(code for codes in source_sets for code in codes)]))
    distances = zip(codes, distance_matrix(codes, measure=measure).values[0], strict=True)
    known = {code: value for code, value in distances if not math.isnan(value)}
    nearest = [min((known[code] for code in sources if code in known), default=math.nan) for sources in source_sets]
    return float(np.mean(nearest)) if nearest else math.nan


def gains_by_language(comparison: Comparison) -> dict[str, float]:
    """Language → its gain, the mean over encoders of the mean over replicates of the mean over targets that have it."""
    by_language = defaultdict(list)
    columns = np.mean([each.differences.mean(0) for each in gains(comparison)], 0)
    for (_, code), gain in zip(comparison.columns, columns, strict=True):
        by_language[code].append(gain)
    return {code: float(np.mean(values)) for code, values in by_language.items()}


def rank_correlation(distances: np.ndarray, gains: np.ndarray) -> tuple[float, float, int]:
    """Spearman's rho, its two-sided p-value from permuting languages, and the number of permutations.

    Pairs without a distance are left out. rho and p are NaN below four languages, or if one side does not vary.
    """
    known = ~np.isnan(distances)
    x, y = stats.rankdata(distances[known]), stats.rankdata(gains[known])
    if len(x) < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan, 0
    y -= y.mean()
    return float(stats.spearmanr(x, y).statistic), *_permutation_test(x, lambda order: order @ y)


def slope(comparison: Comparison, columns: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Slope of the gain on the first of `columns` adjusted for the others, in points per standard deviation.

    Args:
        columns: distance first, then covariates: language → value; languages without one are left out.

    A slope is a weighted sum of the languages' gains, so that replicates and items count as in `effects.effect`; to
    them comes what the languages differ by beyond the line, their residual variance less the noise of one gain. `p`
    comes from permuting the languages' residuals without the first column (Freedman and Lane 1983): with no other
    column, from permuting the languages. The result has `missing`, a reason, in place of numbers if too few languages
    are left or the columns cannot be told apart.
    """
    counted = dict.fromkeys(code for codes in comparison.languages for code in codes)
    codes = [code for code in counted if not any(math.isnan(values.get(code, math.nan)) for values in columns.values())]
    facts = {"with": list(columns)[1:], "languages": len(codes)}
    needed = PER_COVARIATE * len(columns) if len(columns) > 2 else len(columns) + 3
    if len(codes) < needed:
        return {**facts, "missing": f"{len(codes)} languages are not enough ({needed} are needed)"}
    values = np.array([[column[code] for code in codes] for column in columns.values()], float)
    deviations = values.std(1)
    if constant := [f"'{name}'" for name, deviation in zip(columns, deviations, strict=True) if deviation < 1e-9]:
        return {**facts, "missing": f"{', '.join(constant)} does not vary"}
    design = np.vstack([np.ones(len(codes)), (values - values.mean(1, keepdims=True)) / deviations[:, None]]).T
    if np.linalg.cond(design) > 1e6:
        return {**facts, "missing": "the columns are collinear"}
    languages = tuple(tuple(code for code in codes if code in of_table) for of_table in comparison.languages)
    line = _line(replace(comparison, languages=languages), codes, design)
    return {**facts, **line, "per_unit": line["slope"] / float(deviations[0])}


def _line(comparison: Comparison, codes: Sequence[str], design: np.ndarray) -> dict[str, Any]:
    """The slope on column 1 of a design [codes, columns], of which column 0 is constant."""
    n, k = design.shape
    encoders, level = gains(comparison), comparison.level
    belongs = np.array([[code == name for _, name in comparison.columns] for code in codes])
    shares = belongs / belongs.sum(1, keepdims=True)
    single = [combine(encoders, row, level) for row in shares]
    gained = np.array([each.estimate for each in single])
    weights = np.linalg.pinv(design)[1]
    residuals = gained - design @ np.linalg.lstsq(design, gained)[0]
    alone = float(np.mean([each.variance for each in single]))
    noise = max(alone - combine(encoders, shares.mean(0), level).variance, 0.0) / (1 - 1 / n)
    beyond = max(float(residuals @ residuals) / (n - k) - noise, 0.0) * float((weights**2).sum())
    effect = combine(encoders, weights @ shares, level, (beyond, n - k))
    # What the other columns explain adds the same to every permutation.
    others = np.delete(design, 1, 1)
    fitted = others @ np.linalg.lstsq(others, gained)[0]
    p, permutations = _permutation_test(gained - fitted, lambda order: weights @ fitted + order @ weights)
    return {"slope": effect.estimate, "low": effect.low, "high": effect.high, "p": p, "permutations": permutations}


def _permutation_test(values: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, int]:
    """The two-sided p-value of a statistic [..., n] → [...] from permuting n values, and the number of permutations."""

    def absolute(order: np.ndarray, axis: int) -> np.ndarray:
        return np.abs(statistic(order))

    rng = generator("permuting languages", len(values))
    test = stats.permutation_test(
        (values,), absolute, permutation_type="pairings", alternative="greater", n_resamples=DRAWS, rng=rng
    )
    return float(test.pvalue), len(test.null_distribution)
