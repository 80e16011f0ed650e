"""Rows from local files in the formats that multilingual data sets come in."""

import csv
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.errors import MISSING, XstiltsError, did_you_mean
from xstilts.languages import language
from xstilts.tasks.task import FileSource, Task
from xstilts.tasks.types import SCHEMAS

Row = dict[str, Any]


def path_of(source: FileSource, pattern: str, code: str, data: Path) -> Path:
    """The file that a pattern names for a language; raises XstiltsError where it is not below the data folder."""
    known = language(code)
    own = source.codes.get(code)
    try:
        relative = pattern.format(lang=own or code, iso3=own or known.iso639_3, script=known.script)
    except (KeyError, IndexError, ValueError) as error:
        raise XstiltsError(
            f"cannot read the file pattern '{pattern}'", f"unknown place {error}", "use {lang}, {iso3} and {script}"
        ) from None
    path = (data / relative).resolve()
    if not path.is_relative_to(data.resolve()):
        raise XstiltsError(f"refused to read {relative}", "it lies outside the data folder", "use a path below it")
    return path


def paths(source: FileSource, split: str, code: str, data: Path) -> list[Path]:
    """The files behind one split and language: two for parallel lines, else one; raises XstiltsError if absent."""
    if split not in source.files:
        raise XstiltsError(
            f"there is no split '{split}'",
            f"the task's files have {', '.join(source.files)}",
            did_you_mean(split, source.files) or "name the file of that split under `files`",
        )
    patterns = [source.files[split], *([source.english] if source.english else [])]
    found = [path_of(source, pattern, code, data) for pattern in patterns]
    for path in found:
        if not path.is_file():
            raise XstiltsError(
                f"no data for language '{code}': {path} does not exist",
                f"the pattern is '{source.files[split]}' below {data}",
                "give the folder that holds it with --data, or leave the language out",
                MISSING,
            )
    return found


def read(task: Task, source: FileSource, split: str, code: str, data: Path) -> pa.Table:
    """The rows of one split and language in the schema of the task's type; row ids follow the order of the file.

    Ids and clusters are shared by all languages where the task is parallel, else they carry the language.
    Raises XstiltsError with file, line, what was found and what was expected.
    """
    files = paths(source, split, code, data)
    rows = list(islice(READERS[source.format](files, source, task), *source.rows.get(split, (None,))))
    prefix = split if task.parallel else f"{code}-{split}"
    last, first = object(), 0
    for i, row in enumerate(rows):
        key = row.get(source.cluster) if source.cluster else row.pop("group", i)
        if key != last:
            last, first = key, i
        row.setdefault("cluster_id", f"{prefix}-{first}")
        row.setdefault("id", f"{prefix}-{i}")
        row["language"] = code
    if task.type == "retrieval":
        rows = [side for i, row in enumerate(rows) for side in _sides(row, i)]
    return pa.Table.from_pylist(rows, SCHEMAS[task.type])


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    for number, line in _whole_lines(path):
        yield number, line.rstrip("\r\n")


def _whole_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines with their ends, without a byte order mark; a line ends at a line feed and nowhere else."""
    number = 0
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as stream:
            yield from ((number := number + 1, line) for line in stream)
    except UnicodeDecodeError as error:
        raise XstiltsError(
            f"{path}: not UTF-8 after line {number}",
            f"byte {error.object[error.start]:#04x} at offset {error.start} of what was being read",
            "convert the file to UTF-8",
        ) from None


def _bad(path: Path, line: int, found: str, expected: str) -> XstiltsError:
    return XstiltsError(f"{path}, line {line}: {found}", f"expected {expected}", "mend the file or the task's entry")


def _label(value: str, task: Task, path: Path, line: int) -> str:
    if value not in task.labels:
        raise _bad(path, line, f"label '{value}'", "one of " + ", ".join(task.labels))
    return value


def _tagged(files: list[Path], source: FileSource, task: Task) -> Iterator[Row]:
    """Two columns, token TAB tag, and an empty line after each sentence."""
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in _lines(files[0]):
        if not line.strip():
            if tokens:
                yield {"tokens": tokens, "tags": tags}
                tokens, tags = [], []
            continue
        token, tab, tag = line.partition("\t")
        if not tab or not token:
            raise _bad(files[0], number, f"'{line[:60]}'", "a token, a tab and a tag")
        tokens.append(token)
        tags.append(_label(tag.strip(), task, files[0], number))
    if tokens:
        yield {"tokens": tokens, "tags": tags}


def _table(files: list[Path], source: FileSource, task: Task) -> Iterator[Row]:
    """Columns separated by tabs, or by commas with CSV quoting where the name ends in .csv."""
    path = files[0]
    header = any(isinstance(column, str) for column in source.columns.values())
    if path.suffix == ".csv":
        reader = csv.reader(line for _, line in _whole_lines(path))
        lines = [(reader.line_num, cells) for cells in reader]
    else:
        lines = [(number, line.split("\t")) for number, line in _lines(path)]
    where = {ours: column for ours, column in source.columns.items() if isinstance(column, int)}
    if header:
        names = lines[0][1] if lines else []
        for ours, theirs in source.columns.items():
            if theirs not in names:
                hint = did_you_mean(str(theirs), names)
                raise _bad(path, 1, f"no column '{theirs}' ({hint})", f"a header with it; found {', '.join(names)}")
            where[ours] = names.index(str(theirs))
        lines = lines[1:]
    for number, cells in lines:
        if len(cells) <= max(where.values()):
            raise _bad(path, number, f"{len(cells)} columns", f"at least {max(where.values()) + 1}")
        row = {ours: cells[column].strip() for ours, column in where.items()}
        for ours, value in row.items():
            if not value:
                raise _bad(path, number, f"empty {ours}", "some text")
        if "label" in row:
            _label(row["label"], task, path, number)
        yield row


def _parallel(files: list[Path], source: FileSource, task: Task) -> Iterator[Row]:
    """One text per line; with an English side, line i there translates line i here."""
    sides = [[line for _, line in _lines(file)] for file in files]
    if len({len(side) for side in sides}) > 1:
        raise XstiltsError(
            f"{files[0]} has {len(sides[0])} lines, {files[1]} has {len(sides[1])}",
            "line i of one must translate line i of the other",
            "get both files from the same release",
        )
    for number, texts in enumerate(zip(*sides, strict=True), 1):
        for file, text in zip(files, texts, strict=True):
            if source.english and not text.strip():
                raise _bad(file, number, "an empty line", "a sentence")
        yield dict(zip(("text", "english"), texts, strict=False))


def _sides(row: Row, number: int) -> list[Row]:
    """A pair as the two sides of retrieval: the English sentence asks, the other languages's sentences answer."""
    shared = {name: row[name] for name in ("cluster_id", "language")}
    candidate = f"{row['id']}-{row['language']}"
    return [
        {**shared, "id": row["id"], "side": "query", "text": row["english"], "gold": candidate},
        {**shared, "id": candidate, "side": "candidate", "text": row["text"], "gold": None},
    ]


def _squad(files: list[Path], source: FileSource, task: Task) -> Iterator[Row]:
    """SQuAD's JSON; for raw text, each paragraph once."""
    try:
        yield from _paragraphs(json.loads(files[0].read_text(encoding="utf-8-sig")), files[0], task)
    except (ValueError, KeyError, TypeError) as error:
        raise XstiltsError(f"{files[0]} is not SQuAD JSON", repr(error), "expected an object with 'data'") from None


def _paragraphs(content: Any, path: Path, task: Task) -> Iterator[Row]:
    for number, article in enumerate(content["data"]):
        for paragraph in article["paragraphs"]:
            if task.type == "mlm":
                yield {"text": " ".join(paragraph["context"].split())}
                continue
            for question in paragraph["qas"]:
                answers = [{"text": a["text"], "start": a["answer_start"]} for a in question["answers"]]
                for text, start in ((a["text"], a["start"]) for a in answers):
                    if not text or not paragraph["context"].startswith(text, start):
                        raise XstiltsError(
                            f"{path}, question {question['id']}: the context does not have '{text}' at {start}",
                            "`answer_start` counts characters from 0",
                            "mend the file, or leave the question out",
                        )
                yield {
                    "id": str(question["id"]),
                    "group": number,
                    "context": paragraph["context"],
                    "question": question["question"],
                    "answers": answers,
                }


READERS = {"tagged": _tagged, "table": _table, "lines": _parallel, "squad": _squad}
