"""A plan as a picture: steps of one kind, task and arm are one box with their number."""

from collections import defaultdict
from dataclasses import dataclass

from xstilts.engine import Step
from xstilts.study.steps import StudyPlan

BOXES = 60
"""More boxes than this are not readable: then the arms of a kind and task are drawn together."""


@dataclass(frozen=True)
class Graph:
    """Boxes (number of steps by label) and arrows between them (from, to)."""

    boxes: dict[tuple[str, ...], int]
    arrows: list[tuple[tuple[str, ...], tuple[str, ...]]]


def grouped(planned: StudyPlan) -> Graph:
    """The steps that the study's cells need, by kind, task and arm, or by kind and task where that is too many."""
    arms = _arms(planned)
    wanted = planned.plan.needed((), planned.wanted)
    steps = planned.plan.steps
    full = {f: _label(steps[f], arms[f]) for f in wanted}
    label = full if len(set(full.values())) <= BOXES else {f: name[:2] for f, name in full.items()}
    boxes: dict[tuple[str, ...], int] = defaultdict(int)
    arrows: dict[tuple[tuple[str, ...], tuple[str, ...]], None] = {}
    for fingerprint in wanted:
        boxes[label[fingerprint]] += 1
        for source in steps[fingerprint].inputs.values():
            arrows[label[source], label[fingerprint]] = None
    return Graph(dict(boxes), [pair for pair in arrows if pair[0] != pair[1]])


def _arms(planned: StudyPlan) -> dict[str, list[str]]:
    """Per step the arms whose cells name it."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in planned.cells:
        for fingerprint in (cell.predictions, cell.training, cell.intermediate):
            found[fingerprint][cell.arm] = None
    return defaultdict(list, {fingerprint: list(arms) for fingerprint, arms in found.items()})


def _label(step: Step, arms: list[str]) -> tuple[str, ...]:
    arguments = step.arguments
    task = ", ".join(arguments["tasks"]) if step.kind == "train" else str(arguments.get("task", {}).get("name", ""))
    return step.kind, task, ", ".join(arms) if len(arms) < 4 else f"{len(arms)} arms"


def _text(label: tuple[str, ...], count: int, newline: str) -> str:
    kind, *rest = (part.replace('"', "'") for part in label)
    return newline.join([f"{kind} × {count:,}", *(part for part in rest if part)])


def dot(graph: Graph) -> str:
    """The graph in the language of Graphviz."""
    names = {label: f"n{i}" for i, label in enumerate(graph.boxes)}
    boxes = [
        f'  {names[label]} [label="{_text(label, count, chr(92) + "n")}"];' for label, count in graph.boxes.items()
    ]
    arrows = [f"  {names[source]} -> {names[target]};" for source, target in graph.arrows]
    return "\n".join(["digraph plan {", "  rankdir=LR;", "  node [shape=box];", *boxes, *arrows, "}"])


def mermaid(graph: Graph) -> str:
    """The graph in the language of Mermaid, which many viewers of Markdown draw."""
    names = {label: f"n{i}" for i, label in enumerate(graph.boxes)}
    boxes = [f'  {names[label]}["{_text(label, count, "<br/>")}"]' for label, count in graph.boxes.items()]
    arrows = [f"  {names[source]} --> {names[target]}" for source, target in graph.arrows]
    return "\n".join(["flowchart LR", *boxes, *arrows])
