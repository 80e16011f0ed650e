"""How far apart languages are, on how many features that rests, and how sure it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.features import feature_groups, feature_matrix
from xstilts.languages.identity import language
from xstilts.languages.matrix_file import read_matrix
from xstilts.languages.measures import MEASURES, Formula, Measure
from xstilts.randomness import generator

DEFAULT = "syntax"
MINIMUM_SHARED = MEASURES[DEFAULT].minimum
RESAMPLES = 400
LEVEL = 0.95
# Pairs that are worked on at a time, so that what is in between stays in the processor's cache.
BLOCK = 2048


@dataclass(frozen=True)
class Distances:
    """Distances among n languages: `values` [n, n], NaN where missing.

    `shared` [n, n] counts the features that both languages have observed (on the diagonal: the language's own), None
    for a measure that rests on no features. `low` and `high` [n, n] are the ends of the intervals, None if they were
    not asked for or the measure has none.
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
        """The distance in row i and column j, with what is known of it."""
        low, high = (None if end is None else known_or_none(end[i, j]) for end in (self.low, self.high))
        shared = None if self.shared is None else int(self.shared[i, j])
        return Distance(self.codes[i], self.codes[j], float(self.values[i, j]), shared, low, high, self.measure)

    def take(self, rows: Sequence[int]) -> "Distances":
        """The distances among some of the languages, in the order given."""
        square = np.ix_(rows, rows)
        shared, low, high = (None if one is None else one[square] for one in (self.shared, self.low, self.high))
        codes = tuple(self.codes[i] for i in rows)
        return Distances(codes, self.values[square], shared, self.measure, low, high, self.minimum)

    def why_missing(self, i: int, j: int) -> str:
        """Why row i has no distance in column j."""
        if self.shared is not None:
            return f"{self.shared[i, j]} shared features, {self.minimum} needed"
        return f"no distance by '{self.measure}'"


@dataclass(frozen=True)
class Distance:
    """The distance of two languages, NaN where it is not known; the rest is None where the measure does not have it.

    `shared` counts the features observed in both, `low` and `high` end the 95 % interval.
    """

    a: str
    b: str
    value: float
    shared: int | None
    low: float | None = None
    high: float | None = None
    measure: str = DEFAULT

    def __str__(self) -> str:
        value = "not known" if np.isnan(self.value) else _short(self.value)
        interval = "" if self.low is None or self.high is None else f" [{_short(self.low)}, {_short(self.high)}]"
        shared = "" if self.shared is None else f", {self.shared} shared features"
        return f"{self.a}–{self.b} {value}{interval}{shared} ({self.measure})"


def known_or_none(value: float) -> float | None:
    """None for NaN."""
    return None if np.isnan(value) else float(value)


def _short(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:.0f}"


def find_measure(name: str) -> Measure:
    """The measure of that name, or an XstiltsError that names those there are."""
    if name in MEASURES:
        return MEASURES[name]
    hint = did_you_mean(name, MEASURES) or "Choose one of them, or give a file that ends in .csv."
    raise XstiltsError(
        "unknown-name", f"Unknown measure '{name}'", f"There are {', '.join(MEASURES)}.", hint[0].upper() + hint[1:]
    )


def distance_matrix(
    codes: Sequence[str], minimum_shared: int | None = None, *, measure: str = DEFAULT, intervals: bool = False
) -> Distances:
    """Distances among `codes` (anything that `language` resolves, n of them, order kept).

    `measure` is a name in `MEASURES` or the path of a table of distances that ends in `.csv`. The default, `syntax`,
    is Gower's coefficient on URIEL's syntax features: the mean of |a - b| over the features that both languages have
    observed (Gower 1971, doi:10.2307/2528823), that is the share of features in which they differ. A pair with fewer
    than `minimum_shared` such features (the measure's own number if None) is missing, never near and never far; the
    diagonal is 0. `intervals` adds 95 % intervals by a bootstrap over groups of correlated features.
    Raises XstiltsError for an unknown language or measure, a minimum below 1, or a file that is no such table.
    """
    if minimum_shared is not None and minimum_shared < 1:
        raise XstiltsError(
            "too-few",
            f"minimum_shared is {minimum_shared}",
            "A distance needs at least one feature that both languages have observed.",
            f"Give a number from 1; the default is {MINIMUM_SHARED}.",
        )
    resolved = tuple(language(code).code for code in codes)
    if measure.endswith(".csv"):
        return Distances(resolved, _from_file(resolved, Path(measure)), None, measure)
    known = find_measure(measure)
    minimum = known.minimum if minimum_shared is None else minimum_shared
    if known.direct is not None:
        values = known.direct(resolved)
        np.fill_diagonal(values, 0.0)
        return Distances(resolved, values, None, measure)
    observed = (~np.isnan(feature_matrix(known.observed, resolved))).astype(float)
    shared = (observed @ observed.T).astype(int)
    upper = np.triu_indices(len(resolved), 1)
    pairs = np.stack(upper, axis=1)
    values = _square(len(resolved), upper, np.concatenate([np.empty(0), *_sums(known, resolved, pairs)]))
    missing = (shared < minimum) & ~np.eye(len(resolved), dtype=bool)
    values[missing] = np.nan
    if not intervals:
        return Distances(resolved, values, shared, measure, minimum=minimum)
    low, high = (
        np.where(missing, np.nan, _square(len(resolved), upper, end)) for end in interval_ends(measure, resolved, pairs)
    )
    return Distances(resolved, values, shared, measure, low, high, minimum)


def distance(a: str, b: str, minimum_shared: int | None = None, *, measure: str = DEFAULT) -> Distance:
    """The distance of two languages with its interval; the measure and the errors are those of `distance_matrix`."""
    return distance_matrix([a, b], minimum_shared, measure=measure, intervals=True).pair(0, 1)


def interval_ends(measure: str, codes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """The lower and upper ends [2, pairs] of the intervals of the pairs of positions in `codes`, see `resample`.

    NaN throughout for a measure that rests on no features.
    """
    if measure not in MEASURES or not MEASURES[measure].kind:
        return np.full((2, len(pairs)), np.nan)
    blocks = [resample(measure, codes, pairs[i : i + BLOCK]) for i in range(0, len(pairs), BLOCK)]
    tail = (1 - LEVEL) / 2
    return np.concatenate([np.empty((2, 0)), *(_quantiles(block, [tail, 1 - tail]) for block in blocks)], axis=1)


def resample(measure: str, codes: Sequence[str], pairs: np.ndarray) -> np.ndarray:
    """Distances [RESAMPLES, pairs] of the pairs [pairs, 2] of positions in `codes`, with groups of features redrawn.

    A bootstrap over groups of correlated features: single features are far from independent of each other, and
    resampling them one by one gives intervals that are too narrow. All pairs see the same draws. The measure must be
    one of features; NaN where a draw holds no feature that both languages have observed.
    """
    known = find_measure(measure)
    assert known.formula is not None
    indicator, drawn = feature_groups(known.kind), _weights(known.kind)
    x = feature_matrix(known.kind, codes)
    blocks = []
    for start in range(0, len(pairs), BLOCK):
        i, j = pairs[start : start + BLOCK].T
        sums = (drawn @ (term @ indicator).T for term in known.formula.terms(x[i], x[j]))
        blocks.append(known.formula.combine(*sums))
    return np.concatenate([np.empty((RESAMPLES, 0)), *blocks], axis=1)


def _sums(known: Measure, codes: Sequence[str], pairs: np.ndarray) -> Iterator[np.ndarray]:
    """The distances of all pairs of positions, a block at a time."""
    formula: Formula | None = known.formula
    assert formula is not None
    x = feature_matrix(known.kind, codes)
    for start in range(0, len(pairs), BLOCK):
        i, j = pairs[start : start + BLOCK].T
        yield formula.combine(*(term.sum(axis=1) for term in formula.terms(x[i], x[j])))


@cache
def _weights(kind: str) -> np.ndarray:
    """How often each group of features was drawn [RESAMPLES, groups]; the same draws in every call."""
    count = feature_groups(kind).shape[1]
    draws = generator("languages", "bootstrap").multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return draws.astype(float)


def _quantiles(values: np.ndarray, at: list[float]) -> np.ndarray:
    """Quantiles over the first axis; draws that hold nothing to go by are left out."""
    found = np.quantile(values, at, axis=0)
    for column in np.flatnonzero(np.isnan(values).any(axis=0)):
        known = values[~np.isnan(values[:, column]), column]
        found[:, column] = np.quantile(known, at) if len(known) else np.nan
    return found


def _square(n: int, upper: tuple[np.ndarray, np.ndarray], values: np.ndarray) -> np.ndarray:
    """A symmetric matrix [n, n] with a diagonal of zeros from its upper triangle."""
    full = np.zeros((n, n))
    full[upper] = values
    return full + full.T


def _from_file(codes: Sequence[str], path: Path) -> np.ndarray:
    """The distances [n, n] of a user's table, NaN for languages that it does not hold."""
    known, values = read_matrix(path)
    place = [known.index(code) if code in known else -1 for code in codes]
    rows = np.array(place, dtype=int)
    found = np.where((rows[:, None] < 0) | (rows < 0), np.nan, values[np.ix_(rows, rows)])
    np.fill_diagonal(found, 0.0)
    return found
