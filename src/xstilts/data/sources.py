"""Every source yields the same Arrow rows; nothing above this folder knows where rows came from."""

import hashlib
from functools import lru_cache
from pathlib import Path

import pyarrow as pa

from xstilts.data import files
from xstilts.data.world import World
from xstilts.errors import XstiltsError
from xstilts.tasks.task import FileSource, Task, TextSource, WorldSource
from xstilts.tasks.types import SCHEMAS

Tasks = dict[str, Task]


@lru_cache(maxsize=2)
def _world(seed: int, code_mixing: float) -> World:
    return World(seed, code_mixing=code_mixing)


def rows(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> pa.Table:
    """The rows of one split and language of a task, in the schema of its type.

    Args:
        data: the folder below which file sources lie; `tasks`: the tasks that a text source takes text of.
    """
    source = task.source
    if isinstance(source, WorldSource):
        if split not in source.rows:
            raise XstiltsError(f"task '{task.name}' has no split '{split}'", f"it has {', '.join(source.rows)}", "")
        return _world(source.world, source.code_mixing).table(
            source.kind, split, code, source.rows[split], **source.parameters
        )
    if data is None:
        raise XstiltsError(
            f"task '{task.name}' reads local files, and no data folder was given",
            "its source is a pattern of file names",
            "give the folder with --data",
        )
    if isinstance(source, FileSource):
        return files.read(task, source, split, code, data)
    return _text(task, source, code, data, tasks)


def _text(task: Task, source: TextSource, code: str, data: Path, tasks: Tasks) -> pa.Table:
    """Distinct sentences of a language from all places that the source names, minus what is scored."""
    barred = {s for name, split in source.without.items() if _covers(tasks[name], split, code, data)
              for s in _sentences(rows(tasks[name], split, code, data, tasks))}  # fmt: skip
    texts: dict[str, None] = {}
    for name, split in source.of_tasks.items():
        if _covers(tasks[name], split, code, data):
            texts.update(dict.fromkeys(_sentences(rows(tasks[name], split, code, data, tasks))))
    for part in source.files:
        if _present(part, "train", code, data):
            texts.update(dict.fromkeys(files.read(task, part, "train", code, data)["text"].to_pylist()))
    kept = [text for text in texts if text not in barred and text.strip()]
    ids = [f"{code}-{i}" for i in range(len(kept))]
    columns = {"id": ids, "cluster_id": ids, "language": [code] * len(kept), "text": kept, "text_b": [None] * len(kept)}
    return pa.table(columns, SCHEMAS["mlm"])


def _sentences(table: pa.Table) -> list[str]:
    """The texts of a table's rows, whatever its type."""
    result: list[str] = []
    for name in ("tokens", "text", "text_a", "text_b", "context", "question"):
        if name in table.column_names:
            values = table[name].to_pylist()
            result += [" ".join(v) if isinstance(v, list) else v for v in values if v]
    return result


def _present(source: FileSource, split: str, code: str, data: Path) -> bool:
    if source.languages and code not in source.languages:
        return False
    return split in source.files and files.path_of(source, source.files[split], code, data).is_file()


def _covers(task: Task, split: str, code: str, data: Path) -> bool:
    if task.languages and code not in task.languages:
        return False
    return not isinstance(task.source, FileSource) or _present(task.source, split, code, data)


def available(task: Task, split: str, codes: tuple[str, ...], data: Path | None, tasks: Tasks) -> list[str]:
    """Those of `codes` for which the task has rows of that split."""
    if isinstance(task.source, FileSource):
        if data is None:
            rows(task, split, codes[0], data, tasks)
        return [code for code in codes if _covers(task, split, code, data)]  # type: ignore[arg-type]
    return [code for code in codes if not task.languages or code in task.languages]


def content(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> str:
    """What identifies the rows besides the task's entry: checksums of the files they come from."""
    source = task.source
    if isinstance(source, WorldSource) or data is None:
        return ""
    digest = hashlib.sha256()
    found: list[Path] = []
    if isinstance(source, FileSource):
        found = files.paths(source, split, code, data)
    else:
        for part in source.files:
            found += files.paths(part, "train", code, data) if _present(part, "train", code, data) else []
        for name, other in [*source.of_tasks.items(), *source.without.items()]:
            if _covers(tasks[name], other, code, data):
                digest.update(content(tasks[name], other, code, data, tasks).encode())
    for path in found:
        digest.update(_checksum(path, path.stat().st_mtime_ns))
    return digest.hexdigest()[:32]


@lru_cache(maxsize=4096)
def _checksum(path: Path, modified: int) -> bytes:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()
