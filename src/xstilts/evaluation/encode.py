"""Rows as token sequences, kept in memory between the steps of one worker."""

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.prepare import read_rows
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.types import FINE_TUNED, SCORED, TRAINED


def encoded_rows(
    folders: Sequence[Path], task: dict[str, Any], tokenizer: Any, max_length: int, hidden: str = ""
) -> tuple[pa.Table, Encoded]:
    """The rows of prepared folders, one after the other, and their token sequences.

    hidden: a text column that the model is not shown (for a hypothesis-only baseline), or "".
    """
    return _encoded(tuple(folders), json.dumps(task, sort_keys=True), tokenizer, max_length, hidden)


@lru_cache(maxsize=64)
def _encoded(
    folders: tuple[Path, ...], task: str, tokenizer: Any, max_length: int, hidden: str
) -> tuple[pa.Table, Encoded]:
    table, entry = read_rows(folders), Task(**json.loads(task))
    kind = FINE_TUNED.get(entry.type) or SCORED.get(entry.type) or TRAINED[entry.type]
    shown = table
    if hidden:
        names = [name for name in kind.TEXT_COLUMNS if name != hidden]
        shown = shown.set_column(table.column_names.index(kind.TEXT_COLUMNS[0]), kind.TEXT_COLUMNS[0], table[names[0]])
        shown = shown.set_column(
            table.column_names.index(kind.TEXT_COLUMNS[1]), kind.TEXT_COLUMNS[1], pa.nulls(len(table), pa.string())
        )
    return table, kind.encode(shown, entry, tokenizer, max_length)


def row_folders(inputs: dict[str, Path], languages: Sequence[str], name: str = "rows") -> list[Path]:
    """The folders among a step's inputs that hold the rows of these languages, in their order."""
    return [inputs[f"{name}.{code}"] for code in languages]
