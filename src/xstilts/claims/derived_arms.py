"""Comparisons with an arm that no study has: several arms pooled, or the best of several for each target."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from xstilts.analysis.comparison import Comparison

POOLED, BEST = "the arms together", "the best arm per target"


def pooled(comparison: Comparison, arms: Sequence[str]) -> Comparison:
    """Put the predictions of several arms together on the left, in the replicates that all of them have.

    For accuracy the score is the mean of theirs; for F1 nearly so.
    """
    tables = []
    for table in comparison.tables:
        shared = set.intersection(*({cell[1:] for cell in table.cells(arm)} for arm in arms))
        sums = {
            (POOLED, *cell): {
                code: reduce(np.add, [table.cluster_stats[arm, *cell][code] for arm in arms])
                for code in table.languages
            }
            for cell in shared
        }
        tables.append(replace(table, cluster_stats=table.cluster_stats | sums))
    return replace(comparison, tables=tuple(tables), left=POOLED)


def best_per_target(comparison: Comparison, arms: Sequence[str]) -> Comparison:
    """Put each target's best of several arms on the left.

    It has the highest mean score in the languages that do not count (in all languages if there are no others), so that
    it is not chosen by what it is judged on.
    """
    tables = []
    for table, judged in zip(comparison.tables, comparison.languages, strict=True):
        codes = [code for code in table.languages if code not in judged] or table.languages
        means = {
            arm: np.mean([table.scores(cells, code) for code in codes]) for arm in arms if (cells := table.cells(arm))
        }
        best = max(means, key=means.__getitem__, default=arms[0])
        renamed = {(BEST, *cell[1:]): table.cluster_stats[cell] for cell in table.cells(best)}
        tables.append(replace(table, cluster_stats=table.cluster_stats | renamed))
    return replace(comparison, tables=tuple(tables), left=BEST)
