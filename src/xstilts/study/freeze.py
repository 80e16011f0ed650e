"""Decides, before anything is trained, all that a study leaves open: languages, draws, precision, device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.config.schema import Study
from xstilts.data.examples import available, required_tasks
from xstilts.engine import digest
from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix, split_languages
from xstilts.models.hardware import choose_precision
from xstilts.randomness import derive
from xstilts.study.design_warnings import design_warnings
from xstilts.study.revisions import pinned, revisions, unpinned
from xstilts.study.source_languages import draw_sources
from xstilts.tasks.task import Task, find_task, from_xtreme_folder


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

    def task_of(self, target: str) -> Task:
        """The task that a target is scored on."""
        return self.tasks[self.study.targets[target].task or target]

    def describe(self) -> dict[str, Any]:
        """Everything that was decided, as a JSON object with its own hash: what a run is checked against."""
        names = ("device", "precision", "pool", "held_out", "excluded", "distances", "sources", "evaluated", "warnings")
        facts = {"study": self.study.model_dump(mode="json"), **{name: getattr(self, name) for name in names}}
        facts["revisions"] = revisions(self.tasks)
        return {**facts, "hash": digest(facts)}


def freeze(study: Study, data: Path | None, device: str, allow_few: bool = False, resolved: bool = False) -> Frozen:
    """Split languages, draw each arm's sources for each replicate and resolve the precision.

    Args:
        resolved: asks the hub for the commit of every data set, encoder and translator that has no pinned revision.

    Raises XstiltsError if a target has fewer held-out languages than the study's minimum (unless `allow_few`),
    or a pool is too small for an arm.
    """
    tasks = _tasks(study)
    if resolved:
        study, tasks = pinned(study, tasks, data)
    anchor, settings = study.languages.anchor, study.languages
    task_of = {target: tasks[entry.task or target] for target, entry in study.targets.items()}
    codes = settings.candidates or dict.fromkeys(code for task in task_of.values() for code in task.languages)
    candidates = tuple(code for code in codes if code != anchor)
    split = split_languages(
        candidates,
        anchor=anchor,
        held_out=settings.held_out,
        always_held_out=settings.always_held_out,
        never_held_out=settings.never_held_out,
        seed=derive(study.seed, "split"),
    )
    matrix = distance_matrix([anchor, *candidates])
    evaluated, warnings = {}, []
    for target, entry in study.targets.items():
        evaluated[target] = tuple(
            available(task_of[target], entry.test, (anchor, *split.pool, *split.held_out), data, tasks)
        )
        held_out = [code for code in evaluated[target] if code in split.held_out]
        if len(held_out) < settings.minimum:
            warnings.append(_too_few(target, held_out, settings.minimum, allow_few))
    sources = draw_sources(study, tasks, split.pool, split.held_out, data)
    warnings += design_warnings(study, tasks, split.pool, split.held_out, sources)
    warnings += unpinned(study, tasks, data)
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
    """Every task that the study needs, with those whose examples another task takes."""
    names = [
        *(target.task or name for name, target in study.targets.items()),
        *(target.training.task for target in study.targets.values() if target.training and target.training.task),
        *(training.task or name for name, training in study.intermediate.items() if not training.mixture),
        *(arm.mlm.corpus for arm in study.arms.values() if arm.mlm),
        *(encoder.pretrain.corpus for encoder in study.encoders.values() if encoder.pretrain),
    ]
    tasks = {**study.tasks}
    while names:
        name = names.pop(0)
        task = tasks.get(name) or find_task(name, study.tasks)
        if study.data_source == "xtreme" and name not in study.tasks:
            task = from_xtreme_folder(task)
        tasks[name] = task
        names += [other for other in required_tasks(task) if other not in tasks]
    return tasks


def _numbers(values: Any) -> list[float | None]:
    return [None if value != value else round(float(value), 6) for value in values]


def _too_few(target: str, held_out: list[str], minimum: int, allow: bool) -> str:
    """The warning about a target with few held-out languages; raises XstiltsError unless they are allowed."""
    what = f"target '{target}' has {len(held_out)} held-out languages ({', '.join(held_out) or 'none'})"
    if not allow:
        raise XstiltsError(
            "too-few",
            what,
            f"at least {minimum} are needed: fewer cannot show transfer to languages in general",
            "hold out more languages (`languages.held_out`), drop the target, or run with --allow-few",
        )
    return f"{what}: its results hold for these languages only"
