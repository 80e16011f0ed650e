"""Diagnostics that no verdict depends on: improvement run by run, selection by English dev, degenerate runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xstilts.analysis.effects import Comparison, paired_cells
from xstilts.analysis.verdicts import rounded
from xstilts.runs.score_table import Cell, ScoreTable
from xstilts.training.schedule import degenerate

Row = dict[str, Any]


def improvement(comparison: Comparison) -> Row:
    """How two arms compare run by run, on the mean over languages and targets.

    probability: that one run of `left` scores above one of `right` (all pairs of runs, ties count half; Agarwal et al.
    2021); sd_left, sd_right, sd_difference: standard deviations over replicates of either arm and of the paired
    difference, pooled over encoders, None with one replicate.
    """
    chances, variances = [], []
    targets = list(zip(comparison.tables, comparison.languages, strict=True))
    for encoder in comparison.encoders:
        pairs = paired_cells(comparison, encoder)
        left, right = (
            np.mean([_held_out_scores(table, codes, cells) for table, codes in targets], 0)
            for cells in zip(*pairs, strict=True)
        )
        chances.append(float(((left[:, None] > right) + 0.5 * (left[:, None] == right)).mean()))
        if len(pairs) > 1:
            variances.append([values.var(ddof=1) for values in (left, right, left - right)])
    sds = np.mean(variances, 0) ** 0.5 if len(variances) == len(chances) else np.full(3, np.nan)
    names = ("probability", "sd_left", "sd_right", "sd_difference")
    return rounded(dict(zip(names, map(float, (np.mean(chances), *sds)), strict=True)), 4)


def _held_out_scores(table: ScoreTable, codes: Iterable[str], cells: Sequence[Cell]) -> np.ndarray:
    """Mean scores over languages [cells]."""
    return np.asarray(np.mean([table.scores(cells, code) for code in codes], 0))


def selection(tables: Iterable[ScoreTable], budgets: Sequence[Row], held_out: Sequence[str]) -> list[Row]:
    """Per target and arm the held-out score of three choices among its replicates, means over encoders.

    mean: of all; by_dev: of the one with the best English dev score; oracle: of the one that is best in the held-out
    languages themselves. The distance between the last two is what choosing by English dev costs (Keung et al. 2020).
    Arms that have fewer than two runs with a dev score are left out.
    """
    dev = {
        (budget["target"], budget["arm"], budget["encoder"], budget["replicate"]): budget["training"]["dev_score"]
        for budget in budgets
        if "training" in budget and "attempt" not in budget
    }
    rows = []
    for table in tables:
        codes = [code for code in held_out if code in table.clusters]
        for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats) if codes else ():
            choices = []
            for encoder in dict.fromkeys(cell[1] for cell in table.cells(arm)):
                cells = [cell for cell in table.cells(arm, encoder) if dev.get((table.target, *cell)) is not None]
                if len(cells) > 1:
                    scores = _held_out_scores(table, codes, cells)
                    best = int(np.argmax([dev[table.target, *cell] for cell in cells]))
                    choices.append([scores.mean(), scores[best], scores.max()])
            if choices:
                means = dict(zip(("mean", "by_dev", "oracle"), map(float, np.mean(choices, 0)), strict=True))
                rows.append({"target": table.target, "arm": arm, **rounded(means, 4)})
    return rows


def checkpoints(
    tables: Mapping[str, ScoreTable], oracles: Mapping[str, ScoreTable], held_out: Sequence[str]
) -> list[Row]:
    """Per target and arm the mean held-out score of the weights that the study keeps (`kept`) and of those that dev
    examples in the held-out languages choose (`oracle`), over the replicates that have both."""
    rows = []
    for target, chosen in oracles.items():
        codes = [code for code in held_out if code in chosen.clusters]
        for arm in dict.fromkeys(cell[0] for cell in chosen.cluster_stats) if codes else ():
            cells = [cell for cell in chosen.cells(arm) if cell in tables[target].cluster_stats]
            if cells:
                pair = {"kept": tables[target], "oracle": chosen}
                means = {name: float(_held_out_scores(table, codes, cells).mean()) for name, table in pair.items()}
                rows.append({"target": target, "arm": arm, **rounded(means, 4), "replicates": len(cells)})
    return rows


def degenerate_runs(budgets: Sequence[Row]) -> list[Row]:
    """Per target, arm and phase how many runs are degenerate, judged by training loss and English dev alone.

    See `xstilts.training.schedule.degenerate`. A run with `attempt` 2 is a second try and counts in `retried`.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    counts = dict.fromkeys(("runs", "degenerate", "retried", "degenerate_after_retry"), 0)
    for phase in ("intermediate", "training"):
        trained = [budget for budget in budgets if "first_loss" in budget.get(phase, {})]
        for name in dict.fromkeys(budget[phase]["comparison_group"] for budget in trained):
            group = [budget for budget in trained if budget[phase]["comparison_group"] == name]
            first = [budget[phase] for budget in group if "attempt" not in budget]
            for budget in group:
                target, arm = budget["target"], budget["arm"]
                row = rows.setdefault((target, arm, phase), {"target": target, "arm": arm, "phase": phase, **counts})
                retried = "attempt" in budget
                row["retried" if retried else "runs"] += 1
                row["degenerate_after_retry" if retried else "degenerate"] += degenerate([*first, budget[phase]])[-1]
    return list(rows.values())
