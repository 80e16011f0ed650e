"""Rows as token sequences, kept in memory between the steps of one worker."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.prepare import read_rows
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.types import FINE_TUNED, SCORED, TRAINED


def encoded_rows(
    folder: Path, languages: list[str], task: dict[str, Any], tokenizer: Any, max_length: int, hidden: str = ""
) -> tuple[pa.Table, Encoded]:
    """The rows of a prepared folder and their token sequences.

    hidden: a text column that the model is not shown (for a hypothesis-only baseline), or "".
    """
    return _encoded(folder, tuple(languages), json.dumps(task, sort_keys=True), tokenizer, max_length, hidden)


@lru_cache(maxsize=64)
def _encoded(
    folder: Path, languages: tuple[str, ...], task: str, tokenizer: Any, max_length: int, hidden: str
) -> tuple[pa.Table, Encoded]:
    table, entry = read_rows(folder, languages), Task(**json.loads(task))
    kind = FINE_TUNED.get(entry.type) or SCORED.get(entry.type) or TRAINED[entry.type]
    shown = table
    if hidden:
        names = [name for name in kind.TEXT_COLUMNS if name != hidden]
        shown = shown.set_column(table.column_names.index(kind.TEXT_COLUMNS[0]), kind.TEXT_COLUMNS[0], table[names[0]])
        shown = shown.set_column(
            table.column_names.index(kind.TEXT_COLUMNS[1]), kind.TEXT_COLUMNS[1], pa.nulls(len(table), pa.string())
        )
    return table, kind.encode(shown, entry, tokenizer, max_length)
