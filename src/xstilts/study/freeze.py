"""Decides, before anything is trained, all that a study leaves open: languages, draws, precision, device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.config.schema import Study, parse_contrast
from xstilts.data.examples import available, required_tasks
from xstilts.engine import digest
from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix, split_languages
from xstilts.models.hardware import choose_precision
from xstilts.randomness import derive
from xstilts.study.design_warnings import confounded, notes
from xstilts.study.revisions import revisions, settled, unsettled
from xstilts.study.source_languages import draw_sources
from xstilts.tasks.task import Task, find_task, from_xtreme_folder
from xstilts.tasks.task_types import main_metric


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
    sources: dict[str, dict[str, tuple[str, ...]]]
    evaluated: dict[str, tuple[str, ...]]
    warnings: tuple[str, ...]

    def describe(self) -> dict[str, Any]:
        """Everything that was decided, as a JSON object with its own hash: what a run is held to."""
        facts = {
            "study": self.study.model_dump(mode="json"),
            "device": self.device,
            "precision": self.precision,
            "pool": self.pool,
            "held_out": self.held_out,
            "excluded": self.excluded,
            "distances": self.distances,
            "sources": self.sources,
            "evaluated": self.evaluated,
            "warnings": self.warnings,
            "revisions": revisions(self.tasks),
        }
        return {**facts, "hash": digest(facts)}


def freeze(study: Study, data: Path | None, device: str, allow_few: bool = False, resolved: bool = False) -> Frozen:
    """Splits languages, draws each arm's sources for each replicate and resolves the precision.

    Args:
        resolved: asks the hub for the commit of every data set, encoder and translator that has no pinned revision.

    Raises XstiltsError where a target has fewer held-out languages than the study's minimum (unless `allow_few`),
    or a pool is too small for an arm.
    """
    tasks = _tasks(study)
    if resolved:
        study, tasks = settled(study, tasks, data)
    anchor, choice = study.languages.anchor, study.languages
    candidates = choice.candidates or tuple(
        dict.fromkeys(code for target in study.targets for code in _task(study, tasks, target).languages)
    )
    candidates = tuple(code for code in candidates if code != anchor)
    split = split_languages(
        candidates,
        anchor=anchor,
        held_out=choice.held_out,
        always_held_out=choice.always_held_out,
        never_held_out=choice.never_held_out,
        seed=derive(study.seed, "split"),
    )
    matrix = distance_matrix([anchor, *candidates])
    evaluated, warnings = {}, []
    for target, entry in study.targets.items():
        task = _task(study, tasks, target)
        evaluated[target] = tuple(available(task, entry.test, (anchor, *split.pool, *split.held_out), data, tasks))
        held_out = [code for code in evaluated[target] if code in split.held_out]
        warnings += _too_few(target, held_out, choice.minimum, allow_few)
    sources = draw_sources(study, tasks, split.pool, split.held_out, data)
    warnings += notes(study, tasks, split.pool, split.held_out, sources)
    warnings += unsettled(study, tasks, data)
    return Frozen(
        study=study,
        tasks=tasks,
        data=data,
        device=device,
        precision=choose_precision(device) if study.precision == "auto" else study.precision,
        pool=split.pool,
        held_out=split.held_out,
        excluded=dict(split.excluded),
        distances=dict(zip(matrix.codes, _numbers(matrix.values[0]), strict=True)),
        sources=sources,
        evaluated=evaluated,
        warnings=tuple(warnings),
    )


def _tasks(study: Study) -> dict[str, Task]:
    """Every task that the study needs, those whose rows another task takes included."""
    names = [
        *(target.task or name for name, target in study.targets.items()),
        *(target.training.task for target in study.targets.values() if target.training and target.training.task),
        *(training.task or name for name, training in study.intermediate.items() if not training.mixture),
        *(arm.mlm.corpus for arm in study.arms.values() if arm.mlm),
        *(encoder.pretrain.corpus for encoder in study.encoders.values() if encoder.pretrain),
    ]
    tasks = {**study.tasks}
    while names:
        task = tasks.get(names[0]) or find_task(names[0], study.tasks)
        if study.data_source == "xtreme" and names[0] not in study.tasks:
            task = from_xtreme_folder(task)
        tasks[names.pop(0)] = task
        names += [name for name in required_tasks(task) if name not in tasks]
    return tasks


def _task(study: Study, tasks: dict[str, Task], target: str) -> Task:
    return tasks[study.targets[target].task or target]


def _numbers(values: Any) -> list[float | None]:
    return [None if value != value else round(float(value), 6) for value in values]


def _too_few(target: str, held_out: list[str], minimum: int, allow: bool) -> list[str]:
    if len(held_out) >= minimum:
        return []
    what = f"target '{target}' has {len(held_out)} held-out languages ({', '.join(held_out) or 'none'})"
    if not allow:
        raise XstiltsError(
            "too-few",
            what,
            f"at least {minimum} are needed: fewer cannot show transfer to languages in general",
            "hold out more languages (`languages.held_out`), drop the target, or run with --allow-few",
        )
    return [f"{what}: its result speaks of these languages only"]


def study_facts(frozen: Frozen) -> dict[str, Any]:
    """What analysis and report need to know of the study's design, besides the predictions."""
    study = frozen.study
    return {
        "name": study.name,
        "question": " ".join(study.question.split()),
        "seed": study.seed,
        "equivalence": study.equivalence,
        "level": study.level,
        "measure": study.measure,
        "primary": list(study.primary),
        "contrasts": [parse_contrast(text, study.primary).model_dump() for text in study.contrasts],
        "controls": [parse_contrast(text, study.primary).model_dump() for text in study.controls],
        "confounded": confounded(study),
        "roles": {name: arm.role for name, arm in study.arms.items()},
        "tasks": {t: _task(study, frozen.tasks, t).name for t in study.targets},
        "labels_withheld": [t for t, target in study.targets.items() if target.labels_withheld],
        "metrics": {t: main_metric(_task(study, frozen.tasks, t)) for t in study.targets},
        "also": {t: list(_task(study, frozen.tasks, t).metrics[1:]) for t in study.targets},
        "types": {t: _task(study, frozen.tasks, t).type for t in study.targets},
        "arms": {name: arm.model_dump(exclude_defaults=True) for name, arm in study.arms.items()},
    }
