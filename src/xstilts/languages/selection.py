"""Which languages to choose: near, far, diverse or at random, and why others were left out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.distance import MINIMUM_SHARED, Distances, distance_matrix
from xstilts.languages.identity import language
from xstilts.randomness import generator

STRATEGIES = ("near", "far", "diverse", "random")
EXHAUSTIVE = 1_000_000


@dataclass(frozen=True)
class Selection:
    """The languages chosen, near to far, with the distance of each from the anchor and the features it rests on.

    `excluded` says of every candidate that could not be measured why; `exact` is False for a seeded draw.
    """

    strategy: str
    anchor: str
    languages: tuple[str, ...]
    distances: dict[str, float]
    shared: dict[str, int]
    excluded: dict[str, str]
    exact: bool


@dataclass(frozen=True)
class Measured:
    """Candidates by distance from the anchor: codes near to far, ties by code, and those left out with the reason.

    `matrix` covers the anchor first and then `codes`, in that order.
    """

    anchor: str
    codes: tuple[str, ...]
    matrix: Distances
    excluded: dict[str, str]


def measure(candidates: Sequence[str], anchor: str) -> Measured:
    """Orders the candidates by their distance from the anchor; the anchor itself and repetitions are dropped."""
    origin = language(anchor).code
    codes = sorted({language(one).code for one in candidates} - {origin})
    matrix = distance_matrix([origin, *codes])
    missing = np.isnan(matrix.values[0])
    excluded = {
        code: f"{matrix.shared[0, i]} shared features, {MINIMUM_SHARED} needed"
        for i, code in enumerate(matrix.codes)
        if missing[i]
    }
    order = [i for i in np.argsort(matrix.values[0], kind="stable") if not missing[i] and i > 0]
    kept = np.array([0, *order])
    ordered = tuple(matrix.codes[i] for i in kept)
    square = np.ix_(kept, kept)
    return Measured(
        origin,
        ordered[1:],
        Distances(ordered, matrix.values[square], matrix.shared[square], matrix.measure),
        excluded,
    )


def select(
    strategy: str, candidates: Sequence[str], k: int, *, anchor: str = "en", exact: bool = True, seed: int = 0
) -> Selection:
    """Chooses k of the candidates by their syntactic distance from the anchor.

    `near` and `far` take the k nearest or farthest; `diverse` the set whose smallest distance, among its members and
    to the anchor, is largest (max-min), ties by the larger sum and then by code; `random` any k. With `exact=False`
    the choice is a draw that follows from `seed`: near and far draw from the nearest or farthest third (rounded up, at
    least k), diverse optimises inside a random half. `random` is always such a draw. Candidates without a measured
    distance are never chosen. Raises XstiltsError for an unknown strategy or language, or for too few candidates.
    """
    if strategy not in STRATEGIES:
        hint = did_you_mean(strategy, STRATEGIES) or "Choose one of them."
        raise XstiltsError(
            f"Unknown language strategy '{strategy}'", f"There are {', '.join(STRATEGIES)}.", hint[0].upper() + hint[1:]
        )
    known = measure(candidates, anchor)
    _require(known, k)
    draw = generator("languages", strategy, seed)
    n = len(known.codes)
    if strategy == "random":
        chosen = _draw(draw, range(n), k)
    elif strategy == "diverse":
        pool = list(range(n)) if exact else _draw(draw, range(n), max(k, math.ceil(n / 2)))
        chosen = _most_diverse(known, pool, k)
    else:
        third = k if exact else max(k, math.ceil(n / 3))
        chosen = _draw(draw, range(third) if strategy == "near" else range(n - third, n), k)
    codes = tuple(known.codes[i] for i in chosen)
    return Selection(
        strategy,
        known.anchor,
        codes,
        {known.codes[i]: float(known.matrix.values[0, i + 1]) for i in chosen},
        {known.codes[i]: int(known.matrix.shared[0, i + 1]) for i in chosen},
        known.excluded,
        exact and strategy != "random",
    )


def _require(known: Measured, k: int) -> None:
    if k < 1:
        raise XstiltsError(f"Cannot choose {k} languages", "A selection has at least one.", "Give a k from 1.")
    if len(known.codes) < k:
        left_out = "; ".join(f"{code}: {reason}" for code, reason in known.excluded.items())
        usable = f"{len(known.codes)} can be measured ({', '.join(known.codes) or 'none'})"
        raise XstiltsError(
            f"Cannot choose {k} languages",
            f"Of the candidates besides '{known.anchor}', {usable}."
            + (f" Left out: {left_out}." if left_out else " None was left out."),
            "Give more candidates or a smaller k.",
        )


def _draw(draw: np.random.Generator, positions: range, k: int) -> list[int]:
    """k of the positions without replacement, in ascending order."""
    return sorted(int(i) for i in draw.choice(np.array(positions), size=k, replace=False))


def _most_diverse(known: Measured, pool: list[int], k: int) -> list[int]:
    """Positions of the max-min set of size k inside `pool`; exact where there are fewer than a million sets."""
    pool = sorted(pool, key=lambda i: known.codes[i])
    rows = np.array([0, *(i + 1 for i in pool)])
    # A set with a pair that cannot be compared must never win.
    d = np.nan_to_num(known.matrix.values[np.ix_(rows, rows)], nan=-np.inf)
    best = _exhaustive(d, k) if math.comb(len(pool), k) < EXHAUSTIVE else _exchange(d, k)
    if _spread(d, best)[0] == -np.inf:
        raise XstiltsError(
            f"No {k} of the candidates can all be compared with one another",
            f"Some pairs share fewer than {MINIMUM_SHARED} observed features, so that their distance is not known.",
            "Give other candidates or a smaller k.",
        )
    return sorted(pool[i - 1] for i in best)


def _spread(d: np.ndarray, members: Sequence[int]) -> tuple[float, float]:
    """The smallest distance and the sum of distances among the members and the anchor (row 0 of `d`)."""
    rows = [0, *members]
    upper = d[np.ix_(rows, rows)][np.triu_indices(len(rows), 1)]
    return float(upper.min()), round(float(upper.sum()), 9)


def _exhaustive(d: np.ndarray, k: int) -> list[int]:
    """The best of all sets of k rows of `d` besides row 0; the first in lexicographic order among equals."""
    sets = np.array(list(combinations(range(1, len(d)), k)))
    smallest, total = np.full(len(sets), np.inf), np.zeros(len(sets))
    for i, j in combinations(range(-1, k), 2):
        pair = d[0 if i < 0 else sets[:, i], sets[:, j]]
        smallest, total = np.minimum(smallest, pair), total + pair
    return [int(i) for i in sets[np.lexsort((-np.round(total, 9), -smallest))[0]]]


def _exchange(d: np.ndarray, k: int) -> list[int]:
    """Farthest-first traversal from row 0, then single exchanges until none improves the set."""
    members: list[int] = []
    for _ in range(k):
        nearest = d[:, [0, *members]].min(axis=1)
        nearest[[0, *members]] = -np.inf
        free = [i for i in range(1, len(d)) if i not in members]
        members.append(max(free, key=lambda i: (nearest[i], -i)))
    best, improved = _spread(d, members), True
    while improved:
        improved = False
        for place in range(k):
            for other in range(1, len(d)):
                trial = [*members[:place], other, *members[place + 1 :]]
                if other not in members and (score := _spread(d, trial)) > best:
                    members, best, improved = trial, score, True
    return sorted(members)
