"""Readers of words with tags, a word a line and an empty line after each sentence: CoNLL of any width, and CoNLL-U."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from xstilts.data.record_formats import Files, Item
from xstilts.data.text_lines import lines
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.data_source import FileSource
from xstilts.tasks.task import BadRow

DOCUMENT = "-DOCSTART-"
BEGIN = re.compile(DOCUMENT + r"|#\s*newdoc\b|#\s*begin document\b")
"""A line that begins a document: CoNLL-2003, CoNLL-U, OntoNotes."""
COMMENT = re.compile(r"#\s*([\w.:-]+\s*=|newdoc\b|newpar\b|begin document\b|end document\b)")
TAG = re.compile(r"[Oo]|[BIESLUMWbieslumw][-_]\S+|[A-Z]+\$?")
"""What looks like a tag: BIO tags, universal and most Penn parts of speech."""
NUMBER = re.compile(r"[0-9]+([-.][0-9]+)?")
"""The number of a word in its sentence; of a multiword token (`1-2`) or an empty node (`1.1`), which are no words."""
SPACES = re.compile("[ \t]+")
CONLLU = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
Numbered = tuple[int, str]


@dataclass(frozen=True)
class Layout:
    """Which columns of CoNLL are what, counted from 0.

    tabs: whether tabs separate columns, or else spaces. width: the columns of most lines. tag is None if lines have a
    token alone. numbered: whether column 0 has the number of each word in its sentence.
    """

    tabs: bool
    width: int
    token: int
    tag: int | None
    numbered: bool

    def cells(self, line: str) -> list[str]:
        """The columns of a line."""
        if not self.tabs:
            return [line] if self.tag is None else SPACES.split(line.strip(" \t"))
        cells = line.split("\t")
        while len(cells) > 2 and not cells[-1].strip():
            cells.pop()
        return cells


def sentences(numbered: Iterable[Numbered]) -> Iterator[list[Numbered]]:
    """Yield the numbered lines between empty lines."""
    sentence: list[Numbered] = []
    for number, line in chain(numbered, [(0, "")]):
        if line.strip():
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []


def word_lines(numbered: Iterable[Numbered], layout: Layout) -> Iterator[tuple[list[Numbered], list[Numbered]]]:
    """Yield each sentence, and its lines without marks of documents, comments and multiword tokens.

    A comment is a line before the first word that begins with `#`, and looks like `# key = value` or has another width
    than other lines: `#` and a tag are a word.
    """
    for sentence in sentences(numbered):
        words: list[Numbered] = []
        for number, line in sentence:
            if line.startswith(DOCUMENT) or COMMENT.match(line):
                continue
            if not words and re.match(r"#\s", line) and _widths(line)[not layout.tabs] != layout.width:
                continue
            if layout.numbered and layout.token and re.match(r"[0-9]+[-.][0-9]+\s", line):
                continue
            words.append((number, line))
        yield sentence, words


def _widths(line: str) -> tuple[int, int]:
    return len(line.rstrip("\t ").split("\t")), len(SPACES.split(line.strip(" \t")))


def find_layout(text: Iterable[str], source: FileSource) -> Layout:
    """The layout of lines, by the `columns` of a source: without these, the token is in the first column, or in the
    second if the first numbers the words, and the tag is in the last one.

    Spaces separate columns if no line or the smaller part has a tab, and all lines have equally many columns, or most
    of those with several end in a tag: a token without a tag may contain spaces.
    """
    total = with_tab = several = with_tag = 0
    numbered = True
    widths: tuple[Counter[int], Counter[int]] = Counter(), Counter()
    for line in text:
        if not line.strip() or line.startswith(DOCUMENT) or COMMENT.match(line) or re.match(r"#\s", line):
            continue
        total += 1
        with_tab += "\t" in line
        for counts, width in zip(widths, _widths(line), strict=True):
            counts[width] += 1
        cells = SPACES.split(line.strip(" \t"))
        several += len(cells) > 1
        with_tag += len(cells) > 1 and bool(TAG.fullmatch(cells[-1]))
        numbered = numbered and bool(NUMBER.fullmatch(cells[0])) and (total > 1 or cells[0][0] in "01")
    tabs = 0 < total <= 2 * with_tab
    counts = widths[not tabs]
    width = max(counts, key=lambda width: (counts[width], width), default=1)
    named = {name: int(str(column)) for name, column in source.columns.items()}
    if not tabs and not named and len(counts) > 1 and not (2 * several >= total and 2 * with_tag >= several):
        width = 1
    numbered = numbered and width > 2
    token = named.get("tokens", 1 if numbered else 0)
    return Layout(tabs, width, token, named.get("tags", width - 1 if width > 1 else None), numbered)


def layout_of(path: Path, source: FileSource) -> Layout:
    """The layout of a file in the format `tagged`."""
    return find_layout((line for _, line in lines(path)), source)


def read_tagged(files: Files, source: FileSource) -> Iterator[Item]:
    """CoNLL with tabs or spaces between columns; tokens alone if tags are withheld.

    A mark of a document begins a new cluster: sentences of one document.
    """
    path = files["main"]
    layout = layout_of(path, source)
    document = 0
    for sentence, numbered in word_lines(lines(path), layout):
        document += sum(bool(BEGIN.match(line)) for _, line in sentence)
        words = [(number, layout.cells(line)) for number, line in numbered]
        tokens, tags, bad = [], [], None
        for number, cells in words:
            token = cells[layout.token] if layout.token < len(cells) else ""
            tag = cells[layout.tag].strip() if layout.tag is not None and layout.tag < len(cells) else ""
            tokens.append(token)
            tags.append(tag or None)
            bad = bad or _bad_line(number, cells, layout, source)
        if bad:
            yield bad
        elif words:
            yield words[0][0], {"tokens": tokens, "tags": tags, **({"group": document} if document else {})}


def _bad_line(number: int, cells: list[str], layout: Layout, source: FileSource) -> Item | None:
    """What is wrong with the columns of a line; a token alone is judged with its sentence."""
    needed = 1 + max(layout.token, layout.tag or 0)
    if source.columns and len(cells) < needed:
        return number, BadRow(f"{len(cells)} columns", f"at least {needed}, as `columns` says")
    if not source.columns and 1 < len(cells) != layout.width:
        return number, BadRow(f"{len(cells)} columns", f"{layout.width}, as most lines have, or `columns` in the entry")
    if not cells[min(layout.token, len(cells) - 1)].strip():
        return number, BadRow(f"an empty token in '{' '.join(cells)[:60]}'", "a token and a tag, with a tab between")
    return None


def check_tag_column(path: Path, source: FileSource, words: set[str]) -> None:
    """Raise XstiltsError if no column is named as that of the tags, and the last one is not the only one that fits.

    words: the tags that the task knows.
    """
    if "tags" in source.columns or not words or (layout := layout_of(path, source)).width < 3:
        return
    fits = [True] * layout.width
    for _, numbered in word_lines(lines(path), layout):
        for _, line in numbered:
            cells = layout.cells(line)
            if len(cells) == layout.width:
                fits = [fit and cell.strip() in words for fit, cell in zip(fits, cells, strict=True)]
    possible = [position for position, fit in enumerate(fits) if fit]
    if possible and possible != [layout.tag]:
        listed = " and ".join(map(str, possible))
        what = f"{path}: the tags are not in the last of {layout.width} columns alone"
        why = f"the tags of the task are in column {listed}, counted from 0"
        hint = f"name the column in the entry: columns: {{tokens: {layout.token}, tags: {possible[0]}}}"
        raise XstiltsError("bad-setting", what, why, hint)


def read_conllu(files: Files, source: FileSource) -> Iterator[Item]:
    """CoNLL-U: syntactic words and their universal parts of speech, without multiword tokens and empty nodes; a cluster
    is the sentences of one document, which `# newdoc` begins.

    `columns` may name others, such as `misc.name` for the value after `name=` in the last one; a word without it has
    the tag `_`. A first line `# global.columns = …` names the columns of the file.
    """
    named = {"tokens": "form", "tags": "upos"} | {name: str(column) for name, column in source.columns.items()}
    names, document = list(CONLLU), 0
    for sentence in sentences(lines(files["main"])):
        for number, line in sentence:
            document += bool(BEGIN.match(line))
            if number == 1 and (plus := re.match(r"#\s*global\.columns\s*=\s*", line)):
                names = line[plus.end() :].lower().split()
        places = {role: _place(column, names, files["main"]) for role, column in named.items()}
        rows = [(number, line.split("\t")) for number, line in sentence if not line.startswith("#")]
        bad = next(
            ((n, cells) for n, cells in rows if len(cells) != len(names) or not NUMBER.fullmatch(cells[0])), None
        )
        words = [cells for _, cells in rows if cells[0].isdigit()]
        if bad:
            found = f"the id '{bad[1][0][:20]}'" if len(bad[1]) == len(names) else f"{len(bad[1])} columns"
            yield bad[0], BadRow(found, f"the {len(names)} columns of CoNLL-U, with tabs between, the first a number")
        elif words:
            record = {role: [_value(cells[place], key) for cells in words] for role, (place, key) in places.items()}
            yield rows[0][0], record | ({"group": document} if document else {})


def _place(column: str, names: list[str], path: Path) -> tuple[int, str]:
    """The position of a column of CoNLL-U, given as a name, a number or a path, and the key inside it."""
    name, _, key = column.partition(".")
    if name.isdigit() and int(name) < len(names):
        return int(name), key
    if name.lower() not in names:
        hint = did_you_mean(name.lower(), names) or "correct the `columns` of the task's entry"
        raise XstiltsError("bad-setting", f"{path}: no column '{name}'", f"CoNLL-U has {', '.join(names)}", hint)
    return names.index(name.lower()), key


def _value(cell: str, key: str) -> str:
    """A cell, or what stands after `key=` in it."""
    if not key:
        return cell
    pairs = (part.partition("=") for part in cell.split("|"))
    return next((value for name, _, value in pairs if name == key), "_")
