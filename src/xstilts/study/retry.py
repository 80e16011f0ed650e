"""A second try for dead trainings: what the plan becomes when they are given another seed."""

from collections import defaultdict
from collections.abc import Iterator

from xstilts.engine import Store
from xstilts.study.plan import build_plan
from xstilts.study.results import learnt
from xstilts.study.steps import StudyPlan
from xstilts.training.dead import dead


def second_tries(planned: StudyPlan, store: Store) -> StudyPlan | None:
    """The plan with another seed for each dead training, and what follows from it; None where none is dead."""
    lost: set[str] = set()
    for trainings in _alike(planned):
        finished = {name: how for name in trainings if (how := learnt(store, name))}
        found = dead(list(finished.values()))
        lost |= {name for name, gone in zip(finished, found, strict=True) if gone}
    return build_plan(planned.frozen, frozenset(lost)) if lost else None


def _alike(planned: StudyPlan) -> Iterator[list[str]]:
    """The trainings that can be compared: those of one intermediate task or one target."""
    groups: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for cell in planned.cells:
        if cell.intermediate:
            groups["intermediate", planned.frozen.study.arms[cell.arm].intermediate][cell.intermediate] = None
        if cell.training:
            groups["target", cell.target][cell.training] = None
    return map(list, groups.values())
