"""Readers of formats that are lines of text: tables, parallel sentences, and the readers of all formats by name."""

import csv
from collections.abc import Callable, Iterator
from itertools import islice, zip_longest
from pathlib import Path

from xstilts.data.record_formats import RECORD_READERS, Files, Item, invalid_text, picked, require
from xstilts.data.tagged_formats import read_conllu, read_tagged
from xstilts.data.text_lines import lines, suffix
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, parts
from xstilts.tasks.task import BadRow

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t"}
csv.field_size_limit(2**31 - 1)  # a text may be longer than the library's default allows


def _table(files: Files, source: FileSource) -> Iterator[Item]:
    """Columns between tabs, commas or semicolons, with the quoting of CSV or without; a label column may be absent.

    A row with more columns than the first one is bad: a text that contains the delimiter has moved them.
    """
    path = files["main"]
    rows = table_rows(path, source)
    names: list[str] = []
    if any(isinstance(part, str) for column in source.columns.values() for part in parts(column)):
        names = _header(path, source, rows)
    positions = {
        name: [names.index(part) if isinstance(part, str) else part for part in parts(column)]
        for name, column in source.columns.items()
    }
    least = 1 + max((max(places) for name, places in positions.items() if name != "label"), default=0)
    width = len(names)
    for number, cells in rows:
        if isinstance(cells, BadRow):
            yield number, cells
            continue
        width = width or len(cells)
        if cells == [""] and least > 1:
            yield number, BadRow("empty line", "a row")
        elif len(cells) < least:
            yield number, BadRow(f"{len(cells)} columns", f"at least {least}")
        elif any(cells[width:]):
            yield number, BadRow(f"{len(cells)} columns", f"{width}, as the first row has")
        else:
            record = {}
            for name, places in positions.items():
                values = [cells[place].strip() if place < len(cells) else None for place in places]
                record[name] = values if isinstance(source.columns[name], list) else values[0]
            yield number, record


def _header(path: Path, source: FileSource, rows: Iterator[tuple[int, list[str] | BadRow]]) -> list[str]:
    """The names in the first row; raises XstiltsError if it cannot be read, or lacks or repeats a column."""
    _, names = next(rows, (0, []))
    bad = names if isinstance(names, BadRow) else invalid_text(names)
    if bad:
        what = f"{path}, line 1: the header is {bad.found}"
        raise XstiltsError("bad-file", what, f"expected {bad.expected}", "fix the first line of the file")
    assert isinstance(names, list)
    require(source, names, path)
    used = {part for column in source.columns.values() for part in parts(column)}
    if twice := next((name for name in names if name in used and names.count(name) > 1), ""):
        what = f"{path}: the header names '{twice}' {names.count(twice)} times"
        raise XstiltsError("bad-file", what, "columns are found by their names", "rename one of these columns")
    return names


def table_rows(path: Path, source: FileSource) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield the numbered rows of a table as cells, or why a row is none; empty lines at the end are no rows."""
    delimiter = DELIMITERS[source.delimiter or ("comma" if suffix(path) == ".csv" else "tab")]
    if not (delimiter != "\t" if source.quoted is None else source.quoted):
        empty: list[int] = []
        for number, line in lines(path):
            if line:
                yield from ((place, [""]) for place in empty)
                empty = []
                yield number, line.split(delimiter)
            else:
                empty.append(number)
        return
    reader = csv.reader((line + "\n" for _, line in lines(path)), delimiter=delimiter, strict=True)
    cells: list[str] | BadRow | None
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            cells = BadRow(f"broken quoting ({error})", "cells quoted as in CSV, or `quoted: false`")
        if cells is None:
            return
        if cells:
            yield reader.line_num, cells


def _parallel(files: Files, source: FileSource) -> Iterator[Item]:
    """One text per line; with an English side, line i there translates line i here."""
    names = [name for name in ("main", "english") if name in files]
    for rows in zip_longest(*(lines(files[name]) for name in names)):
        if None in rows:
            main, english = (f"{files[name]} has {sum(1 for _ in lines(files[name]))}" for name in names)
            what, why = f"{main} lines, {english}", "line i of one must translate line i of the other"
            raise XstiltsError("bad-file", what, why, "get both files from the same release")
        texts = [text for _, text in rows]
        yield rows[0][0], {**dict(zip(("text", "english"), texts, strict=False)), "aligned": source.aligned}


def _bitext(files: Files, source: FileSource) -> Iterator[Item]:
    """Sentences with ids on both sides, of which the gold file pairs a few (without it, gold is withheld): English
    sentences are the queries."""
    partner: dict[str, str] = {}
    for number, line in lines(files["gold"]) if "gold" in files else ():
        foreign, *english = map(str.strip, line.split("\t"))
        if len(english) != 1:
            yield number, BadRow(f"'{line[:60]}'", "two ids in the gold file")
        elif partner.setdefault(english[0], foreign) != foreign:
            pair = f"'{foreign}' after '{partner[english[0]]}' as the partner of '{english[0]}'"
            yield 0, BadRow(f"the gold file has {pair}", "one partner of each English id")
    unknown = dict.fromkeys(partner.values())
    for name, side in (("main", "candidate"), ("english", "query")):
        for number, line in lines(files[name]):
            key, tab, text = line.partition("\t")
            if not tab:
                yield number, BadRow(f"'{line[:60]}'", "an id, a tab and a sentence")
                continue
            gold = partner.pop(key, None) if side == "query" else unknown.pop(key, None)
            is_gold = side == "query" and gold not in unknown
            yield number, {"side": side, "id": key, "text": text.strip(), "gold": gold if is_gold else None}
    for name, keys in (("english", partner), ("main", unknown)):
        yield from ((0, BadRow(f"the gold file names '{key}'", f"an id of {files[name]}")) for key in keys)


def _blocks(files: Files, source: FileSource) -> Iterator[Item]:
    """Examples of `block` lines each."""
    numbered = lines(files["main"])
    while block := list(islice(numbered, source.block)):
        number = block[0][0]
        if len(block) == source.block:
            yield from picked([(number, {str(i): line for i, (_, line) in enumerate(block)})], source)
        else:
            yield number, BadRow(f"{len(block)} lines at the end", f"{source.block} lines per example")


READERS: dict[str, Callable[[Files, FileSource], Iterator[Item]]] = {
    **RECORD_READERS,
    "table": _table,
    "tagged": read_tagged,
    "conllu": read_conllu,
    "lines": _parallel,
    "bitext": _bitext,
    "blocks": _blocks,
}
