"""The difference between two arms, and how sure it is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.analysis.cube import Cube
from xstilts.errors import XstiltsError


@dataclass(frozen=True)
class Effect:
    """A difference in points with its interval; `replicates` is their number over all encoders.

    The three variances are those of the mean from replicates, from item clusters, and what both count (the
    replicate-by-cluster part); `degrees` are Satterthwaite's.
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


def effect(
    cubes: Sequence[Cube], left: str, right: str, languages: Sequence[Sequence[str]], encoders: Sequence[str],
    level: float,
) -> Effect:  # fmt: skip
    """score(left) − score(right): the mean over targets of the mean over languages, encoders as fixed blocks.

    Args:
        cubes: one per target; `languages`: those of each target that count; `level`: coverage, 0 to 1.

    Both arms' replicates are paired by number. The variance of the mean is V(replicates) + V(clusters) − V(both), the
    two-way random-effects estimate (Searle, Casella and McCulloch 1992, ch. 4) with replicates nested in encoders and
    item clusters crossed with them, and the interval is Student's t with Satterthwaite's degrees of freedom.
    Raises XstiltsError where an encoder has fewer than two replicates of both arms.
    """
    for cube, codes in zip(cubes, languages, strict=True):
        if not codes:
            raise XstiltsError(f"'{cube.target}' has no held-out language", "nothing is left to judge", "hold some out")
    blocks = [_block(cubes, left, right, languages, encoder) for encoder in encoders]
    values = [block[0] for block in blocks]
    clusters = [block[1] for block in blocks]
    count = len(blocks)
    n = clusters[0].shape[1]
    free = sum(len(v) - 1 for v in values)
    replicate = sum(v.var(ddof=1) / len(v) for v in values) / count**2
    mean_influence = sum(c.mean(0) for c in clusters) / count
    cluster = float((mean_influence**2).sum() * n / (n - 1))
    shared = float(sum(((c - c.mean(0)) ** 2).sum() / (len(c) * (len(c) - 1)) for c in clusters)) / count**2
    variance = replicate + max(cluster - shared, 0.0)
    pieces = replicate**2 / free + cluster**2 / (n - 1) + shared**2 / (free * (n - 1))
    degrees = variance**2 / pieces if pieces > 0 else float(free)
    half = float(stats.t.ppf(0.5 + level / 2, degrees)) * variance**0.5
    estimate = float(np.mean([v.mean() for v in values]))
    return Effect(
        estimate, estimate - half, estimate + half, level, float(degrees), sum(map(len, values)), n,
        float(replicate), cluster, shared,
    )  # fmt: skip


def _block(
    cubes: Sequence[Cube], left: str, right: str, languages: Sequence[Sequence[str]], encoder: str
) -> tuple[np.ndarray, np.ndarray]:
    """Differences [replicates] and their influences by cluster [replicates, clusters] for one encoder."""
    pairs = _pairs(cubes, left, right, encoder)
    differences = np.zeros(len(pairs))
    influences = np.zeros((len(pairs), sum(cube.clustering for cube in cubes)))
    first = 0
    for cube, codes in zip(cubes, languages, strict=True):
        weight = 1.0 / (len(cubes) * len(codes))
        for row, (one, other) in enumerate(pairs):
            for code in codes:
                differences[row] += weight * (cube.score(one, code) - cube.score(other, code))
                moved = weight * (cube.influence(one, code) - cube.influence(other, code))
                influences[row, first + cube.clusters[code]] += moved
        first += cube.clustering
    used = (influences != 0).any(0)
    return differences, influences if used.all() else influences[:, _occurring(cubes, languages)]


def _occurring(cubes: Sequence[Cube], languages: Sequence[Sequence[str]]) -> np.ndarray:
    """The clusters that the given languages have, numbered through all targets."""
    found, first = [], 0
    for cube, codes in zip(cubes, languages, strict=True):
        found.append(first + np.unique(np.concatenate([cube.clusters[code] for code in codes])))
        first += cube.clustering
    return np.concatenate(found)


Cell = tuple[str, str, int]


def _pairs(cubes: Sequence[Cube], left: str, right: str, encoder: str) -> list[tuple[Cell, Cell]]:
    """Cells of both arms with the same replicate; an arm without replicates (a baseline) pairs with every one."""
    shared = [
        {(r, s) for _, _, r in cube.cells(left, encoder) for s in _partner(cube, right, encoder, r)} for cube in cubes
    ]
    common = sorted(set.intersection(*shared))
    if len(common) < 2:
        raise XstiltsError(
            f"'{left} - {right}' has {len(common)} replicate{'s' if len(common) != 1 else ''} of encoder '{encoder}'",
            "without at least two there is no estimate of how much a result varies between runs",
            "raise `replicates`, or finish the run",
        )
    owner = encoder if cubes[0].cells(right, encoder) else ""
    return [((left, encoder, r), (right, owner, s)) for r, s in common]


def _partner(cube: Cube, arm: str, encoder: str, replicate: int) -> list[int]:
    numbers = [r for _, _, r in cube.cells(arm, encoder) or cube.cells(arm, "")]
    return [replicate] if replicate in numbers else [r for r in numbers if r == 0]
