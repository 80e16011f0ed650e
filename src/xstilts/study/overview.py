"""A plan at a glance: what it shares and costs, and a picture of its steps."""

import heapq
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from typing import Any

from xstilts.costs.devices import START
from xstilts.costs.estimate import Estimate
from xstilts.engine import Plan
from xstilts.study.keep_models import disk_needed
from xstilts.study.steps import StudyPlan

BOXES = 60
"""A picture with more boxes cannot be read: then the arms of a kind and task are drawn together."""
PICTURES = {
    "dot": ("digraph plan {\n  rankdir=LR;\n  node [shape=box];", '  {} [label="{}"];', "  {} -> {};", "\\n", "}"),
    "mermaid": ("flowchart LR", '  {}["{}"]', "  {} --> {}", "<br/>", ""),
}
"""The languages of Graphviz, and of Mermaid, which many viewers of Markdown draw: start, box, arrow, new line, end."""
Label = tuple[str, ...]


def bill(
    planned: StudyPlan, estimates: Mapping[str, Estimate], finished: Collection[str], devices: int,
    discarded: Collection[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """The study's cost as a JSON object: of all its steps, and of those that `finished` leaves to run.

    discarded: finished trainings without their models, which run again if a step that is left needs them.

    Naive runs and FLOPs are those of one pipeline per cell, each with its own intermediate and target training. Device
    hours count every device; hours of the makespan and the critical path are those of a clock.
    """
    plan, kinds = planned.plan, defaultdict(list)
    for fingerprint, step in plan.steps.items():
        kinds[step.kind].append(fingerprint)

    def sums(steps: Collection[str]) -> dict[str, Any]:
        names = (name for name in Estimate.__annotations__ if name != "examples")  # not known for every step
        columns = {name: [getattr(estimates[f], name) for f in steps] for name in names}
        most = {f"{name}_gb": max(columns.pop(name), default=0.0) for name in ("memory", "device_memory")}
        return {name: sum(column) for name, column in columns.items()} | most

    def total(steps: Collection[str]) -> dict[str, Any]:
        result = sums(steps)
        columns = {name: result[name] for name in ("tokens", "flops", "memory_gb", "device_memory_gb")}
        schedule = simulate(plan, steps, {f: estimates[f].seconds for f in steps}, devices)
        return columns | {"disk_bytes": result["size"]} | schedule

    sizes, seconds = ({f: getattr(estimates[f], name) for f in plan.steps} for name in ("size", "seconds"))
    live = simulate(plan, plan.steps, seconds, devices, sizes)["model_bytes"]
    todo = plan.needed(finished, planned.wanted, discarded)
    counts = {kind: {"steps": len(fs), "cached": sum(f in finished for f in fs)} for kind, fs in kinds.items()}
    return {
        "naive_runs": sum(len(cell.trainings) for cell in planned.cells),
        "training_runs": sum(step.kind == "train" for step in plan.steps.values()),
        "naive_flops": sum(estimates[f].flops for cell in planned.cells for f in cell.steps),
        "cached_steps": len(finished),
        "devices": devices,
        **total(plan.steps),
        "disk_bytes_by_keep_models": disk_needed(planned, sizes, live),
        "to_run": {"steps": len(todo), **total(todo)},
        "assumed_steps": sum(estimates[f].assumed for f in plan.steps),
        "kinds": [{"kind": kind, **counts[kind], **sums(steps)} for kind, steps in kinds.items()],
    }


def simulate(
    plan: Plan, todo: Collection[str], seconds: Mapping[str, float], devices: int,
    sizes: Mapping[str, float] | None = None,
) -> dict[str, float]:  # fmt: skip
    """Simulate a schedule of the steps `todo`: a free device takes the ready step with the longest chain behind it, as
    the local engine does. Inputs that are not in `todo` count as finished; `seconds` is what a step takes on a device.

    Each device that is used starts a worker process first. Returns the hours of all devices together, from the first
    start to the last end, and of the longest chain, which bounds the makespan on any number of devices; and the share
    of the devices' time that is used, 0 to 1.

    sizes: the bytes that each step leaves. Then the order is `Plan.frugal_order`, as if models are deleted that no step
    needs any more, and `model_bytes` are the most that the other models, with those in the making, have at one time.
    """
    wanted = set(todo)
    graph = {f: wanted.intersection(step.inputs.values()) for f, step in plan.steps.items() if f in wanted}
    chains = dict.fromkeys(graph, 0.0)  # seconds of the longest chain that starts with a step
    for f in reversed(graph):
        chains[f] += seconds[f]
        for source in graph[f]:
            chains[source] = max(chains[source], chains[f])
    sizes, rank = sizes or {}, plan.frugal_order() if sizes else {}
    sorter, now, started = TopologicalSorter(graph), 0.0, 0
    sorter.prepare()
    ready: list[tuple[int, float, str]] = []
    running: list[tuple[float, str]] = []
    models = {f: sizes.get(f, 0.0) for f in graph if plan.steps[f].kind == "train"}
    users = Counter(source for sources in graph.values() for source in sources)
    live = most = 0.0
    while sorter.is_active():
        for f in sorter.get_ready():
            heapq.heappush(ready, (-rank.get(f, 0), -chains[f], f))
        while ready and len(running) < devices:
            f = heapq.heappop(ready)[-1]
            is_new = len(running) == started
            started += is_new
            heapq.heappush(running, (now + START * is_new + seconds[f], f))
            live += models.get(f, 0.0)
        most = max(most, live)
        now, finished = heapq.heappop(running)
        sorter.done(finished)
        users.subtract(graph[finished])
        live -= sum(models.get(f, 0.0) for f in (finished, *graph[finished]) if not users[f])
    busy = START * started + sum(seconds[f] for f in graph)
    return {
        "device_hours": busy / 3600,
        "makespan_hours": now / 3600,
        "critical_path_hours": min(now, max(chains.values(), default=0.0)) / 3600,  # sums round differently
        "devices_used": busy / (now * devices) if now else 0.0,
        "model_bytes": most,
    }


def grouped(planned: StudyPlan) -> tuple[Counter[Label], list[tuple[Label, Label]]]:
    """The steps that the study's cells need, by kind, task and arm, or by kind and task if those are too many: the
    number of steps by label, and the labels of each two groups of which the second reads the first."""
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
    return Counter(labels.values()), [arrow for arrow in arrows if arrow[0] != arrow[1]]


def draw(planned: StudyPlan, language: str) -> str:
    """The groups of steps as boxes with arrows between them, in one of `PICTURES`."""
    (boxes, arrows), (start, box, arrow, newline, end) = grouped(planned), PICTURES[language]
    names, lines = {label: f"n{i}" for i, label in enumerate(boxes)}, [start]
    for label, count in boxes.items():
        kind, *rest = (part.replace('"', "'") for part in label)
        lines.append(box.format(names[label], newline.join([f"{kind} × {count:,}", *filter(None, rest)])))
    lines += [arrow.format(names[source], names[target]) for source, target in arrows]
    return "\n".join([*lines, *end])
