"""Claims about how a study is made up, checked on its configuration. A check gives what speaks against the claim and
what the run lacks to be spoken of at all."""

from collections.abc import Callable
from pathlib import PurePath

from xstilts.claims.entries import NINE, canonical
from xstilts.runs.reader import ArmFacts, Run
from xstilts.tasks.xtreme import TARGETS

LARGE = "xlm-roberta-large"

Check = tuple[list[str], list[str]]


def other_encoders(run: Run) -> list[str]:
    """Encoders of the study that are not XLM-R Large, told by the name of the repository or folder they come from."""
    entries = run.plan["study"]["encoders"].items()
    return [name for name, entry in entries if PurePath(entry.get("load") or "").name.lower() != LARGE]


def _encoder(run: Run) -> Check:
    others = other_encoders(run)
    lacks = _lacks_arm(run) + _lacks_target(run)
    if len(others) == len(run.plan["study"]["encoders"]):
        lacks.append(f"XLM-R Large as the encoder (the run has {', '.join(others)})")
    return [f"not all encoders are XLM-R Large: {', '.join(others)}"] if others else [], lacks


def _phases(run: Run) -> Check:
    """Cells with an intermediate task, on targets with training data, must have been through both trainings."""
    trained = {target for task, target in run.targets.items() if TARGETS[task].group != "retrieval"}
    arms = [name for name, arm in run.arms.items() if _of_the_nine(arm)]
    cells = [cell for cell in run.budgets if cell["arm"] in arms and cell["target"] in trained]
    lacks = _lacks_arm(run)
    if not cells:
        lacks.append("cells of such an arm on a target of XTREME with training data")
    short = [cell for cell in cells if not (cell.get("intermediate") and cell.get("training"))]
    return [f"{cell['target']} after {cell['arm']} lacks a phase" for cell in short], lacks


def _tasks(run: Run) -> Check:
    there = {canonical(arm.tasks)[0] for arm in run.arms.values() if len(arm.tasks) == 1 and _of_the_nine(arm)}
    return [], [f"an arm with {task} alone in English" for task in NINE if task not in there]


def _of_the_nine(arm: ArmFacts) -> bool:
    plain = arm.role == "arm" and arm.languages == "english" and not arm.translated
    return plain and bool(arm.tasks) and set(canonical(arm.tasks)) <= set(NINE)


def _lacks_arm(run: Run) -> list[str]:
    if any(map(_of_the_nine, run.arms.values())):
        return []
    return ["an arm with one of the nine intermediate tasks in English"]


def _lacks_target(run: Run) -> list[str]:
    return [] if run.targets else ["a target of XTREME"]


CHECKS: dict[str, Callable[[Run], Check]] = {"encoder": _encoder, "phases": _phases, "tasks": _tasks}
