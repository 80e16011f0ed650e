"""Predict for a file of any length: in constant memory, and going on where an interrupted run stopped."""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from xstilts.engine.temporary import try_lock
from xstilts.errors import XstiltsError
from xstilts.hashing import digest
from xstilts.languages import language
from xstilts.models.hardware import choose_precision, device_class
from xstilts.workflows.model import Model
from xstilts.workflows.model_inputs import cells_of_table, columns_for, examples_table, prediction_rows
from xstilts.workflows.user_data.tables import read_batches

BATCH = 4096
"""Rows that are read, sorted by length and predicted together."""


def predict_rows(
    model: Model, source: str | Path, text: tuple[str, ...] = (), skip: int = 0, lang: str = "", device: str = "auto"
) -> Iterator[dict[str, Any]]:
    """`row` (from 0) and what is predicted, for each row of a file or of standard input (`-`) after `skip` rows."""
    kind, codes = model.facts["kind"], model.facts["for"]
    code = language(lang).code if lang else codes[0] if len(codes) == 1 else ""
    position = 0
    for table in read_batches(source, size=BATCH):
        columns = columns_for(model.inputs, table.column_names, text)
        first, position = position, position + len(table)
        if position > skip:  # whole batches: scores may depend in the last digits on what is predicted with a row
            cells = cells_of_table(table.combine_chunks(), kind, columns, code)
            examples = examples_table(model.task.type, cells, [code] * len(table))
            rows = prediction_rows(kind, model.labels, examples, model.predict_table(examples, device))
            yield from ({"row": number, **row} for number, row in enumerate(rows, first) if number >= skip)


def predict_file(
    model: Model, source: str | Path, out: Path, text: tuple[str, ...] = (), lang: str = "", device: str = "auto",
    progress: Callable[[int], None] = lambda rows: None,
) -> int:  # fmt: skip
    """Write a JSON line for each row of a file; how many there are.

    Lines are collected in `OUT.partial`, which becomes `out` at the end. If the same file was begun before with the
    same model, the rest is added. Raises XstiltsError if `out` exists, or if another process writes it.
    """
    _check_absent(out)
    partial, state = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.state")
    identity = _identity(model, source, text, lang, device)
    with state.open("a+b") as record:
        if try_lock(record.fileno(), fcntl.LOCK_EX) is False:
            why, hint = "another process predicts into it", "wait for it, or name another file"
            raise XstiltsError("bad-argument", f"{out} is in use", why, hint)
        _check_absent(out)  # another process may just have ended
        record.seek(0)
        begun = partial.is_file() and record.read() == identity
        done = _complete_lines(partial) if begun else 0
        rows = predict_rows(model, source, text, done, lang, device)
        try:
            first = list(islice(rows, 1))  # raises for a file or columns that cannot be read
        except BaseException:
            if not begun:
                state.unlink()
            raise
        if not begun:
            partial.write_bytes(b"")
            record.truncate(0)
            record.write(identity)
            record.flush()
        with partial.open("a", encoding="utf-8") as stream:
            for row in chain(first, rows):
                stream.write(json.dumps(row, ensure_ascii=False) + "\n")
                done = row["row"] + 1
                if done % BATCH == 0:
                    stream.flush()
                    progress(done)
            stream.flush()
            os.fsync(stream.fileno())
        progress(done)
        partial.replace(out)
        state.unlink()
    return done


def _check_absent(out: Path) -> None:
    if out.exists():
        why, hint = "finished predictions are not overwritten", "name another file, or remove it"
        raise XstiltsError("bad-argument", f"{out} exists already", why, hint)


def _identity(model: Model, source: str | Path, text: tuple[str, ...], lang: str, device: str) -> bytes:
    """What must be equal for predictions to be continued: model, file, options, and the device with its precision;
    never equal for standard input."""
    if str(source) == "-":
        return os.urandom(8).hex().encode()
    file, place = Path(source).resolve(), device_class(device)
    facts = [model.facts["step"], str(file), list(text), lang, place, choose_precision(place)]
    facts += [file.stat().st_size, file.stat().st_mtime_ns] if file.is_file() else []
    return digest(facts).encode()


def _complete_lines(file: Path) -> int:
    """The number of whole lines in a file, which loses an unfinished last one."""
    count = end = 0
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
    os.truncate(file, end)
    return count
