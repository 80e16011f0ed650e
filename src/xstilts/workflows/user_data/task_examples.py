"""Build examples from the columns of a table whose roles are known."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from xstilts.errors import XstiltsError, and_more
from xstilts.tasks.data_source import FileSource
from xstilts.tasks.task import BadRow, Task, label_list
from xstilts.tasks.task_types import READ, SCHEMAS
from xstilts.workflows.user_data.column_roles import FLAGS, IDS, MAX_LABELS, Roles, by_name, natural, word
from xstilts.workflows.user_data.kinds import KINDS

MIN_ROWS, MIN_ROWS_PER_LABEL = 10, 2
Cells = dict[str, list[Any]]
"""Column of the task → value of each row."""


def cells_of(table: pa.Table, role: str, names: list[str], kind: str) -> list[Any]:
    """The value of each row for one column of the task: texts and label words, lists of them, or None."""
    columns = [table[name].to_pylist() for name in names]
    if role == "answers":
        return columns[0]
    if role == "context" and kind == "qa":  # answers have offsets into the context as it is
        return [value if isinstance(value, str) else word(value) or None for value in columns[0]]
    if role == "choices" and len(columns) > 1:
        return [[word(value) for value in row] for row in zip(*columns, strict=True)]
    if role in ("tokens", "tags", "choices"):
        lists = [[word(part) for part in row or ()] for row in columns[0]]
        return lists if role != "tags" else [row if any(row) else None for row in lists]
    if role != "label" or kind != "multilabel":
        return [word(value) or None for value in columns[0]]
    if len(columns) > 1:
        rows = [dict(zip(names, map(word, row), strict=True)) for row in zip(*columns, strict=True)]
        for number, row in enumerate(rows, 1):
            if any(row.values()) and (odd := next((name for name in row if row[name] not in FLAGS), "")):
                what, why = f"row {number:,} has '{row[odd]:.60}' in column '{odd}'", "each label is 0 or 1"
                raise XstiltsError("bad-row", what, why, "write 0 and 1, or name one column of labels")
        flags = [[name for name in row if row[name] in ("1", "1.0", "true")] for row in rows]
        return [given if any(row.values()) else None for given, row in zip(flags, rows, strict=True)]
    several = [label_list(word(row) if isinstance(row, str) else row) for row in columns[0]]
    return [None if row is None else list(dict.fromkeys(filter(None, map(word, row)))) for row in several]


def rows_with_text(cells: Cells) -> list[int]:
    """The numbers of rows whose texts are not empty; of context and question of a choice, one may be."""
    texts = [values for role, values in cells.items() if role not in ("label", "tags", "answers")]
    if "choices" in cells:
        first, *second = (cells[role] for role in ("context", "question") if role in cells)
        texts = [cells["choices"], [a or b for a, b in zip(first, second[0], strict=True)] if second else first]

    def filled(value: Any) -> bool:
        return bool(value) and all(map(str.strip, value if isinstance(value, list) else [value]))

    return [i for i, row in enumerate(zip(*texts, strict=True)) if all(map(filled, row))]


def class_examples(
    kind: str, cells: Cells, rows: list[int], given: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[int], Cells]:
    """Label words, numbers of the rows used, and their columns, for tasks that label a text or a pair."""
    columns = {role: [values[i] for i in rows] for role, values in cells.items()}
    found = {name for value in columns["label"] for name in (value if isinstance(value, list) else [value])}
    words = tuple(sorted(found, key=natural)) if given is None else given
    if unknown := sorted(found - set(words), key=natural):
        first = next(i for i in rows if unknown[0] == cells["label"][i] or unknown[0] in (cells["label"][i] or ()))
        what, why = f"row {first + 1:,} has the label '{unknown[0]:.60}'", f"the labels are {', '.join(words)}"
        raise XstiltsError("bad-row", what, why, "write labels as in the training data")
    return words, rows, columns


def checked_examples(
    kind: str, cells: Cells, rows: list[int], given: tuple[str, ...] | None
) -> tuple[tuple[str, ...], list[int], Cells]:
    """The same for tasks whose type checks its examples; raises XstiltsError for those that are wrong."""
    words: tuple[str, ...] = ()
    if kind == "tagging":
        words = tag_set({tag for i in rows for tag in cells["tags"][i]} - {""})
    elif kind == "choice":
        words = _choice_words(cells, rows, given)
    words = words if given is None else given
    data = FileSource(format="table", files={})
    fields: dict[str, Any] = {"name": "own", "type": KINDS[kind].type, "labels": words, "unanswerable": kind == "qa"}
    task = Task(**fields, source=data)
    task_type, bad_rows, examples = READ[task.type], [], []
    for i in rows:
        record = {"id": str(i + 1), "cluster_id": "", "language": ""}
        try:
            examples += task_type.complete(record | {role: values[i] for role, values in cells.items()}, task)
        except BadRow as bad:
            bad_rows.append((i + 1, bad))
    if bad_rows:
        row, reason = bad_rows[0]
        more = and_more(len(bad_rows) - 1, "bad row")
        raise XstiltsError(
            "bad-row", f"row {row:,}: {reason.found}{more}", f"expected {reason.expected}", "fix these rows"
        )
    examples = [example for example in examples if example[task_type.GOLD] is not None]
    names = [name for name in task_type.SCHEMA.names if name not in ("id", "cluster_id", "language")]
    return words, [int(e["id"]) - 1 for e in examples], {name: [e[name] for e in examples] for name in names}


def tag_set(found: set[str]) -> tuple[str, ...]:
    """The tags of a data set; of BIO tags both of every type, `B-…` and `I-…`, of which small data may lack one."""
    if found <= {"O"} | {tag for tag in found if tag[:2] in ("B-", "I-")}:
        found = found | {f"{prefix}-{tag[2:]}" for tag in found - {"O"} for prefix in "BI"}
    return tuple(sorted(found, key=natural))


def _choice_words(cells: Cells, rows: list[int], given: tuple[str, ...] | None) -> tuple[str, ...]:
    """How the data name choices: numbers from 0 or 1, letters, or their texts, which become one of these.

    Raises XstiltsError if a label names none of its choices, or if labels may be texts or places.
    """
    labels, choices = cells["label"], cells["choices"]
    numbers = tuple(map(str, range(max((len(choices[i]) for i in rows), default=0))))
    letters = tuple(chr(ord("A") + int(number)) for number in numbers)
    ways = [given] if given else []
    ways += [numbers, tuple(str(int(number) + 1) for number in numbers), letters, tuple(map(str.lower, letters))]
    texts = all(labels[i] in choices[i] for i in rows)
    placed = next((words for words in ways if {labels[i] for i in rows} <= set(words)), None)
    if placed and texts and any(placed.index(labels[i]) != choices[i].index(labels[i]) for i in rows):
        why, hint = f"row {rows[0] + 1:,} has '{labels[rows[0]]}'", "write the numbers of the right choices, from 0"
        raise XstiltsError("bad-row", "labels may be the texts of choices or their places", why, hint)
    if placed:
        return placed
    for i in rows:
        if labels[i] not in choices[i] and not (given and labels[i] in given):
            odd = next((j for j in rows if labels[j] not in choices[j] and labels[j] not in numbers + letters), i)
            what = f"row {odd + 1:,} has the label '{labels[odd]:.60}'"
            hint = "write the number of the right choice, its letter or its text"
            raise XstiltsError("bad-row", what, "it does not name any of the row's choices", hint)
        if labels[i] in choices[i]:
            labels[i] = (given or numbers)[choices[i].index(labels[i])]
    return given or numbers


def schema_of(roles: Roles) -> pa.Schema:
    """The columns of the examples of a kind."""
    start = [("id", pa.string()), ("language", pa.string())]
    if KINDS[roles.kind].checked:
        schema = SCHEMAS[KINDS[roles.kind].type]
        fields = [field for field in schema if field.name not in ("id", "cluster_id", "language")]
        return pa.schema([*start, *fields])
    texts = [(role, pa.string()) for role in roles.columns if role != "label"]
    return pa.schema([*start, *texts, ("label", pa.list_(pa.string()) if roles.kind == "multilabel" else pa.string())])


def ids_of(table: pa.Table) -> tuple[list[str], list[str]]:
    """The id of each row, from a column of different ids or the number of the row, and a note."""
    for name in by_name(table, IDS):
        ids = list(map(word, table[name].to_pylist()))
        if len(set(ids)) == len(ids) and all(ids):
            return ids, [f"id ← {name}"]
    return list(map(str, range(1, len(table) + 1))), []


def counted(count: int, what: str) -> str:
    """A number of things.

    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def check_enough(
    roles: Roles, words: tuple[str, ...], gold: list[Any], is_test: bool, left_out: Sequence[str]
) -> None:  # fmt: skip
    """Raise XstiltsError if labels cannot be learned, or if rows are too few; test data need one row. `left_out` says
    which rows are not among `gold`."""
    if gold and not is_test and roles.kind not in ("qa", "choice"):
        column = f"column '{', '.join(roles.columns.get('label') or roles.columns['tags'])}'"
        counts = Counter(name for value in gold for name in (value if isinstance(value, list) else [value]))
        hint = "name another column with --label COLUMN"
        if len(words) > MAX_LABELS:
            why = f"at most {MAX_LABELS:,} labels can be learned"
            raise XstiltsError("bad-argument", f"{column} has {counted(len(words), 'label')}", why, hint)
        if len(words) < 2 - (roles.kind == "multilabel"):
            what = f"{column} has one label, '{words[0]:.60}'" if words else f"{column} has no labels"
            raise XstiltsError("too-few", what, "at least 2 labels are needed", hint)
        rare = [name for name in words if counts[name] < MIN_ROWS_PER_LABEL]
        if rare and roles.kind != "tagging":
            what = f"{counted(len(rare), 'label')} with one row: {', '.join(rare[:5])}{', …' if len(rare) > 5 else ''}"
            why = f"each label needs at least {MIN_ROWS_PER_LABEL} rows, to train on and to evaluate on"
            raise XstiltsError("too-few", what, why, f"add or remove rows of these labels, or {hint}")
    needed = 1 if is_test else MIN_ROWS
    if len(gold) < needed:
        why = "; ".join([f"at least {needed} {'is' if needed == 1 else 'are'} needed", *left_out])
        raise XstiltsError("too-few", counted(len(gold), "labelled row"), why, "add rows with texts and labels")
