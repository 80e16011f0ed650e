"""Every source yields the same Arrow rows; nothing above this folder knows where rows came from."""

import hashlib
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from xstilts.data import files, hub
from xstilts.data.build_examples import Examples
from xstilts.data.world import World
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource, HubSource, OwnSource, TextSource, UnionSource, WorldSource
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCHEMAS

Tasks = dict[str, Task]


@lru_cache(maxsize=2)
def _world(seed: int, code_mixing: float) -> World:
    return World(seed, code_mixing=code_mixing)


def required_tasks(task: Task) -> tuple[str, ...]:
    """Names of the tasks whose rows or text a task takes."""
    if isinstance(task.source, UnionSource):
        return task.source.union
    return tuple(sorted({*task.source.of_tasks, *task.source.without})) if isinstance(task.source, TextSource) else ()


def load_examples(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> Examples:
    """The rows of one split and language of a task, in the schema of its type, and what was wrong with others.

    Args:
        data: the folder below which file sources lie; `tasks`: the tasks that a text or union source takes rows of.

    Raises XstiltsError where they cannot be had at all.
    """
    source = task.source
    if isinstance(source, WorldSource):
        if split not in source.rows:
            what, why = f"task '{task.name}' has no split '{split}'", f"it has {', '.join(source.rows)}"
            raise XstiltsError("unknown-name", what, why, "name one of these splits")
        world = _world(source.world, source.code_mixing)
        return Examples(world.table(source.kind, split, code, source.rows[split], **source.parameters))
    if isinstance(source, HubSource):
        return hub.read_hub(task, source, split, code, data)
    _check_required(task, tasks)
    if isinstance(source, UnionSource):
        return _joined([load_examples(tasks[name], split, code, data, tasks) for name in source.union], source.union)
    if isinstance(source, OwnSource):
        raise XstiltsError("missing-data", f"the data of task '{task.name}' cannot be had openly", source.own,
                           "give the task a `source` of your own files in the study")  # fmt: skip
    if isinstance(source, FileSource) and source.hub:
        return hub.read_hub_files(task, source, split, code, data)
    if isinstance(source, TextSource):
        return _text(task, source, code, data, tasks)
    return files.read(task, source, split, code, _folder(task, data))


def _folder(task: Task, data: Path | None) -> Path:
    if data is None:
        raise XstiltsError(
            "bad-row",
            f"task '{task.name}' reads local files, and no data folder was given",
            "its source is a pattern of file names",
            "give the folder with --data",
        )
    return data


def _check_required(task: Task, tasks: Tasks, above: tuple[str, ...] = ()) -> None:
    """Raises XstiltsError where a task takes rows of one that is unknown, of itself by way of others (`above`), or of
    another type than the union that it is part of."""
    for name in required_tasks(task):
        if name not in tasks:
            raise XstiltsError("unknown-name", f"task '{task.name}' takes rows of an unknown task '{name}'",
                               "it is neither in the catalogue nor among your own tasks",
                               did_you_mean(name, tasks) or "`xstilts tasks` lists the catalogue")  # fmt: skip
        if name in (*above, task.name):
            raise XstiltsError("bad-row", f"task '{name}' takes rows of itself", "that never comes to an end",
                               "name tasks that have rows of their own")  # fmt: skip
        if isinstance(task.source, UnionSource) and tasks[name].type != task.type:
            raise XstiltsError("bad-row", f"task '{task.name}' joins '{name}' of type {tasks[name].type}",
                               f"it is of type {task.type} itself", "join tasks of one type")  # fmt: skip
        _check_required(tasks[name], tasks, (*above, task.name))


def _joined(parts: list[Examples], names: tuple[str, ...]) -> Examples:
    """The rows of several tasks as those of one; ids carry the name of the task that a row comes from."""
    tables = []
    for part, name in zip(parts, names, strict=True):
        table = part.table
        for position, column in enumerate(table.column_names):
            if column in ("id", "cluster_id"):
                named = pa.array([f"{name}-{value}" for value in table[column].to_pylist()], pa.string())
                table = table.set_column(position, column, named)
        tables.append(table)
    problems = [problem for part in parts for problem in part.problems]
    unlabelled = sum(part.unlabelled for part in parts)
    return Examples(pa.concat_tables(tables), problems, unlabelled, any(part.withheld for part in parts))


def _text(task: Task, source: TextSource, code: str, data: Path | None, tasks: Tasks) -> Examples:
    """Distinct sentences of a language from all places that the source names, minus what is scored."""
    barred = {s for name, split in source.without.items() if _covers(tasks[name], split, code, data)
              for s in _sentences(load_examples(tasks[name], split, code, data, tasks).table)}  # fmt: skip
    texts: dict[str, None] = {}
    result = Examples(pa.table({}))
    for name, split in source.of_tasks.items():
        if _covers(tasks[name], split, code, data):
            found = load_examples(tasks[name], split, code, data, tasks)
            result.problems += found.problems
            texts.update(dict.fromkeys(_sentences(found.table)))
    for part in source.files:
        if files.present(part, "train", code, _folder(task, data)):
            found = files.read(task, part, "train", code, _folder(task, data))
            result.problems += found.problems
            texts.update(dict.fromkeys(found.table["text"].to_pylist()))
    kept = [text for text in texts if text not in barred]
    ids = [f"{code}-{i}" for i in range(len(kept))]
    columns = {"id": ids, "cluster_id": ids, "language": [code] * len(kept), "text": kept, "text_b": [None] * len(kept)}
    result.table = pa.table(columns, SCHEMAS["mlm"])
    return result


def _sentences(table: pa.Table) -> list[str]:
    """The texts of a table's rows, whatever its type."""
    result: list[str] = []
    for name in ("tokens", "text", "text_a", "text_b", "context", "question"):
        if name in table.column_names:
            values = table[name].to_pylist()
            result += [" ".join(v) if isinstance(v, list) else v for v in values if v]
    return result


def _covers(task: Task, split: str, code: str, data: Path | None) -> bool:
    if task.languages and code not in task.languages:
        return False
    if isinstance(task.source, FileSource) and not task.source.hub:
        return files.present(task.source, split, code, _folder(task, data))
    return True


def available(task: Task, split: str, codes: tuple[str, ...], data: Path | None, tasks: Tasks) -> list[str]:
    """Those of `codes` for which the task has rows of that split; raises XstiltsError where one file would be read as
    that of every language."""
    if isinstance(task.source, FileSource):
        pattern, named = task.source.files.get(split, "{lang}"), task.source.languages or task.languages
        if "{lang" not in pattern and "{iso3" not in pattern and len(named) != 1:
            raise XstiltsError("bad-row", f"task '{task.name}' does not say which language its {split} split has",
                               f"'{pattern}' is the same file for every language",
                               "put {lang} into the pattern, or give its one language under `languages`")  # fmt: skip
    return [code for code in codes if _covers(task, split, code, data)]


def content_digest(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> str:
    """What identifies the rows besides the task's entry: checksums of the local files they come from."""
    source = task.source
    found: list[Path] = []
    digest = hashlib.sha256()
    _check_required(task, tasks)
    if isinstance(source, UnionSource):
        for name in source.union:
            digest.update(content_digest(tasks[name], split, code, data, tasks).encode())
    elif isinstance(source, WorldSource | OwnSource) or data is None:
        return ""
    elif isinstance(source, HubSource | FileSource) and source.hub and not hub.mirror(source.hub, data):
        return ""  # the revision says it all
    elif isinstance(source, HubSource):
        found = hub.mirrored_files(source, split, code, data)
    elif isinstance(source, FileSource):
        found = list((hub.hub_files if source.hub else files.paths)(source, split, code, data).values())
    else:
        for part in source.files:
            found += files.paths(part, "train", code, data).values() if files.present(part, "train", code, data) else []
        for name, other in [*source.of_tasks.items(), *source.without.items()]:
            if _covers(tasks[name], other, code, data):
                digest.update(content_digest(tasks[name], other, code, data, tasks).encode())
    for path in found:
        digest.update(_checksum(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4096)
def _checksum(path: Path, modified: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
