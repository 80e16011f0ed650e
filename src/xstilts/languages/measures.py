"""Distance measures between languages, each a formula over pairs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.languages.features import clades
from xstilts.languages.identity import language

EARTH = 6371.0088  # km, the mean radius (IUGG)

Terms = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Formula:
    """A distance that is a function of sums over features, so that features can be weighted or resampled.

    `terms` maps the values of two languages [pairs, features] (NaN: not observed) to arrays of that shape. `combine`
    maps their weighted sums over features to distances, NaN if no feature was observed in both.
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
    """The cosine of two vectors; 0 if one of them is zero."""
    norm = np.sqrt(aa * bb)
    return np.clip(np.divide(ab, norm, out=np.zeros(ab.shape), where=norm > 0), 0.0, 1.0)


def _published_terms(a: np.ndarray, b: np.ndarray) -> Terms:
    # A feature is present if any source has it, absent if none has it or none reports it; a language without any
    # reported feature has all of them.
    x, y = (np.nan_to_num(one) > 0 for one in (a, b))
    return _products(*(np.where(one.any(axis=1, keepdims=True), one, True).astype(float) for one in (x, y)))


GOWER = Formula(_gower_terms, _mean)
COSINE = Formula(_products, lambda *sums: 1.0 - _cosine(*sums))
PUBLISHED = Formula(_published_terms, lambda *sums: 2 / np.pi * np.arccos(_cosine(*sums)))


@dataclass(frozen=True)
class Measure:
    """A named distance.

    With a `formula`, it is computed from features of a `kind`, and a pair needs `minimum` features observed in both
    languages (0: any number). Otherwise `direct` returns it for all pairs of codes [n, n], NaN if missing.
    """

    about: str
    kind: str = ""
    minimum: int = 0
    formula: Formula | None = None
    direct: Callable[[Sequence[str]], np.ndarray] | None = None


def genetic(codes: Sequence[str]) -> np.ndarray:
    """1 - cosine of the languages' clades [n, n]: 0 for the same branch, 1 for no known relation."""
    groups = [clades()[code] for code in codes]
    sizes = np.array([max(len(group), 1) for group in groups], dtype=float)
    common = np.array([len(a & b) for a in groups for b in groups], dtype=float).reshape(len(codes), len(codes))
    return np.asarray(1.0 - common / np.sqrt(np.outer(sizes, sizes)))


def geographic(codes: Sequence[str]) -> np.ndarray:
    """Great-circle distance in km between the points of the languages [n, n], by the haversine formula."""
    points = [(entry.latitude, entry.longitude) for entry in map(language, codes)]
    lat, lon = np.radians(np.array(points, dtype=float).reshape(-1, 2)).T
    north, east = (np.sin((v[:, None] - v) / 2) ** 2 for v in (lat, lon))
    return np.asarray(2 * EARTH * np.arcsin(np.sqrt(np.clip(north + np.cos(lat)[:, None] * np.cos(lat) * east, 0, 1))))


MEASURES = {
    "syntax": Measure("share of the syntax features known for both that differ (Gower 1971)", "syntax", 30, GOWER),
    "syntax-knn": Measure("cosine of syntax features, missing ones imputed (Littell et al. 2017)", "syntax-knn", 0,
                          COSINE),
    "phonology": Measure("share of the phonology features known for both that differ", "phonology", 10, GOWER),
    "inventory": Measure("share of the phoneme features known for both that differ", "inventory", 30, GOWER),
    "genetic": Measure("cosine of the languages' families and branches", direct=genetic),
    "geographic": Measure("great circle in km between the languages' points", direct=geographic),
    "lang2vec": Measure("recipe behind the published syntactic distances: unknown features count as absent", "syntax",
                        0, PUBLISHED),
}  # fmt: skip
