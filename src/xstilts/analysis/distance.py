"""Does the gain follow the distance between a language and the languages trained on?"""

import itertools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from xstilts.languages import distance_matrix
from xstilts.randomness import generator

DRAWS = 20_000


def distance_to_sources(language: str, source_sets: Sequence[Sequence[str]]) -> float:
    """Distance to the nearest source, averaged over the source sets of the replicates; NaN where none is known."""
    codes = list(dict.fromkeys([language, *(code for codes in source_sets for code in codes)]))
    values = distance_matrix(codes).values[0]
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
    if n <= 8:
        orders = np.array(list(itertools.permutations(range(n))))
    else:
        rng = generator("permuting languages", n)
        orders = np.concatenate([[np.arange(n)], rng.permuted(np.tile(np.arange(n), (DRAWS - 1, 1)), axis=1)])
    null = (x[orders] @ y) / n
    rho = float(x @ y) / n
    return rho, float((np.abs(null) >= abs(rho) - 1e-12).mean()), len(orders)
