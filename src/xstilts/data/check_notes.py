"""What looks odd in examples that can be read: placeholders, quotes, spellings of tags, parallel texts that differ."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from xstilts.tasks.spelling import visible_text
from xstilts.tasks.task import Task
from xstilts.tasks.xtreme import TARGETS

MISSING = {"na", "n/a", "#n/a", "<na>", "nan", "none", "null", "nil", "ns", "undefined", "#ref!", "#name?", "\\n"}
"""Texts, in lower case, that stand for a missing one."""
LEAST, SHARE, TIMES = 3, 0.01, 3
"""A text may be a placeholder if at least so many examples have it, so large a share of all, and so many times as many
as have nine of ten other texts."""
SHARED_GOLD = ("classification", "multilabel", "multiple_choice")
"""Task types whose gold label is the same in all languages."""
OTHER_SPELLING = re.compile(r"o|[bieslumw]-\S+|[BIESLUMW]_\S+|\S+[-_][BIESLU]")


def text_notes(
    columns: Sequence[Sequence[str]], repeats: bool = False, unquoted: bool = False, labels: Sequence[str] = ()
) -> list[str]:
    """Notes about the texts of examples, a column each: placeholders, and cells that are still quoted as in CSV.

    repeats: whether examples share texts by design, as the questions about one context do: then only words that mean a
    missing text are placeholders. unquoted: whether the texts are cells of a table whose quotes are kept. labels: the
    label words, which show that a text has swallowed rows.
    """
    total = len(columns[0]) if columns else 0
    counts = Counter(
        text for row in zip(*columns, strict=True) for text in {visible_text(cell).strip() for cell in row}
    )
    del counts[""]
    usual = sorted(counts.values())[int(0.9 * (len(counts) - 1))] if counts else 0
    least = max(LEAST, SHARE * total, TIMES * usual)
    notes = [
        f"'{text[:60]}' is a text of {count:,} of {total:,} examples: a placeholder?"
        for text, count in counts.most_common()
        if text.lower() in MISSING or (count >= least and not repeats)
    ]
    quoted = unquoted * sum(
        len(text) > 1 and text[0] == text[-1] == '"' and ('""' in text[1:-1]) for c in columns for text in c
    )
    if quoted:
        notes.append(f"texts in quotes with doubled quotes inside: {quoted:,}; set `quoted: true` if cells are quoted")
    broken = [text for column in columns for text in column if "\n" in text and _holds_row(text, labels)]
    if broken:
        what = f"quoted cells that hold whole rows: {len(broken):,}, the first begins '{broken[0][:40]}'"
        notes.append(f"{what}: a quote is not closed")
    if len(columns) == 2 and total and all(a == b for a, b in zip(*columns, strict=True)):
        notes.append("both texts of every example are equal: check `columns`")
    return notes[:5]


def _holds_row(text: str, labels: Sequence[str]) -> bool:
    """Whether a line of a text has a label word between delimiters."""
    lines = (re.split("[,;\t]", line) for line in text.split("\n"))
    return any(cell.strip() in labels for cells in lines if len(cells) > 1 for cell in cells)


def tag_notes(task: Task) -> list[str]:
    """Notes about the tags of a task that is judged by chunks: they are not spelt as chunks are recognised."""
    tags = [tag for tag in task.labels if OTHER_SPELLING.fullmatch(tag)]
    if task.type != "tagging" or not tags or task.labels in [target.words for target in TARGETS.values()]:
        return []
    shown = ", ".join(tags[:5])
    return [f"tags such as {shown} are not read as chunks: `relabel` them to O, B-PER, I-PER, …"]


def parallel_notes(task: Task, first: str, known: dict[str, Any], ids: Iterable[str], gold: Sequence[Any]) -> list[str]:
    """Notes about a language's ids and gold labels that differ from those of the `first` language, `known` by id."""
    notes, here = [], dict(zip(ids, gold, strict=True))
    lacking, more = len(known.keys() - here.keys()), len(here.keys() - known.keys())
    if lacking or more:
        counts = f"ids: {len(here):,} here, {len(known):,} in {first}"
        notes.append(f"`parallel`, but {counts}; missing here: {lacking:,}, missing in {first}: {more:,}")
    if task.type in SHARED_GOLD:
        other = [key for key, label in here.items() if key in known and label != known[key]]
        if other:
            example = f"'{other[0]}' is {known[other[0]]} in {first} and {here[other[0]]} here"
            notes.append(f"`parallel`, but ids with another label than in {first}: {len(other):,}; {example}")
    return notes
