"""What a task's data are like, per language and split: sizes, labels, lengths, repetitions, overlap, bad rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.data.build_examples import RejectedRow
from xstilts.data.check_notes import parallel_notes, tag_notes, text_notes
from xstilts.data.examples import Tasks, available, load_examples
from xstilts.data.hub import check_repository
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource
from xstilts.tasks.spelling import visible_text
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import READ

SubWords = Callable[[list[str]], list[int]]
"""How many sub-words each text has."""
REPEATED = ("qa", "multiple_choice", "tagging", "retrieval")
"""Task types whose examples share texts by design, or have very short ones."""
QUANTILES = {"median": 0.5, "p95": 0.95, "longest": 1.0}


def splits(task: Task) -> tuple[str, ...]:
    """The splits that a task's source names."""
    return task.source.named_splits or ("train",)


def check(
    task: Task,
    split: str,
    codes: Iterable[str],
    data: Path | None,
    tasks: Tasks,
    sub_words: SubWords | None = None,
    against: Callable[[str], set[str]] | None = None,
) -> Iterator[tuple[dict[str, Any], list[RejectedRow]]]:
    """Yield per language what its examples are like, with `notes` of what looks odd, and every rejected row.

    sub_words: counts the sub-words of texts, for quantiles of sub-words per example, and sub-words per word between
    spaces and per character. against: the texts of another task in a language, to count the examples that share one.
    Raises XstiltsError if the task is in a repository that cannot be had.
    """
    check_repository(task.source, data)
    first, known = "", dict[str, Any]()
    unquoted = isinstance(task.source, FileSource) and task.source.format == "table" and not task.source.quoted
    for code in codes:
        facts: dict[str, Any] = {"language": code, "split": split, "examples": 0}
        try:
            examples = load_examples(task, split, code, data, tasks)
        except XstiltsError as error:
            if error.kind in ("network", "no-access"):  # the next language would fail after as long a wait
                raise
            yield facts, [RejectedRow(error.what, 0, code, f"{error.why}; {error.hint}", "")]
            continue
        texts = _texts(examples.table, task)
        gold = READ[task.type].GOLD
        values = examples.table[gold].to_pylist() if gold else []
        ids = examples.table["id"].to_pylist() if task.parallel else []
        notes = (
            [examples.note] * bool(examples.note)
            + text_notes(texts, task.type in REPEATED, unquoted, task.labels)
            + tag_notes(task)
        )
        if task.parallel and not first and ids:
            first, known = code, dict(zip(ids, values or ids, strict=True))
        elif ids:
            notes += parallel_notes(task, first, known, ids, values or ids)
        if values and isinstance(values[0], list):  # the labels of words; those of questions are no words
            values = [part for value in values for part in value if isinstance(part, str)]
        counts = Counter(str(value) for value in values if value is not None)
        shares = {label: count / counts.total() for label, count in sorted(counts.items())}
        distinct = set(zip(*[map(normal, column) for column in texts], strict=True))
        facts |= {
            "examples": len(examples.table),
            "bad": len(examples.rejected),
            "empty": sum(row.found.startswith("empty") for row in examples.rejected),
            "unlabelled": examples.unlabelled,
            "withheld": examples.withheld,
            "duplicates": len(examples.table) - len(distinct),
            "labels": shares if len(shares) <= 60 and task.type != "retrieval" else {},
        }
        if notes:
            facts["notes"] = notes
        if sub_words and len(examples.table):
            lengths = np.sum([sub_words(column) for column in texts], axis=0)
            words = sum(len(text.split()) for column in texts for text in column)
            characters = sum(len(text) for column in texts for text in column)
            facts |= {name: float(np.quantile(lengths, at)) for name, at in QUANTILES.items()}
            facts["per_word"] = float(lengths.sum() / max(1, words))
            facts["per_character"] = float(lengths.sum() / max(1, characters))
        if against:
            other = against(code)
            facts["overlap"] = sum(any(normal(text) in other for text in row) for row in zip(*texts, strict=True))
        yield facts, examples.rejected


def normal(text: str) -> str:
    """A text as it is compared: lower case, single spaces, one normal form of Unicode, no invisible characters."""
    return " ".join(visible_text(text).lower().split())


def texts_of(task: Task, named: Iterable[str], code: str, data: Path | None, tasks: Tasks) -> set[str]:
    """All texts of a task in a language, in the form in which they are compared: of the named splits that have it."""
    present = [split for split in named if available(task, split, (code,), data, tasks)]
    columns = [c for split in present for c in _texts(load_examples(task, split, code, data, tasks).table, task)]
    return {normal(text) for column in columns for text in column if text}


def _texts(table: pa.Table, task: Task) -> list[list[str]]:
    """The texts of each text column, words joined by spaces."""
    columns = [table[name].to_pylist() for name in READ[task.type].TEXT_COLUMNS]
    return [[" ".join(v) if isinstance(v, list) else v or "" for v in column] for column in columns]
