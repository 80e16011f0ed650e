"""How well scores rank what they are meant to rank."""

import math

import numpy as np
from scipy import stats

TOP = 3
RELEVANCE = (3, 2, 1)
"""Of the best, the second and the third of a list; everything else is worth nothing."""


def spearman(scores: np.ndarray, gains: np.ndarray) -> float:
    """Rank correlation [-1, 1]; 0 for scores that do not distinguish anything, NaN where the gains do not differ."""
    if np.ptp(gains) == 0:
        return math.nan
    if np.ptp(scores) == 0:
        return 0.0
    return float(np.corrcoef(stats.rankdata(scores), stats.rankdata(gains))[0, 1])


def ndcg(scores: np.ndarray, gains: np.ndarray) -> float:
    """Discounted gain of the first three by `scores` over the best order's (Järvelin and Kekäläinen 2002), 0 to 1.

    The three with the largest gains have relevance 3, 2 and 1, worth 2^r − 1. Equal scores share what their places are
    worth (McSherry and Najork 2008), so that scores that are all equal get what a random order gets in the mean.
    """
    worth = np.zeros(len(gains))
    order = np.argsort(-gains, kind="stable")[:TOP]
    worth[order] = [2.0**r - 1 for r in RELEVANCE[: len(order)]]
    discount = np.zeros(len(gains))
    discount[:TOP] = 1 / np.log2(np.arange(2, 2 + min(TOP, len(gains))))
    by_score = np.argsort(-scores, kind="stable")
    _, tied = np.unique(-scores[by_score], return_inverse=True)
    shared = np.bincount(tied, discount) / np.bincount(tied)
    return float(worth[by_score] @ shared[tied] / (worth[order] @ discount[: len(order)]))
