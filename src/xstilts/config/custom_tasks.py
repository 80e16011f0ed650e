"""Tasks of the user's own: entries in a study or in a file of theirs, from scratch or on top of the catalogue's."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.messages import Lines, Problem, mistaken, parse, shape_problems
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.task import Task, catalogue_entries

Raw = dict[str, Any]


def read_task_file(path: Path) -> dict[str, Task]:
    """The tasks of a YAML file, by name; raises XstiltsError that lists every mistake with its line."""
    lines: Lines = {}
    raw, problems = parse(_text(path), str(path), lines)
    tasks = {"tasks": raw}
    problems += [(where[1:], what) for where, what in complete_tasks(tasks)]
    found = {}
    for name, entry in tasks["tasks"].items():
        try:
            found[name] = Task(**entry)
        except ValidationError as error:
            problems += [((name, *where), what) for where, what in shape_problems(error, Task)]
        except TypeError:
            problems.append(((name,), "must be a mapping of settings"))
    if problems:
        raise mistaken(str(path), problems, lines)
    return found


def _text(path: Path) -> str:
    if not path.is_file():
        raise XstiltsError("missing-file", f"there is no file of tasks {path}", "it holds entries as in the catalogue",
                           "check the path")  # fmt: skip
    return path.read_text(encoding="utf-8", errors="replace")


def complete_tasks(raw: Raw) -> list[Problem]:
    """Gives the raw tasks of a study their names, those of its `task_files` and the settings of the entries that they
    extend, in place; returns what is wrong with these."""
    own = raw.get("tasks") or {}
    problems: list[Problem] = []
    if not isinstance(own, dict):
        return problems
    files = raw.pop("task_files", [])
    if not isinstance(files, list):
        problems.append((("task_files",), "must be a list of file names"))
        files = []
    for i, file in enumerate(files):
        try:
            own = {**{name: task.model_dump() for name, task in read_task_file(Path(file)).items()}, **own}
        except XstiltsError as error:
            problems.append((("task_files", i), f"{error.what}: {error.why}"))
    for name, entry in own.items():
        if isinstance(entry, dict):
            base, problem = _base(name, entry.pop("extends", None))
            own[name] = {**base, **entry, "name": name}
            problems += problem
    raw["tasks"] = own
    return problems


def _base(name: str, extended: Any) -> tuple[Raw, list[Problem]]:
    known = catalogue_entries()
    if extended is None:
        return {}, []
    if str(extended) not in known:
        hint = did_you_mean(str(extended), known)
        return {}, [(("tasks", name, "extends"), f"unknown task '{extended}'" + (f"; {hint}" if hint else ""))]
    return known[str(extended)], []


def fill_defaults(raw: Raw) -> None:
    """Gives each training of a raw study what it does not say and its task has a default for, in place."""
    tasks = {**catalogue_entries(), **(raw.get("tasks") or {})} if isinstance(raw.get("tasks", {}), dict) else {}
    intermediate, targets = raw.get("intermediate"), raw.get("targets")
    for name, training in intermediate.items() if isinstance(intermediate, dict) else ():
        _fill(training, tasks, name)
    for name, target in targets.items() if isinstance(targets, dict) else ():
        if isinstance(target, dict):
            _fill(target.get("training"), tasks, str(target.get("task") or name))


def _fill(training: Any, tasks: Raw, name: str) -> None:
    if not isinstance(training, dict) or training.get("mixture"):
        return
    task = tasks.get(str(training.get("task") or name))
    defaults = task.get("defaults") if isinstance(task, dict) else None
    if not isinstance(defaults, dict):
        return
    for key in ("epochs", "batch_size"):
        if defaults.get(key):
            training.setdefault(key, defaults[key])
    recipe = training.setdefault("recipe", {})
    if isinstance(recipe, dict) and "learning_rate" in defaults:
        recipe.setdefault("learning_rate", defaults["learning_rate"])
