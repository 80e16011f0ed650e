"""A ridge regression that explains ranks of gains by features of sources and languages."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.linear_model import Ridge

from xstilts.languages import distance_matrix, language
from xstilts.languages.measures import feature_matrix
from xstilts.randomness import generator
from xstilts.runs.run_files import Numbers
from xstilts.transfer.from_runs.gains import Gain, groups

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the ridge, as multiples of the number of gains."""
DRAWS = 400
REQUIRED = {
    "log_examples": "cells.json with the examples of each training",
    **dict.fromkeys(("overlap", "fertility"), "texts and the model's tokenizer"),
    "log_size": "the size of the pretraining text of each language",
    **dict.fromkeys(("logme", "h_score"), "labelled texts and the untouched encoder"),
}
"""What a feature needs; by default languages with known typology."""
MEANS = {"fertility": False, "log_size": False, "logme": True, "h_score": True}
"""Measured features that are means over the sources, and whether they depend on the intermediate task."""


@dataclass(frozen=True)
class TrainingSet:
    """What the regression learns from: standardised features x [gains, p] and ranks y [gains], with the language and
    the training of each gain [gains].

    measured: what is known of each run by its name; names: of the columns; scale: standard deviations that columns are
    divided by [p]; absent: features that are not used, and why.
    """

    gains: Sequence[Gain]
    measured: dict[str, Numbers]
    names: list[str]
    scale: np.ndarray
    absent: dict[str, str]
    x: np.ndarray
    y: np.ndarray
    languages: np.ndarray
    trainings: np.ndarray


def training_set(gains: Sequence[Gain], measured: dict[str, Numbers]) -> TrainingSet:
    """Ranks and standardised features within each comparison, that is a language and a target of one training.

    Ranks run from −1/2 to 1/2. Features are differences from their mean in the comparison, in standard deviations over
    all gains. An unknown value counts as the mean. Features that do not differ anywhere are dropped.
    """
    table = features(gains, measured)
    names = [name for name, values in table.items() if np.isfinite(values).any()]
    absent = {name: REQUIRED.get(name, "languages with known typology") for name in table if name not in names}
    x = _columns(gains, table, names)
    scale = np.where(x.std(0) < 1e-9, np.inf, x.std(0))
    absent |= {names[i]: "does not differ among the rows" for i in np.flatnonzero(np.isinf(scale))}
    y = np.zeros(len(gains))
    for members in groups(gains):
        ranks = stats.rankdata([gains[i].points for i in members])
        y[members] = (ranks - ranks.mean()) / max(len(members) - 1, 1)
    languages, trainings = (np.array([getattr(gain, name) for gain in gains]) for name in ("language", "training"))
    return TrainingSet(gains, measured, names, scale, absent, x / scale, y, languages, trainings)


def standardised(gains: Sequence[Gain], data: TrainingSet) -> np.ndarray:
    """The features of further gains in the columns of a training set [gains, p]."""
    return _columns(gains, features(gains, data.measured), data.names) / data.scale


def _columns(gains: Sequence[Gain], table: dict[str, np.ndarray], names: Sequence[str]) -> np.ndarray:
    """Named features as differences from the comparison's mean [gains, p]."""
    x = np.stack([table[name] for name in names], axis=1)
    for members in groups(gains):
        count = np.maximum((~np.isnan(x[members])).sum(0), 1)
        x[members] = np.nan_to_num(x[members] - np.nansum(x[members], axis=0) / count)
    return x


def features(gains: Sequence[Gain], measured: dict[str, Numbers]) -> dict[str, np.ndarray]:
    """Compute feature → values [gains], NaN if unknown; `measured` is what is known of each run by its name.

    distance: to the nearest source (syntax). coverage: 1 − the smallest difference to a source, averaged over the
    syntax features that the language and a source have observed. script, family: share of the sources that have the
    language's. log_examples: of each source. overlap: shared sub-words with the source that shares most. fertility,
    log_size, logme, h_score: means over the sources. With several intermediate tasks, each pair of one with a target
    also has an indicator.
    """
    codes = sorted({code for gain in gains for code in (gain.language, *gain.sources)})
    distances = distance_matrix(codes).values
    syntax = feature_matrix("syntax", codes)
    rows = []
    for gain in gains:
        known = {name: numbers.get(gain.encoder, {}) for name, numbers in measured.get(gain.run, {}).items()}
        here, there = codes.index(gain.language), [codes.index(code) for code in gain.sources]
        gaps = np.fmin.reduce(np.abs(syntax[there] - syntax[here]))
        gaps = gaps[~np.isnan(gaps)]
        row = {"distance": np.fmin.reduce(distances[here, there])}
        row["coverage"] = 1 - gaps.mean() if len(gaps) else math.nan
        for trait in ("script", "family"):
            value = getattr(language(gain.language), trait)
            shared = [getattr(language(code), trait) == value for code in gain.sources]
            row[trait] = np.mean(shared) if value else math.nan
        row["log_examples"] = math.log(gain.examples / len(gain.sources))
        row["overlap"] = max(_of_sources(gain, known.get("overlap", {}).get(gain.language, {})))
        for name, by_task in MEANS.items():
            numbers = known.get(name, {})
            row[name] = np.mean(_of_sources(gain, numbers.get(gain.intermediate, {}) if by_task else numbers))
        rows.append(row)
    table = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    pairs = [(gain.intermediate, gain.target) for gain in gains]
    if len({intermediate for intermediate, _ in pairs}) > 1:
        for pair in sorted(set(pairs)):
            table[" for ".join(pair)] = np.array([each == pair for each in pairs], float)
    return table


def _of_sources(gain: Gain, numbers: Numbers) -> list[float]:
    """The known numbers of the sources, or NaN alone if there are none."""
    return [float(numbers[code]) for code in gain.sources if code in numbers] or [math.nan]


def weights(x: np.ndarray, y: np.ndarray, penalty: float, repeats: np.ndarray | None = None) -> np.ndarray:
    """Ridge weights [p] for features x [gains, p] and ranks y [gains].

    `penalty` is a multiple of the number of gains; `repeats` is how often each gain counts [gains].
    """
    ridge = Ridge(penalty * len(y), fit_intercept=False, solver="cholesky").fit(x, y, repeats)
    return np.asarray(ridge.coef_)


def choose_penalty(x: np.ndarray, y: np.ndarray, languages: np.ndarray) -> float:
    """The penalty with the smallest squared error in languages [gains] that are left out one by one.

    The folds are solved together from each language's sums of products, 25 times as fast as by `cross_val_predict`.
    """
    folds = [languages == code for code in np.unique(languages)]
    if len(folds) < 2:
        return 1.0
    xx, xy = np.stack([x[fold].T @ x[fold] for fold in folds]), np.stack([x[fold].T @ y[fold] for fold in folds])
    rest = [len(y) - fold.sum() for fold in folds]
    ridge = np.multiply.outer(PENALTIES, rest)[:, :, None, None] * np.eye(x.shape[1])
    w = np.linalg.solve(xx.sum(0) - xx + ridge, (xy.sum(0) - xy)[..., None])[..., 0]  # [penalties, folds, p]
    errors = ((w[..., None, :] @ xx)[..., 0, :] * w - 2 * w * xy).sum((1, 2))
    return PENALTIES[int(errors.argmin())]


def redrawn_weights(data: TrainingSet, penalty: float) -> np.ndarray:
    """Weights with languages and trainings both drawn anew, each with replacement [DRAWS, p].

    This is the pigeonhole bootstrap (Owen 2007, doi:10.1214/07-AOAS122) of rows that are crossed in both.
    """
    factors = [np.unique(values, return_inverse=True) for values in (data.languages, data.trainings)]
    rng = generator("predicting transfer", *(len(names) for names, _ in factors))
    repeats = np.ones((DRAWS, len(data.y)))
    for names, position in factors:
        repeats *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)[:, position]
    return np.stack([weights(data.x, data.y, penalty, row) for row in repeats])
