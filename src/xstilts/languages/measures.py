"""The ways to measure how far apart languages are, each a formula over pairs of languages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.languages.features import clades
from xstilts.languages.identity import language

EARTH = 6371.0088  # km, the mean radius (IUGG)

Terms = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Formula:
    """A distance that is a function of sums over features, so that features can be weighted or drawn anew.

    `terms` takes the values of two languages [pairs, features] (NaN: not observed) and gives arrays of that shape, of
    which `combine` takes the weighted sums over features, arrays of any one shape, and gives distances of that shape,
    NaN where there is nothing to go by.
    """

    terms: Callable[[np.ndarray, np.ndarray], Terms]
    combine: Callable[..., np.ndarray]


def _gower_terms(a: np.ndarray, b: np.ndarray) -> Terms:
    gap = np.abs(a - b)
    both = ~np.isnan(gap)
    return np.where(both, gap, 0.0), both.astype(float)


def _mean(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _products(a: np.ndarray, b: np.ndarray) -> Terms:
    return a * b, a * a, b * b


def _cosine(ab: np.ndarray, aa: np.ndarray, bb: np.ndarray) -> np.ndarray:
    """The cosine of two vectors; of a vector of nothing but zeros, 0."""
    norm = np.sqrt(aa * bb)
    return np.clip(np.divide(ab, norm, out=np.zeros(ab.shape), where=norm > 0), 0.0, 1.0)


def _published_terms(a: np.ndarray, b: np.ndarray) -> Terms:
    # A feature counts as present where any source has it, as absent where none has it or nobody knows; a language of
    # which nothing is known has them all.
    x, y = (np.nan_to_num(one) > 0 for one in (a, b))
    return _products(*(np.where(one.any(axis=1, keepdims=True), one, True).astype(float) for one in (x, y)))


GOWER = Formula(_gower_terms, _mean)
COSINE = Formula(_products, lambda *sums: 1.0 - _cosine(*sums))
PUBLISHED = Formula(_published_terms, lambda *sums: 2 / np.pi * np.arccos(_cosine(*sums)))


@dataclass(frozen=True)
class Measure:
    """A named distance.

    With a `formula` it rests on the kind of features `kind`, and `minimum` of those observed in both languages are
    needed for a distance to count as known (0: whatever there is). Without, `direct` gives it for all pairs of codes
    [n, n], NaN where missing.
    """

    about: str
    kind: str = ""
    minimum: int = 0
    formula: Formula | None = None
    direct: Callable[[Sequence[str]], np.ndarray] | None = None

    @property
    def observed(self) -> str:
        """The kind of features whose observed values are counted as shared; empty: nothing to count."""
        return self.kind.removesuffix("-knn")


def genetic(codes: Sequence[str]) -> np.ndarray:
    """1 - cosine of the clades that hold each language [n, n]: 0 for the same branch, 1 for no known relation."""
    held = [clades(code) for code in codes]
    sizes = np.array([max(len(one), 1) for one in held], dtype=float)
    common = np.array([[len(one & other) for other in held] for one in held], dtype=float)
    return np.asarray(1.0 - common.reshape(len(held), len(held)) / np.sqrt(np.outer(sizes, sizes)))


def geographic(codes: Sequence[str]) -> np.ndarray:
    """Great-circle distance in km between the points of the languages [n, n], by the haversine formula."""
    known = [language(code) for code in codes]
    lat, lon = (np.radians([np.nan if v is None else v for v in column]) for column in
                ([one.latitude for one in known], [one.longitude for one in known]))  # fmt: skip
    north, east = (np.sin((v[:, None] - v) / 2) ** 2 for v in (lat, lon))
    return np.asarray(2 * EARTH * np.arcsin(np.sqrt(np.clip(north + np.cos(lat)[:, None] * np.cos(lat) * east, 0, 1))))


MEASURES = {
    "syntax": Measure("share of the syntax features known of both that differ (Gower 1971)", "syntax", 30, GOWER),
    "syntax-knn": Measure("cosine of syntax features, unknown ones imputed (Littell et al. 2017)", "syntax-knn", 0,
                          COSINE),
    "phonology": Measure("share of the phonology features known of both that differ", "phonology", 10, GOWER),
    "inventory": Measure("share of the phoneme inventory's features known of both that differ", "inventory", 30, GOWER),
    "genetic": Measure("cosine of the families and branches that hold the languages", direct=genetic),
    "geographic": Measure("great circle in km between the languages' points", direct=geographic),
    "lang2vec": Measure("recipe behind the published syntactic distances: what is unknown counts as absent", "syntax",
                        0, PUBLISHED),
}  # fmt: skip
