"""Does the gain follow the distance between a language and the languages trained on?"""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.comparison import Comparison
from xstilts.analysis.effects import all_gains, blocks_of, interval, spread
from xstilts.languages import distance_matrix
from xstilts.randomness import generator

DRAWS = 20_000
PER_COVARIATE = 5
"""Languages that a joint model must have for each covariate."""


def distance_to_sources(language: str, source_sets: Sequence[Sequence[str]], measure: str = "syntax") -> float:
    """Distance to the nearest source, averaged over the source sets of the replicates; NaN where none is known."""
    codes = list(dict.fromkeys([language, *(code for codes in source_sets for code in codes)]))
    values = distance_matrix(codes, measure=measure).values[0]
    known = dict(zip(codes, values, strict=True))
    nearest = [
        min((known[c] for c in sources if not math.isnan(known[c])), default=math.nan) for sources in source_sets
    ]
    return float(np.mean(nearest)) if nearest else math.nan


def rank_correlation(distances: np.ndarray, gains: np.ndarray) -> tuple[float, float, int]:
    """Spearman's rho, its two-sided p-value from permuting languages, and the number of permutations.

    Pairs with a missing distance are left out. All permutations are taken up to 8 languages, else 20,000 draws with
    the identity among them. rho and p are NaN below four languages or where one side does not vary.
    """
    known = ~np.isnan(distances)
    x, y = stats.rankdata(distances[known]), stats.rankdata(gains[known])
    n = len(x)
    if n < 4 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan, math.nan, 0
    x, y = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    orders = _orders(n)
    null = (x[orders] @ y) / n
    rho = float(x @ y) / n
    return rho, float((np.abs(null) >= abs(rho) - 1e-12).mean()), len(orders)


def slope(comparison: Comparison, columns: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    """Slope of the gain on the first of `columns` with the others held fixed, in points per standard deviation.

    Args:
        columns: distance first, then covariates: of each language its value; languages that lack one are left out.

    A slope is a weighted sum of the languages' gains, so that replicates and items count as in `effects.effect`; to
    them comes what the languages differ by beyond the line, their residual variance less the noise of one gain. `p`
    comes from permuting the languages' residuals without the first column (Freedman and Lane 1983): with no other
    column, from permuting the languages. Says `missing` in place of numbers where too few languages are left, or the
    columns cannot be told apart.
    """
    tables = zip(comparison.tables, comparison.languages, strict=True)
    having = dict.fromkeys(code for table, counted in tables for code in table.clusters if code in counted)
    codes = [c for c in having if all(not math.isnan(column.get(c, math.nan)) for column in columns.values())]
    told = {"with": list(columns)[1:], "languages": len(codes)}
    if len(codes) < max(4, PER_COVARIATE * len(columns) if len(columns) > 2 else len(columns) + 3):
        return {**told, "missing": f"{len(codes)} languages are too few"}
    values = np.array([[column[code] for code in codes] for column in columns.values()], float)
    spread_out = values.std(1)
    if (spread_out < 1e-9).any():
        flat = [name for name, sd in zip(columns, spread_out, strict=True) if sd < 1e-9]
        return {**told, "missing": f"{', '.join(flat)} does not vary"}
    design = np.vstack([np.ones(len(codes)), (values - values.mean(1, keepdims=True)) / spread_out[:, None]]).T
    if np.linalg.cond(design) > 1e6:
        return {**told, "missing": "the columns say the same"}
    found = _line(comparison, codes, design)
    return {**told, **found, "per_unit": found["slope"] / float(spread_out[0])}


def _line(comparison: Comparison, codes: Sequence[str], design: np.ndarray) -> dict[str, Any]:
    held = tuple(tuple(code for code in codes if code in counted) for counted in comparison.languages)
    counts = {code: sum(code in own for own in held) for code in codes}
    gains = all_gains(replace(comparison, languages=held))

    def blocks(shares: np.ndarray) -> list[Any]:
        share = dict(zip(codes, shares, strict=True))
        weights = [{code: share[code] / counts[code] for code in own} for own in held]
        return blocks_of(gains, comparison, weights)

    def mean(shares: np.ndarray) -> float:
        return float(np.mean([block.differences.mean() for block in blocks(shares)]))

    n, k = design.shape
    gained = np.array([mean(row) for row in np.eye(n)])
    solver = np.linalg.pinv(design)
    left_over = gained - design @ (solver @ gained)
    residual = float(left_over @ left_over) / (n - k)
    alone = float(np.mean([spread(blocks(row)).total for row in np.eye(n)]))
    noise = max(alone - spread(blocks(np.full(n, 1 / n))).total, 0.0) / (1 - 1 / n)
    own = blocks(solver[1])
    beyond = max(residual - noise, 0.0) * float((solver[1] ** 2).sum())
    effect = interval(own, replace(spread(own), language=beyond, language_degrees=n - k), comparison.level)
    reduced = np.delete(design, 1, 1)
    fitted = reduced @ (np.linalg.pinv(reduced) @ gained)
    orders = _orders(n)
    # The fitted part adds the same to every permutation, and the reduced columns leave the slope alone.
    null = solver[1] @ fitted + (gained - fitted)[orders] @ solver[1]
    p = float((np.abs(null) >= abs(effect.estimate) - 1e-9).mean())
    return {"slope": effect.estimate, "low": effect.low, "high": effect.high, "p": p, "permutations": len(orders)}


def _orders(n: int) -> np.ndarray:
    """Orders of n languages [orders, n], the given one among them."""
    if n <= 8:
        return np.array(list(itertools.permutations(range(n))))
    rng = generator("permuting languages", n)
    return np.concatenate([[np.arange(n)], rng.permuted(np.tile(np.arange(n), (DRAWS - 1, 1)), axis=1)])
