"""Readers of formats whose records are nested (JSON, Parquet, SQuAD), and what all readers share.

A reader yields the records of a file under the column names of the task type, with the line of each. A record that
cannot be read is yielded as a `BadRow`, so that one broken line hides no other; only a file that cannot be read at all
raises an error.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.data.text_lines import lines, raw_lines
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import Column, FileSource, MappedSource, parts
from xstilts.tasks.task import BadRow, Record

Item = tuple[int, Record | BadRow]
Files = dict[str, Path]
"""The files behind one split and language: `main` and, for some formats, `english` and `gold`."""


def invalid_text(value: Any) -> BadRow | None:
    """What is wrong with a text inside a value that has bytes that are not UTF-8, or half of a surrogate pair."""
    if isinstance(value, list | dict):
        return next(filter(None, map(invalid_text, value.values() if isinstance(value, dict) else value)), None)
    try:
        value.encode() if isinstance(value, str) else None
    except UnicodeEncodeError as error:
        code = ord(value[error.start])
        what = f"byte {code - 0xDC00:#04x}" if 0xDC80 <= code <= 0xDCFF else "half of a surrogate pair"
        before = value[max(0, error.start - 20) : error.start].encode("utf-8", "replace").decode()
        return BadRow(f"not UTF-8 ({what} after '{before}')", "UTF-8 text")
    return None


def require(source: MappedSource, names: list[str], where: Path | str, more: Iterable[str] = ()) -> None:
    """Raise XstiltsError with every column that the source names and the data lack."""
    wanted = [*more, *(str(part) for column in source.columns.values() for part in parts(column))]
    roots = dict.fromkeys(name.split(".")[0] for name in wanted if not name.isdigit())
    absent = {name: did_you_mean(name, names) for name in roots if name not in names}
    if absent:
        listed = [f"no column '{name}'" + (f" ({close})" if close else "") for name, close in absent.items()]
        hint = "fix the `columns` of the task's entry, or the file's header"
        raise XstiltsError("bad-file", f"{where}: {'; '.join(listed)}", f"it has {', '.join(names) or 'none'}", hint)


def picked(records: Iterable[tuple[int, Any]], source: MappedSource) -> Iterator[Item]:
    """Yield the columns that the source names (without any, all) of each nested record, under the task type's names."""
    for number, record in records:
        record = record if isinstance(record, Mapping) else {}
        try:
            yield number, {name: _pick(record, column) for name, column in source.columns.items()} or dict(record)
        except BadRow as bad:
            yield number, bad


def _pick(value: Any, column: Column) -> Any:
    """What a record has at a path such as `question.stem`, or at several; raises BadRow if a step is missing."""
    if isinstance(column, list):
        return [_pick(value, path) for path in column]
    path = str(column)
    for step in path.split("."):
        if isinstance(value, list):
            value = [_pick(part, step) for part in value]
        elif isinstance(value, Mapping) and step in value:
            value = value[step]
        else:
            raise BadRow(f"no '{path}'", "a record that has it")
    return value


def _jsonl(files: Files, source: FileSource) -> Iterator[Item]:
    """A JSON object a line."""
    for number, line in lines(files["main"]):
        if line.strip():
            try:
                yield from picked([(number, json.loads(line, object_pairs_hook=unique_keys))], source)
            except (ValueError, RecursionError) as error:
                yield number, BadRow(f"broken JSON ({error})", "an object")


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; raises ValueError if a key occurs twice."""
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in keys if keys.count(key) > 1)}' occurs twice")
    return result


def load_json(path: Path) -> Any:
    """The content of a JSON file; raises XstiltsError if it is none."""
    try:
        return json.loads(b"".join(raw_lines(path)))
    except (ValueError, RecursionError) as error:
        raise XstiltsError("bad-file", f"{path} is not JSON", str(error), "get the file again") from None


def _json(files: Files, source: FileSource) -> Iterator[Item]:
    """A JSON list of objects, numbered from 1: their lines are unknown."""
    content = load_json(files["main"])
    if not isinstance(content, list):
        what = f"{files['main']} is not a list of records"
        raise XstiltsError("bad-file", what, "the format `json` is one list", "use `jsonl` for an object a line")
    yield from picked(enumerate(content, 1), source)


def _parquet(files: Files, source: FileSource) -> Iterator[Item]:
    """Parquet, a row group at a time; rows are numbered from 1."""
    try:
        with pq.ParquetFile(files["main"]) as file:
            require(source, file.schema_arrow.names, files["main"])
            rows = (row for batch in file.iter_batches(10_000) for row in batch.to_pylist())
            yield from picked(enumerate(rows, 1), source)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise XstiltsError("bad-file", f"{files['main']} is not Parquet", str(error), "get the file again") from None


def _squad(files: Files, source: FileSource) -> Iterator[Item]:
    """SQuAD's JSON: a record per question, numbered from 1; the questions of an article are one group. Without
    `answers` they are withheld; another field that a question lacks makes it a bad row."""
    content = load_json(files["main"])
    number = 0
    try:
        for group, article in enumerate(content["data"]):
            for paragraph in article["paragraphs"]:
                for question in paragraph["qas"]:
                    number += 1
                    key = question.get("id")
                    names = {"id": None if key is None else str(key), "group": group}
                    texts = {"context": paragraph.get("context"), "question": question.get("question")}
                    texts["answers"] = question.get("answers")
                    breaks = {"sentence_breaks": paragraph["sentence_breaks"]} if "sentence_breaks" in paragraph else {}
                    yield from picked([(number, names | texts | breaks)], source)
    except (KeyError, TypeError, AttributeError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else "a list or an object is missing"
        hint = "see SQuAD's format: data, paragraphs, qas, answers"
        what = f"{files['main']} is not SQuAD JSON"
        raise XstiltsError("bad-file", what, f"{missing} after question {number}", hint) from None


RECORD_READERS = {"jsonl": _jsonl, "json": _json, "parquet": _parquet, "squad": _squad}
UNITS = {"json": "record", "parquet": "row", "squad": "question"}
"""What is counted in formats whose lines mean nothing."""
