"""What stands beside a verdict and decides nothing: improvement run by run, selection by English dev, dead runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xstilts.analysis.comparison import Comparison
from xstilts.analysis.effects import paired_cells
from xstilts.runs.score_table import ScoreTable
from xstilts.training.degenerate import degenerate

Row = dict[str, Any]


def improvement(comparison: Comparison) -> Row:
    """How two arms compare run by run: `probability` that one run of `left` scores above one of `right` (mean over
    languages and targets; all pairs of runs, ties count half; Agarwal et al. 2021), and the standard deviations over
    replicates of either arm and of the paired difference, pooled over encoders."""
    chances, spreads = [], []
    for encoder in comparison.encoders:
        pairs = paired_cells(comparison, encoder)
        one, other = (
            np.mean([np.mean([table.scores(cells, code) for code in codes], 0)
                     for table, codes in zip(comparison.tables, comparison.languages, strict=True)], 0)
            for cells in ([a for a, _ in pairs], [b for _, b in pairs])
        )  # fmt: skip
        chances.append(float(((one[:, None] > other) + 0.5 * (one[:, None] == other)).mean()))
        spreads.append([values.var(ddof=1) for values in (one, other, one - other)])
    sd = np.mean(spreads, 0) ** 0.5
    return {"probability": round(float(np.mean(chances)), 4), "sd_left": round(float(sd[0]), 4),
            "sd_right": round(float(sd[1]), 4), "sd_difference": round(float(sd[2]), 4)}  # fmt: skip


def selection(tables: Iterable[ScoreTable], budgets: Sequence[Row], held_out: Sequence[str]) -> list[Row]:
    """Per target and arm the held-out score of its replicates on average, of the one that English dev selects, and of
    the one that is best in the held-out languages themselves (the oracle, which nobody has); means over encoders.

    The distance between the last two is what choosing by English dev costs (Keung et al. 2020). Arms that have fewer
    than two runs with a dev score are left out.
    """
    rows = []
    for table in tables:
        codes = [code for code in held_out if code in table.clusters]
        for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats):
            dev = {(b["arm"], b["encoder"], b["replicate"]): b["training"]["dev_score"]
                   for b in budgets if b["target"] == table.target and b["arm"] == arm and "training" in b
                   and "attempt" not in b}  # fmt: skip
            found = []
            for encoder in dict.fromkeys(cell[1] for cell in table.cells(arm)):
                cells = [cell for cell in table.cells(arm, encoder) if dev.get(cell) is not None]
                if len(cells) > 1 and codes:
                    scores = np.mean([table.scores(cells, code) for code in codes], 0)
                    chosen = int(np.argmax([dev[cell] for cell in cells]))
                    found.append([scores.mean(), scores[chosen], scores.max()])
            if found:
                mean, by_dev, oracle = (round(float(value), 4) for value in np.mean(found, 0))
                rows.append({"target": table.target, "arm": arm, "mean": mean, "by_dev": by_dev, "oracle": oracle})
    return rows


def checkpoints(kept: Mapping[str, ScoreTable], oracle: Mapping[str, ScoreTable], held_out: Sequence[str]) -> list[Row]:
    """Per target and arm the held-out score of the weights that the study keeps, and of those that dev rows in the
    held-out languages chose, means over the replicates that have both."""
    rows = []
    for target, table in ((name, table) for name, table in oracle.items() if name in kept):
        codes = [code for code in held_out if code in table.clusters]
        for arm in dict.fromkeys(cell[0] for cell in table.cluster_stats):
            cells = [cell for cell in table.cells(arm) if cell in kept[target].cluster_stats]
            if not cells or not codes:
                continue
            means = [float(np.mean([one.scores(cells, code) for code in codes])) for one in (kept[target], table)]
            rows.append({"target": target, "arm": arm, "kept": round(means[0], 4), "oracle": round(means[1], 4),
                         "replicates": len(cells)})  # fmt: skip
    return rows


def degenerate_runs(budgets: Sequence[Row]) -> list[Row]:
    """Per target, arm and phase how many runs came to nothing, judged by training loss and English dev alone.

    See `xstilts.training.degenerate.dead`. A run with `attempt` 2 is a second try and counts in `retried`.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    for phase in ("intermediate", "training"):
        having = [budget for budget in budgets if "first_loss" in budget.get(phase, {})]
        for name in dict.fromkeys(budget[phase]["comparison_group"] for budget in having):
            own = [budget for budget in having if budget[phase]["comparison_group"] == name]
            first = [budget[phase] for budget in own if "attempt" not in budget]
            for budget in own:
                second = "attempt" in budget
                gone = degenerate([*first, budget[phase]])[-1]
                row = rows.setdefault(
                    (budget["target"], budget["arm"], phase),
                    {"target": budget["target"], "arm": budget["arm"], "phase": phase, "runs": 0, "degenerate": 0,
                     "retried": 0, "degenerate_after_retry": 0},
                )  # fmt: skip
                row["retried" if second else "runs"] += 1
                row["degenerate_after_retry" if second else "degenerate"] += gone
    return list(rows.values())
