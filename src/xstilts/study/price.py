"""What a whole study costs: what is shared, what is in the store, and how long the rest takes."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from xstilts.costs.estimate import Estimate
from xstilts.costs.makespan import simulate
from xstilts.study.steps import Cell, StudyPlan


def naive_runs(cells: list[Cell]) -> int:
    """Training runs of one pipeline per cell: each would train its own intermediate and target phase."""
    return sum(len(cell.trainings) for cell in cells)


def bill(
    planned: StudyPlan, estimates: Mapping[str, Estimate], finished: Collection[str], devices: int
) -> dict[str, Any]:
    """The study's cost as a JSON object: of all its steps, and of those that `finished` leaves to run.

    Device hours count every device; hours of the makespan and the critical path are those of a clock. Of each kind of
    step: how many there are and are in the store, their sums, and the most memory that one of them needs.
    """
    plan, cells = planned.plan, planned.cells
    todo = plan.needed(finished, planned.wanted)
    kinds: dict[str, defaultdict[str, Any]] = {}
    for fingerprint, step in plan.steps.items():
        row = kinds.setdefault(step.kind, defaultdict(int, kind=step.kind, steps=0, cached=0))
        row["steps"] += 1
        row["cached"] += fingerprint in finished
        for name, value in asdict(estimates[fingerprint]).items():
            if name.endswith("memory"):
                row[f"{name}_gb"] = max(row[f"{name}_gb"], value)
            else:
                row[name] += value
    return {
        "naive_runs": naive_runs(cells),
        "training_runs": sum(step.kind == "train" for step in plan.steps.values()),
        "naive_flops": sum(estimates[fingerprint].flops for cell in cells for fingerprint in cell.steps),
        "cached_steps": len(finished),
        "devices": devices,
        **_total(planned, estimates, list(plan.steps), devices),
        "to_run": {"steps": len(todo), **_total(planned, estimates, todo, devices)},
        "assumed_steps": sum(estimates[f].assumed for f in plan.steps),
        "kinds": list(kinds.values()),
    }


def _total(planned: StudyPlan, estimates: Mapping[str, Estimate], steps: list[str], devices: int) -> dict[str, Any]:
    priced = [estimates[f] for f in steps]
    schedule = simulate(planned.plan, steps, {f: estimates[f].seconds for f in steps}, devices)
    return {
        "tokens": sum(estimate.tokens for estimate in priced),
        "flops": sum(estimate.flops for estimate in priced),
        "device_hours": schedule.busy / 3600,
        "makespan_hours": schedule.makespan / 3600,
        "critical_path_hours": schedule.critical / 3600,
        "devices_used": schedule.use(devices),
        "disk_bytes": sum(estimate.size for estimate in priced),
        "memory_gb": max((estimate.memory for estimate in priced), default=0.0),
        "device_memory_gb": max((estimate.device_memory for estimate in priced), default=0.0),
    }
