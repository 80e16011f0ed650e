"""A plan as a picture: all steps of one kind, task and arm are one box with their number."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from xstilts.study.steps import StudyPlan

BOXES = 60
"""A picture with more boxes cannot be read: then the arms of a kind and task are drawn together."""
Label = tuple[str, ...]


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
