"""Readers of formats that are lines of text: tables, tagged words, parallel sentences."""

import csv
from collections.abc import Callable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path

from xstilts.data.record_formats import RECORD_READERS, Files, Item, invalid_text, lines, picked, require
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, parts
from xstilts.tasks.task import BadRow

DOCUMENT = "-DOCSTART-"
csv.field_size_limit(2**31 - 1)  # a text may be longer than the library's default allows


def _sentences(path: Path) -> Iterator[list[tuple[int, str]]]:
    """Yield the numbered lines between empty lines."""
    sentence: list[tuple[int, str]] = []
    for number, line in chain(lines(path), [(0, "")]):
        if line.strip():
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []


def _tagged(files: Files, source: FileSource) -> Iterator[Item]:
    """Two columns, token TAB tag, and an empty line after each sentence; tokens alone if tags are withheld.

    A file without tabs whose lines all have the same number of columns between spaces is token, …, tag (CoNLL-2003).
    `-DOCSTART-` begins a new cluster: sentences of one document.
    """
    texts = (line for _, line in lines(files["main"]) if line.strip() and not line.startswith(DOCUMENT))
    widths = (1 if "\t" in line else len(line.split()) for line in texts)
    first = next(widths, 1)
    spaced = first > 1 and all(width == first for width in widths)  # tokens that have spaces vary in width
    document = 0
    for sentence in _sentences(files["main"]):
        words = [word for word in sentence if not word[1].startswith(DOCUMENT)]
        document += len(sentence) - len(words)
        cells = [(line.split()[0], line.split()[-1]) if spaced else line.partition("\t")[::2] for _, line in words]
        tokens, tags = [token for token, _ in cells], [tag.strip() or None for _, tag in cells]
        if not all(map(str.strip, tokens)):
            number, line = next(word for word, token in zip(words, tokens, strict=True) if not token.strip())
            yield number, BadRow(f"'{line[:60]}'", "a token, a tab and a tag")
        elif words:
            yield words[0][0], {"tokens": tokens, "tags": tags, **({"group": document} if document else {})}


def _conllu(files: Files, source: FileSource) -> Iterator[Item]:
    """CoNLL-U: syntactic words and their universal parts of speech, without multiword tokens and empty nodes; a cluster
    is the sentences of one document, which `# newdoc` begins."""
    document = 0
    for sentence in _sentences(files["main"]):
        document += sum(line.startswith("# newdoc") for _, line in sentence)
        rows = [(number, line.split("\t")) for number, line in sentence if not line.startswith("#")]
        bad = [(number, len(cells)) for number, cells in rows if len(cells) != 10]
        words = [cells for _, cells in rows if cells[0].isdigit()]
        if bad:
            yield bad[0][0], BadRow(f"{bad[0][1]} columns", "the ten columns of CoNLL-U")
        elif words:
            record = {"tokens": [cells[1] for cells in words], "tags": [cells[3] for cells in words]}
            yield rows[0][0], record | ({"group": document} if document else {})


def _table(files: Files, source: FileSource) -> Iterator[Item]:
    """Columns separated by tabs or commas, with the quoting of CSV or without; a label column may be absent."""
    path = files["main"]
    rows = table_rows(path, source)
    names: list[str] = []
    if any(isinstance(part, str) for column in source.columns.values() for part in parts(column)):
        names = next((cells for _, cells in rows if isinstance(cells, list)), [])
        if bad := invalid_text(names):
            what = f"{path}, line 1: the header is {bad.found}"
            raise XstiltsError("bad-file", what, f"expected {bad.expected}", "fix the first line of the file")
        require(source, names, path)
    positions = {
        name: [names.index(part) if isinstance(part, str) else part for part in parts(column)]
        for name, column in source.columns.items()
    }
    least = 1 + max((max(places) for name, places in positions.items() if name != "label"), default=0)
    for number, cells in rows:
        if isinstance(cells, BadRow):
            yield number, cells
        elif len(cells) < least:
            yield number, BadRow(f"{len(cells)} columns", f"at least {least}")
        else:
            record = {}
            for name, places in positions.items():
                values = [cells[place].strip() if place < len(cells) else None for place in places]
                record[name] = values if isinstance(source.columns[name], list) else values[0]
            yield number, record


def table_rows(path: Path, source: FileSource) -> Iterator[tuple[int, list[str] | BadRow]]:
    """Yield the numbered rows of a table as cells, or why a row is none."""
    comma = source.delimiter == "comma" or (not source.delimiter and path.suffix == ".csv")
    delimiter = "," if comma else "\t"
    if not (comma if source.quoted is None else source.quoted):
        yield from ((number, line.split(delimiter)) for number, line in lines(path))
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
        if len(english) == 1:
            partner[english[0]] = foreign
        else:
            yield number, BadRow(f"'{line[:60]}'", "two ids in the gold file")
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
    "tagged": _tagged,
    "conllu": _conllu,
    "lines": _parallel,
    "bitext": _bitext,
    "blocks": _blocks,
}
