"""Arms that no study has: several taken together, the best of several, two in each other's place."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from xstilts.analysis.effects import Effect
from xstilts.runs.score_table import ScoreTable


def best(table: ScoreTable, arms: Sequence[str], held_out: Sequence[str]) -> str:
    """The arm with the highest mean score over languages that are not held out (over all, where there is none)."""
    codes = [code for code in table.languages if code not in held_out] or table.languages
    finished = [arm for arm in arms if table.cells(arm)] or arms[:1]
    return max(
        finished,
        key=lambda arm: np.mean([table.score(cell, code) for cell in table.cells(arm) for code in codes]),
    )


def renamed(table: ScoreTable, arm: str, name: str) -> ScoreTable:
    """The score table with an arm under one more name."""
    return replace(
        table,
        cluster_stats=table.cluster_stats
        | {(name, e, r): table.cluster_stats[arm, e, r] for _, e, r in table.cells(arm)},
    )


def pooled(table: ScoreTable, arms: Sequence[str], name: str) -> ScoreTable:
    """The score table with one more arm: the predictions of several taken together, in the replicates that all of them have.

    For accuracy its score is the mean of theirs; for F1 nearly so.
    """
    cells = set.intersection(*({(e, r) for _, e, r in table.cells(arm)} for arm in arms))
    sums = {
        (name, e, r): {
            code: reduce(np.add, [table.cluster_stats[arm, e, r][code] for arm in arms]) for code in table.languages
        }
        for e, r in cells
    }
    return replace(table, cluster_stats=table.cluster_stats | sums)


def swapped(table: ScoreTable, left: str, right: str) -> ScoreTable:
    """The score table with two arms in each other's place, so that its gain counts with the opposite sign."""
    other = {left: right, right: left}
    return replace(
        table,
        cluster_stats={(other.get(arm, arm), e, r): value for (arm, e, r), value in table.cluster_stats.items()},
    )


def scaled(found: Effect, factor: float) -> Effect:
    """An effect times a positive factor."""
    variances = ("replicate_variance", "cluster_variance", "shared_variance", "language_variance")
    return replace(
        found,
        **{name: getattr(found, name) * factor for name in ("estimate", "low", "high")},
        **{name: getattr(found, name) * factor**2 for name in variances},
    )
