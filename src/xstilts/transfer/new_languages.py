"""A language that nothing was scored in: how its scores differ between trainings.

The column of the new language is completed from the columns of others, all standardised: their average (a source that
is good for most languages is good for this one), plus the effect of close sources with weights that all languages
share, plus what similar languages have beyond these two.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.transfer.relations import Votes, distances

PENALTY = 100.0
"""Of the ridge over all scores of a table."""
REACHES = (2.0, 8.0)
"""Closeness is exp(−reach × distance / mean distance): a long and a short one of each kind."""
NOISE = 0.3
"""Variance of what remains, over that which languages with the same features share."""


@dataclass(frozen=True)
class Columns:
    """Standardised scores of rows (trainings, or sources) in seen languages, and features of rows and all languages.

    values: [rows, seen], NaN where unknown; features: [rows, languages, features]; similar: [languages, languages];
    the seen languages are the first ones. measured: how many rows, the first ones, slopes are fitted to.
    """

    values: np.ndarray
    features: np.ndarray
    similar: np.ndarray
    measured: int

    def complete(self, new: int, seen: Sequence[int]) -> np.ndarray:
        """Standardised scores [rows] of language `new` from those of others."""
        y = self.values[:, seen]
        known = ~np.isnan(y)
        shared = np.where(known, y, 0).sum(1) / np.maximum(known.sum(1), 1)
        rest = y - shared[:, None]
        x = self.features[:, seen]
        fitted = known & (np.arange(len(y)) < self.measured)[:, None]
        inner = x[fitted].T @ x[fitted] + PENALTY * np.eye(x.shape[2])
        slopes = np.linalg.solve(inner, x[fitted].T @ rest[fitted])
        rest = np.where(known, rest - x @ slopes, 0)
        covariance = self.similar[np.ix_(seen, seen)] + NOISE * np.eye(len(seen))
        weights = np.linalg.solve(covariance, self.similar[seen, new])
        return np.asarray(shared + self.features[:, new] @ slopes + rest @ weights)


def rests(blocks: Sequence[str]) -> Iterator[tuple[int, list[int]]]:
    """Each position with those of other blocks."""
    for j, block in enumerate(blocks):
        yield j, [i for i, other in enumerate(blocks) if other != block]


def source_features(
    x: np.ndarray, sources: Sequence[str], languages: Sequence[str], votes: Votes | None, measured: int | None = None
) -> np.ndarray:
    """For each row and language, the closest source by each kind and reach, times its x [rows, languages, features].

    x: log examples of each source [rows, sources]. The language itself does not count as a source. Features are
    centred over the `measured` first rows, by default all, and divided by their standard deviation there.
    """
    codes = list(dict.fromkeys([*languages, *sources]))
    tables = distances(codes, len(set(languages)), votes)
    there, here = ([codes.index(code) for code in names] for names in (sources, languages))
    itself = np.array([[source == code for code in languages] for source in sources])
    columns = []
    for kind in tables:
        for reach in REACHES if kind != "script" else REACHES[:1]:
            close = np.exp(-reach * tables[kind][np.ix_(there, here)])
            near = np.max(x[:, :, None] * np.where(itself, 0, close), axis=1)
            columns.append(near - near[:measured].mean(0))
    features = np.stack(columns, axis=-1)
    scale = features[:measured].std((0, 1))
    return np.asarray(features / np.where(scale < 1e-9, np.inf, scale))
