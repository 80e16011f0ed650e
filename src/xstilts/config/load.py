"""Read a study's YAML, with everything that it extends, and report all of its mistakes at once."""

from collections.abc import Collection
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.cross_checks import cross_check
from xstilts.config.custom_tasks import Settings, entries_of, fill_defaults, is_task_entry, read_task_file, read_tasks
from xstilts.config.messages import Mistake, Place, YamlFile, error_of, mistakes_of, parse
from xstilts.config.schema import Study
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.task import Task, catalogue


def builtin_studies() -> dict[str, Any]:
    """The YAML files of the studies that come with the package, by name."""
    folder = files("xstilts.config").joinpath("builtin")
    return {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}


def load_study(name: str, quick: bool = False, **changes: Any) -> Study:
    """Load the built-in study of that name, or the study in that file.

    Args:
        quick: merge the file's `quick:` section into it, a small form for a smoke test.
        changes: top-level values that replace the file's (`replicates`, `seed`, `data_source`), if not None.

    Raises XstiltsError that lists every mistake with its line.

    >>> load_study("pocket", replicates=2).replicates
    2
    """
    file = _read(name)
    mistakes = list(file.mistakes)
    settings = {key: value for key, value in file.settings.items() if key != "quick"}
    small = file.settings.get("quick", {})
    if not isinstance(small, dict):
        mistakes.append((("quick",), "must be a mapping of settings"))
    elif quick and "quick" not in file.settings:
        mistakes.append((("quick",), "is missing: the study has no small form, run it without --quick"))
    elif quick:
        settings = merge(settings, small)
    settings |= {key: value for key, value in changes.items() if value is not None}
    study, invalid = _validate(settings)
    if mistakes or invalid:
        raise error_of(file, mistakes + invalid)
    return study


def _read(name: str, above: tuple[str, ...] = ()) -> YamlFile:
    """A study's file, with the settings of what it extends below its own; `above` names the studies that extend it."""
    path, known = Path(name), builtin_studies()
    if name in known:
        file = parse(known[name].read_text(encoding="utf-8"), f"study '{name}'")
    elif path.is_file():
        file = parse(path.read_text(encoding="utf-8", errors="replace"), str(path))
    else:
        why = f"it is neither a file nor one of the built-in studies: {', '.join(sorted(known))}"
        hint = did_you_mean(name, known) or "give a built-in name or the path of a YAML file"
        raise XstiltsError("missing-file", f"there is no study '{name}'", why, hint)
    settings = file.settings
    if not settings.keys() & {"extends", "quick", "task_files", *Study.model_fields} and any(
        map(is_task_entry, settings.values())
    ):
        why = f"its entries are tasks: {', '.join(map(str, settings))}"
        hint = "name it under `task_files:` in a study, or give it to `xstilts tasks --tasks`"
        raise XstiltsError("bad-file", f"{file.origin} is a file of tasks, not a study", why, hint)
    settings = _separate(settings)
    for block in (settings, settings.get("quick")):
        _resolve_paths(block, path.parent)
    if "extends" in settings:
        extended = str(settings.pop("extends"))
        if extended in (*above, name):
            why = f"through {', '.join((*above, name))}"
            raise XstiltsError("bad-setting", f"{file.origin} extends itself", why, "name another study")
        base = _read(extended, (*above, name))
        if base.mistakes:
            raise error_of(base, base.mistakes)
        if isinstance(base.settings.get("quick"), dict):
            base.settings["quick"] = _without_removed(base.settings["quick"], settings)
        settings = merge(base.settings, settings)
    return YamlFile(file.origin, settings, file.lines, file.mistakes)


def _separate(value: Any) -> Any:
    """A copy in which mappings that a YAML alias shares are separate ones."""
    return {key: _separate(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _resolve_paths(settings: Any, folder: Path) -> None:
    """Make the paths of task files and score tables, which are relative to the study's file, relative to here."""
    if not isinstance(settings, dict):
        return
    if isinstance(paths := settings.get("task_files"), list):
        settings["task_files"] = [str(folder / str(path)) for path in paths]
    for _, arm in entries_of(settings, "arms"):
        if isinstance(arm, dict) and arm.get("scores"):
            arm["scores"] = str(folder / str(arm["scores"]))


def merge(base: Settings, over: Settings) -> Settings:
    """`base` with the settings of `over` on top, mapping by mapping; a null removes a setting.

    >>> merge({"arms": {"near": {}, "far": {}}, "seed": 1}, {"arms": {"near": None}, "seed": 2})
    {'arms': {'far': {}}, 'seed': 2}
    """
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merge(base[key], value) if both else value
    return {key: value for key, value in result.items() if value is not None}


def _without_removed(quick: Settings, over: Settings) -> Settings:
    """An inherited small form without what the extending study removes by a null."""
    both = {key for key, value in quick.items() if isinstance(value, dict) and isinstance(over.get(key), dict)}
    rest = {key: value for key, value in quick.items() if over.get(key, "") is not None}
    return {key: _without_removed(value, over[key]) if key in both else value for key, value in rest.items()}


EMPTY = {"name": "x", "question": "", "replicates": 1, "checkpoint": "last", "encoders": {}, "arms": {}, "targets": {},
         "primary": [""], "contrasts": []}  # fmt: skip
"""Settings that stand for missing or invalid ones while the valid ones are checked against each other."""


def _validate(settings: Settings) -> tuple[Study, list[Mistake]]:
    """The study, and all mistakes; what has mistakes is left out before the rest is checked against each other."""
    tasks, mistakes = _study_tasks(settings)
    sections = {"task": "tasks", "intermediate training": "intermediate", "translator": "translators", "arm": "arms",
                "target": "targets"}  # fmt: skip
    names = {kind: {str(name) for name, _ in entries_of(settings, key)} for kind, key in sections.items()}
    known = {name: task for name, task in catalogue().items() if name not in names["task"]} | tasks
    names["task"] |= known.keys()
    fill_defaults(settings, known)
    settings = {key: value for key, value in settings.items() if key != "task_files"} | {"tasks": tasks}
    while True:
        try:
            study = Study.model_validate(settings, context=names)
        except ValidationError as error:
            invalid = list(mistakes_of(error))
            mistakes += invalid
            settings = {**EMPTY, **_without(settings, [place for place, _ in invalid])}
            names["target"].add("")
        else:
            return study, [*mistakes, *cross_check(study, known)]


def _study_tasks(settings: Settings) -> tuple[dict[str, Task], list[Mistake]]:
    """The valid tasks under `tasks` and in `task_files`, and the mistakes in them."""
    tasks: dict[str, Task] = {}
    mistakes: list[Mistake] = []
    paths = settings.get("task_files", [])
    if not isinstance(paths, list):
        mistakes.append((("task_files",), "must be a list of file names"))
    for i, path in enumerate(paths if isinstance(paths, list) else []):
        try:
            tasks |= read_task_file(Path(path))
        except XstiltsError as error:
            mistakes.append((("task_files", i), f"{error.what}: {error.why}"))
    entries = settings.get("tasks", {})
    if not isinstance(entries, dict):
        return tasks, [*mistakes, (("tasks",), "must be a mapping of settings")]
    valid, invalid = read_tasks(entries, ("tasks",))
    return tasks | valid, mistakes + invalid


def _without(settings: Settings, places: Collection[Place]) -> Settings:
    """The settings without the entries and list items at these places, or below them."""
    result = {key: value for key, value in settings.items() if isinstance(key, str)}
    for section in {str(place[0]) for place in places}:
        value = result.pop(section, None)
        invalid = {place[1] if len(place) > 1 else None for place in places if place[0] == section}
        valid: Any = None
        if isinstance(value, dict):
            valid = {key: entry for key, entry in value.items() if key not in invalid}
        elif isinstance(value, list):
            valid = [item for i, item in enumerate(value) if i not in invalid and str(item) not in invalid]
        if valid and len(valid) < len(value) and None not in invalid:
            result[section] = valid
    return result
