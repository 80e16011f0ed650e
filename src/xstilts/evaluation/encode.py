"""Rows as token sequences: memory-mapped arrays beside the finished steps, shared by all workers and later runs."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.data.prepare import read_examples
from xstilts.engine import Step, Store, checksum
from xstilts.errors import XstiltsError
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, SCORED, TRAINED, Scored, Trained

VERSION = 2
"""Raised when a change of code moves what a text is encoded as."""


def encoded_rows(
    folders: Sequence[Path], task: dict[str, Any], tokenizer: Any, max_length: int, store: Path | None,
    mask_column: str = "",
) -> tuple[pa.Table, Encoded]:  # fmt: skip
    """The rows of prepared folders, one after the other, and their token sequences.

    Args:
        store: the store's folder, where sequences are kept for the next who asks; None keeps them in memory alone.
        mask_column: a text column that the model is not shown (for a hypothesis-only baseline), or "".
    """
    return _encoded(tuple(folders), json.dumps(task, sort_keys=True), tokenizer, max_length, store, mask_column)


@lru_cache(maxsize=64)
def _encoded(
    folders: tuple[Path, ...], task: str, tokenizer: Any, max_length: int, store: Path | None, mask_column: str
) -> tuple[pa.Table, Encoded]:
    table, entry = read_examples(folders), Task(**json.loads(task))
    if store is None:
        return table, _encode(table, entry, tokenizer, max_length, mask_column)
    arguments = {
        "rows": [checksum(folder / "examples.parquet") for folder in folders],
        "task": json.loads(task),
        "tokenizer": _content(tokenizer),
        "max_length": max_length,
        "mask_column": mask_column,
    }
    step = Step("tokens", f"{__name__}:encoded_rows", VERSION, arguments)
    kept = Store(store)
    if not kept.has(step.fingerprint) or kept.inspect(step.fingerprint):
        with kept.writing(step) as out:
            _write(_encode(table, entry, tokenizer, max_length, mask_column), out)
    return table, _read(kept.path(step.fingerprint))


def _encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int, mask_column: str) -> Encoded:
    kind = FINE_TUNED.get(task.type) or SCORED.get(task.type) or TRAINED[task.type]
    masked = _masked(table, task, kind, mask_column) if mask_column else table
    return kind.encode(masked, task, tokenizer, max_length)


def _masked(table: pa.Table, task: Task, kind: Scored | Trained, column: str) -> pa.Table:
    """The table with nulls in a text column; raises XstiltsError if the task cannot do without it."""
    texts = {name for name in kind.TEXT_COLUMNS if table[name].null_count < len(table)}
    if column not in kind.MASKABLE or (len(table) and not texts > {column}):
        usable = [name for name in kind.MASKABLE if texts > {name}]
        raise XstiltsError(
            "unsupported",
            f"column '{column}' of task '{task.name}' cannot be masked",
            "it has no text, or without it nothing is left to predict from",
            f"mask {' or '.join(usable)}" if usable else "leave the task out of arms with `mask_column`",
        )
    return table.set_column(table.column_names.index(column), column, pa.nulls(len(table), table[column].type))


@cache
def _content(tokenizer: Any) -> str:
    told = [tokenizer.backend_tokenizer.to_str(), tokenizer.model_input_names, tokenizer.all_special_ids]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _write(encoded: Encoded, out: Path) -> None:
    for name, value in ((field.name, getattr(encoded, field.name)) for field in fields(Encoded)):
        if isinstance(value, np.ndarray):
            np.save(out / f"{name}.npy", value, allow_pickle=False)
    (out / "encoded.json").write_text(json.dumps({"together": encoded.together}))


def _read(folder: Path) -> Encoded:
    arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
    return Encoded(**arrays, **json.loads((folder / "encoded.json").read_text()))


def row_folders(inputs: dict[str, Path], languages: Sequence[str], name: str = "rows") -> list[Path]:
    """The folders among a step's inputs that hold the rows of these languages, in their order."""
    return [inputs[f"{name}.{code}"] for code in languages]
