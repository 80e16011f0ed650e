"""Readers of formats that are lines of text: tables, tagged words, parallel sentences."""

import csv
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from xstilts.data.record_formats import NESTED, Files, Item, lines, require
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, parts
from xstilts.tasks.task import BadRow


def _tagged(files: Files, source: FileSource) -> Iterator[Item]:
    """Two columns, token TAB tag, and an empty line after each sentence; tokens alone where tags are withheld."""
    tokens: list[str] = []
    tags: list[str | None] = []
    bad: BadRow | None = None
    begin = 1
    for number, line in (*lines(files["main"]), (0, "")):
        if isinstance(line, str) and not line.strip():
            if tokens or bad:
                yield begin, bad or {"tokens": tokens, "tags": tags}
            tokens, tags, bad = [], [], None
            continue
        if not tokens and not bad:
            begin = number
        if isinstance(line, BadRow):
            begin, bad = number, bad or line
            continue
        token, _, tag = line.partition("\t")
        if not token.strip():
            begin, bad = number, BadRow(f"'{line[:60]}'", "a token, a tab and a tag")
        tokens.append(token)
        tags.append(tag.strip() or None)


def _conllu(files: Files, source: FileSource) -> Iterator[Item]:
    """CoNLL-U: syntactic words and their universal parts of speech; multiword tokens and empty nodes are passed over.

    `# newdoc` begins a new cluster: sentences of one document.
    """
    tokens: list[str] = []
    tags: list[str] = []
    document, begin, bad = 0, 1, None
    for number, line in (*lines(files["main"]), (0, "")):
        if isinstance(line, BadRow):
            begin, bad = number, line
        elif not line.strip():
            if tokens or bad:
                yield begin, bad or {"tokens": tokens, "tags": tags, **({"group": document} if document else {})}
            tokens, tags, bad = [], [], None
        elif line.startswith("#"):
            document += line.startswith("# newdoc")
        else:
            cells = line.split("\t")
            if not tokens and not bad:
                begin = number
            if len(cells) != 10:
                begin, bad = number, BadRow(f"{len(cells)} columns", "the ten columns of CoNLL-U")
            elif cells[0].isdigit():
                tokens.append(cells[1])
                tags.append(cells[3])


def _table(files: Files, source: FileSource) -> Iterator[Item]:
    """Columns separated by tabs or commas, with the quoting of CSV or without."""
    path = files["main"]
    comma = source.delimiter == "comma" or (not source.delimiter and path.suffix == ".csv")
    quoted = comma if source.quoted is None else source.quoted
    rows = _quoted_rows(path, "," if comma else "\t") if quoted else _plain_rows(path, "," if comma else "\t")
    names: list[str] = []
    if any(isinstance(part, str) for column in source.columns.values() for part in parts(column)):
        names = next((cells for _, cells in rows if isinstance(cells, list)), [])
        require(source, names, path)
    where = {ours: [names.index(p) if isinstance(p, str) else p for p in parts(theirs)]
             for ours, theirs in source.columns.items()}  # fmt: skip
    listed = {ours for ours, theirs in source.columns.items() if isinstance(theirs, list)}
    needed = [max(places) for ours, places in where.items() if ours != "label"]
    least = max([*needed, 0]) + 1
    for number, cells in rows:
        if isinstance(cells, BadRow):
            yield number, cells
        elif len(cells) < least:
            yield number, BadRow(f"{len(cells)} columns", f"at least {least}")
        else:
            found = {o: [cells[p].strip() if p < len(cells) else "" for p in places] for o, places in where.items()}
            yield number, {ours: found[ours] if ours in listed else found[ours][0] for ours in found}


csv.field_size_limit(2**31 - 1)  # a text may be longer than the library's default allows


def _plain_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    for number, line in lines(path):
        yield number, line if isinstance(line, BadRow) else line.split(delimiter)


def _quoted_rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Rows of a CSV file; a line that is not UTF-8 is reported, and the reader sees an empty one in its place."""
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
            counts = [sum(1 for _ in lines(path)) for path in files.values()]
            names = list(files.values())
            raise XstiltsError(
                "bad-row",
                f"{names[0]} has {counts[0]} lines, {names[1]} has {counts[1]}",
                "line i of one must translate line i of the other",
                "get both files from the same release",
            )
        number, texts = rows[0][0], [text for _, text in rows]
        bad = next((text for text in texts if isinstance(text, BadRow)), None)
        yield number, bad or {**dict(zip(("text", "english"), texts, strict=False)), "aligned": source.aligned}


def _bitext(files: Files, source: FileSource) -> Iterator[Item]:
    """Sentences with ids on both sides, of which the gold file pairs a few: English sentences are the queries.

    Without a gold file the pairs are withheld, and every query's gold is None.
    """
    partner: dict[str, str] = {}
    for number, line in lines(files["gold"]) if "gold" in files else ():
        cells = [] if isinstance(line, BadRow) else line.split("\t")
        if len(cells) != 2:
            yield (
                number,
                line if isinstance(line, BadRow) else BadRow(f"'{str(line)[:60]}'", "two ids in the gold file"),
            )
            continue
        partner[cells[1].strip()] = cells[0].strip()
    for name, side in (("main", "candidate"), ("english", "query")):
        for number, line in lines(files[name]):
            if isinstance(line, BadRow):
                yield number, line
                continue
            key, tab, text = line.partition("\t")
            gold = partner.pop(key, None) if side == "query" else None
            yield number, ({"side": side, "id": key, "text": text.strip(), "gold": gold} if tab
                           else BadRow(f"'{line[:60]}'", "an id, a tab and a sentence"))  # fmt: skip
    for key in partner:
        yield 0, BadRow(f"the gold file names '{key}'", f"an id of {files['english']}")


def _blocks(files: Files, source: FileSource) -> Iterator[Item]:
    """Examples of `block` lines each."""
    block: list[str] = []
    bad: BadRow | None = None
    number = 0
    for number, line in lines(files["main"]):
        bad = line if isinstance(line, BadRow) else bad
        block.append("" if isinstance(line, BadRow) else line)
        if len(block) == source.block:
            columns = source.columns.items()
            row = {o: [block[int(p)] for p in t] if isinstance(t, list) else block[int(t)] for o, t in columns}
            yield number - source.block + 1, bad or row
            block, bad = [], None
    if block:
        yield number, BadRow(f"{len(block)} lines at the end", f"{source.block} lines per example")


READERS: dict[str, Callable[[Files, FileSource], Iterator[Item]]] = {
    "table": _table, "tagged": _tagged, "conllu": _conllu, "lines": _parallel, "bitext": _bitext, "blocks": _blocks,
    **NESTED,
}  # fmt: skip
