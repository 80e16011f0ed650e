"""What a reader of a study's plan must know of its design before anything is trained."""

from itertools import combinations
from typing import Any

from xstilts.config.schema import Arm, Study, parse_contrast
from xstilts.study.source_languages import parts_of
from xstilts.study.translators import translator_notes
from xstilts.tasks.task import Task


def notes(
    study: Study,
    tasks: dict[str, Task],
    pool: tuple[str, ...],
    held_out: tuple[str, ...],
    sources: dict[str, dict[str, tuple[str, ...]]],
) -> list[str]:
    """What in the design weakens a result or makes it say less than it seems to, in sentences.

    sources: languages per arm and name of its randomness.
    """
    return [
        *_same_task(study, tasks),
        *_unequal(study, tasks),
        *_same_languages(study, sources),
        *(f"control '{text}' is secondary: it confounds language with data set" for text in confounded(study)),
        *translator_notes(study, pool, held_out),
    ]


def confounded(study: Study) -> list[str]:
    """The controls whose arms train on other data sets and in other languages: neither alone explains a difference."""
    found = []
    for text in study.controls:
        contrast = parse_contrast(text, study.primary)
        left, right = study.arms[contrast.left], study.arms[contrast.right]
        if left.intermediate and right.intermediate and _languages(left) != _languages(right):
            data = [{part.task for part in parts_of(study, arm.intermediate).values()} for arm in (left, right)]
            found += [text] if data[0] != data[1] else []
    return found


def _languages(arm: Arm) -> dict[str, Any]:
    """What chooses the languages of an arm."""
    return arm.model_dump(include={"languages", "given", "count", "exact", "scores"})


def _same_languages(study: Study, sources: dict[str, dict[str, tuple[str, ...]]]) -> list[str]:
    """Arms in contrasts that differ in their languages alone, and in some replicates not even in those."""
    told = []
    contrasts = [parse_contrast(text, study.primary) for text in (*study.contrasts, *study.controls)]
    judged = dict.fromkeys(name for contrast in contrasts for name in (contrast.left, contrast.right))
    rests = {name: study.arms[name].model_dump(exclude={*_languages(study.arms[name]), "role"}) for name in judged}
    for one, other in combinations(judged, 2):
        shared = sources[one].keys() & sources[other].keys()
        same = sum(set(sources[one][name]) == set(sources[other][name]) for name in shared)
        if rests[one] == rests[other] and same:
            often = f"{same} of {len(shared)} replicates"
            told.append(f"arms '{one}' and '{other}' train on the same languages in {often}: there, their contrasts "
                        "say the same twice")  # fmt: skip
    return told


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
