"""Features that may predict a gain before it is measured, of a set of source languages and a language."""

import math
from collections.abc import Sequence

import numpy as np

from xstilts.languages import distance_matrix, language
from xstilts.languages.features import feature_matrix
from xstilts.runs.run_files import Numbers
from xstilts.transfer.gains import Gain

MEANS = {"fertility": False, "log_size": False, "logme": True, "h_score": True}
"""Measured features that are means over the sources, and whether they depend on the intermediate task."""


def features(gains: Sequence[Gain], measured: dict[str, Numbers]) -> dict[str, np.ndarray]:
    """Compute feature → values [gains], NaN if unknown; `measured` is what is known of each run by its name.

    distance: to the nearest source (syntax). coverage: share of the language's known syntax features whose value some
    source has. script, family: share of the sources that have the language's. log_examples: of each source. overlap:
    shared sub-words with the source that shares most. fertility, log_size, logme, h_score: means over the sources.
    """
    codes = sorted({code for gain in gains for code in (gain.language, *gain.sources)})
    distances = distance_matrix(codes).values
    syntax = feature_matrix("syntax", codes)
    rows = []
    for gain in gains:
        known = {name: numbers.get(gain.encoder, {}) for name, numbers in measured.get(gain.run, {}).items()}
        here, there = codes.index(gain.language), [codes.index(code) for code in gain.sources]
        row = {
            "distance": np.fmin.reduce(distances[here, there]),
            "coverage": _coverage(syntax[here], syntax[there]),
            "script": _share(gain, "script"),
            "family": _share(gain, "family"),
            "log_examples": math.log(gain.examples / len(gain.sources)),
            "overlap": max(_of_sources(gain, known.get("overlap", {}).get(gain.language, {}))),
        }
        for name, by_task in MEANS.items():
            numbers = known.get(name, {})
            row[name] = np.mean(_of_sources(gain, numbers.get(gain.intermediate, {}) if by_task else numbers))
        rows.append(row)
    return {name: np.array([row[name] for row in rows], float) for name in rows[0]}


def _of_sources(gain: Gain, numbers: Numbers) -> list[float]:
    """The known numbers of the sources, or NaN alone if there are none."""
    return [float(numbers[code]) for code in gain.sources if code in numbers] or [math.nan]


def _share(gain: Gain, trait: str) -> float:
    value = getattr(language(gain.language), trait)
    return float(np.mean([getattr(language(code), trait) == value for code in gain.sources])) if value else math.nan


def _coverage(values: np.ndarray, sources: np.ndarray) -> float:
    """1 − the smallest difference to a source, averaged over the features that the language and a source have observed.

    values: the language's [features]; sources: [sources, features].
    """
    gaps = np.fmin.reduce(np.abs(sources - values))
    known = gaps[~np.isnan(gaps)]
    return float(1 - known.mean()) if len(known) else math.nan
