"""Examples of any data source as Arrow tables of one schema; nothing above this folder knows where they came from."""

import hashlib
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from xstilts.data import files, hub
from xstilts.data.build_examples import Examples
from xstilts.data.record_formats import Files
from xstilts.data.world.tables import world_table
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.hashing import checksum
from xstilts.tasks.data_source import (
    FileSource,
    HubSource,
    RestrictedSource,
    Source,
    TextSource,
    UnionSource,
    WorldSource,
)
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCHEMAS

Tasks = dict[str, Task]
TEXTS = ("tokens", "text", "text_a", "text_b", "context", "question")
"""Columns whose texts can become raw text for masked language modelling, whatever the type of task."""


def required_tasks(task: Task) -> tuple[str, ...]:
    """Names of the tasks whose examples or text a task takes."""
    return tuple(dict.fromkeys(name for name, _ in task.source.other_tasks("")))


def load_examples(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> Examples:
    """The examples of one split and language of a task, in the schema of its type, and the rows that were rejected.

    data: the folder below which file sources lie. tasks: those that a text or union source takes examples of. Raises
    XstiltsError if there are no data.
    """
    _check_split(task, split)
    source = source_of(task, split, code, data)
    if isinstance(source, WorldSource):
        parameters = {"code_mixing": source.code_mixing, **source.parameters}
        return Examples(world_table(source.world, source.kind, split, code, source.rows[split], **parameters))
    if isinstance(source, HubSource):
        return hub.read_hub(task, source, split, code, data)
    if isinstance(source, FileSource):
        return files.read_files(task, source, split, code, _files(task, source, split, code, data))
    _check_required(task, tasks)
    if isinstance(source, UnionSource):
        return _joined({name: load_examples(tasks[name], split, code, data, tasks) for name in source.union})
    if isinstance(source, TextSource):
        return _text(task, source, code, data, tasks)
    what, hint = f"the data of task '{task.name}' are not public", "give the task a `source` of your own files"
    raise XstiltsError("missing-data", what, source.own, hint)


def source_of(task: Task, split: str, code: str, data: Path | None) -> Source:
    """The source of a split in a language: that of the task, or its fallback if the data folder has the file."""
    fallback = task.source.fallback if isinstance(task.source, HubSource) else None
    return fallback if fallback and data and files.present(fallback, split, code, data) else task.source


def has_fallback(task: Task, data: Path | None) -> bool:
    """Whether the data folder has the authors' files of all of a task's splits and languages, so that its repository is
    not needed."""
    parts = [(split, code) for split in task.source.named_splits for code in task.languages]
    return bool(parts) and all(source_of(task, split, code, data) is not task.source for split, code in parts)


def _check_split(task: Task, split: str) -> None:
    known = task.source.named_splits
    if known and split not in known:
        what, why = f"task '{task.name}' has no split '{split}'", f"it has {', '.join(known)}"
        raise XstiltsError("unknown-name", what, why, did_you_mean(split, known) or "name it in the task's `source`")


def _files(task: Task, source: FileSource, split: str, code: str, data: Path | None) -> Files:
    if source.hub:
        return hub.hub_files(source, split, code, data)
    return files.paths(source, split, code, _folder(task, data))


def _folder(task: Task, data: Path | None) -> Path:
    if data is None:
        what = f"task '{task.name}' reads local files, and no data folder was given"
        raise XstiltsError("missing-data", what, "its source is a pattern of file names", "give the folder with --data")
    return data


def _check_required(task: Task, tasks: Tasks, above: tuple[str, ...] = ()) -> None:
    """Raise XstiltsError if a task takes examples of an unknown task, of itself by way of others (`above`), or of
    another type than the union that it is part of."""
    for name in required_tasks(task):
        if name not in tasks:
            what, why = f"task '{task.name}' takes examples of an unknown task '{name}'", "no task has this name"
            raise XstiltsError("unknown-name", what, why, did_you_mean(name, tasks) or "see `xstilts tasks`")
        if name in (*above, task.name):
            what, why = f"task '{name}' takes examples of itself", "that never ends"
            raise XstiltsError("bad-setting", what, why, "name tasks that have data of their own")
        if isinstance(task.source, UnionSource) and tasks[name].type != task.type:
            what, why = f"task '{task.name}' joins '{name}' of type {tasks[name].type}", f"its own type is {task.type}"
            raise XstiltsError("bad-setting", what, why, "join tasks of one type")
        _check_required(tasks[name], tasks, (*above, task.name))


def _joined(sources: dict[str, Examples]) -> Examples:
    """The examples of several tasks as those of one; ids contain the name of the task that an example comes from."""
    result = Examples(pa.table({}))
    tables = []
    for name, examples in sources.items():
        table = examples.table
        for position, column in enumerate(("id", "cluster_id")):  # the first two columns of every schema
            named = pa.array([f"{name}-{value}" for value in table[column].to_pylist()], pa.string())
            table = table.set_column(position, column, named)
        tables.append(table)
        result.rejected += examples.rejected
        result.unlabelled += examples.unlabelled
        result.withheld |= examples.withheld
    result.table = pa.concat_tables(tables)
    return result


def _text(task: Task, source: TextSource, code: str, data: Path | None, tasks: Tasks) -> Examples:
    """Distinct sentences of a language from everything that the source names, minus what is scored."""
    loaded, scored = (
        [
            load_examples(tasks[name], split, code, data, tasks)
            for name, split in named.items()
            if _covers(tasks[name], split, code, data)
        ]
        for named in (source.of_tasks, source.without)
    )
    for part, paths in _text_files(task, source, code, data):
        loaded.append(files.read_files(task, part, "train", code, paths))
    left_out = {sentence for examples in scored for sentence in _sentences(examples.table)}
    sentences = dict.fromkeys(sentence for examples in loaded for sentence in _sentences(examples.table))
    texts = [sentence for sentence in sentences if sentence not in left_out]
    ids = [f"{code}-{i}" for i in range(len(texts))]
    columns = [ids, ids, [code] * len(ids), texts, [None] * len(ids)]
    rejected = [row for examples in loaded for row in examples.rejected]
    return Examples(pa.table(dict(zip(SCHEMAS["mlm"].names, columns, strict=True)), SCHEMAS["mlm"]), rejected)


def _text_files(task: Task, source: TextSource, code: str, data: Path | None) -> list[tuple[FileSource, Files]]:
    """The parts of a text source that have a file of a language, each with its paths."""
    present = [part for part in source.files if files.present(part, "train", code, _folder(task, data))]
    return [(part, _files(task, part, "train", code, data)) for part in present]


def _sentences(table: pa.Table) -> list[str]:
    """The texts of a table's examples, whatever its type."""
    columns = [table[name].to_pylist() for name in TEXTS if name in table.column_names]
    return [" ".join(v) if isinstance(v, list) else v for values in columns for v in values if v]


def _covers(task: Task, split: str, code: str, data: Path | None) -> bool:
    if task.languages and code not in task.languages:
        return False
    if isinstance(task.source, FileSource) and not task.source.hub:
        return files.present(task.source, split, code, _folder(task, data))
    return True


def available(task: Task, split: str, codes: tuple[str, ...], data: Path | None, tasks: Tasks) -> list[str]:
    """Those of `codes` in which the task has examples of that split; raises XstiltsError if one file would be read as
    that of every language."""
    if isinstance(task.source, FileSource):
        pattern, named = task.source.files.get(split, "{lang}"), task.source.languages or task.languages
        if "{lang" not in pattern and "{iso3" not in pattern and len(named) != 1:
            what = f"task '{task.name}' does not say which language its {split} split has"
            hint = "put {lang} into the pattern, or give its one language under `languages`"
            raise XstiltsError("bad-setting", what, f"'{pattern}' is the same file for every language", hint)
    return [code for code in codes if _covers(task, split, code, data)]


def content_digest(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> str:
    """What identifies the examples besides the task's entry: a digest of the local files that they come from, or ""
    if the entry says it all."""
    source, digest = source_of(task, split, code, data), hashlib.sha256()
    _check_required(task, tasks)
    union = isinstance(source, UnionSource)
    if isinstance(source, WorldSource | RestrictedSource) or (data is None and not union):
        return ""
    if isinstance(source, HubSource | FileSource) and source.hub and not hub.mirror(source.hub, data):
        return ""  # the revision says it all
    _check_split(task, split)
    paths: list[Path] = []
    if isinstance(source, HubSource):
        paths = hub.mirrored_files(source, split, code, _folder(task, data))
    elif isinstance(source, FileSource):
        paths = list(_files(task, source, split, code, data).values())
    elif isinstance(source, TextSource):
        paths = [path for _, part in _text_files(task, source, code, data) for path in part.values()]
    for name, part_split in source.other_tasks(split):
        if union or _covers(tasks[name], part_split, code, data):
            digest.update(content_digest(tasks[name], part_split, code, data, tasks).encode())
    for path in paths:
        digest.update(_checksum(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4096)
def _checksum(path: Path, modified: int) -> bytes:
    return bytes.fromhex(checksum(path))
