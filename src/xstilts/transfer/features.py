"""Features that may predict a gain before it is measured, of a set of source languages and a language."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from xstilts.languages import distance_matrix, language
from xstilts.languages.features import feature_matrix
from xstilts.runs.language_features import Numbers
from xstilts.transfer.gains import Gain

REQUIRED = {
    "log_examples": "cells.json with the examples of each training",
    "overlap": "texts and the model's tokenizer",
    "fertility": "texts and the model's tokenizer",
    "log_size": "the size of the pretraining text of each language",
    "logme": "labelled texts and the untouched encoder",
    "h_score": "labelled texts and the untouched encoder",
}


@dataclass(frozen=True)
class Features:
    """values: [gains, features], NaN if unknown; absent: the features without any value, and what they need."""

    names: tuple[str, ...]
    values: np.ndarray
    absent: dict[str, str]


def features(gains: Sequence[Gain], measured: dict[str, Numbers]) -> Features:
    """Compute the features of every gain; `measured` is what is known of each run (run → feature → encoder → …).

    distance: to the nearest source (syntax). coverage: share of the language's known syntax features whose value some
    source has. script, family: share of the sources that have the language's. log_examples: of each source. overlap:
    shared sub-words with the source that shares most. fertility, log_size, logme, h_score: means over the sources.
    """
    codes = sorted({code for gain in gains for code in (gain.language, *gain.sources)})
    syntax = dict(zip(codes, feature_matrix("syntax", codes), strict=True))
    rows = []
    for gain, distance in zip(gains, nearest(gains), strict=True):
        known = partial(_measured, measured, gain)
        rows.append({
            "distance": distance,
            "coverage": _coverage(syntax[gain.language], np.array([syntax[code] for code in gain.sources])),
            "script": _share(gain, "script"),
            "family": _share(gain, "family"),
            "log_examples": math.log(gain.examples / len(gain.sources)),
            "overlap": max(_values(known("overlap").get(gain.language, {}), gain.sources)),
            "fertility": np.mean(_values(known("fertility"), gain.sources)),
            "log_size": np.mean(_values(known("log_size"), gain.sources)),
            "logme": np.mean(_values(known("logme").get(gain.intermediate, {}), gain.sources)),
            "h_score": np.mean(_values(known("h_score").get(gain.intermediate, {}), gain.sources)),
        })  # fmt: skip
    values = np.array([list(row.values()) for row in rows], float)
    present = np.isfinite(values).any(0)
    names = tuple(name for name, some in zip(rows[0], present, strict=True) if some)
    absent = {name: REQUIRED.get(name, "languages with known typology") for name in rows[0] if name not in names}
    return Features(names, values[:, present], absent)


def nearest(gains: Sequence[Gain]) -> np.ndarray:
    """The syntactic distance of each gain's language to its nearest source [gains], NaN if none is known."""
    codes = sorted({code for gain in gains for code in (gain.language, *gain.sources)})
    index = {code: i for i, code in enumerate(codes)}
    distances = distance_matrix(codes).values
    of_sources = (distances[index[gain.language], [index[code] for code in gain.sources]] for gain in gains)
    return np.array([np.fmin.reduce(values) for values in of_sources])


def _measured(measured: dict[str, Numbers], gain: Gain, name: str) -> Numbers:
    numbers: Numbers = measured.get(gain.run, {}).get(name, {}).get(gain.encoder, {})
    return numbers


def _values(numbers: Numbers, codes: Iterable[str]) -> list[float]:
    """The known numbers of languages, or NaN alone if there are none."""
    return [float(numbers[code]) for code in codes if code in numbers] or [math.nan]


def _share(gain: Gain, trait: str) -> float:
    value = getattr(language(gain.language), trait)
    return float(np.mean([getattr(language(code), trait) == value for code in gain.sources])) if value else math.nan


def _coverage(values: np.ndarray, sources: np.ndarray) -> float:
    """1 − the smallest difference to a source, averaged over the features that both have observed.

    values: a language's [features]; sources: [sources, features].
    """
    gaps = np.fmin.reduce(np.abs(sources - values))
    known = gaps[~np.isnan(gaps)]
    return float(1 - known.mean()) if len(known) else math.nan
