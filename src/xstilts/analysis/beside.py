"""What stands beside a verdict and decides nothing: improvement run by run, selection by English dev, dead runs."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from xstilts.analysis.cube import Cube
from xstilts.analysis.effects import paired_cells
from xstilts.training.dead import dead

Row = dict[str, Any]


def improvement(
    cubes: Sequence[Cube], left: str, right: str, languages: Sequence[Sequence[str]], encoders: Sequence[str]
) -> Row:
    """How two arms compare run by run: `probability` that one run of `left` scores above one of `right` (mean over
    languages and targets; all pairs of runs, ties count half; Agarwal et al. 2021), and the standard deviations over
    replicates of either arm and of the paired difference, pooled over encoders."""
    chances, spreads = [], []
    for encoder in encoders:
        pairs = paired_cells(cubes, left, right, encoder)
        one, other = (
            np.mean([np.mean([cube.scores(cells, code) for code in codes], 0)
                     for cube, codes in zip(cubes, languages, strict=True)], 0)
            for cells in ([a for a, _ in pairs], [b for _, b in pairs])
        )  # fmt: skip
        chances.append(float(((one[:, None] > other) + 0.5 * (one[:, None] == other)).mean()))
        spreads.append([values.var(ddof=1) for values in (one, other, one - other)])
    sd = np.mean(spreads, 0) ** 0.5
    return {"probability": round(float(np.mean(chances)), 4), "sd_left": round(float(sd[0]), 4),
            "sd_right": round(float(sd[1]), 4), "sd_difference": round(float(sd[2]), 4)}  # fmt: skip


def selection(cubes: Iterable[Cube], budgets: Sequence[Row], held_out: Sequence[str]) -> list[Row]:
    """Per target and arm the held-out score of its replicates on average, of the one that English dev selects, and of
    the one that is best in the held-out languages themselves (the oracle, which nobody has); means over encoders.

    The distance between the last two is what choosing by English dev costs (Keung et al. 2020). Arms that have fewer
    than two runs with a dev score are left out.
    """
    rows = []
    for cube in cubes:
        codes = [code for code in held_out if code in cube.clusters]
        for arm in dict.fromkeys(cell[0] for cell in cube.sums):
            dev = {(b["arm"], b["encoder"], b["replicate"]): b["training"]["dev_score"]
                   for b in budgets if b["target"] == cube.target and b["arm"] == arm and "training" in b
                   and "attempt" not in b}  # fmt: skip
            found = []
            for encoder in dict.fromkeys(cell[1] for cell in cube.cells(arm)):
                cells = [cell for cell in cube.cells(arm, encoder) if dev.get(cell) is not None]
                if len(cells) > 1 and codes:
                    scores = np.mean([cube.scores(cells, code) for code in codes], 0)
                    chosen = int(np.argmax([dev[cell] for cell in cells]))
                    found.append([scores.mean(), scores[chosen], scores.max()])
            if found:
                mean, by_dev, oracle = (round(float(value), 4) for value in np.mean(found, 0))
                rows.append({"target": cube.target, "arm": arm, "mean": mean, "by_dev": by_dev, "oracle": oracle})
    return rows


def checkpoints(kept: Mapping[str, Cube], oracle: Mapping[str, Cube], held_out: Sequence[str]) -> list[Row]:
    """Per target and arm the held-out score of the weights that the study keeps, and of those that dev rows in the
    held-out languages chose, means over the replicates that have both."""
    rows = []
    for target, cube in ((name, cube) for name, cube in oracle.items() if name in kept):
        codes = [code for code in held_out if code in cube.clusters]
        for arm in dict.fromkeys(cell[0] for cell in cube.sums):
            cells = [cell for cell in cube.cells(arm) if cell in kept[target].sums]
            if not cells or not codes:
                continue
            means = [float(np.mean([one.scores(cells, code) for code in codes])) for one in (kept[target], cube)]
            rows.append({"target": target, "arm": arm, "kept": round(means[0], 4), "oracle": round(means[1], 4),
                         "replicates": len(cells)})  # fmt: skip
    return rows


def dead_runs(budgets: Sequence[Row]) -> list[Row]:
    """Per target, arm and phase how many runs came to nothing, judged by training loss and English dev alone.

    See `xstilts.training.dead.dead`. A run with `attempt` 2 is a second try and counts in `retried`.
    """
    rows: dict[tuple[str, str, str], Row] = {}
    for phase in ("intermediate", "training"):
        having = [budget for budget in budgets if "first_loss" in budget.get(phase, {})]
        for name in dict.fromkeys(budget[phase]["alike"] for budget in having):
            own = [budget for budget in having if budget[phase]["alike"] == name]
            first = [budget[phase] for budget in own if "attempt" not in budget]
            for budget in own:
                second = "attempt" in budget
                gone = dead([*first, budget[phase]])[-1]
                row = rows.setdefault(
                    (budget["target"], budget["arm"], phase),
                    {"target": budget["target"], "arm": budget["arm"], "phase": phase, "runs": 0, "dead": 0,
                     "retried": 0, "dead_after_retry": 0},
                )  # fmt: skip
                row["retried" if second else "runs"] += 1
                row["dead_after_retry" if second else "dead"] += gone
    return list(rows.values())
