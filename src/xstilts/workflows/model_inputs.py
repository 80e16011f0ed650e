"""What goes into a model and comes out: values of Python and tables of files become examples, predictions rows."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.task_types import READ
from xstilts.translation.projection import words
from xstilts.workflows.user_data.column_roles import is_text, split_names
from xstilts.workflows.user_data.task_examples import Cells, cells_of

Row = dict[str, Any]
LISTS = ("tokens", "choices")
"""Columns of examples whose values are lists of texts."""


def examples_table(task_type: str, cells: Mapping[str, Sequence[Any]], codes: Sequence[str]) -> pa.Table:
    """Examples of a task type by their columns, without those that are not given; `codes` has the language of each.

    Questions about one context are a cluster, every other example is one by itself.
    """
    schema, ids = READ[task_type].SCHEMA, [str(i) for i in range(len(codes))]
    clusters = cells["context"] if task_type == "qa" else ids
    columns: dict[str, Sequence[Any]] = {"id": ids, "cluster_id": clusters, "language": codes, **cells}
    nothing = [None] * len(ids)
    return pa.table({name: pa.array(columns.get(name, nothing), schema.field(name).type) for name in schema.names})


def cells_of_values(roles: Sequence[str], values: Sequence[Any], code: str) -> Cells:
    """The columns `roles` of examples that are given as Python values.

    A value is a text if there is one column; words or a text for `tokens`; a pair of texts for `text_a` and `text_b`;
    else a mapping with the columns as keys. Raises XstiltsError for anything else.
    """
    pairs = list(roles) == ["text_a", "text_b"]
    cells: Cells = {role: [] for role in roles}
    for value in values:
        row = value
        if len(roles) == 1:
            row = {roles[0]: value}
        elif pairs and isinstance(value, tuple | list) and len(value) == 2:
            row = dict(zip(roles, value, strict=True))
        if isinstance(row, Mapping) and isinstance(row.get("tokens"), str):
            row = {"tokens": split_words(row["tokens"], code)}
        fits = isinstance(row, Mapping) and all(_fits(role, row.get(role)) for role in roles)
        if not fits:
            takes = "pairs of texts" if pairs else f"objects with {', '.join(roles)}" if len(roles) > 1 else "texts"
            takes = "texts or lists of words" if "tokens" in roles else takes
            what, hint = f"cannot predict for {value!r:.60}", "give each in that form"
            raise XstiltsError("bad-argument", what, f"the model takes {takes}", hint)
        for role in roles:
            cells[role].append(row[role])
    return cells


def _fits(role: str, value: Any) -> bool:
    if role in LISTS:
        return isinstance(value, list | tuple) and all(isinstance(part, str) for part in value)
    return isinstance(value, str)


def split_words(text: str, code: str) -> list[str]:
    """The words of a text, with punctuation apart; in a language without spaces its characters.

    >>> split_words("Anaishi Nairobi, Kenya.", "sw")
    ['Anaishi', 'Nairobi', ',', 'Kenya', '.']
    """
    return [text[start:stop] for start, stop in words(text, code)]


def cells_of_table(table: pa.Table, kind: str, columns: Mapping[str, list[str]], code: str) -> Cells:
    """The columns of examples that are given as a table, by the names that these have there."""
    cells: Cells = {}
    for role, names in columns.items():
        nested = [pa.types.is_nested(table.schema.field(name).type) for name in names]
        if any(nested) != (role in LISTS and len(names) == 1) and not (role == "tokens" and is_text(table, names[0])):
            what = f"column '{names[0]}' does not hold {'lists' if role in LISTS else 'texts'}"
            hint = "name other columns with --text, or save the file as JSONL"
            raise XstiltsError("bad-row", what, f"the model reads it as {role}", hint)
        if role == "tokens" and is_text(table, names[0]):
            cells[role] = [split_words(text or "", code) for text in table[names[0]].to_pylist()]
        else:
            cells[role] = cells_of(table, role, names, kind)
    if any(len(row) < 2 for row in cells.get("choices", ())):
        raise XstiltsError(
            "bad-row", "a row has fewer than two choices", "the model chooses one of them", "fix the file"
        )
    return cells


def columns_for(roles: Mapping[str, str], present: Iterable[str], text: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The columns of a file that a model reads, by role: those of `text`, else of its training data, else `text`.

    roles: columns of the task → those of the training data. Raises XstiltsError if the file lacks one.
    """
    present = list(present)
    if text and len(text) != len(roles):
        why = f"the model reads {', '.join(roles)}"
        raise XstiltsError("bad-argument", f"{len(text)} columns are named", why, f"give --text {len(roles)} times")
    given = dict(zip(roles, text, strict=True)) if text else roles
    named = {role: split_names(name, present) for role, name in given.items()}
    if not text and present == ["text"] and len(named) == 1:
        named = dict.fromkeys(named, present)
    lacking = [name for names in named.values() for name in names if name not in present]
    if lacking:
        what, why = f"there is no column '{lacking[0]}'", f"the columns are {', '.join(present)}"
        hint = did_you_mean(lacking[0], present) or "name the columns of texts with --text"
        raise XstiltsError("unknown-name", what, why, hint)
    return named


def prediction_rows(kind: str, labels: Sequence[str], examples: pa.Table, predictions: pa.Table) -> list[Row]:
    """What is predicted for each example: `label` and `score`; `tokens` and `tags`; or `answer` and `score`.

    The label of a choice is the word for it in the training data, and `choice` its text.
    """
    values = predictions["prediction"].to_pylist()
    if kind == "tagging":
        tokens = examples["tokens"].to_pylist()
        return [{"tokens": words, "tags": tags} for words, tags in zip(tokens, values, strict=True)]
    rows: list[Row] = [{"answer" if kind == "qa" else "label": value} for value in values]
    if kind == "choice":
        names = dict(enumerate(labels))
        choices = examples["choices"].to_pylist()
        rows = [{"label": names.get(i, str(i)), "choice": row[i]} for i, row in zip(values, choices, strict=True)]
    for row, score in zip(rows, predictions["score"].to_pylist(), strict=True):
        row["score"] = [round(part, 4) for part in score] if isinstance(score, list) else round(score, 4)
    return rows
