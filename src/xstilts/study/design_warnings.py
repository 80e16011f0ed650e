"""Design warnings: what a reader of a study's plan must know of its design before anything is trained."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from xstilts.config.schema import Arm, Study, parse_contrast
from xstilts.study.source_languages import parts_of, translatable
from xstilts.tasks.task import Task
from xstilts.translation.known import known_targets


def design_warnings(
    study: Study,
    tasks: dict[str, Task],
    pool: tuple[str, ...],
    held_out: tuple[str, ...],
    sources: dict[str, dict[str, tuple[str, ...]]],
) -> list[str]:
    """Whatever in the design weakens a result, or limits what it shows, in sentences.

    sources: languages per arm and name of its randomness.
    """
    return [
        *_one_replicate(study),
        *_same_task(study, tasks),
        *_unequal_budgets(study, tasks),
        *_same_languages(study, sources),
        *(f"control '{text}' is secondary: it confounds language with data set" for text in confounded(study)),
        *_translators(study, pool, held_out),
    ]


def confounded(study: Study) -> list[str]:
    """The controls whose arms differ in data sets and in languages: a difference cannot be attributed to either."""
    controls = []
    for text in study.controls:
        contrast = parse_contrast(text, study.primary)
        left, right = study.arms[contrast.left], study.arms[contrast.right]
        if left.intermediate and right.intermediate and _languages(left) != _languages(right):
            data = [{part.task for part in parts_of(study, arm.intermediate).values()} for arm in (left, right)]
            controls += [text] if data[0] != data[1] else []
    return controls


def _languages(arm: Arm) -> dict[str, Any]:
    """The settings that choose the languages of an arm."""
    return arm.model_dump(include={"languages", "given", "count", "exact", "scores"})


def _one_replicate(study: Study) -> Iterator[str]:
    if study.replicates == 1:
        yield ("with one replicate there will be scores without intervals, and every verdict will be 'undetermined': "
               "set `replicates` to 2 or more")  # fmt: skip


def _same_task(study: Study, tasks: dict[str, Task]) -> Iterator[str]:
    """Intermediate trainings on a target's own task. The parts of a mixture are named without quotes, so that the
    warning is about the mixture alone."""
    for name, training in study.intermediate.items():
        families = {part: tasks[t.task].family for part, t in parts_of(study, name).items()}
        for target, entry in study.targets.items():
            family = tasks[entry.task or target].family
            same = [part for part, part_family in families.items() if family and part_family == family]
            if same:
                parts = f" (by {', '.join(same)})" if training.mixture else ""
                label = family.upper() if len(family) < 4 else family
                yield (f"intermediate '{name}'{parts} and target '{target}' are both {label}: gains may be extra "
                       "same-task training")  # fmt: skip


def _unequal_budgets(study: Study, tasks: dict[str, Task]) -> Iterator[str]:
    """Arms that take all examples of several languages that are no translations: more languages, more examples."""
    for name, arm in study.arms.items():
        if arm.intermediate and arm.languages != "english" and not arm.translated:
            parts = parts_of(study, arm.intermediate)
            unlimited = [part for part, t in parts.items() if t.examples is None and not tasks[t.task].parallel]
            if unlimited:
                yield (f"arm '{name}' takes all examples of '{unlimited[0]}' in each of its languages: give the "
                       "training `examples`, so that arms have equal budgets")  # fmt: skip


def _same_languages(study: Study, sources: dict[str, dict[str, tuple[str, ...]]]) -> Iterator[str]:
    """Arms in contrasts that differ in their languages alone, and in some replicates not even in those."""
    contrasts = [parse_contrast(text, study.primary) for text in (*study.contrasts, *study.controls)]
    compared = dict.fromkeys(name for contrast in contrasts for name in (contrast.left, contrast.right))
    other_settings = {
        name: study.arms[name].model_dump(exclude={*_languages(study.arms[name]), "role"}) for name in compared
    }
    for a, b in combinations(compared, 2):
        shared = sources[a].keys() & sources[b].keys()
        same = sum(set(sources[a][name]) == set(sources[b][name]) for name in shared)
        if other_settings[a] == other_settings[b] and same:
            yield (f"arms '{a}' and '{b}' train on the same languages in {same} of {len(shared)} replicates, "
                   "which are the same trainings")  # fmt: skip


def _translators(study: Study, pool: tuple[str, ...], held_out: tuple[str, ...]) -> Iterator[str]:
    """Languages that arms do not draw because their translator lacks them, and translators of unknown languages."""
    for name, arm in study.arms.items():
        candidates = held_out if arm.languages == "held-out" else pool
        lacking = [code for code in candidates if code not in translatable(study, arm, candidates)]
        if lacking and not arm.given:
            yield f"arm '{name}' leaves out {', '.join(lacking)}: its translator '{arm.translated}' lacks them"
    for name in dict.fromkeys(arm.translated for arm in study.arms.values() if arm.translated):
        if known_targets(study.translators[name].load) is None:
            yield (f"translator '{name}': its languages are not known before it is loaded; if it lacks one, the step "
                   "of that language will fail")  # fmt: skip
