"""What a reader of a study's plan must know of its design before anything is trained."""

from xstilts.study.draws import parts_of
from xstilts.study.schema import Study
from xstilts.study.translators import translator_notes
from xstilts.tasks.task import Task


def notes(study: Study, tasks: dict[str, Task], pool: tuple[str, ...], held_out: tuple[str, ...]) -> list[str]:
    """What in the design weakens a result or makes it say less than it seems to, in sentences."""
    return [*_same_task(study, tasks), *_unequal(study, tasks), *translator_notes(study, pool, held_out)]


def _same_task(study: Study, tasks: dict[str, Task]) -> list[str]:
    """Intermediate trainings that hold a target's own task; of a mixture the parts are named, without quotes, so that
    the mark is one of the mixture alone."""
    marks = []
    for name, training in study.intermediate.items():
        families = {part: tasks[own.task].family for part, own in parts_of(study, name).items()}
        for target, entry in study.targets.items():
            family = tasks[entry.task or target].family
            twice = [part for part, own in families.items() if family and own == family]
            if twice:
                within = f" (by {', '.join(twice)})" if training.mixture else ""
                marks.append(f"intermediate '{name}'{within} and target '{target}' are one task twice ({family})")
    return marks


def _unequal(study: Study, tasks: dict[str, Task]) -> list[str]:
    """Arms that take all rows of several languages, where these are not the same items: more languages, more rows."""
    told = []
    for name, arm in study.arms.items():
        if arm.intermediate and arm.languages != "english" and not arm.translated:
            parts = parts_of(study, arm.intermediate)
            loose = [part for part, t in parts.items() if t.examples is None and not tasks[t.task].parallel]
            if loose:
                told.append(f"arm '{name}' takes all rows of '{loose[0]}' in each of its languages: give the training "
                            "`examples`, so that arms have equal budgets")  # fmt: skip
    return told
