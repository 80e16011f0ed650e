"""What may predict a gain before it is measured: a number for each choice of sources and each language."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.languages import distance_matrix, language
from xstilts.languages.features import feature_matrix
from xstilts.runs.language_features import Numbers
from xstilts.transfer.gains import Row

NEEDS = {
    "log_examples": "cells.json with the examples of each training",
    "overlap": "texts and the model's tokenizer",
    "fertility": "texts and the model's tokenizer",
    "log_size": "the size of the pretraining text of each language",
    "logme": "labelled texts and the untouched encoder",
    "h_score": "labelled texts and the untouched encoder",
}


@dataclass(frozen=True)
class Features:
    """values: [rows, features], NaN where not known; absent: features that no row has, and what they need."""

    names: tuple[str, ...]
    values: np.ndarray
    absent: dict[str, str]


def features(rows: Sequence[Row], known: dict[str, Numbers]) -> Features:
    """The features of every row; a new one is a new column here.

    distance: to the nearest source (syntax). coverage: share of the language's known syntax features whose value some
    source has. script, family: share of the sources with the language's own. log_examples: of each source. overlap:
    shared sub-words with the source that shares most. fertility, log_size, logme, h_score: means over the sources.
    """
    codes = sorted({code for row in rows for code in (row.language, *row.sources)})
    place = {code: i for i, code in enumerate(codes)}
    far = distance_matrix(codes).values
    syntax = feature_matrix("syntax", codes)
    columns: dict[str, list[float]] = {
        "distance": [_least(far[place[row.language], [place[s] for s in row.sources]]) for row in rows],
        "coverage": [_coverage(syntax[place[row.language]], syntax[[place[s] for s in row.sources]]) for row in rows],
        "script": [_share(row, "script") for row in rows],
        "family": [_share(row, "family") for row in rows],
        "log_examples": [float(np.log(row.examples / len(row.sources))) for row in rows],
        "overlap": [_most(_of(known, row, "overlap").get(row.language, {}), row.sources) for row in rows],
        "fertility": [_mean(_of(known, row, "fertility"), row.sources) for row in rows],
        "log_size": [_mean(_of(known, row, "log_size"), row.sources) for row in rows],
        "logme": [_mean(_of(known, row, "logme").get(row.intermediate, {}), row.sources) for row in rows],
        "h_score": [_mean(_of(known, row, "h_score").get(row.intermediate, {}), row.sources) for row in rows],
    }
    values = np.array(list(columns.values()), float).T.reshape(len(rows), len(columns))
    there = [bool(np.isfinite(column).any()) for column in values.T]
    absent = {name: NEEDS.get(name, "languages with known typology")
              for name, one in zip(columns, there, strict=True) if not one}  # fmt: skip
    names = tuple(name for name, one in zip(columns, there, strict=True) if one)
    return Features(names, values[:, there], absent)


def _of(known: dict[str, Numbers], row: Row, name: str) -> Numbers:
    found: Numbers = known.get(row.run, {}).get(name, {}).get(row.encoder, {})
    return found


def _least(values: np.ndarray) -> float:
    return float(np.nanmin(values)) if np.isfinite(values).any() else np.nan


def _most(values: Numbers, sources: Iterable[str]) -> float:
    return max((float(values[code]) for code in sources if code in values), default=np.nan)


def _mean(values: Numbers, sources: Iterable[str]) -> float:
    found = [float(values[code]) for code in sources if code in values]
    return float(np.mean(found)) if found else np.nan


def _share(row: Row, trait: str) -> float:
    own = getattr(language(row.language), trait)
    return float(np.mean([getattr(language(code), trait) == own for code in row.sources])) if own else np.nan


def _coverage(own: np.ndarray, sources: np.ndarray) -> float:
    """Of the features [f] that the language and some source [sources, f] have observed, the share in which one agrees
    with it most: 1 − the smallest difference, averaged."""
    gap = np.abs(sources - own)
    known = ~np.isnan(gap).all(0)
    return float(1 - np.nanmin(gap[:, known], axis=0).mean()) if known.any() else np.nan
