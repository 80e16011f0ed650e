"""Read a study's YAML, with everything that it extends, and report all of its mistakes at once."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.cross_checks import cross_check
from xstilts.config.custom_tasks import Settings, entries_of, fill_defaults, is_task_entry, read_task_file, read_tasks
from xstilts.config.messages import Mistake, Place, YamlFile, mistakes_of, parse
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
    mistakes: list[Mistake] = []
    small = file.settings.pop("quick", None)
    if not isinstance(small, dict | None):
        mistakes.append((("quick",), "must be a mapping of settings"))
    elif quick and small is None:
        mistakes.append((("quick",), "is missing: the study has no small form, run it without --quick"))
    settings = merge(file.settings, small) if quick and isinstance(small, dict) else file.settings
    settings |= {key: value for key, value in changes.items() if value is not None}
    study, invalid = _validate(settings)
    file.check(mistakes + invalid)
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
    is_study = bool(file.settings.keys() & {"extends", "quick", "task_files", *Study.model_fields})
    if not is_study and any(map(is_task_entry, file.settings.values())):
        why = f"its entries are tasks: {', '.join(map(str, file.settings))}"
        hint = "name it under `task_files:` in a study, or give it to `xstilts tasks --tasks`"
        raise XstiltsError("bad-file", f"{file.origin} is a file of tasks, not a study", why, hint)
    file.settings = settings = _separate(file.settings)
    for block in (settings, settings.get("quick")):  # paths in a study are relative to its file
        if isinstance(block, dict) and isinstance(paths := block.get("task_files"), list):
            block["task_files"] = [str(path.parent / str(task_file)) for task_file in paths]
        for _, arm in entries_of(block, "arms"):
            if isinstance(arm, dict) and arm.get("scores"):
                arm["scores"] = str(path.parent / str(arm["scores"]))
    if "extends" in settings:
        extended = str(settings.pop("extends"))
        if extended in (*above, name):
            why = f"through {', '.join((*above, name))}"
            raise XstiltsError("bad-setting", f"{file.origin} extends itself", why, "name another study")
        base = _read(extended, (*above, name))
        base.check([])
        if isinstance(small := base.settings.get("quick"), dict):
            base.settings["quick"] = _without_removed(small, settings)
        file.settings = merge(base.settings, settings)
    return file


def _separate(value: Any) -> Any:
    """A copy in which mappings that a YAML alias shares are separate ones."""
    return {key: _separate(inner) for key, inner in value.items()} if isinstance(value, dict) else value


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
    remaining = {key: value for key, value in quick.items() if over.get(key, "") is not None}
    for key, value in remaining.items():
        if isinstance(value, dict) and isinstance(over.get(key), dict):
            remaining[key] = _without_removed(value, over[key])
    return remaining


EMPTY = {"name": "x", "question": "", "replicates": 1, "checkpoint": "last", "primary": [""], "contrasts": []}
EMPTY |= {section: {} for section in ("encoders", "arms", "targets")}
"""Settings that stand for missing or invalid ones while the valid ones are checked against each other."""
SECTIONS = {"intermediate training": "intermediate"}
SECTIONS |= {kind: f"{kind}s" for kind in ("task", "translator", "arm", "target")}
"""Kind of entry, as messages name it → the section of a study that holds such entries."""


def _validate(settings: Settings) -> tuple[Study, list[Mistake]]:
    """The study, and all mistakes; what has mistakes is left out before the rest is checked against each other."""
    tasks, mistakes = _study_tasks(settings)
    names = {kind: {str(name) for name, _ in entries_of(settings, section)} for kind, section in SECTIONS.items()}
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


def _without(settings: Settings, places: Iterable[Place]) -> Settings:
    """The settings without the entries and list items at these places, or below them."""
    remaining = {key: value for key, value in settings.items() if isinstance(key, str)}
    invalid: dict[str, set[Any]] = {}
    for section, *inner in places:
        invalid.setdefault(str(section), set()).add(inner[0] if inner else None)
    for section, keys in invalid.items():
        valid: Any = None
        value = remaining.pop(section, None)
        if isinstance(value, dict):
            valid = {key: entry for key, entry in value.items() if key not in keys}
        elif isinstance(value, list):
            valid = [item for i, item in enumerate(value) if keys.isdisjoint((i, str(item)))]
        if valid and len(valid) < len(value) and None not in keys:
            remaining[section] = valid
    return remaining
