"""Distances between languages, with the number of shared features and intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.identity import language
from xstilts.languages.measures import MEASURES, feature_groups, feature_matrix
from xstilts.languages.user_tables import read_distances
from xstilts.randomness import generator

DEFAULT = "syntax"
MINIMUM_SHARED = MEASURES[DEFAULT].minimum
RESAMPLES = 400
LEVEL = 0.95
BLOCK = 2048
"""Pairs that are computed at a time, so that intermediate arrays fit the processor's cache."""


@dataclass(frozen=True)
class Distances:
    """Distances among n languages: `values` [n, n], NaN if missing.

    `shared` [n, n] counts the features observed in both languages, None for a measure without features. `low` and
    `high` [n, n] are the ends of the intervals, None if not requested or if the measure has none.
    """

    codes: tuple[str, ...]
    values: np.ndarray
    shared: np.ndarray | None
    measure: str
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    minimum: int = MINIMUM_SHARED

    def __str__(self) -> str:
        rows = [["" if np.isnan(v) else _short(v) for v in row] for row in self.values]
        width = max([6, *(len(code) for code in self.codes)])
        lines = [[self.measure[:width], *self.codes], *([c, *row] for c, row in zip(self.codes, rows, strict=True))]
        return "\n".join(" ".join(cell.rjust(width) for cell in line) for line in lines)

    def pair(self, i: int, j: int) -> "Distance":
        """The distance in row i and column j, with its interval and shared features."""
        low, high = (None if end is None else known_or_none(end[i, j]) for end in (self.low, self.high))
        shared = None if self.shared is None else int(self.shared[i, j])
        return Distance(self.codes[i], self.codes[j], float(self.values[i, j]), shared, low, high, self.measure)

    def take(self, rows: Sequence[int]) -> "Distances":
        """The distances among some of the languages, in the order given."""
        square = np.ix_(rows, rows)
        shared, low, high = (None if table is None else table[square] for table in (self.shared, self.low, self.high))
        codes = tuple(self.codes[i] for i in rows)
        return replace(self, codes=codes, values=self.values[square], shared=shared, low=low, high=high)

    def why_missing(self, i: int, j: int) -> str:
        """Why row i has no distance in column j."""
        if self.shared is not None:
            return f"{self.shared[i, j]} shared features, {self.minimum} needed"
        return f"no distance by '{self.measure}'"


@dataclass(frozen=True)
class Distance:
    """The distance of two languages, NaN if unknown; `shared` features and the 95% interval, None without features."""

    a: str
    b: str
    value: float
    shared: int | None
    low: float | None = None
    high: float | None = None
    measure: str = DEFAULT

    def __str__(self) -> str:
        value = "unknown" if np.isnan(self.value) else _short(self.value)
        interval = "" if self.low is None or self.high is None else f" [{_short(self.low)}, {_short(self.high)}]"
        shared = "" if self.shared is None else f", {self.shared} shared features"
        return f"{self.a}–{self.b} {value}{interval}{shared} ({self.measure})"


def known_or_none(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.0f}"


def distance_matrix(
    codes: Sequence[str], minimum_shared: int | None = None, *, measure: str = DEFAULT, intervals: bool = False
) -> Distances:
    """Distances among `codes` (anything that `language` resolves), in their order.

    `measure` is a name in `MEASURES` or the path of a table of distances that ends in `.csv`. The default, `syntax`,
    is Gower's coefficient on URIEL's syntax features: the mean of |a - b| over the features observed in both languages
    (Gower 1971, doi:10.2307/2528823), i.e. the share of features in which they differ. A pair with fewer than
    `minimum_shared` such features (default: the measure's minimum) has distance NaN; the diagonal is 0. `intervals`
    adds 95% intervals by a bootstrap over groups of correlated features.
    Raises XstiltsError for an unknown language or measure, a minimum below 1, or a file that is not such a table.

    >>> distance_matrix(["en", "de", "tr"]).values.round(2).tolist()
    [[0.0, 0.11, 0.42], [0.11, 0.0, 0.37], [0.42, 0.37, 0.0]]
    """
    if minimum_shared is not None and minimum_shared < 1:
        why = "a distance needs at least one feature observed in both languages"
        hint = f"give a number from 1; the default is {MINIMUM_SHARED}"
        raise XstiltsError("bad-argument", f"minimum_shared is {minimum_shared}", why, hint)
    resolved = tuple(language(code).code for code in codes)
    if measure.endswith(".csv"):
        return Distances(resolved, read_distances(Path(measure), resolved), None, measure)
    if measure not in MEASURES:
        hint = did_you_mean(measure, MEASURES) or "choose one of them, or give a file that ends in .csv"
        raise XstiltsError("unknown-name", f"unknown measure '{measure}'", f"there are {', '.join(MEASURES)}", hint)
    definition = MEASURES[measure]
    if definition.direct is not None:
        values = definition.direct(resolved)
        np.fill_diagonal(values, 0.0)
        return Distances(resolved, values, None, measure)
    minimum = definition.minimum if minimum_shared is None else minimum_shared
    observed = (~np.isnan(feature_matrix(definition.kind.removesuffix("-knn"), resolved))).astype(float)
    shared = (observed @ observed.T).astype(int)
    missing = (shared < minimum) & ~np.eye(len(resolved), dtype=bool)
    upper = np.triu_indices(len(resolved), 1)
    pairs = np.stack(upper, axis=1)

    def square(of_pairs: np.ndarray) -> np.ndarray:
        full = np.zeros(shared.shape)
        full[upper] = of_pairs
        return np.where(missing, np.nan, full + full.T)

    blocks = _blocks(measure, resolved, pairs, lambda term: term.sum(axis=1))
    values = square(np.concatenate([np.empty(0), *blocks]))
    low, high = map(square, interval_ends(measure, resolved, pairs)) if intervals else (None, None)
    return Distances(resolved, values, shared, measure, low, high, minimum)


def distance(a: str, b: str, minimum_shared: int | None = None, *, measure: str = DEFAULT) -> Distance:
    """The distance of two languages with its 95% interval; arguments and errors as in `distance_matrix`.

    >>> print(distance("en", "Turkish"))
    en–tr 0.418 [0.246, 0.581], 89 shared features (syntax)
    """
    return distance_matrix([a, b], minimum_shared, measure=measure, intervals=True).pair(0, 1)


def interval_ends(measure: str, codes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """The lower and upper ends [2, pairs] of the intervals of pairs of positions in `codes`, see `resample`; NaN for a
    measure without features."""
    if measure not in MEASURES or not MEASURES[measure].kind:
        return np.full((2, len(pairs)), np.nan)
    tails = [(1 - LEVEL) / 2, 1 - (1 - LEVEL) / 2]
    ends = [np.empty((2, 0))]
    for values in _drawn(measure, codes, pairs):
        ends.append(np.quantile(values, tails, axis=0))
        for column in np.flatnonzero(np.isnan(values).any(axis=0)):
            present = values[~np.isnan(values[:, column]), column]
            ends[-1][:, column] = np.quantile(present, tails) if len(present) else np.nan
    return np.concatenate(ends, axis=1)


def resample(measure: str, codes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """Bootstrap distances [RESAMPLES, pairs] of pairs [pairs, 2] of positions in `codes`.

    Groups of correlated features are resampled: single features are not independent, and resampling them one by one
    gives intervals that are too narrow. All pairs share the draws. The measure must have features; NaN if a draw holds
    no feature observed in both languages.
    """
    return np.concatenate([np.empty((RESAMPLES, 0)), *_drawn(measure, codes, pairs)], axis=1)


def _drawn(measure: str, codes: Sequence[str], pairs: np.ndarray) -> Iterator[np.ndarray]:
    kind = MEASURES[measure].kind
    indicator, weights = feature_groups(kind), _weights(kind)
    return _blocks(measure, codes, pairs, lambda term: weights @ (term @ indicator).T)


def _blocks(
    measure: str, codes: Sequence[str], pairs: np.ndarray, total: Callable[[np.ndarray], np.ndarray]
) -> Iterator[np.ndarray]:
    """The distances of pairs of positions, a block at a time; `total` sums a term [pairs, features] over features."""
    formula, x = MEASURES[measure].formula, feature_matrix(MEASURES[measure].kind, codes)
    assert formula is not None
    for start in range(0, len(pairs), BLOCK):
        i, j = pairs[start : start + BLOCK].T
        yield formula.combine(*map(total, formula.terms(x[i], x[j])))


@cache
def _weights(kind: str) -> np.ndarray:
    """How often each draw holds each group of features [RESAMPLES, groups]; the same in every call."""
    count = feature_groups(kind).shape[1]
    draws = generator("languages", "bootstrap").multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws.astype(float)
