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


def with_defaults(settings: Settings, tasks: Mapping[str, Task]) -> Settings:
    """The settings of a study with what its entries do not set: the task (their own name), and its defaults.

    Entries are copied, since YAML aliases may share them.
    """
    result = dict(settings)
    if isinstance(entries := settings.get("intermediate"), dict):
        result["intermediate"] = {name: _filled(entry, name, tasks) for name, entry in entries.items()}
    if isinstance(entries := settings.get("targets"), dict):
        result["targets"] = {name: _filled_target(entry, name, tasks) for name, entry in entries.items()}
    return result


def _filled_target(target: Any, name: str, tasks: Mapping[str, Task]) -> Any:
    if not isinstance(target, dict):
        return target
    target = {"task": name, **target}
    return (
        {**target, "training": _filled(target["training"], target["task"], tasks)} if "training" in target else target
    )


def _filled(training: Any, name: Any, tasks: Mapping[str, Task]) -> Any:
    if not isinstance(training, dict) or training.get("mixture"):
        return training
    training = {"task": name, **training}
    task, recipe = tasks.get(str(training["task"])), training.get("recipe", {})
    if task is None or task.defaults is None or not isinstance(recipe, dict):
        return training
    defaults = task.defaults.model_dump(exclude_defaults=True)
    recipe = {"learning_rate": defaults.pop("learning_rate"), **recipe}
    return {**defaults, **training, "recipe": recipe}
