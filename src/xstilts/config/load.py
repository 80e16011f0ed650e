"""Read studies, with everything that they extend, and task files; all mistakes in a file are reported at once."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.cross_checks import cross_check
from xstilts.config.messages import Mistake, Place, YamlFile, mistakes_of, parse, read_yaml, unknown
from xstilts.config.schema import Study
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import kind_of
from xstilts.tasks.task import Task, catalogue, catalogue_entries, from_xtreme_folder
from xstilts.tasks.task_types import SCORED

Settings = dict[str, Any]
EMPTY = {"name": "x", "question": "", "replicates": 1, "checkpoint": "last", "primary": [""], "contrasts": []}
EMPTY |= {section: {} for section in ("encoders", "arms", "targets")}
"""Settings that stand for missing or invalid ones while the valid ones are checked against each other."""
FORMS = {
    "files": "the study does not say which files its tasks are in, run it without `--data-source files`",
    "quick": "the study has no small form, run it without --quick",
}
"""The sections of a study with settings for another form of it, in the order in which they are merged into it."""
SECTIONS = {"intermediate training": "intermediate"}
SECTIONS |= {kind: f"{kind}s" for kind in ("task", "translator", "arm", "target")}
"""Kind of entry, as messages name it → the section of a study that holds such entries."""


def builtin_studies() -> dict[str, Path]:
    """The YAML files of the studies that come with the package, by name."""
    return {file.stem: file for file in Path(__file__).with_name("builtin").glob("*.yaml")}


def load_study(name: str, quick: bool = False, **changes: Any) -> Study:
    """Load the built-in study of that name, or the study in that file.

    Args:
        quick: merge the file's `quick:` section into it, a small form for a smoke test.
        changes: top-level values that replace the file's (`replicates`, `seed`, `data_source`), if not None. With
            `data_source="files"` the file's `files:` section is merged into it, which takes data from a folder.

    Raises XstiltsError that lists every mistake with its line.

    >>> load_study("pocket", replicates=2).replicates
    2
    """
    file = _read(name)
    mistakes: list[Mistake] = []
    settings = {key: value for key, value in file.settings.items() if key not in FORMS}
    given = {key: value for key, value in changes.items() if value is not None}
    wanted = {"files": (settings | given).get("data_source") == "files", "quick": quick}
    for section, why in FORMS.items():
        form = file.settings.get(section)
        if not isinstance(form, dict | None):
            mistakes.append(((section,), "must be a mapping of settings"))
        elif wanted[section] and form is None:
            mistakes.append(((section,), f"is missing: {why}"))
        elif wanted[section] and form is not None:
            settings = merge(settings, form)
    study, invalid = _validate(settings | given)
    file.check(mistakes + invalid)
    return study


def read_task_file(path: Path) -> dict[str, Task]:
    """Read the tasks of a YAML file, by name; raises XstiltsError that lists every mistake with its line."""
    if not _is(path.is_file):
        why = "a task file has entries like those of the catalogue"
        raise XstiltsError("missing-file", f"there is no task file {path}", why, "check the path")
    file = read_yaml(path)
    of_studies = file.settings.keys() & (Study.model_fields.keys() - Task.model_fields.keys())
    if marks := [key for key in of_studies if not _is_task_entry(file.settings[key])]:
        why = f"it has the settings of a study: {', '.join(sorted(marks))}"
        hint = "give a file of task entries, like those that a study has under `tasks:`; see docs/tasks.md"
        raise XstiltsError("bad-file", f"{path} is a study, not a task file", why, hint)
    tasks, mistakes = _read_tasks(file.settings)
    file.check(mistakes)
    return tasks


def known_tasks(file: Path | None, data_source: str | None) -> dict[str, Task]:
    """All tasks by name: the catalogue's, from the benchmark's folder for the data source `xtreme`, and a file's."""
    known = catalogue()
    if data_source == "xtreme":
        known = {name: from_xtreme_folder(task) for name, task in known.items()}
    return known | (read_task_file(file) if file else {})


def _is(check: Callable[[], bool]) -> bool:
    """The answer of `Path.is_file` or `Path.is_dir`, False for a name that no file can have."""
    try:
        return check()
    except OSError:
        return False


def _read(name: str, above: tuple[str, ...] = ()) -> YamlFile:
    """A study's file, with the settings of what it extends below its own; `above` names the studies that extend it."""
    path, known = Path(name), builtin_studies()
    if name in known:
        file = parse(known[name].read_text(encoding="utf-8"), f"study '{name}'")
    elif _is(path.is_file):
        file = read_yaml(path)
    else:
        why = f"it is neither a file nor one of the built-in studies: {', '.join(sorted(known))}"
        hint = did_you_mean(name, known) or "give a built-in name or the path of a YAML file"
        if _is(path.is_dir):
            why, hint = "it is a folder", "give a built-in name or a YAML file; `xstilts report` takes run folders"
        raise XstiltsError("missing-file", f"there is no study '{name}'", why, hint)
    is_study = bool(file.settings.keys() & {"extends", "task_files", *FORMS, *Study.model_fields})
    if not is_study and any(map(_is_task_entry, file.settings.values())):
        why = f"its entries are tasks: {', '.join(map(str, file.settings))}"
        hint = "name it under `task_files:` in a study, or give it to `xstilts tasks --tasks`"
        raise XstiltsError("bad-file", f"{file.origin} is a task file, not a study", why, hint)
    file.settings = settings = _separate(file.settings)
    for block in (settings, *(settings.get(form) for form in FORMS)):  # paths in a study are relative to its file
        if isinstance(block, dict) and isinstance(paths := block.get("task_files"), list):
            block["task_files"] = [str(path.parent / str(task_file)) for task_file in paths]
        for _, arm in _entries_of(block, "arms"):
            if isinstance(arm, dict) and arm.get("scores"):
                arm["scores"] = str(path.parent / str(arm["scores"]))
    if "extends" in settings:
        extended = str(settings.pop("extends"))
        if extended in (*above, name):
            why = f"through {', '.join((*above, name))}"
            raise XstiltsError("bad-setting", f"{file.origin} extends itself", why, "name another study")
        base = _read(extended, (*above, name))
        base.check([])
        for name_of_form in FORMS:
            if isinstance(form := base.settings.get(name_of_form), dict):
                base.settings[name_of_form] = _without_removed(form, settings)
        merged = merge(base.settings, settings)
        for name_of_form in FORMS:
            inherited, form = base.settings.get(name_of_form), settings.get(name_of_form)
            if isinstance(inherited, dict) and isinstance(form, dict):
                merged[name_of_form] = merge(inherited, form, keep=True)
        file.settings = merged
    return file


def _separate(value: Any) -> Any:
    """A copy in which mappings that a YAML alias shares are separate ones."""
    return {key: _separate(inner) for key, inner in value.items()} if isinstance(value, dict) else value


def _is_task_entry(entry: Any) -> bool:
    """Whether a raw setting looks like the entry of a task."""
    return isinstance(entry, dict) and bool(entry.keys() & {"type", "extends", "source"})


def merge(base: Settings, over: Settings, keep: bool = False) -> Settings:
    """`base` with the settings of `over` on top, mapping by mapping; a null removes a setting. The `source` of a task
    is replaced by one of another kind (`merge_source`).

    keep: whether nulls stay, for a form whose nulls remove settings of the study later.

    >>> merge({"arms": {"near": {}, "far": {}}, "seed": 1}, {"arms": {"near": None}, "seed": 2})
    {'arms': {'far': {}}, 'seed': 2}
    """
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged = merge_source if key == "source" else merge
        result[key] = merged(base[key], value, keep) if both else value
    return {key: value for key, value in result.items() if keep or value is not None}


def merge_source(base: Settings, over: Settings, keep: bool = False) -> Settings:
    """A task's source with the settings of another on top. One that names its `format`, or is of another kind, replaces
    it, because what one kind of source has makes no sense in another; another `hub` has neither its commits nor its
    fallback.

    >>> merge_source({"hub": "a/b", "revision": "1", "config": "{lang}"}, {"hub": "c/d"})
    {'hub': 'c/d', 'config': '{lang}'}
    """
    if "format" in over or kind_of({**base, **over}) != kind_of(base):
        return over
    if "hub" in over:
        base = {key: value for key, value in base.items() if key not in ("revision", "fallback")}
    return merge(base, over, keep)


def _without_removed(form: Settings, over: Settings) -> Settings:
    """An inherited form without what the extending study removes by a null."""
    remaining = {key: value for key, value in form.items() if over.get(key, "") is not None}
    for key, value in remaining.items():
        if isinstance(value, dict) and isinstance(over.get(key), dict):
            remaining[key] = _without_removed(value, over[key])
    return remaining


def _validate(settings: Settings) -> tuple[Study, list[Mistake]]:
    """The study, and all mistakes; what has mistakes is left out before the rest is checked against each other."""
    mistakes: list[Mistake] = []
    tasks: dict[str, Task] = {}
    paths = settings.pop("task_files", [])
    if not isinstance(paths, list):
        mistakes.append((("task_files",), "must be a list of file names"))
        paths = []
    for i, path in enumerate(paths):
        try:
            tasks |= read_task_file(Path(path))
        except XstiltsError as error:
            mistakes.append((("task_files", i), f"{error.what}: {error.why}"))
    names = {kind: {str(name) for name, _ in _entries_of(settings, section)} for kind, section in SECTIONS.items()}
    valid, invalid = _read_tasks(settings.get("tasks", {}), ("tasks",))
    mistakes += invalid
    settings["tasks"] = tasks = tasks | valid
    known = {name: task for name, task in catalogue().items() if name not in names["task"]} | tasks
    names["task"] |= known.keys()
    _fill_defaults(settings, known)
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


def _read_tasks(entries: Any, above: Place = ()) -> tuple[dict[str, Task], list[Mistake]]:
    """Validate entries of tasks, which may extend tasks of the catalogue: the valid tasks, and all mistakes."""
    if not isinstance(entries, dict):
        return {}, [(above, "must be a mapping of settings")]
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
        if isinstance(inherited := base.get("source"), dict) and isinstance(entry.get("source"), dict):
            settings["source"] = merge_source(inherited, entry["source"])
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


def _fill_defaults(settings: Settings, tasks: Mapping[str, Task]) -> None:
    """Give the entries of a study, in place, what they do not set: the task (their own name), and its defaults."""
    trainings = _entries_of(settings, "intermediate")
    for name, target in _entries_of(settings, "targets"):
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


def _entries_of(settings: Any, section: str) -> list[tuple[str, Any]]:
    """The entries of a section of a study by name, none if it is not a mapping."""
    entries = settings.get(section) if isinstance(settings, dict) else None
    return list(entries.items()) if isinstance(entries, dict) else []
