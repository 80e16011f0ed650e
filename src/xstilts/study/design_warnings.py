"""Design warnings: what a reader of a study's plan must know of its design before anything is trained."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from xstilts.config.schema import Arm, Study, parse_contrast
from xstilts.languages.split import Split
from xstilts.study.source_languages import Sources, parts_of, side_of, translatable
from xstilts.tasks.task import Task
from xstilts.translation.codes import known_targets


def design_warnings(study: Study, tasks: dict[str, Task], split: Split, sources: Sources) -> Iterator[str]:
    """Whatever in the design weakens a result, or limits what it shows, in sentences."""
    if study.replicates == 1:
        outcome = "scores without intervals, and every verdict will be 'undetermined'"
        yield f"with one replicate there will be {outcome}: set `replicates` to 2 or more"
    for name, training in study.intermediate.items():
        families = {part: tasks[entry.task].family for part, entry in parts_of(study, name).items()}
        for target, entry in study.targets.items():
            family = tasks[entry.task].family
            if same := [part for part in families if family and families[part] == family]:
                parts = f" (by {', '.join(same)})" if training.mixture else ""
                both = f"intermediate '{name}'{parts} and target '{target}' are both"
                label = family.upper() if len(family) < 4 else family
                yield f"{both} {label}: gains may be extra same-task training"
    for name, arm in study.arms.items():  # several languages that are no translations: more languages, more examples
        if arm.intermediate and arm.languages != "english" and not arm.translated:
            trainings = parts_of(study, arm.intermediate).items()
            if unlimited := [part for part, t in trainings if t.examples is None and not tasks[t.task].parallel]:
                what = f"arm '{name}' takes all examples of '{unlimited[0]}' in each of its languages"
                yield f"{what}: give the training `examples`, so that arms have equal budgets"
    yield from _same_languages(study, sources)
    for text in confounded(study):
        yield f"control '{text}' is secondary: it confounds language with data set"
    for name, arm in study.arms.items():
        candidates, known = side_of(split, arm), translatable(study, arm, split)
        lacking = [code for code in candidates if code not in known]
        if lacking and not arm.given:
            yield f"arm '{name}' leaves out {', '.join(lacking)}: its translator '{arm.translated}' lacks them"
    for name in dict.fromkeys(arm.translated for arm in study.arms.values() if arm.translated):
        if known_targets(study.translators[name].load) is None:
            why = "its languages are not known before it is loaded"
            yield f"translator '{name}': {why}; if it lacks one, the step of that language will fail"


def confounded(study: Study) -> list[str]:
    """The controls whose arms differ in data sets and in languages: a difference cannot be attributed to either."""
    controls = []
    for text in study.controls:
        contrast = parse_contrast(text, study.primary)
        arms = study.arms[contrast.left], study.arms[contrast.right]
        if all(arm.intermediate for arm in arms) and _languages(arms[0]) != _languages(arms[1]):
            left, right = ([part.task for part in parts_of(study, arm.intermediate).values()] for arm in arms)
            controls += [text] if left != right else []
    return controls


def _languages(arm: Arm) -> dict[str, Any]:
    """The settings that choose the languages of an arm."""
    return arm.model_dump(include={"languages", "given", "count", "exact", "scores"})


def _same_languages(study: Study, sources: Sources) -> Iterator[str]:
    """Arms in contrasts that differ in their languages alone, and in some replicates not even in those."""
    contrasts = [parse_contrast(text, study.primary) for text in (*study.contrasts, *study.controls)]
    compared = dict.fromkeys(name for contrast in contrasts for name in (contrast.left, contrast.right))
    arms = {name: study.arms[name] for name in compared}
    other_settings = {name: arm.model_dump(exclude={*_languages(arm), "role"}) for name, arm in arms.items()}
    for a, b in combinations(arms, 2):
        shared = sources[a].keys() & sources[b].keys()
        same = sum(set(sources[a][name]) == set(sources[b][name]) for name in shared)
        if other_settings[a] == other_settings[b] and same:
            what = f"arms '{a}' and '{b}' train on the same languages in {same} of {len(shared)} replicates"
            yield f"{what}, which are the same trainings"
