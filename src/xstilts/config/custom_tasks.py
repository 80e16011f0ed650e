"""Tasks that users define: entries in a study or in a file of their own, from scratch or on top of the catalogue's."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.messages import Mistake, Place, mistakes_of, parse, unknown
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
    file.check(mistakes)
    return tasks


def is_task_entry(entry: Any) -> bool:
    """Whether a raw setting looks like the entry of a task."""
    return isinstance(entry, dict) and bool(entry.keys() & {"type", "extends", "source"})


def read_tasks(entries: Settings, above: Place = ()) -> tuple[dict[str, Task], list[Mistake]]:
    """Validate entries of tasks, which may extend tasks of the catalogue: the valid tasks, and all mistakes."""
    tasks: dict[str, Task] = {}
    mistakes: list[Mistake] = []
    for name, entry in entries.items():
        place = (*above, name)
        if not isinstance(entry, dict):
            mistakes.append((place, "must be a mapping of settings"))
            continue
        base = {}
        if (extended := entry.get("extends")) is not None:
            base = catalogue_entries().get(str(extended), {})
            mistakes += [((*place, "extends"), what) for what in unknown(str(extended), catalogue(), "task")]
        settings = {**base, **{key: value for key, value in entry.items() if key != "extends"}, "name": name}
        try:
            tasks[name] = task = Task.model_validate(settings)
        except ValidationError as error:
            mistakes += mistakes_of(error, place)
            continue
        metrics, source = SCORED[task.type].METRICS if task.type in SCORED else (), task.source
        if task.type == "retrieval" and getattr(source, "format", "") == "lines" and not getattr(source, "english", ""):
            mistakes.append(((*place, "source"), "retrieval needs `english`, the file pattern of the English side"))
        for metric in task.metrics:
            what = unknown(metric, metrics, f"metric of {task.type} tasks")
            mistakes += [((*place, "metrics", metric), each) for each in what]
    return tasks, mistakes


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


def entries_of(settings: Any, section: str) -> list[tuple[str, Any]]:
    """The entries of a section of a study by name, none if it is not a mapping."""
    entries = settings.get(section) if isinstance(settings, dict) else None
    return list(entries.items()) if isinstance(entries, dict) else []
