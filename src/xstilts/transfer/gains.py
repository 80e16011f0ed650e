"""Gains of intermediate training as rows: one for each arm, replicate, target and language of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.errors import XstiltsError
from xstilts.runs.reader import ArmFacts, Run


@dataclass(frozen=True)
class Row:
    """What one intermediate training gained in one language, over the same replicate without it, in points.

    unit: run, encoder and replicate, what was trained together; intermediate: its tasks joined by +; examples: of the
    intermediate training, over all its languages, NaN where that is not known.
    """

    run: str
    encoder: str
    unit: str
    arm: str
    intermediate: str
    sources: tuple[str, ...]
    target: str
    language: str
    gain: float
    examples: float = 1.0

    @property
    def compared(self) -> tuple[str, str, str]:
        """What rows must share for their gains to be compared: training, target and language."""
        return self.unit, self.target, self.language


def gains(runs: Sequence[Run], target: str = "") -> list[Row]:
    """The rows of all runs, of one target task if it is named.

    Left out are languages that the model was trained on (the anchor and the arm's own sources), baselines, and arms
    that mix in masked language modelling. Raises XstiltsError where a run has no arm without the phase, or none of the
    runs has the target.
    """
    rows = [row for run in runs for row in _gains(run, target)]
    if not rows:
        tasks = sorted({task for run in runs for task in run.study["tasks"].values()})
        raise XstiltsError(
            "inconsistent",
            f"there are no gains to learn from{f' on {target}' if target else ''}",
            f"the targets are {', '.join(tasks)}; each needs finished arms with and without an intermediate task",
            "finish the run, or give another",
        )
    return rows


def _gains(run: Run, only: str) -> list[Row]:
    reference = [arm for arm, facts in run.arms.items() if not facts.tasks and not facts.mlm and facts.role == "arm"]
    if not reference:
        raise XstiltsError(
            "unknown-name",
            f"{run.folder} has no arm without the intermediate phase",
            "a gain is a difference to that arm",
            "give the study an arm `none: {}`",
        )
    arms = {arm: facts for arm, facts in run.arms.items() if facts.tasks and not facts.mlm and facts.role != "baseline"}
    examples = {(b["arm"], b["encoder"], b["replicate"]): b["intermediate"]["examples"]
                for b in run.budgets if b.get("intermediate")}  # fmt: skip
    anchor = run.plan["study"]["languages"]["anchor"]
    rows = []
    for target in run.scored:
        task = run.study["tasks"][target]
        if only and task != only:
            continue
        table = run.score_table(target)
        for arm, facts in arms.items():
            for cell in table.cells(arm):
                base = (reference[0], *cell[1:])
                sources = run.sources(*cell)
                unit = f"{run.name}:{cell[1]}:{cell[2]}"
                for code in table.languages if base in table.cluster_stats else ():
                    if code not in (*sources, anchor):
                        gain = table.score(cell, code) - table.score(base, code)
                        rows.append(Row(run.name, cell[1], unit, arm, _label(facts), sources, task, code, gain,
                                        float(examples.get(cell) or np.nan)))  # fmt: skip
    return rows


def _label(facts: ArmFacts) -> str:
    return "+".join(facts.tasks) + (" translated" if facts.translated else "")


def signal(rows: Sequence[Row]) -> list[dict]:
    """Whether arms differ by more than their replicates do, for each run and target.

    An analysis of variance of the arms' mean gains, with what was trained together (encoder and replicate) as blocks;
    over the languages that all arms of a unit have. `p` is None where fewer than two arms or units are complete.
    """
    told = []
    for run, target in dict.fromkeys((row.run, row.target) for row in rows):
        own = [row for row in rows if (row.run, row.target) == (run, target)]
        arms, units = (sorted({getattr(row, name) for row in own}) for name in ("arm", "unit"))
        shared = set.intersection(*({row.language for row in own if row.arm == arm} for arm in arms))
        values = np.full((len(arms), len(units)), np.nan)
        for i, arm in enumerate(arms):
            for j, unit in enumerate(units):
                here = [r.gain for r in own if (r.arm, r.unit) == (arm, unit) and r.language in shared]
                values[i, j] = np.mean(here) if here else np.nan
        values = values[:, ~np.isnan(values).any(0)]
        told.append({"run": run, "target": target, "arms": len(arms), "units": values.shape[1], "p": _p(values)})
    return told


def _p(values: np.ndarray) -> float | None:
    """Of the F test of rows [rows, blocks] in a randomised block design."""
    a, b = values.shape
    if a < 2 or b < 2:
        return None
    centre = values.mean()
    between = b * ((values.mean(1) - centre) ** 2).sum() / (a - 1)
    residual = values - values.mean(1, keepdims=True) - values.mean(0) + centre
    within = (residual**2).sum() / ((a - 1) * (b - 1))
    return float(stats.f.sf(between / within, a - 1, (a - 1) * (b - 1))) if within > 0 else float(between == 0)
