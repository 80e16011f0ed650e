"""Readers of formats whose records are nested (JSON, Parquet, SQuAD), and what all readers share.

A reader yields the records of a file under our column names, with the line of each. A record that cannot be read is
yielded as a `BadRow`, so that one broken line hides no other; only a file that cannot be read at all raises.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import Column, Described, FileSource, parts
from xstilts.tasks.task import BadRow, Record

Item = tuple[int, Record | BadRow]
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
Files = dict[str, Path]
"""The files behind one split and language: `main` and, for some formats, `english` and `gold`."""


def lines(path: Path) -> Iterator[tuple[int, str | BadRow]]:
    """Numbered lines without their ends; a line ends at a line feed and nowhere else. No byte order mark."""
    with path.open("rb") as stream:
        for number, raw in enumerate(stream, 1):
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                byte = error.object[error.start]
                yield number, BadRow(f"not UTF-8 (byte {byte:#04x} at offset {error.start} of the line)", "UTF-8 text")
            else:
                yield number, text.rstrip("\r\n")


def require(source: Described, names: list[str], where: Path | str, more: Iterable[str] = ()) -> None:
    """Raises XstiltsError with every column that the source names and the data lack."""
    wanted = [*more, *(str(part) for column in source.columns.values() for part in parts(column))]
    roots = dict.fromkeys(name.split(".")[0] for name in wanted if not name.isdigit())
    absent = {name: did_you_mean(name, names) for name in roots if name not in names}
    if absent:
        hints = [f"no column '{name}'" + (f" ({close})" if close else "") for name, close in absent.items()]
        raise XstiltsError("bad-row", f"{where}: {'; '.join(hints)}", f"it has {', '.join(names) or 'none'}",
                           "mend the `columns` of the task's entry, or the file's header")  # fmt: skip


def pick(record: Mapping[str, Any], columns: Mapping[str, Column]) -> Record:
    """Our columns of a nested record of theirs; all of its columns under their own names where none are named.

    Raises BadRow where a place in it is missing.
    """
    if not columns:
        return dict(record)
    return {
        ours: [_at(record, str(part)) for part in theirs] if isinstance(theirs, list) else _at(record, str(theirs))
        for ours, theirs in columns.items()
    }


def _at(value: Any, path: str) -> Any:
    for step in path.split("."):
        if isinstance(value, list):
            value = [_at(part, step) for part in value]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            raise BadRow(f"no '{path}'", "a record that has it")
    return value


def _picked(records: Iterator[tuple[int, Any]], source: FileSource) -> Iterator[Item]:
    for number, record in records:
        try:
            yield number, pick(record if isinstance(record, Mapping) else {}, source.columns)
        except BadRow as bad:
            yield number, bad


def _jsonl(files: Files, source: FileSource) -> Iterator[Item]:
    """A JSON object a line."""
    for number, line in lines(files["main"]):
        if isinstance(line, BadRow):
            yield number, line
        elif line.strip():
            try:
                record = _parsed(line)
            except (ValueError, RecursionError) as error:
                yield number, BadRow(f"broken JSON ({error})", "an object")
            else:
                yield from _picked(iter([(number, record)]), source)


def _parsed(text: str) -> Any:
    """What a JSON text means; raises ValueError where it is none, or has half of a surrogate pair, which is no text."""
    value = json.loads(text)
    if SURROGATE.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def load_json(path: Path) -> Any:
    """The content of a JSON file; raises XstiltsError where it is none."""
    try:
        return _parsed(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise XstiltsError("bad-file", f"{path} is not JSON", str(error), "get the file again") from None


def _json(files: Files, source: FileSource) -> Iterator[Item]:
    """A JSON list of objects; lines cannot be told, so that records are numbered."""
    content = load_json(files["main"])
    if not isinstance(content, list):
        raise XstiltsError(
            "bad-file", f"{files['main']} is not a list of records", "the format `json` is one list", "see `jsonl`"
        )
    yield from _picked(iter(enumerate(content, 1)), source)


def _parquet(files: Files, source: FileSource) -> Iterator[Item]:
    """Parquet, a row group at a time; rows are numbered from 1."""
    try:
        with pq.ParquetFile(files["main"]) as file:
            require(source, file.schema_arrow.names, files["main"])
            rows = (row for batch in file.iter_batches(10_000) for row in batch.to_pylist())
            yield from _picked(enumerate(rows, 1), source)
    except (pa.ArrowException, OSError) as error:
        raise XstiltsError("bad-file", f"{files['main']} is not Parquet", str(error), "get the file again") from None


def _squad(files: Files, source: FileSource) -> Iterator[Item]:
    """SQuAD's JSON: a record per question; the questions of an article are one group. Questions are numbered."""
    content = load_json(files["main"])
    number = 0
    try:
        for group, article in enumerate(content["data"]):
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    number += 1
                    record = {"id": str(question["id"]), "group": group, "context": paragraph["context"],
                              "question": question["question"], "answers": question["answers"]}  # fmt: skip
                    yield from _picked(iter([(number, record)]), source)
    except (KeyError, TypeError) as error:
        after = f"after question {number}"
        raise XstiltsError(
            "bad-file",
            f"{files['main']} is not SQuAD JSON",
            f"{error!r} {after}",
            "see SQuAD: data, paragraphs, qas, answers",
        ) from None


NESTED = {"jsonl": _jsonl, "json": _json, "parquet": _parquet, "squad": _squad}
NUMBERED = {"json": "record", "parquet": "row", "squad": "question"}
"""What is counted in formats whose lines mean nothing."""
