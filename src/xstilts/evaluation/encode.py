"""Token sequences of examples: memory-mapped arrays in the store, shared by all workers and later runs."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.data.prepare import read_examples
from xstilts.engine import Step, Store
from xstilts.errors import XstiltsError
from xstilts.hashing import checksum
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import READ

logger = logging.getLogger(__name__)
VERSION = 2
"""Raised when a change of code moves what a text is encoded as."""


def encode_examples(
    folders: Sequence[Path], settings: Mapping[str, Any], tokenizer: Any, store: Path | None
) -> tuple[pa.Table, Encoded]:
    """The examples of prepared folders as one table, and their token sequences.

    settings: `task` (its entry), `max_length`, and possibly `mask_column`, a text column that the model does not see,
    and `prefixes`, what stands before the text of each side.
    store: the folder where the sequences are kept for later use; None: only in memory.
    """
    names = ("task", "max_length", "mask_column")
    chosen = {name: settings.get(name, "") for name in names}
    chosen |= {"prefixes": settings["prefixes"]} if "prefixes" in settings else {}
    return _encode_examples(tuple(folders), json.dumps(chosen, sort_keys=True), tokenizer, store)


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
    broken = store.inspect(step.fingerprint) if store.has(step.fingerprint) else ""
    if broken:
        logger.warning("kept token sequences were damaged, are set aside and are made again: %s", broken)
    if broken or not store.has(step.fingerprint):
        with store.writing(step) as out:
            encoded = encode_table(table, tokenizer=tokenizer, **chosen)
            for name in (field.name for field in fields(Encoded)):
                if isinstance(array := getattr(encoded, name), np.ndarray):
                    np.save(out / f"{name}.npy", array, allow_pickle=False)
            (out / "encoded.json").write_text(json.dumps({"together": encoded.together}))
    folder = store.path(step.fingerprint)
    arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in folder.glob("*.npy")}
    return table, Encoded(**arrays, **json.loads((folder / "encoded.json").read_text()))


@cache
def _digest(tokenizer: Any) -> str:
    content = [tokenizer.backend_tokenizer.to_str(), tokenizer.model_input_names, tokenizer.all_special_ids]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def encode_table(
    table: pa.Table, task: dict[str, Any], tokenizer: Any, max_length: int, mask_column: str = "",
    prefixes: Mapping[str, str] | None = None,
) -> Encoded:  # fmt: skip
    """The token sequences of a table of examples, without the text of `mask_column`, with the prefix of each side.

    Raises XstiltsError if the task cannot do without the text.
    """
    entry = Task(**task)
    kind = READ[entry.type]
    if mask_column:
        texts = {name for name in kind.TEXT_COLUMNS if table[name].null_count < len(table)}
        if mask_column not in kind.MASKABLE or (len(table) and not texts > {mask_column}):
            usable = [name for name in kind.MASKABLE if texts > {name}]
            what = f"column '{mask_column}' of task '{entry.name}' cannot be masked"
            why = "it has no text, or without it nothing is left to predict from"
            hint = f"mask {' or '.join(usable)}" if usable else "leave the task out of arms with `mask_column`"
            raise XstiltsError("unsupported", what, why, hint)
        position, nulls = table.column_names.index(mask_column), pa.nulls(len(table), table[mask_column].type)
        table = table.set_column(position, mask_column, nulls)
    if prefixes:
        pairs = zip(table["side"].to_pylist(), table["text"].to_pylist(), strict=True)
        column = pa.array([prefixes[side] + text for side, text in pairs], pa.string())
        table = table.set_column(table.column_names.index("text"), "text", column)
    return kind.encode(table, entry, tokenizer, max_length)
