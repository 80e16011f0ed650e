"""Readers of formats that are lines of text: tables, tagged words, parallel sentences."""

import csv
from collections.abc import Callable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path

from xstilts.data.record_formats import RECORD_READERS, Files, Item, lines, picked, require
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, parts
from xstilts.tasks.task import BadRow

csv.field_size_limit(2**31 - 1)  # a text may be longer than the library's default allows


def _sentences(path: Path) -> Iterator[list[tuple[int, str | BadRow]]]:
    """Yield the numbered lines between empty lines."""
    sentence: list[tuple[int, str | BadRow]] = []
    for number, line in chain(lines(path), [(0, "")]):
        if isinstance(line, BadRow) or line.strip():
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []


def _tagged(files: Files, source: FileSource) -> Iterator[Item]:
    """Two columns, token TAB tag, and an empty line after each sentence; tokens alone if tags are withheld.

    A file without tabs whose lines all have the same number of columns between spaces is token, …, tag (CoNLL-2003).
    `-DOCSTART-` begins a new cluster: sentences of one document.
    """
    path = files["main"]
    spaced, document = _separated_by_spaces(path), 0
    for sentence in _sentences(path):
        tokens, tags = [], []
        bad: Item | None = None
        for number, line in sentence:
            if isinstance(line, BadRow):
                bad = bad or (number, line)
                continue
            if line.startswith("-DOCSTART-"):
                document += 1
                continue
            token, _, tag = line.partition("\t")
            if spaced:
                token, *_, tag = line.split()
            if not token.strip():
                bad = bad or (number, BadRow(f"'{line[:60]}'", "a token, a tab and a tag"))
            tokens.append(token)
            tags.append(tag.strip() or None)
        if bad or tokens:
            record = {"tokens": tokens, "tags": tags, **({"group": document} if document else {})}
            yield bad or (sentence[0][0], record)


def _separated_by_spaces(path: Path) -> bool:
    """Whether no line of a tagged file has a tab, and all have the same number of columns between spaces, two or more.

    Tokens with a space in them, without tags, vary in that number.
    """
    widths = set()
    for _, line in lines(path):
        if isinstance(line, str) and line.strip() and not line.startswith("-DOCSTART-"):
            widths.add(1 if "\t" in line else len(line.split()))
            if len(widths) > 1 or 1 in widths:
                return False
    return bool(widths)


def _conllu(files: Files, source: FileSource) -> Iterator[Item]:
    """CoNLL-U: syntactic words and their universal parts of speech, without multiword tokens and empty nodes.

    `# newdoc` begins a new cluster: sentences of one document.
    """
    document = 0
    for sentence in _sentences(files["main"]):
        tokens, tags, bad = [], [], None
        begin = 0
        for number, line in sentence:
            if isinstance(line, str) and line.startswith("#"):
                document += line.startswith("# newdoc")
                continue
            begin = begin or number
            cells = line.split("\t") if isinstance(line, str) else []
            if len(cells) != 10:
                wrong = BadRow(f"{len(cells)} columns", "the ten columns of CoNLL-U") if isinstance(line, str) else line
                bad = bad or (number, wrong)
            elif cells[0].isdigit():
                tokens.append(cells[1])
                tags.append(cells[3])
        if bad or tokens:
            yield bad or (begin, {"tokens": tokens, "tags": tags, **({"group": document} if document else {})})


def _table(files: Files, source: FileSource) -> Iterator[Item]:
    """Columns separated by tabs or commas, with the quoting of CSV or without; a label column may be absent."""
    path = files["main"]
    rows = table_rows(path, source)
    names: list[str] = []
    if any(isinstance(part, str) for column in source.columns.values() for part in parts(column)):
        number, names_or_bad = next(rows, (1, []))
        if isinstance(names_or_bad, BadRow):
            what = f"{path}, line {number}: the header is {names_or_bad.found}"
            raise XstiltsError("bad-file", what, f"expected {names_or_bad.expected}", "fix the first line of the file")
        names = names_or_bad
        require(source, names, path)
    positions = {
        ours: [names.index(part) if isinstance(part, str) else part for part in parts(theirs)]
        for ours, theirs in source.columns.items()
    }
    least = 1 + max((max(places) for ours, places in positions.items() if ours != "label"), default=0)
    for number, cells in rows:
        if isinstance(cells, BadRow):
            yield number, cells
        elif len(cells) < least:
            yield number, BadRow(f"{len(cells)} columns", f"at least {least}")
        else:
            record = {}
            for ours, places in positions.items():
                values = [cells[place].strip() if place < len(cells) else "" for place in places]
                record[ours] = values if isinstance(source.columns[ours], list) else values[0]
            yield number, record


def table_rows(path: Path, source: FileSource) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield the numbered rows of a table as cells."""
    comma = source.delimiter == "comma" or (not source.delimiter and path.suffix == ".csv")
    delimiter = "," if comma else "\t"
    if comma if source.quoted is None else source.quoted:
        yield from _quoted_rows(path, delimiter)
    else:
        for number, line in lines(path):
            yield number, line if isinstance(line, BadRow) else line.split(delimiter)


def _quoted_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield the rows of a CSV file; a line that is not UTF-8 is reported, and the reader gets an empty one instead."""
    broken: list[tuple[int, BadRow]] = []

    def readable() -> Iterator[str]:
        for number, line in lines(path):
            if isinstance(line, BadRow):
                broken.append((number, line))
            yield "\n" if isinstance(line, BadRow) else line + "\n"

    reader = csv.reader(readable(), delimiter=delimiter, strict=True)
    while True:
        cells: list[str] | BadRow | None
        try:
            cells = next(reader, None)
        except csv.Error as error:
            cells = BadRow(f"broken quoting ({error})", "cells quoted as in CSV, or `quoted: false`")
        yield from broken
        broken.clear()
        if cells is None:
            return
        if cells:
            yield reader.line_num, cells


def _parallel(files: Files, source: FileSource) -> Iterator[Item]:
    """One text per line; with an English side, line i there translates line i here."""
    sides = [lines(files[name]) for name in ("main", "english") if name in files]
    for rows in zip_longest(*sides):
        if None in rows:
            main, english = (f"{path} has {sum(1 for _ in lines(path))}" for path in files.values())
            what, why = f"{main} lines, {english}", "line i of one must translate line i of the other"
            raise XstiltsError("bad-file", what, why, "get both files from the same release")
        number, texts = rows[0][0], [text for _, text in rows]
        bad = next((text for text in texts if isinstance(text, BadRow)), None)
        yield number, bad or {**dict(zip(("text", "english"), texts, strict=False)), "aligned": source.aligned}


def _bitext(files: Files, source: FileSource) -> Iterator[Item]:
    """Sentences with ids on both sides, of which the gold file pairs a few: English sentences are the queries.

    Without a gold file the pairs are withheld, and every query's gold is None.
    """
    partner: dict[str, str] = {}
    for number, line in lines(files["gold"]) if "gold" in files else ():
        cells = line.split("\t") if isinstance(line, str) else []
        if len(cells) == 2:
            partner[cells[1].strip()] = cells[0].strip()
        else:
            yield number, BadRow(f"'{line[:60]}'", "two ids in the gold file") if isinstance(line, str) else line
    unknown = set(partner.values())
    for name, side in (("main", "candidate"), ("english", "query")):
        for number, line in lines(files[name]):
            key, tab, text = line.partition("\t") if isinstance(line, str) else ("", "", "")
            if isinstance(line, BadRow) or not tab:
                yield number, BadRow(f"'{line[:60]}'", "an id, a tab and a sentence") if isinstance(line, str) else line
                continue
            gold = partner.pop(key, None) if side == "query" else None
            unknown.discard(key if side == "candidate" else "")
            yield number, {"side": side, "id": key, "text": text.strip(), "gold": gold}
    for name, keys in (("english", partner), ("main", unknown)):
        for key in keys:
            yield 0, BadRow(f"the gold file names '{key}'", f"an id of {files[name]}")


def _blocks(files: Files, source: FileSource) -> Iterator[Item]:
    """Examples of `block` lines each."""
    numbered = lines(files["main"])
    while block := list(islice(numbered, source.block)):
        bad = next((line for _, line in block if isinstance(line, BadRow)), None)
        if len(block) < source.block:
            bad = BadRow(f"{len(block)} lines at the end", f"{source.block} lines per example")
        record = {str(i): line for i, (_, line) in enumerate(block)}
        yield from [(block[0][0], bad)] if bad else picked([(block[0][0], record)], source)


READERS: dict[str, Callable[[Files, FileSource], Iterator[Item]]] = {
    **RECORD_READERS,
    "table": _table,
    "tagged": _tagged,
    "conllu": _conllu,
    "lines": _parallel,
    "bitext": _bitext,
    "blocks": _blocks,
}
