"""A second try for dead trainings: what the plan becomes when they are given another seed."""

from collections import defaultdict
from collections.abc import Iterator

from xstilts.engine import Store
from xstilts.study.plan import build_plan
from xstilts.study.results import comparison_group, learnt
from xstilts.study.steps import StudyPlan
from xstilts.training.degenerate import degenerate


def second_tries(planned: StudyPlan, store: Store) -> StudyPlan | None:
    """The plan with another seed for each dead training, and what follows from it; None where none is dead."""
    lost: set[str] = set()
    for trainings in _alike(planned):
        finished = {name: how for name in trainings if (how := learnt(store, name))}
        found = degenerate(list(finished.values()))
        lost |= {name for name, gone in zip(finished, found, strict=True) if gone}
    return build_plan(planned.frozen, frozenset(lost), planned.ranks) if lost else None


def _alike(planned: StudyPlan) -> Iterator[list[str]]:
    """The trainings that can be compared, see `comparison_group`."""
    groups: dict[str, dict[str, None]] = defaultdict(dict)
    for cell in planned.cells:
        for phase, fingerprint in (("intermediate", cell.intermediate), ("training", cell.training)):
            if fingerprint:
                groups[comparison_group(phase, planned.plan.steps[fingerprint])][fingerprint] = None
    return map(list, groups.values())
