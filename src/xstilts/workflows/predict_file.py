"""Predict for a file of any length: in constant memory, and going on where an interrupted run stopped."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.engine import digest
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.workflows.model import Model, predict_lines
from xstilts.workflows.own_data import read_batches

BATCH = 4096
"""Rows that are read, sorted by length and predicted together."""


def predict_rows(
    model: Model, source: str | Path, text: tuple[str, ...] = (), skip: int = 0, device: str = "auto"
) -> Iterator[dict[str, Any]]:
    """`row` (from 0), `label` and `score` of each row of a file, or of standard input (`-`), after `skip` rows."""

    def texts() -> Iterator[pa.Table]:
        ahead = skip
        for table in read_batches(source, size=BATCH):
            if ahead < len(table):
                names = text_columns(model, table.column_names, text)
                columns = {column: table[name].cast(pa.string()) for column, name in names.items()}
                yield pa.table(columns).slice(ahead).combine_chunks()
            ahead = max(0, ahead - len(table))

    for position, row in enumerate(predict_lines(model, texts(), device), skip):
        yield {"row": position, **row}


def text_columns(model: Model, names: Iterable[str], text: tuple[str, ...] = ()) -> dict[str, str]:
    """The columns of a file that a model reads: those of `text`, else those of its training data, else `text`.

    Raises XstiltsError if the file lacks them.
    """
    wanted, present = ["text_a", "text_b"] if model.facts["kind"] == "pair" else ["text_a"], list(names)
    trained = [model.facts["columns"].get(name, name) for name in wanted]
    chosen = list(text) or (trained if set(trained) <= set(present) else present if present == ["text"] else trained)
    if len(chosen) != len(wanted):
        what, why = f"{len(chosen)} columns are given", f"the model reads {len(wanted)}"
        raise XstiltsError("bad-argument", what, why, "give --text for each")
    for name in chosen:
        if name not in present:
            why, hint = f"it has {', '.join(present)}", did_you_mean(name, present) or "name the column with --text"
            raise XstiltsError("unknown-name", f"the file has no column '{name}'", why, hint)
    return dict(zip(wanted, chosen, strict=True))


def predict_file(
    model: Model, source: str | Path, out: Path, text: tuple[str, ...] = (), device: str = "auto",
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
    identity = _identity(model, source, text)
    begun = state.is_file() and partial.is_file() and state.read_text(encoding="utf-8") == identity
    done = _complete_lines(partial) if begun else 0
    if not begun:
        partial.write_bytes(b"")
        state.write_text(identity, encoding="utf-8")
    with partial.open("a", encoding="utf-8") as stream:
        for row in predict_rows(model, source, text, done, device):
            stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            done = row["row"] + 1
            if done % BATCH == 0:
                stream.flush()
                progress(done)
    progress(done)
    partial.replace(out)
    state.unlink(missing_ok=True)
    return done


def _identity(model: Model, source: str | Path, text: tuple[str, ...]) -> str:
    """What must be equal for predictions to be continued: model, file and columns; never equal for standard input."""
    if str(source) == "-":
        return os.urandom(8).hex()
    file = Path(source).resolve()
    facts = [model.facts["step"], str(file), list(text)]
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
