"""Ranking metrics."""

import math
from collections.abc import Callable

import numpy as np
from scipy import stats
from sklearn.metrics import ndcg_score

TOP = 3


def spearman(scores: np.ndarray, gains: np.ndarray) -> float:
    """Rank correlation [-1, 1]; 0 if all scores are equal, NaN if all gains are.

    >>> spearman(np.array([0.1, 0.2, 0.3]), np.array([1.0, 3.0, 2.0]))
    0.5
    """
    if np.ptp(gains) == 0 or np.ptp(scores) == 0:
        return math.nan if np.ptp(gains) == 0 else 0.0
    return float(stats.spearmanr(scores, gains).statistic)


def ndcg(scores: np.ndarray, gains: np.ndarray) -> float:
    """NDCG@3 (Järvelin and Kekäläinen 2002) of an order by `scores`, 0 to 1.

    The three largest gains have relevance 3, 2 and 1, which count 2^r − 1. Equal scores share the value of their
    places, so that constant scores get what a random order gets on average.

    >>> ndcg(np.array([0.9, 0.5, 0.1]), np.array([5.0, 2.0, 1.0]))
    1.0
    """
    relevance = np.zeros(len(gains))
    best = np.argsort(-gains, kind="stable")[:TOP]
    relevance[best] = [7, 3, 1][: len(best)]
    return float(ndcg_score([relevance], [scores], k=TOP))


METRICS: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {"spearman": spearman, "ndcg@3": ndcg}
