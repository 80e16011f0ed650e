"""Typological features of languages from URIEL, and distance measures, each a formula over pairs of languages."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from xstilts.languages.identity import DATA, language

EARTH = 6371.0088  # km, the mean radius (IUGG)
Terms = tuple[np.ndarray, ...]


@cache
def _lines(kind: str) -> tuple[tuple[str, ...], dict[str, str]]:
    """The names of the features of a kind, and its rows as text by language code."""
    header, *lines = (DATA / f"{kind}.csv").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(",") for line in lines)
    return tuple(header.split(",")[1:]), {code: cells for code, _, cells in pairs}


def feature_matrix(kind: str, codes: Sequence[str]) -> np.ndarray:
    """Values [languages, features] in 0..1 of a kind of features, NaN where not observed.

    Kinds are `syntax`, `syntax-knn` (complete: URIEL imputes missing values from relatives, neighbours and other
    features), `phonology` and `inventory`. A value is the mean of a binary feature over URIEL's sources (Littell et al.
    2017); 1/2 means that sources disagree.
    """
    names, rows = _lines(kind)
    cells = [[cell or "nan" for cell in rows.get(code, "," * (len(names) - 1)).split(",")] for code in codes]
    return np.array(cells, dtype=float).reshape(len(codes), len(names))


@cache
def syntax_features() -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The names of URIEL's syntax features [103] and code -> values [103], read-only; see `feature_matrix`."""
    names, rows = _lines("syntax")
    values = feature_matrix("syntax", list(rows))
    values.flags.writeable = False
    return names, dict(zip(rows, values, strict=True))


@cache
def feature_groups(kind: str) -> np.ndarray:
    """Groups of correlated features of a kind as an indicator [features, groups]; `syntax-knn` has those of `syntax`.

    Computed when the tables were built: average linkage on 1 - |r|, cut where the mean |r| falls below .4.
    """
    kind = kind.removesuffix("-knn")
    with (DATA / "groups.csv").open(encoding="utf-8", newline="") as file:
        numbers = np.array([int(group) for of, _, group in csv.reader(file) if of == kind])
    return np.eye(numbers.max() + 1)[numbers]


@cache
def clades() -> dict[str, frozenset[str]]:
    """Code -> the names of all genealogical groups of the language; none for an isolate."""
    with (DATA / "families.csv").open(encoding="utf-8", newline="") as file:
        return {code: frozenset(filter(None, names.split("|"))) for code, names in list(csv.reader(file))[1:]}


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
    """A distance.

    With a `formula`, it is computed from features of a `kind`, and a pair needs `minimum` features observed in both
    languages (0: any number). Otherwise `direct` returns it for all pairs of codes [n, n], NaN if missing.
    """

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
    "syntax": Measure("syntax", 30, GOWER),  # share of the features known for both that differ (Gower 1971)
    "syntax-knn": Measure("syntax-knn", 0, COSINE),  # missing features imputed (Littell et al. 2017)
    "phonology": Measure("phonology", 10, GOWER),
    "inventory": Measure("inventory", 30, GOWER),
    "genetic": Measure(direct=genetic),
    "geographic": Measure(direct=geographic),
    "lang2vec": Measure("syntax", 0, PUBLISHED),  # as the published distances: unknown features count as absent
}
