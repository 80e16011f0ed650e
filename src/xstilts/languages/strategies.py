"""Strategies to choose k languages, each a function of distances.

A strategy takes the codes of n candidates, near to far, their distances `d` [n + 1, n + 1] (the anchor in row 0, then
the candidates in order), k, and a generator for a random draw, or None for the exact set. It returns the k chosen
positions in ascending order.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from itertools import combinations

import numpy as np

from xstilts.errors import XstiltsError

EXHAUSTIVE = 1_000_000

Draw = np.random.Generator | None
Strategy = Callable[[Sequence[str], np.ndarray, int, Draw], list[int]]


def near(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """The k nearest; a draw takes any k of the nearest third (rounded up, at least k)."""
    return list(range(k)) if draw is None else _draw(draw, range(max(k, math.ceil(len(codes) / 3))), k)


def far(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """The k farthest; a draw takes any k of the farthest third."""
    n = len(codes)
    return list(range(n - k, n)) if draw is None else _draw(draw, range(n - max(k, math.ceil(n / 3)), n), k)


def closest(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """The k nearest, which confounds distance least; a draw takes any k."""
    return list(range(k)) if draw is None else random(codes, d, k, draw)


def random(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """Any k."""
    assert draw is not None
    return _draw(draw, range(len(codes)), k)


def stratified(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """Equally spaced over the range of distances, with both ends; a draw aims at a random point of each k-th.

    The languages minimise the summed deviation from these points. Some best assignment keeps the order, so dynamic
    programming finds one.
    """
    at = d[0, 1:]
    ends = np.linspace(0, 1, k) if k > 1 else np.array([0.5])
    shares = ends if draw is None else (np.arange(k) + draw.random(k)) / k
    points = at.min() + shares * (at.max() - at.min())
    cost = np.zeros(len(at) + 1)  # cost[i]: of the points so far, with the first i languages
    taken = []
    for point in points:
        with_last = np.concatenate([[np.inf], cost[:-1] + np.abs(at - point)])
        cost = np.minimum.accumulate(with_last)
        taken.append(with_last <= cost)
    chosen, i = [], len(at)
    for here in reversed(taken):
        i = int(np.flatnonzero(here[: i + 1])[-1])
        chosen.append(i - 1)
        i -= 1
    return chosen[::-1]


def diverse(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
    """The set whose smallest distance, among its members and to the anchor, is largest (max-min).

    Ties go to the larger sum, then to the code; a draw optimises within a random half. Exact for fewer than a million
    sets.
    """
    n = len(codes)
    pool = list(range(n)) if draw is None else _draw(draw, range(n), max(k, math.ceil(n / 2)))
    pool.sort(key=lambda i: codes[i])
    rows = np.array([0, *(i + 1 for i in pool)])
    # A set with an unknown distance must never win.
    within = np.nan_to_num(d[np.ix_(rows, rows)], nan=-np.inf)
    best = exhaustive(within, k) if math.comb(len(pool), k) < EXHAUSTIVE else exchange(within, k)
    if spread(within, best)[0] == -np.inf:
        what = f"no {k} of the candidates have known distances to one another"
        why, hint = "some pairs share too few observed features", "give other candidates or a smaller k"
        raise XstiltsError("too-few", what, why, hint)
    return sorted(pool[i - 1] for i in best)


def predicted(scores: Mapping[str, float]) -> Strategy:
    """The k with the highest score in `scores`, ties to the nearer; a draw takes any k of the best third."""

    def best(codes: Sequence[str], d: np.ndarray, k: int, draw: Draw) -> list[int]:
        order = sorted(range(len(codes)), key=lambda i: -scores[codes[i]])
        return sorted(order[i] for i in near(codes, d, k, draw))

    return best


STRATEGIES: dict[str, Strategy] = {
    **{choose.__name__: choose for choose in (near, far, diverse, random, stratified)},
    **dict.fromkeys(("same-script", "other-script"), closest),
}


def _draw(draw: np.random.Generator, positions: range, k: int) -> list[int]:
    """k of the positions without replacement, in ascending order."""
    return sorted(int(i) for i in draw.choice(np.array(positions), size=k, replace=False))


def spread(d: np.ndarray, members: Sequence[int]) -> tuple[float, float]:
    """The smallest distance and the sum of distances among the members and the anchor (row 0 of `d`)."""
    rows = np.array([0, *members])
    upper = d[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
    return float(upper.min()), round(float(upper.sum()), 9)


@cache
def _subsets(n: int, k: int) -> np.ndarray:
    """All sets of k of the numbers 1 to n, in lexicographic order [sets, k]."""
    return np.array(list(combinations(range(1, n + 1), k)))


def exhaustive(d: np.ndarray, k: int) -> list[int]:
    """The best of all sets of k rows of `d` besides row 0; the first in lexicographic order among equals."""
    sets = _subsets(len(d) - 1, k)
    smallest, total = np.full(len(sets), np.inf), np.zeros(len(sets))
    for i, j in combinations(range(-1, k), 2):
        pair = d[0 if i < 0 else sets[:, i], sets[:, j]]
        smallest, total = np.minimum(smallest, pair), total + pair
    equal = np.flatnonzero(smallest == smallest.max())
    return [int(i) for i in sets[equal[np.argmax(np.round(total[equal], 9))]]]


def exchange(d: np.ndarray, k: int) -> list[int]:
    """Farthest-first traversal from row 0, then single exchanges until none improves the set."""
    members: list[int] = []
    for _ in range(k):
        nearest = d[:, [0, *members]].min(axis=1)
        nearest[[0, *members]] = -np.inf
        free = [i for i in range(1, len(d)) if i not in members]
        members.append(max(free, key=lambda i: (nearest[i], -i)))
    best, improved = spread(d, members), True
    while improved:
        improved = False
        for place in range(k):
            for other in range(1, len(d)):
                trial = [*members[:place], other, *members[place + 1 :]]
                if other not in members and (score := spread(d, trial)) > best:
                    members, best, improved = trial, score, True
    return sorted(members)
