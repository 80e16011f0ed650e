"""Typological features of languages from URIEL, groups of correlated features, and language families."""

import csv
from collections.abc import Sequence
from functools import cache

import numpy as np

from xstilts.languages.identity import DATA


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
