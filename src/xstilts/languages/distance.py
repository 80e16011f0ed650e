"""How far apart two languages are, and on how many features that rests."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.features import syntax_features
from xstilts.languages.identity import language

MINIMUM_SHARED = 30


@dataclass(frozen=True)
class Distances:
    """Distances among n languages: `values` [n, n] in 0..1, NaN where missing; `shared` [n, n] counts the features
    that both languages have observed (on the diagonal: the language's own)."""

    codes: tuple[str, ...]
    values: np.ndarray
    shared: np.ndarray
    measure: str


@dataclass(frozen=True)
class Distance:
    """The distance of two languages in 0..1, NaN where fewer features than needed are shared."""

    a: str
    b: str
    value: float
    shared: int


def distance_matrix(codes: Sequence[str], minimum_shared: int = MINIMUM_SHARED) -> Distances:
    """Distances among `codes` (anything that `language` resolves, n of them, order kept).

    Gower's coefficient on URIEL's syntax features: the mean of |a - b| over the features that both languages have
    observed (Gower 1971, doi:10.2307/2528823), that is the share of features in which they differ. A pair with fewer
    than `minimum_shared` such features is missing, never near and never far; the diagonal is 0.
    Raises XstiltsError for an unknown language or a minimum below 1.
    """
    if minimum_shared < 1:
        raise XstiltsError(
            f"minimum_shared is {minimum_shared}",
            "A distance needs at least one feature that both languages have observed.",
            f"Give a number from 1; the default is {MINIMUM_SHARED}.",
        )
    resolved = tuple(language(code).code for code in codes)
    names, features = syntax_features()
    x = np.array([features[code] for code in resolved]).reshape(len(resolved), len(names))
    observed = ~np.isnan(x)
    shared = observed.astype(int) @ observed.astype(int).T
    total = np.zeros(shared.shape)
    filled = np.where(observed, x, 0.0)
    for values, seen in zip(filled.T, observed.T, strict=True):
        total += np.abs(values[:, None] - values) * (seen[:, None] & seen)
    distances = np.where(shared >= minimum_shared, total / np.maximum(shared, 1), np.nan)
    np.fill_diagonal(distances, 0.0)
    return Distances(resolved, distances, shared, "syntactic")


def distance(a: str, b: str, minimum_shared: int = MINIMUM_SHARED) -> Distance:
    """The distance of two languages; the measure and the errors are those of `distance_matrix`."""
    pair = distance_matrix([a, b], minimum_shared)
    return Distance(pair.codes[0], pair.codes[1], float(pair.values[0, 1]), int(pair.shared[0, 1]))
