"""The multi-bootstrap: replicates and item clusters drawn again together, the same draw for every arm."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from xstilts.analysis.effects import Comparison, paired_cells
from xstilts.randomness import generator
from xstilts.runs.score_table import Cell, ScoreTable

DRAWS = 10_000
FEWEST_REPLICATES = 10
"""Replicates of each encoder from which on a study shows the bootstrap's intervals."""
BLOCK = 500

Scores = dict[Cell, np.ndarray]
"""Cell → its score in each resample [draws]."""


def resample(table: ScoreTable, cells: Sequence[Cell], languages: Sequence[str], draws: int = DRAWS) -> Scores:
    """Mean scores over languages with the item clusters drawn again with replacement, in points.

    One draw serves all cells, so that differences between them are paired. Clusters are drawn within groups that are
    in the same languages, so that no language is left without items. A draw is a row of counts, and its sums are the
    product of counts and statistics, in single precision.
    """
    statistics = [
        np.concatenate([table.cluster_stats[cell][code] for cell in cells], 1).astype(np.float32) for code in languages
    ]
    present = np.stack([np.isin(np.arange(table.clustering), table.clusters[code]) for code in languages], 1)
    groups = np.unique(present, axis=0, return_inverse=True)[1].ravel()
    rng = generator("multi-bootstrap", table.target)
    result = np.zeros((draws, len(cells)))
    for first in range(0, draws, BLOCK):
        block = min(BLOCK, draws - first)
        counts = np.zeros((block, table.clustering), np.float32)
        for number in range(groups.max() + 1):
            members = np.flatnonzero(groups == number)
            size = len(members)
            drawn = rng.integers(0, size, (block, size), dtype=np.int32) + size * np.arange(block)[:, None]
            counts[:, members] = np.bincount(drawn.ravel(), minlength=block * size).reshape(block, size)
        for code, stacked in zip(languages, statistics, strict=True):
            clusters = table.clusters[code]
            weights = counts if len(clusters) == table.clustering else counts[:, clusters]
            sums = (weights @ stacked).reshape(block, len(cells), -1).astype(float)
            result[first : first + block] += table.kind.score(sums, table.metric) / len(languages)
    return dict(zip(cells, result.T, strict=True))


def resample_arms(comparison: Comparison, draws: int = DRAWS) -> list[Scores]:
    """Per target the resampled scores of the cells of both arms."""
    pairs = [pair for encoder in comparison.encoders for pair in paired_cells(comparison, encoder)]
    cells = list(dict.fromkeys(cell for pair in pairs for cell in pair))
    targets = zip(comparison.tables, comparison.languages, strict=True)
    return [resample(table, cells, codes, draws) for table, codes in targets]


def multi_bootstrap(comparison: Comparison, scores: Sequence[Scores], degrees: float) -> dict[str, float]:
    """Intervals of the mean over encoders of the mean difference over pairs of cells (Sellam et al. 2021, paired):
    low, high, corrected_low and corrected_high, and the number of `draws`.

    Args:
        scores: per target, as by `resample_arms`; degrees: of the effect (`Effect.degrees`).

    A percentile interval is too narrow if there are few replicates: their drawn variance is (n − 1)/n of what it
    ought to be, and the tails are those of a normal distribution. The corrected one takes the percentiles that lie
    √((n)/(n − 1)) · t out in normal scale, with n − 1 the degrees of freedom (Hesterberg 2015, section 4).
    """
    draws = len(next(iter(scores[0].values())))
    estimate = np.zeros(draws)
    for encoder in comparison.encoders:
        pairs = paired_cells(comparison, encoder)
        count = len(pairs)
        weights = generator("replicates", encoder, count).multinomial(count, np.full(count, 1 / count), draws) / count
        for table in scores:
            differences = np.stack([table[left] - table[right] for left, right in pairs], 1)
            estimate += (weights * differences).sum(1) / len(comparison.encoders) / len(scores)
    tail = (1 - comparison.level) / 2
    corrected = stats.norm.cdf(((degrees + 1) / degrees) ** 0.5 * stats.t.ppf(tail, degrees))
    names = ("low", "high", "corrected_low", "corrected_high")
    ends = np.quantile(estimate, [tail, 1 - tail, corrected, 1 - corrected])
    return dict(zip(names, map(float, ends), strict=True)) | {"draws": draws}
