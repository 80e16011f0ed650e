"""What a task's data are like, per language and split: sizes, labels, lengths, repetitions, overlap, bad rows."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.data.examples import Tasks, load_examples
from xstilts.data.hub import splits_of
from xstilts.data.rejected_rows import RejectedRow
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, HubSource, WorldSource
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import READ

SubWords = Callable[[list[str]], list[int]]
"""How many sub-words each text has."""
QUANTILES = {"median": 0.5, "p95": 0.95, "longest": 1.0}


def splits(task: Task) -> tuple[str, ...]:
    """The splits that a task's source names."""
    source = task.source
    if isinstance(source, HubSource):
        return tuple(splits_of(source))
    named = source.files if isinstance(source, FileSource) else source.rows if isinstance(source, WorldSource) else ()
    return tuple(named) or ("train",)


def check(
    task: Task, split: str, codes: Iterable[str], data: Path | None, tasks: Tasks,
    sub_words: SubWords | None = None, against: Callable[[str], set[str]] | None = None,
) -> Iterator[tuple[dict[str, Any], list[RejectedRow]]]:  # fmt: skip
    """Per language what its rows are like, and every bad row in them.

    Args:
        sub_words: counts the sub-words of texts; without it there are no lengths in sub-words.
        against: the texts of another task in a language, to count the rows that share one with it.
    """
    for code in codes:
        try:
            found = load_examples(task, split, code, data, tasks)
        except XstiltsError as error:
            yield (
                {"language": code, "split": split, "examples": 0},
                [RejectedRow(error.what, 0, code, error.why, error.hint)],
            )
            continue
        facts = {"language": code, "split": split, "examples": len(found.table), "bad": len(found.problems),
                 "empty": sum(problem.found.startswith("empty") for problem in found.problems),
                 "unlabelled": found.unlabelled, "withheld": found.withheld}  # fmt: skip
        texts = _texts(found.table, task)
        facts |= {"duplicates": _repeated(texts), "labels": _labels(found.table, task)}
        if sub_words and len(found.table):
            facts |= _lengths(texts, sub_words)
        if against:
            other = against(code)
            shared = [any(normal(text) in other for text in row) for row in zip(*texts, strict=True)]
            facts["overlap"] = int(sum(shared))
        yield facts, found.problems


def normal(text: str) -> str:
    """A text as it is compared: lower case, single spaces."""
    return " ".join(text.lower().split())


def texts_of(task: Task, split: str, code: str, data: Path | None, tasks: Tasks) -> set[str]:
    """All texts of a task's rows in a language, in the form in which they are compared."""
    table = load_examples(task, split, code, data, tasks).table
    return {normal(text) for column in _texts(table, task) for text in column if text}


def _texts(table: pa.Table, task: Task) -> list[list[str]]:
    """The texts of each text column, words joined by spaces."""
    columns = [table[name].to_pylist() for name in READ[task.type].TEXT_COLUMNS]
    return [[" ".join(v) if isinstance(v, list) else v or "" for v in column] for column in columns]


def _repeated(texts: list[list[str]]) -> int:
    """Rows whose texts are all those of an earlier row."""
    keys = list(zip(*[[normal(text) for text in column] for column in texts], strict=True))
    return len(keys) - len(set(keys))


def _labels(table: pa.Table, task: Task) -> dict[str, float]:
    """The share of each gold label, of words where each has one; nothing where labels are texts."""
    name = READ[task.type].GOLD
    values = table[name].to_pylist() if name else []
    if values and isinstance(values[0], list):
        values = [v for value in values for v in value if isinstance(v, str)]
    counts = Counter(str(v) for v in values if v is not None)
    if len(counts) > 60:
        return {}
    return {label: count / counts.total() for label, count in sorted(counts.items())}


def _lengths(texts: list[list[str]], sub_words: SubWords) -> dict[str, float]:
    """Quantiles of sub-words per row, sub-words per word between spaces and per character."""
    lengths = np.sum([sub_words(column) for column in texts], axis=0)
    words = sum(len(text.split()) for column in texts for text in column)
    characters = sum(len(text) for column in texts for text in column)
    quantiles = {name: float(np.quantile(lengths, at)) for name, at in QUANTILES.items()}
    return {**quantiles, "per_word": float(lengths.sum() / max(1, words)),
            "per_character": float(lengths.sum() / max(1, characters))}  # fmt: skip
