"""Decides, before anything is trained, all that a study leaves open: languages, draws, precision, device, revisions.
Warns of what in the design weakens a result.

Data sets, encoders and translators of the hub without a fixed revision get the commit that they have when the study is
frozen, so that every fingerprint contains a commit.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from xstilts.config.schema import Arm, Study, parse_contrast
from xstilts.data.examples import available, has_fallback, required_tasks
from xstilts.data.hub import mirror
from xstilts.errors import XstiltsError
from xstilts.hub_access import current_commit
from xstilts.languages import distance_matrix, split_languages
from xstilts.languages.split import Split
from xstilts.models.hardware import choose_precision
from xstilts.randomness import derive
from xstilts.runs.verify import plan_hash
from xstilts.study.source_languages import Sources, draw_sources, parts_of, side_of, translatable, translated_targets
from xstilts.tasks.data_source import FileSource, HubSource, WorldSource
from xstilts.tasks.task import Task, find_task, from_xtreme_folder
from xstilts.translation.codes import known_targets

SECTIONS = {"encoder": "encoders", "translator": "translators"}
"""The sections of a study that name models."""


@dataclass(frozen=True)
class Frozen:
    """A study with nothing left open.

    pool, held_out: languages near to far; sources: languages per arm and replicate name; evaluated: per target the
    languages that it is scored in, the anchor first.
    """

    study: Study
    tasks: dict[str, Task]
    data: Path | None
    device: str
    precision: str
    pool: tuple[str, ...]
    held_out: tuple[str, ...]
    excluded: dict[str, str]
    distances: dict[str, float | None]
    sources: Sources
    evaluated: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def task_of(self, target: str) -> Task:
        """The task that a target is scored on."""
        return self.tasks[self.study.targets[target].task]

    @property
    def artificial(self) -> list[str]:
        """The targets in artificial languages, which say nothing about the real languages of the same names."""
        return [target for target in self.study.targets if isinstance(self.task_of(target).source, WorldSource)]

    def describe(self) -> dict[str, Any]:
        """Everything that was decided, as a JSON object with its own hash: what a run is checked against."""
        names = ("device", "precision", "pool", "held_out", "excluded", "distances", "sources", "evaluated", "warnings")
        revisions = {name: getattr(task.source, "revision", "") for name, task in self.tasks.items()}
        facts = {"study": self.study.model_dump(mode="json"), **{name: getattr(self, name) for name in names}}
        facts["revisions"] = {name: revision for name, revision in revisions.items() if revision}
        return {**facts, "hash": plan_hash(facts)}


def freeze(
    study: Study, data: Path | None, device: str, allow_few: bool = False, resolved: bool = False,
    planned: Mapping[tuple[str, str], str] = {},
) -> Frozen:  # fmt: skip
    """Split languages, draw each arm's sources for each replicate and resolve the precision.

    resolved: asks the hub for the commit of every data set, encoder and translator that has no pinned revision.
    planned: those of an earlier plan, which are taken if the hub does not answer. Raises XstiltsError if a target has
    fewer held-out languages than the study's minimum (unless `allow_few`, or unless it has none and no contrast judges
    it), or a pool is too small for an arm.
    """
    tasks = _tasks(study)
    if resolved:
        study, tasks = _pinned(study, tasks, data, planned)
    anchor, settings = study.languages.anchor, study.languages
    task_of = {target: tasks[entry.task] for target, entry in study.targets.items()}
    codes = settings.candidates or dict.fromkeys(code for task in task_of.values() for code in task.languages)
    candidates = tuple(code for code in codes if code != anchor)
    forced = {name: getattr(settings, name) for name in ("held_out", "always_held_out", "never_held_out")}
    split = split_languages(candidates, anchor=anchor, seed=derive(study.seed, "split"), **forced)
    matrix = distance_matrix([anchor, *candidates])
    distances = [None if value != value else round(float(value), 6) for value in matrix.values[0]]
    evaluated, warnings = {}, []
    contrasts = [parse_contrast(text, study.primary) for text in (*study.contrasts, *study.controls)]
    judged = {*study.primary, *(target for contrast in contrasts for target in contrast.targets)}
    for target, entry in study.targets.items():
        scored = available(task_of[target], entry.test, (anchor, *split.pool, *split.held_out), data, tasks)
        evaluated[target] = tuple(scored)
        held_out = [code for code in scored if code in split.held_out]
        if not held_out and scored and target not in judged:
            warnings.append(f"target '{target}' is scored in {', '.join(scored)} alone, which is no zero-shot transfer")
        elif len(held_out) < settings.minimum:
            what = f"target '{target}' has {len(held_out)} held-out languages ({', '.join(held_out) or 'none'})"
            if not allow_few:
                why = f"at least {settings.minimum} are needed: fewer cannot show transfer to languages in general"
                hint = "hold out more languages (`languages.held_out`), drop the target, or run with --allow-few"
                raise XstiltsError("too-few", what, why, hint)
            warnings.append(f"{what}: its results hold for these languages only")
    sources = draw_sources(study, tasks, split, data)
    warnings += design_warnings(study, tasks, split, sources)
    note = "revision not pinned; `study` asks the hub for the current one and keeps it"
    warnings += [f"{kind} '{name}': {note}" for kind, name, _ in _unpinned(study, tasks, data)]
    precision = choose_precision(device) if study.precision == "auto" else study.precision
    languages: dict[str, Any] = {"pool": split.pool, "held_out": split.held_out, "excluded": split.excluded}
    languages |= {"distances": dict(zip(matrix.codes, distances, strict=True)), "sources": sources}
    return Frozen(study, tasks, data, device, precision, **languages, evaluated=evaluated, warnings=tuple(warnings))


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
    contrasts = [parse_contrast(text, study.primary) for text in (*study.contrasts, *study.controls)]
    compared = dict.fromkeys(name for contrast in contrasts for name in (contrast.left, contrast.right))
    arms = {name: study.arms[name] for name in compared}
    other_settings = {name: arm.model_dump(exclude={*_languages(arm), "role"}) for name, arm in arms.items()}
    for a, b in combinations(arms, 2):
        shared = sources[a].keys() & sources[b].keys()
        equal = sum(set(sources[a][name]) == set(sources[b][name]) for name in shared)
        if other_settings[a] == other_settings[b] and equal:
            what = f"arms '{a}' and '{b}' train on the same languages in {equal} of {len(shared)} replicates"
            yield f"{what}, which are the same trainings"
    for text in confounded(study):
        yield f"control '{text}' is secondary: it confounds language with data set"
    for name, arm in study.arms.items():
        candidates, known = side_of(split, arm), translatable(study, arm, split)
        lacking = [code for code in candidates if code not in known]
        if lacking and not arm.given:
            yield f"arm '{name}' leaves out {', '.join(lacking)}: its translator '{arm.translated}' lacks them"
    for name, arm in study.arms.items():
        translator, shots = arm.target_training.translated, arm.target_training.shots
        kinds = {"machine translations into": translator, f"the split '{shots}' in": shots}
        if extra := " and ".join(kind for kind, given in kinds.items() if given):
            yield f"arm '{name}' trains on {extra} held-out languages: its scores are not zero-shot"
        trained = [tasks[entry.training.task] for entry in study.targets_of(name).values() if entry.training]
        for task in trained if translator else ():
            known = translated_targets(study, translator, task, split.held_out)
            wanted = task.languages or split.held_out
            if lacking := [code for code in split.held_out if code in wanted and code not in known]:
                what = f"arm '{name}' has no translations of '{task.name}' into {', '.join(lacking)}"
                yield f"{what}: its translator '{translator}' lacks them"
    translators = (text for arm in study.arms.values() for text in (arm.translated, arm.target_training.translated))
    for name in dict.fromkeys(filter(None, translators)):
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


def _tasks(study: Study) -> dict[str, Task]:
    """Every task that the study needs, with those whose examples another task takes."""
    names = [
        *(target.task for target in study.targets.values()),
        *(target.training.task for target in study.targets.values() if target.training),
        *(training.task for training in study.intermediate.values() if not training.mixture),
        *(arm.mlm.corpus for arm in study.arms.values() if arm.mlm),
        *(encoder.pretrain.corpus for encoder in study.encoders.values() if encoder.pretrain),
    ]
    tasks = {**study.tasks}
    while names:
        name = names.pop(0)
        task = tasks.get(name) or find_task(name, study.tasks)
        from_folder = study.data_source == "xtreme" and name not in study.tasks
        tasks[name] = from_xtreme_folder(task) if from_folder else task
        names += [other for other in required_tasks(tasks[name]) if other not in tasks]
    return tasks


def _pinned(
    study: Study, tasks: dict[str, Task], data: Path | None, planned: Mapping[tuple[str, str], str]
) -> tuple[Study, dict[str, Task]]:
    """The study and its tasks with a commit in place of every revision that can change."""
    models = {section: dict(getattr(study, section)) for section in SECTIONS.values()}
    tasks = dict(tasks)
    for kind, name, entry in _unpinned(study, tasks, data):
        known = planned.get((kind, name), "")
        if kind == "task":
            update = {"revision": current_commit("dataset", entry.hub, entry.revision, known)}
            tasks[name] = tasks[name].model_copy(update={"source": entry.model_copy(update=update)})
        else:
            update = {"revision": current_commit("model", entry.load, entry.revision, known)}
            models[SECTIONS[kind]][name] = entry.model_copy(update=update)
    return study.model_copy(update=models), tasks


def planned_commits(plan: Path) -> dict[tuple[str, str], str]:
    """The commits in a plan that was written earlier, by kind of part and name; {} if there is no such plan."""
    try:
        facts = json.loads(plan.read_bytes())
        commits = {("task", name): str(commit) for name, commit in facts["revisions"].items()}
        for kind, section in SECTIONS.items():
            commits |= {(kind, name): str(entry["revision"]) for name, entry in facts["study"][section].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return commits


def _unpinned(study: Study, tasks: dict[str, Task], data: Path | None) -> list[tuple[str, str, Any]]:
    """Kind, name, and source or model, of each part whose revision can change: a branch or none, and no local copy."""
    parts: list[tuple[str, str, Any]] = []
    for name, task in tasks.items():
        source = task.source
        if isinstance(source, HubSource | FileSource) and source.hub and not mirror(source.hub, data):
            parts += [] if has_fallback(task, data) else [("task", name, source)]
    for kind, section in SECTIONS.items():
        models = getattr(study, section).items()
        parts += [(kind, name, entry) for name, entry in models if entry.load and on_hub(entry.load)]
    return [part for part in parts if part[2].revision in ("", "main") or part[2].revision.startswith("refs/")]


def on_hub(load: str) -> bool:
    """Whether a model is in a hub repository, not a folder; raises XstiltsError for a path without a folder."""
    if Path(load).is_dir():
        return False
    if Path(load).is_absolute() or load.startswith((".", "~")) or load.count("/") > 1:  # no repository is named so
        hint = "give the folder of a model, or a repository of the hub as `owner/name`"
        raise XstiltsError("missing-model", f"there is no folder {load}", "the study loads a model from it", hint)
    return True
