"""The difference between two arms in the held-out languages at hand, and how sure it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.analysis.comparison import Comparison
from xstilts.errors import XstiltsError
from xstilts.runs.score_table import Cell, ScoreTable

Weights = Sequence[Mapping[str, float]]
"""Per table the weight of each language that counts."""


@dataclass(frozen=True)
class Effect:
    """A difference in points with its interval; `replicates` is their number over all encoders.

    The variances are those of the estimate from replicates, from item clusters, from what both count (the
    replicate-by-cluster part), and from languages where these count as random; `degrees` are Satterthwaite's.
    """

    estimate: float
    low: float
    high: float
    level: float
    degrees: float
    replicates: int
    clusters: int
    replicate_variance: float
    cluster_variance: float
    shared_variance: float
    language_variance: float = 0.0


@dataclass(frozen=True)
class Block:
    """A weighted difference of one encoder: per replicate [replicates], and what each item cluster moves it
    [replicates, clusters]. Blocks of one `kind` share a replicate variance."""

    kind: str
    differences: np.ndarray
    influences: np.ndarray


@dataclass(frozen=True)
class Gains:
    """What one encoder's paired replicates gain, per table and language: differences [replicates] and their influences
    [replicates, clusters of the language]."""

    differences: tuple[dict[str, np.ndarray], ...]
    influences: tuple[dict[str, np.ndarray], ...]

    def block(self, tables: Sequence[ScoreTable], weights: Weights, kind: str) -> Block:
        """The weighted sum over tables and languages. Clusters are numbered through all tables; those that none of the
        languages has are left out, a language of weight 0 included."""
        used = _clusters(tables, weights)
        count = len(next(iter(self.differences[0].values())))
        differences, influences = np.zeros(count), np.zeros((count, sum(map(len, used))))
        first = 0
        for number, (table, weight) in enumerate(zip(tables, weights, strict=True)):
            for code, share in weight.items():
                if share == 0:
                    continue
                differences += share * self.differences[number][code]
                place = first + np.searchsorted(used[number], table.clusters[code])
                influences[:, place] += share * self.influences[number][code]
            first += len(used[number])
        return Block(kind, differences, influences)


@dataclass(frozen=True)
class Spread:
    """The variance of an estimate from replicates, from item clusters, what both of them count, and from languages
    where these are random; with degrees of freedom."""

    replicate: float
    cluster: float
    shared: float
    replicate_degrees: float
    cluster_degrees: float
    language: float = 0.0
    language_degrees: float = 1.0

    @property
    def parts(self) -> list[tuple[float, float]]:
        """Variance and degrees of freedom of the parts that add up: replicates, clusters beyond what replicates count
        already, languages."""
        beyond = max(self.cluster - self.shared, 0.0)
        return [(self.replicate, self.replicate_degrees), (beyond, self.cluster_degrees),
                (self.language, self.language_degrees)]  # fmt: skip

    @property
    def total(self) -> float:
        return sum(variance for variance, _ in self.parts)

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of the total."""
        pieces = sum(variance**2 / free for variance, free in self.parts)
        return self.total**2 / pieces if pieces > 0 else self.replicate_degrees

    def half_width(self, level: float) -> float:
        """Half the width of the interval: the half widths of the parts' own intervals, squared, summed and rooted."""
        quantiles = [(variance, float(stats.t.ppf(0.5 + level / 2, free))) for variance, free in self.parts]
        return float(sum(t**2 * variance for variance, t in quantiles) ** 0.5)


def effect(comparison: Comparison) -> Effect:
    """score(left) − score(right): the mean over targets of the mean over languages, encoders as fixed blocks.

    Replicates of both arms are paired by number. The variance of the mean is V(replicates) + V(clusters) − V(both), the
    two-way random-effects estimate (Searle, Casella and McCulloch 1992, ch. 4) with replicates nested in encoders and
    item clusters crossed with them. Replicates and clusters (less what both count) have intervals of their own by
    Student's t, and the half widths add up in squares (Zou and Donner 2008): degrees of freedom that are estimated for
    the sum, as Satterthwaite's, make intervals of few replicates too narrow. Each kind of encoder has a replicate
    variance of its own (Welch 1947).
    Raises XstiltsError if an encoder has fewer than two replicates of both arms, or a target no language.
    """
    for table, codes in zip(comparison.tables, comparison.languages, strict=True):
        if not codes:
            raise XstiltsError(
                "inconsistent",
                f"'{table.target}' has no held-out language",
                "nothing is left to judge",
                "hold some out",
            )
    return weighted(comparison, even(comparison.languages))


def even(languages: Sequence[Sequence[str]]) -> Weights:
    """The weights of a mean over targets of the mean over languages."""
    return [dict.fromkeys(codes, 1.0 / (len(languages) * len(codes))) for codes in languages]


def weighted(comparison: Comparison, weights: Weights) -> Effect:
    """A weighted sum of the languages' differences, such as a mean or a slope, with its interval as in `effect`."""
    blocks = blocks_of(all_gains(comparison), comparison, weights)
    return interval(blocks, spread(blocks), comparison.level)


def all_gains(comparison: Comparison) -> dict[str, Gains]:
    """The gains of each encoder."""
    return {encoder: gains(comparison, encoder) for encoder in comparison.encoders}


def blocks_of(gains: Mapping[str, Gains], comparison: Comparison, weights: Weights) -> list[Block]:
    """A weighted sum of the languages' gains, a block for each encoder."""
    return [each.block(comparison.tables, weights, comparison.kind(encoder)) for encoder, each in gains.items()]


def gains(comparison: Comparison, encoder: str) -> Gains:
    """The differences of one encoder's paired replicates in each language; raises XstiltsError below two, and where a
    run was not scored in one of the languages."""
    tables, languages = comparison.tables, comparison.languages
    pairs = paired_cells(comparison, encoder)
    ones, others = [one for one, _ in pairs], [other for _, other in pairs]
    for table, codes in zip(tables, languages, strict=True):
        for cell in {*ones, *others}:
            if lacking := [code for code in codes if code not in table.cluster_stats[cell]]:
                raise XstiltsError(
                    "inconsistent",
                    f"'{table.target}' has no predictions of {' '.join(map(str, cell))} in {', '.join(lacking)}",
                    "a mean over other languages than those of the other runs would mean nothing",
                    "score every run in the same languages",
                )
    differences: list[dict[str, np.ndarray]] = []
    influences: list[dict[str, np.ndarray]] = []
    for table, codes in zip(tables, languages, strict=True):
        moves = {code: (table.influences(ones, code), table.influences(others, code)) for code in codes}
        differences.append({code: one[0] - other[0] for code, (one, other) in moves.items()})
        influences.append({code: one[1] - other[1] for code, (one, other) in moves.items()})
    return Gains(tuple(differences), tuple(influences))


def spread(blocks: Sequence[Block]) -> Spread:
    """The crossed variance of the mean over blocks; see `effect`."""
    count, clusters = len(blocks), blocks[0].influences.shape[1]
    sizes = np.array([len(block.differences) for block in blocks])
    if clusters < 2:
        raise XstiltsError(
            "inconsistent",
            "all test items belong to one cluster",
            "their uncertainty is estimated from the differences between clusters",
            "give the items clusters of their own (`cluster` in the task's entry), or more of them",
        )
    mean = sum(block.influences.mean(0) for block in blocks) / count
    cluster = float((mean**2).sum()) * clusters / (clusters - 1)
    apart = [float(((block.influences - block.influences.mean(0)) ** 2).sum()) for block in blocks]
    shared = float((np.array(apart) / (sizes * (sizes - 1) * count**2)).sum())
    replicate, degrees = _replicates(blocks)
    return Spread(replicate, cluster, shared, degrees, clusters - 1)


def _replicates(blocks: Sequence[Block]) -> tuple[float, float]:
    """The variance of the mean over blocks from replicates, pooled within kinds, and its degrees of freedom (Welch)."""
    total, pieces, fewest = 0.0, 0.0, math.inf
    for kind in dict.fromkeys(block.kind for block in blocks):
        own = [block.differences for block in blocks if block.kind == kind]
        free = sum(len(values) - 1 for values in own)
        pooled = sum(float(((values - values.mean()) ** 2).sum()) for values in own) / free
        variance = pooled * sum(1 / len(values) for values in own) / len(blocks) ** 2
        total, pieces, fewest = total + variance, pieces + variance**2 / free, min(fewest, free)
    return total, (total**2 / pieces if pieces > 0 else fewest)


def interval(blocks: Sequence[Block], found: Spread, level: float) -> Effect:
    """The mean over blocks with its interval."""
    half = found.half_width(level)
    estimate = float(np.mean([block.differences.mean() for block in blocks]))
    replicates, clusters = sum(len(block.differences) for block in blocks), blocks[0].influences.shape[1]
    return Effect(
        estimate, estimate - half, estimate + half, level, found.degrees, replicates, clusters, found.replicate,
        found.cluster, found.shared, found.language,
    )  # fmt: skip


def _clusters(tables: Sequence[ScoreTable], weights: Weights) -> list[np.ndarray]:
    """Per table the numbers of the clusters that the weighted languages have."""
    return [
        np.unique(np.concatenate([table.clusters[code] for code in weight] or [np.empty(0, int)]))
        for table, weight in zip(tables, weights, strict=True)
    ]


def paired_cells(comparison: Comparison, encoder: str) -> list[tuple[Cell, Cell]]:
    """Cells of both arms with the same replicate; an arm without replicates (a baseline) pairs with every one."""
    tables, left, right = comparison.tables, comparison.left, comparison.right
    shared = [
        {(r, s) for _, _, r in table.cells(left, encoder) for s in _partner(table, right, encoder, r)}
        for table in tables
    ]
    common = sorted(set.intersection(*shared))
    if len(common) < 2:
        raise XstiltsError(
            "unknown-name",
            f"'{left} - {right}' has {len(common)} replicate{'s' if len(common) != 1 else ''} of encoder '{encoder}'",
            "without at least two there is no estimate of how much a result varies between runs",
            "raise `replicates`, or finish the run",
        )
    owner = encoder if tables[0].cells(right, encoder) else ""
    return [((left, encoder, r), (right, owner, s)) for r, s in common]


def _partner(table: ScoreTable, arm: str, encoder: str, replicate: int) -> list[int]:
    numbers = [r for _, _, r in table.cells(arm, encoder) or table.cells(arm, "")]
    return [replicate] if replicate in numbers else [r for r in numbers if r == 0]
