"""What a whole study costs: what is shared, what is in the store, and when it would be done."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from xstilts.costs.estimate import Estimate
from xstilts.costs.makespan import simulate
from xstilts.study.steps import Cell, StudyPlan

TRAINING = "train"
"""The kind of step that is a training run."""


def naive_runs(cells: list[Cell]) -> int:
    """Training runs of one pipeline per cell: each would train its own intermediate and target phase."""
    return sum(bool(cell.intermediate) + bool(cell.training) for cell in cells)


def naive_flops(cells: list[Cell], estimates: dict[str, Estimate]) -> float:
    """FLOPs of one pipeline per cell, from the same encoders."""
    steps = [f for cell in cells for f in (cell.intermediate, cell.training, cell.predictions, cell.oracle) if f]
    return sum(estimates[fingerprint].flops for fingerprint in steps)


def bill(
    planned: StudyPlan, estimates: dict[str, Estimate], finished: set[str], devices: int, dispatch: float = 0.0
) -> dict[str, Any]:
    """The study's price as a JSON object: of all its steps, and of those that `finished` leaves to run.

    Hours are device-hours, and those of the makespan hours of a clock, on `devices` devices at once.
    """
    plan = planned.plan
    todo = plan.needed(finished, planned.wanted)
    runs = [f for f, step in plan.steps.items() if step.kind == TRAINING]
    seconds = {fingerprint: estimate.seconds for fingerprint, estimate in estimates.items()}
    assumed = sum(estimates[f].assumed for f in plan.steps)
    return {
        "naive_runs": naive_runs(planned.cells),
        "training_runs": len(runs),
        "naive_flops": naive_flops(planned.cells, estimates),
        "cached_steps": len(finished),
        "devices": devices,
        **_total(planned, estimates, seconds, list(plan.steps), devices, dispatch),
        "to_run": {"steps": len(todo), **_total(planned, estimates, seconds, todo, devices, dispatch)},
        "assumed_steps": assumed,
        "kinds": kinds(planned, estimates, finished),
    }


def _total(
    planned: StudyPlan, estimates: dict[str, Estimate], seconds: dict[str, float], steps: list[str], devices: int,
    dispatch: float,
) -> dict[str, Any]:  # fmt: skip
    schedule = simulate(planned.plan, steps, seconds, devices, dispatch)
    return {
        "tokens": sum(estimates[f].tokens for f in steps),
        "flops": sum(estimates[f].flops for f in steps),
        "device_hours": schedule.busy / 3600,
        "makespan_hours": schedule.makespan / 3600,
        "critical_path_hours": schedule.critical / 3600,
        "devices_used": schedule.use(devices),
        "disk_bytes": sum(estimates[f].size for f in steps),
        "memory_gb": max((estimates[f].memory for f in steps), default=0.0),
        "device_memory_gb": max((estimates[f].device_memory for f in steps), default=0.0),
    }


def kinds(planned: StudyPlan, estimates: dict[str, Estimate], finished: set[str]) -> list[dict[str, Any]]:
    """Per kind of step: how many there are and are in the store already, what all of them cost, and the most memory
    that one of them needs."""
    steps = planned.plan.steps
    count, cached = Counter(s.kind for s in steps.values()), Counter(steps[f].kind for f in finished)
    rows = {kind: {"kind": kind, "steps": n, "cached": cached[kind]} for kind, n in count.items()}
    for fingerprint, step in steps.items():
        row = rows[step.kind]
        for name, value in asdict(estimates[fingerprint]).items():
            if name.endswith("memory"):
                row[f"{name}_gb"] = max(row.get(f"{name}_gb", 0.0), value)
            else:
                row[name] = row.get(name, 0) + value
    return list(rows.values())
