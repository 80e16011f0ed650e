"""A plan at a glance: what it shares and costs, and a picture of its steps."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from xstilts.costs.estimate import Estimate
from xstilts.costs.makespan import simulate
from xstilts.study.steps import Cell, StudyPlan

BOXES = 60
"""A picture with more boxes cannot be read: then the arms of a kind and task are drawn together."""
Label = tuple[str, ...]


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


@dataclass(frozen=True)
class Graph:
    """Boxes (number of steps by label) and arrows between them (from, to)."""

    boxes: dict[Label, int]
    arrows: list[tuple[Label, Label]]


def grouped(planned: StudyPlan) -> Graph:
    """The steps that the study's cells need, by kind, task and arm, or by kind and task if those are too many."""
    arms: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in planned.cells:
        for fingerprint in (cell.predictions, cell.training, cell.intermediate):
            arms[fingerprint][cell.arm] = None
    steps, labels = planned.plan.steps, dict[str, Label]()
    for fingerprint in planned.plan.needed((), planned.wanted):
        step, served = steps[fingerprint], arms[fingerprint]
        training, task = step.arguments.get("tasks", {}), step.arguments.get("task", {})
        names = ", ".join(training) if step.kind == "train" else str(task.get("name", ""))
        labels[fingerprint] = step.kind, names, ", ".join(served) if len(served) < 4 else f"{len(served)} arms"
    if len(set(labels.values())) > BOXES:
        labels = {fingerprint: label[:2] for fingerprint, label in labels.items()}
    arrows = {(labels[f], label): None for to, label in labels.items() for f in steps[to].inputs.values()}
    return Graph(Counter(labels.values()), [arrow for arrow in arrows if arrow[0] != arrow[1]])


def dot(graph: Graph) -> str:
    """The graph in the language of Graphviz."""
    lines = _lines(graph, '  {} [label="{}"];', "  {} -> {};", "\\n")
    return "\n".join(["digraph plan {", "  rankdir=LR;", "  node [shape=box];", *lines, "}"])


def mermaid(graph: Graph) -> str:
    """The graph in the language of Mermaid, which many viewers of Markdown draw."""
    return "\n".join(["flowchart LR", *_lines(graph, '  {}["{}"]', "  {} --> {}", "<br/>")])


def _lines(graph: Graph, box: str, arrow: str, newline: str) -> list[str]:
    """A line for each box and each arrow."""
    names, lines = {label: f"n{i}" for i, label in enumerate(graph.boxes)}, []
    for label, count in graph.boxes.items():
        kind, *rest = (part.replace('"', "'") for part in label)
        lines.append(box.format(names[label], newline.join([f"{kind} × {count:,}", *filter(None, rest)])))
    return lines + [arrow.format(names[source], names[target]) for source, target in graph.arrows]
