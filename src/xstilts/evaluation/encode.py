"""Token sequences of examples: memory-mapped arrays in the store, shared by all workers and later runs."""

import hashlib
import json
from collections.abc import Mapping, Sequence
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


def example_folders(inputs: Mapping[str, Path], languages: Sequence[str], name: str = "rows") -> list[Path]:
    """The folders among a step's inputs that hold the examples of these languages, in their order."""
    return [inputs[f"{name}.{code}"] for code in languages]


def encode_examples(
    folders: Sequence[Path], settings: Mapping[str, Any], tokenizer: Any, store: Path | None
) -> tuple[pa.Table, Encoded]:
    """The examples of prepared folders as one table, and their token sequences.

    Args:
        settings: `task` (its entry), `max_length`, and possibly `mask_column`, a text column that the model is not
            shown (for a hypothesis-only baseline).
        store: the store's folder, where the sequences are kept for later use; None keeps them only in memory.

    Raises XstiltsError if the task type does not allow the column to be masked.
    """
    names = ("task", "max_length", "mask_column")
    chosen = json.dumps({name: settings.get(name, "") for name in names}, sort_keys=True)
    return _encode_examples(tuple(folders), chosen, tokenizer, store)


@lru_cache(maxsize=64)
def _encode_examples(
    folders: tuple[Path, ...], settings: str, tokenizer: Any, place: Path | None
) -> tuple[pa.Table, Encoded]:
    table, chosen = read_examples(folders), json.loads(settings)
    if place is None:
        return table, encode_table(table, tokenizer=tokenizer, **chosen)
    content = {"rows": [checksum(folder / "examples.parquet") for folder in folders], "tokenizer": _digest(tokenizer)}
    step = Step("tokens", f"{__name__}:encode_examples", VERSION, {**content, **chosen})
    store = Store(place)
    if not store.has(step.fingerprint) or store.inspect(step.fingerprint):
        with store.writing(step) as out:
            _write(encode_table(table, tokenizer=tokenizer, **chosen), out)
    return table, _read(store.path(step.fingerprint))


def encode_table(
    table: pa.Table, task: dict[str, Any], tokenizer: Any, max_length: int, mask_column: str = ""
) -> Encoded:
    """The token sequences of a table of examples, without `mask_column`."""
    entry = Task(**task)
    kind = FINE_TUNED.get(entry.type) or SCORED.get(entry.type) or TRAINED[entry.type]
    masked = _masked(table, entry, kind, mask_column) if mask_column else table
    return kind.encode(masked, entry, tokenizer, max_length)


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
def _digest(tokenizer: Any) -> str:
    content = [tokenizer.backend_tokenizer.to_str(), tokenizer.model_input_names, tokenizer.all_special_ids]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _write(encoded: Encoded, out: Path) -> None:
    for name, value in ((field.name, getattr(encoded, field.name)) for field in fields(Encoded)):
        if isinstance(value, np.ndarray):
            np.save(out / f"{name}.npy", value, allow_pickle=False)
    (out / "encoded.json").write_text(json.dumps({"together": encoded.together}))


def _read(folder: Path) -> Encoded:
    arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
    return Encoded(**arrays, **json.loads((folder / "encoded.json").read_text()))
