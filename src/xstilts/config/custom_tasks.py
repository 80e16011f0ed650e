"""Tasks that users define: entries in a study or in a file of their own, from scratch or on top of the catalogue's."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.messages import Mistake, Place, error_of, mistakes_of, parse, unknown
from xstilts.config.schema import Study
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task, catalogue, catalogue_entries
from xstilts.tasks.task_types import SCORED

Settings = dict[str, Any]
STUDY_ONLY = Study.model_fields.keys() - Task.model_fields.keys()
"""Settings that show that a file is a study."""


def read_task_file(path: Path) -> dict[str, Task]:
    """Read the tasks of a YAML file, by name; raises XstiltsError that lists every mistake with its line."""
    if not path.is_file():
        why = "a file of tasks has entries like those of the catalogue"
        raise XstiltsError("missing-file", f"there is no file of tasks {path}", why, "check the path")
    file = parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
    if marks := [key for key in STUDY_ONLY & file.settings.keys() if not is_task_entry(file.settings[key])]:
        raise XstiltsError(
            "bad-file",
            f"{path} is a study, not a file of tasks",
            f"it has the settings of a study: {', '.join(sorted(marks))}",
            "give a file of task entries, like those that a study has under `tasks:`; see docs/tasks.md",
        )
    tasks, mistakes = read_tasks(file.settings)
    if mistakes or file.mistakes:
        raise error_of(file, file.mistakes + mistakes)
    return tasks


def is_task_entry(entry: Any) -> bool:
    """Whether a raw setting looks like the entry of a task."""
    return isinstance(entry, dict) and bool(entry.keys() & {"type", "extends", "source"})


def read_tasks(entries: Settings, above: Place = ()) -> tuple[dict[str, Task], list[Mistake]]:
    """Validate entries of tasks, which may extend tasks of the catalogue: the valid tasks, and all mistakes."""
    tasks: dict[str, Task] = {}
    mistakes: list[Mistake] = []
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            mistakes.append(((*above, name), "must be a mapping of settings"))
            continue
        extended = entry.get("extends")
        base = {} if extended is None else catalogue_entries().get(str(extended))
        if base is None:
            mistakes += [((*above, name, "extends"), what) for what in unknown(str(extended), catalogue(), "task")]
            base = {}
        settings = {**base, **{key: value for key, value in entry.items() if key != "extends"}, "name": name}
        try:
            task = Task.model_validate(settings)
        except ValidationError as error:
            mistakes += mistakes_of(error, (*above, name))
        else:
            tasks[name] = task
            mistakes += _type_mistakes(task, (*above, name))
    return tasks, mistakes


def _type_mistakes(task: Task, place: Place) -> Iterator[Mistake]:
    source, metrics = task.source, SCORED[task.type].METRICS if task.type in SCORED else ()
    if task.type == "retrieval" and getattr(source, "format", "") == "lines" and not getattr(source, "english", ""):
        yield (*place, "source"), "retrieval needs `english`, the file pattern of the English side"
    for metric in task.metrics:
        for what in unknown(metric, metrics, f"metric of {task.type} tasks"):
            yield (*place, "metrics", metric), what


def fill_defaults(settings: Settings, tasks: Mapping[str, Task]) -> None:
    """Give the entries of a study, in place, what they do not set: the task (their own name), and its defaults."""
    trainings = entries_of(settings, "intermediate")
    for name, target in entries_of(settings, "targets"):
        if isinstance(target, dict):
            trainings.append((target.setdefault("task", name), target.get("training")))
    for name, training in trainings:
        if not isinstance(training, dict) or training.get("mixture"):
            continue
        task = tasks.get(str(training.setdefault("task", name)))
        if task and task.defaults and isinstance(recipe := training.setdefault("recipe", {}), dict):
            defaults = task.defaults.model_dump(exclude_defaults=True)
            recipe.setdefault("learning_rate", defaults.pop("learning_rate"))
            for key, value in defaults.items():
                training.setdefault(key, value)


def entries_of(settings: Settings, section: str) -> list[tuple[str, Any]]:
    """The entries of a section of a study by name, none if it is not a mapping."""
    entries = settings.get(section)
    return list(entries.items()) if isinstance(entries, dict) else []
