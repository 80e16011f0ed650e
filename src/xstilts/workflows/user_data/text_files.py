"""Lines and tables in text files: UTF-8 or an error with the place, delimiters, quoting, and the length of rows.

Nothing is guessed: a file whose encoding or delimiter is unclear raises an error with the command that fixes it.
"""

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

from xstilts.data.line_formats import DELIMITERS
from xstilts.data.tagged_formats import TAG, find_layout, word_lines
from xstilts.data.text_lines import iconv, raw_lines, suffix, text_only
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource

HEAD_LINES = 1000
"""How many lines are read to recognise a format or a delimiter."""
MAX_LINES_PER_ROW = 10_000
"""A quoted cell with more lines is taken for a quote that is never closed."""
SHOWN = 5


def lines_of(path: Path) -> Iterator[str]:
    """Yield the lines of a UTF-8 file with their ends; raises XstiltsError with the line that is not UTF-8 text."""
    yield from _decoded(raw_lines(path), str(path))


def decode_lines(stream: IO[bytes], name: str) -> Iterator[str]:
    """Yield the lines of a stream as `lines_of` does; `name` stands for it in messages.

    >>> import io
    >>> list(decode_lines(io.BytesIO("\\ufefftext\\r\\nça va".encode()), "stdin"))
    ['text\\r\\n', 'ça va']
    """
    yield from _decoded(text_only(stream, name), name)


def _decoded(lines: Iterable[bytes], name: str) -> Iterator[str]:
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode()
        except UnicodeDecodeError as error:
            before = line[max(0, error.start - 30) : error.start].decode("utf-8", "ignore")
            what = f"{name}, line {number}: not UTF-8 (byte {line[error.start]:#04x} after '{before}')"
            why = "files are read as UTF-8 only, because another encoding cannot be recognised with certainty"
            hint = f"if it was saved by an older Windows program: {iconv('WINDOWS-1252', name)}"
            raise XstiltsError("bad-file", what, why, hint) from None


def table_rows(path: Path) -> Iterator[list[str]]:
    """Yield the header of a CSV or TSV file, then its rows: lists of cells, all of one length.

    Empty lines are skipped. A CSV file may be delimited by commas, semicolons or tabs. Tab-separated cells are read as
    quoted if that works for the whole file, else quotes are part of the text.
    """
    name, quoted = delimiter_of(path)
    delimiter = DELIMITERS[name]
    rows = _quoted_rows(path, delimiter) if quoted else _plain_rows(path)
    header: list[str] = []
    ragged: list[str] = []
    for line, cells in rows:
        if not header:
            header = _names(cells, path)
            yield header
        elif len(cells) == len(header):
            if not ragged:
                yield cells
        elif len(cells) > 1 or cells[0].strip():
            ragged.append(f"line {line} has {len(cells)}")
            if len(ragged) == SHOWN:
                break
    if ragged:
        what, why = f"{path}: rows of different lengths", f"the header has {len(header)} columns; {', '.join(ragged)}"
        mark = {value: name for name, value in DELIMITERS.items()}[delimiter]
        hint = f"put texts that contain a {mark} in double quotes, or save the file again with a spreadsheet or pandas"
        raise XstiltsError("bad-row", what, why, hint if delimiter != "\t" else "fix these lines")


def _names(cells: list[str], path: Path) -> list[str]:
    """The column names of a header; raises XstiltsError if one occurs twice."""
    names = [cell.strip() or f"column {position}" for position, cell in enumerate(cells, 1)]
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        what = f"{path}: the header names '{repeated[0]}' {names.count(repeated[0])} times"
        hint = "rename or remove the columns; if the file has no header, add a first line with column names"
        raise XstiltsError("bad-file", what, "columns are found by their names", hint)
    return names


def _quoted_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the line on which each row of a CSV file begins, and its cells."""
    begin = 1

    def feed() -> Iterator[str]:
        for number, line in enumerate(lines_of(path), 1):
            if number - begin >= MAX_LINES_PER_ROW:
                raise csv.Error(f"it does not end within {MAX_LINES_PER_ROW:,} lines: a quote is never closed")
            yield line

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    try:
        for cells in reader:
            if cells:
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        why, hint = str(error), 'write a quote inside a quoted cell twice: "She said ""no"""'
        if why.startswith("unexpected end"):
            why = "a quote that opens in this row is never closed"
        elif why.startswith("new-line"):
            why, hint = "it has a carriage return (CR) without a line feed (LF)", "replace CR: tr '\\r' '\\n'"
        raise XstiltsError("bad-file", f"{path}: cannot read the row that begins on line {begin}", why, hint) from None


def _plain_rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of each line of a tab-separated file, and its cells."""
    for number, line in enumerate(lines_of(path), 1):
        if content := line.rstrip("\r\n"):
            yield number, content.split("\t")


def delimiter_of(path: Path) -> tuple[str, bool]:
    """The name of a table's delimiter, and whether its cells are quoted as in CSV."""
    delimiter = _delimiter(path)
    name = next(name for name, mark in DELIMITERS.items() if mark == delimiter)
    return name, delimiter != "\t" or _tabs_are_quoted(path)


def _tabs_are_quoted(path: Path) -> bool:
    """Whether cells of a tab-separated file that begin with a quote are quoted as in CSV.

    They are if all rows can be read like that, unless rows of the same length also come out without quoting, are more,
    and no quote is doubled: then a quote at the beginning of one line would be closed on another.
    """
    lines = [line.count('""') for line in lines_of(path) if line.startswith('"') or '\t"' in line]
    if not lines:
        return False
    plain, plain_widths = _count(_plain_rows(path))
    try:
        quoted, quoted_widths = _count(_quoted_rows(path, "\t"))
    except XstiltsError:
        return False
    return quoted_widths == 1 and (plain == quoted or any(lines)) if plain_widths == 1 else True


def _count(rows: Iterable[tuple[int, list[str]]]) -> tuple[int, int]:
    """The number of rows, and of their different lengths."""
    count, widths = 0, set()
    for count, (_, cells) in enumerate(rows, 1):  # noqa: B007
        widths.add(len(cells))
    return count, len(widths)


def _delimiter(path: Path) -> str:
    """The only delimiter that gives the first rows the same number of cells, at least two; a comma if there is none."""
    head = list(islice(lines_of(path), HEAD_LINES))
    if suffix(path) != ".csv" and any("\t" in line for line in head[:1]):
        return "\t"
    possible, fitting = [], []
    for name, mark in DELIMITERS.items():
        widths, complete = _widths(head, mark)
        tabs = {line.count("\t") for line in head if line.strip()} if mark == "\t" else set()
        possible += [name] if widths[:1] > [1] else []
        fitting += [name] if widths[:1] > [1] and ((complete and len(set(widths)) == 1) or len(tabs) == 1) else []
    candidates = fitting or possible
    if len(candidates) > 1:
        problem = "more than one of them fits" if fitting else "none of them gives all rows the same number of cells"
        what, why = f"{path}: cannot tell which delimiter separates the columns", f"{', '.join(candidates)}: {problem}"
        raise XstiltsError("bad-file", what, why, "save the file with tabs and a name that ends in .tsv")
    return DELIMITERS[candidates[0]] if candidates else ","


def _widths(head: list[str], delimiter: str) -> tuple[list[int], bool]:
    """The lengths of the first rows, and whether their quoting is right (the last row may be cut off)."""
    reader = csv.reader(head, delimiter=delimiter, strict=True)
    widths: list[int] = []
    try:
        widths.extend(len(cells) for cells in reader if cells)
    except csv.Error:
        return widths, reader.line_num == len(head)
    return widths, True


def tagged_source(path: Path) -> FileSource | None:
    """How to read a file that looks like CoNLL, a token and a tag a line and empty lines between sentences, else None.

    The tags are in the last column that holds nothing but tags; a source names columns only if these are not the usual.
    """
    source = FileSource(format="tagged", files={})
    head = [line.rstrip("\r\n") for line in islice(lines_of(path), HEAD_LINES)]
    while head and not head[-1].strip():
        head.pop()
    layout = find_layout(head, source)
    rows = [layout.cells(line) for _, words in word_lines(enumerate(head, 1), layout) for _, line in words]
    if all(map(str.strip, head)) or not rows or layout.tag is None or any(len(row) != layout.width for row in rows):
        return None
    tags = [place for place in range(layout.width) if all(TAG.fullmatch(row[place]) for row in rows)]
    if not (tags := [place for place in tags if place > layout.token]):
        return None
    usual = tags[-1] == layout.tag
    return source if usual else source.model_copy(update={"columns": {"tokens": layout.token, "tags": tags[-1]}})
