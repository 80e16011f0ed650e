"""Predict for a file of any length: in constant memory, and going on where an interrupted run stopped."""

import json
import os
from collections.abc import Callable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

from xstilts.engine import digest
from xstilts.errors import XstiltsError
from xstilts.languages import language
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
        ahead = min(len(table), max(0, skip - position))
        columns = columns_for(model.inputs, table.column_names, text)
        part = table.slice(ahead).combine_chunks()
        position += ahead
        if len(part):
            cells = cells_of_table(part, kind, columns, code)
            examples = examples_table(model.task.type, cells, [code] * len(part))
            for row in prediction_rows(kind, model.labels, examples, model.predict_table(examples, device)):
                yield {"row": position, **row}
                position += 1


def predict_file(
    model: Model, source: str | Path, out: Path, text: tuple[str, ...] = (), lang: str = "", device: str = "auto",
    progress: Callable[[int], None] = lambda rows: None,
) -> int:  # fmt: skip
    """Write a JSON line for each row of a file; how many there are.

    Lines are collected in `OUT.partial`, which becomes `out` at the end. If the same file was begun before with the
    same model, the rest is added. Raises XstiltsError if `out` exists.
    """
    if out.exists():
        why, hint = "finished predictions are not overwritten", "name another file, or remove it"
        raise XstiltsError("bad-argument", f"{out} exists already", why, hint)
    partial, state = out.with_name(f"{out.name}.partial"), out.with_name(f"{out.name}.state")
    identity = _identity(model, source, text, lang)
    begun = state.is_file() and partial.is_file() and state.read_text(encoding="utf-8") == identity
    done = _complete_lines(partial) if begun else 0
    rows = predict_rows(model, source, text, done, lang, device)
    first = list(islice(rows, 1))  # raises for a file or columns that cannot be read, before anything is written
    if not begun:
        partial.write_bytes(b"")
        state.write_text(identity, encoding="utf-8")
    with partial.open("a", encoding="utf-8") as stream:
        for row in chain(first, rows):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            done = row["row"] + 1
            if done % BATCH == 0:
                stream.flush()
                progress(done)
    progress(done)
    partial.replace(out)
    state.unlink(missing_ok=True)
    return done


def _identity(model: Model, source: str | Path, text: tuple[str, ...], lang: str) -> str:
    """What must be equal for predictions to be continued: model, file and options; never equal for standard input."""
    if str(source) == "-":
        return os.urandom(8).hex()
    file = Path(source).resolve()
    facts = [model.facts["step"], str(file), list(text), lang]
    facts += [file.stat().st_size, file.stat().st_mtime_ns] if file.is_file() else []
    return digest(facts)


def _complete_lines(file: Path) -> int:
    """The number of whole lines in a file, which loses an unfinished last one."""
    count = end = 0
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
    os.truncate(file, end)
    return count
