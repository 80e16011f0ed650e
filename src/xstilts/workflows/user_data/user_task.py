"""Understand a table as a task: its kind, columns, labels and languages, inferred or given, and its examples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xstilts.errors import XstiltsError
from xstilts.randomness import generator
from xstilts.workflows.user_data.column_roles import Roles, find_roles, known_roles
from xstilts.workflows.user_data.kinds import KINDS
from xstilts.workflows.user_data.row_languages import find_language_column, row_languages
from xstilts.workflows.user_data.task_examples import (
    MIN_ROWS,
    cells_of,
    check_enough,
    checked_examples,
    class_examples,
    counted,
    ids_of,
    rows_with_text,
    schema_of,
)

MAJORITY = 0.9
"""A label that is more frequent makes data imbalanced."""


@dataclass(frozen=True)
class UserTask:
    """A table understood as a task.

    kind: classification, pair, multilabel, tagging, qa or choice. columns: columns of the task → those of the data,
    with commas between several. labels: label words in natural order (2 before 10); none for qa. language: the code of
    all rows, or "" if they have several. language_column: the column that says it, or "". notes: what was inferred, a
    line each. with_ids: whether the ids are those of a column of the data, else numbers of rows.
    examples: id, language, and text_a, text_b (of a pair), label; or tokens, tags; or context, question, answers; or
    context, question, choices, label (a number from 0).
    """

    kind: str
    columns: Mapping[str, str]
    labels: tuple[str, ...]
    language: str
    language_column: str
    notes: tuple[str, ...]
    examples: pa.Table
    with_ids: bool


def understand(
    table: pa.Table,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    language: str | None = None,
    kind: str | None = None,
    labels: Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
) -> UserTask:
    """Infer what kind of task a table holds, in which columns, and make its examples.

    Args:
        table: columns, as `read_table` gives them.
        text, label: the columns of texts (two for a pair) and of labels (several if they are 0 and 1), if they are not
            to be inferred; several also in one word, with commas.
        language: the column of languages, or the language of all rows.
        kind: the kind of task.
        labels: the label words that rows may have, for test data: these need not be enough to train on.
        columns: those of other data of the task, as an `UserTask` has them, and used if this table has them too.

    Rows without a text or a label are left out and counted in the notes. Raises XstiltsError if a column is missing or
    unclear, if labels cannot be learned (one label, a label of one row, over 1000 labels), or if rows are too few.

    >>> reviews = [f"It is {word}, number {i}" for i, word in enumerate(["bad", "good"] * 5)]
    >>> task = understand(pa.table({"review": reviews, "stars": [1, 5] * 5}))
    >>> task.kind, task.columns, task.labels, task.language
    ('classification', {'text_a': 'review', 'label': 'stars'}, ('1', '5'), 'en')
    >>> print(*task.notes, sep="\\n")
    kind: classification
    text ← review
    label ← stars (2 labels)
    language: en, all rows, assumed from the script (--language COLUMN|CODE)
    """
    if not len(table):
        raise XstiltsError("too-few", "the data have no rows", f"at least {MIN_ROWS} are needed", "add labelled rows")
    language_column, language_notes = find_language_column(table, language)
    known = known_roles(table, kind, columns) if kind and columns else None
    roles = known or find_roles(table, text, label, kind, language_column)
    cells = {role: cells_of(table, role, names, roles.kind) for role, names in roles.columns.items()}
    full = rows_with_text(cells)
    gold = cells[KINDS[roles.kind].gold]
    labelled = [i for i in full if gold[i] is not None]
    make = checked_examples if KINDS[roles.kind].checked else class_examples
    words, used, values = make(roles.kind, cells, labelled, None if labels is None else tuple(labels))
    lacking = {"text": len(table) - len(full), "label": len(full) - len(used)}
    left_out = [f"left out: {counted(count, 'row')} without a {what}" for what, count in lacking.items() if count]
    check_enough(roles, words, [gold[i] for i in used], labels is not None, left_out)
    shown = next(role for role in ("text_a", "tokens", "question", "context") if role in cells)
    samples = [" ".join(value) if isinstance(value, list) else value or "" for value in cells[shown]]
    codes, more_notes = row_languages(table, language_column, language, samples)
    ids, id_notes = ids_of(table)
    values |= {"id": [ids[i] for i in used], "language": [codes[i] for i in used]}
    schema = schema_of(roles)
    examples = pa.table({name: values[name] for name in schema.names}, schema)
    distinct = list(dict.fromkeys(values["language"]))
    notes = [*role_notes(roles, words), *id_notes, *language_notes, *more_notes]
    notes += left_out
    return UserTask(
        roles.kind,
        {role: ",".join(names) for role, names in roles.columns.items()},
        words,
        distinct[0] if len(distinct) == 1 else "",
        language_column,
        (*notes, *_label_notes(words, examples)),
        examples,
        bool(id_notes),
    )


def role_notes(roles: Roles, words: tuple[str, ...]) -> list[str]:
    """A line for each column: what it is for, and which others it might have been."""
    columns = {role: ", ".join(names) for role, names in roles.columns.items()}
    if "text_a" in columns:
        texts = [columns.pop(role) for role in ("text_a", "text_b") if role in columns]
        columns = {"text": ", ".join(texts), **columns}
    lines = [f"kind: {roles.kind}"]
    for role, names in columns.items():
        known = {"label": f" ({len(words):,} labels)", "tags": f" ({len(words):,} tags)"}.get(role, "")
        known = f" ({words[0]} to {words[-1]})" if roles.kind == "choice" and role == "label" else known
        other = f" (or {', '.join(roles.others[role])}: --{role} COLUMN)" if role in roles.others else ""
        lines.append(f"{role} ← {names}{known}{other}")
    return lines


def _label_notes(words: tuple[str, ...], examples: pa.Table) -> list[str]:
    """Lines about labels that are written in two ways or are very frequent, and about repeated texts."""
    notes, labels = [], examples["label"].to_pylist() if "text_a" in examples.column_names else []
    spellings: dict[str, list[str]] = {}
    for name in words:
        spellings.setdefault(name.casefold(), []).append(name)
    notes += [f"labels differ in case only: {', '.join(names)}" for names in spellings.values() if len(names) > 1]
    if labels and isinstance(labels[0], str):
        name, count = Counter(labels).most_common(1)[0]
        if count > MAJORITY * len(labels):
            notes.append(f"imbalanced: {count / len(labels):.1%} of rows have the label '{name}'")
    if labels:
        keys = text_keys(examples)
        if repeated := len(keys) - len(set(keys)):
            different = Counter(key for key, _ in set(zip(keys, map(str, labels), strict=True)))
            unclear = sum(count > 1 for count in different.values())
            more = f", {counted(unclear, 'text')} with different labels" if unclear else ""
            notes.append(f"repeated: {counted(repeated, 'row')} with the text of an earlier one{more}")
    return notes


def text_keys(examples: pa.Table, without: str = "") -> list[str]:
    """The text of each example as it is compared: columns joined, except `without`, and spaces made one."""
    names = [name for name in ("text_a", "text_b", "tokens", "context", "question") if name in examples.column_names]
    columns = [examples[name].to_pylist() for name in names if name != without]
    for i, values in enumerate(columns):
        columns[i] = [" ".join(value if isinstance(value, list) else (value or "").split()) for value in values]
    return [" / ".join(filter(None, row)) for row in zip(*columns, strict=True)]


def split(examples: pa.Table, share: float = 0.1, seed: int = 1) -> tuple[pa.Table, pa.Table]:
    """Training and development examples, the latter a share (0 to 1) of each label, at least one, but never all.

    Equal texts are on the same side, and so are the questions of one context. Which side depends on the seed, and not
    on the order of the rows.

    >>> texts = [f"text {i}" for i in range(20)]
    >>> train, dev = split(pa.table({"text_a": texts, "label": ["a", "b"] * 10}), share=0.2)
    >>> len(train), sorted(dev["label"].to_pylist())
    (16, ['a', 'a', 'b', 'b'])
    """
    if not 0 < share < 1:
        why = "a share lies between 0 and 1"
        raise XstiltsError("bad-argument", f"cannot split off a share of {share}", why, "give for example share=0.1")
    given = examples["label"].to_pylist() if "label" in examples.column_names else [""] * len(examples)
    labels = [label if isinstance(label, str) else "" for label in given]  # only single label words are stratified
    counts = Counter(labels)
    rank = {label: i for i, label in enumerate(sorted(counts, key=lambda label: (counts[label], label)))}
    keys = unit_keys(examples)
    encoded = pa.array(keys, pa.large_string()).dictionary_encode()
    group = pc.sort_indices(pc.sort_indices(encoded.dictionary)).take(encoded.indices).to_numpy()
    sizes, rarest = np.bincount(group, minlength=len(encoded.dictionary)), np.full(len(encoded.dictionary), len(rank))
    np.minimum.at(rarest, group, [rank[label] for label in labels])
    order, in_dev = generator("dev", seed).permutation(len(sizes)), np.zeros(len(sizes), bool)
    order = order[np.argsort(rarest[order], kind="stable")]
    for members in np.split(order, np.cumsum(np.bincount(rarest, minlength=len(rank)))[:-1]):
        room = max(round(share * sizes[members].sum()), sizes[members].min(initial=len(keys)))
        for member in np.delete(members, sizes[members].argmax()) if len(members) > 1 else ():
            if sizes[member] <= room:
                in_dev[member] = True
                room -= sizes[member]
    mask = pa.array(in_dev[group])
    return examples.filter(pc.invert(mask)), examples.filter(mask)


def unit_keys(examples: pa.Table) -> list[str]:
    """The text of each example by which it must not be both trained on and scored: of questions that of the context."""
    return text_keys(examples, "question" if "answers" in examples.column_names else "")


def duplicates(train: pa.Table, test: pa.Table) -> list[str]:
    """The texts of test examples that are also texts of training examples, each once; pairs are joined by ` / `, and of
    questions only the contexts count.

    >>> duplicates(pa.table({"text_a": ["one", "two"]}), pa.table({"text_a": ["two ", "three", "two"]}))
    ['two']
    """
    known = set(unit_keys(train))
    return list(dict.fromkeys(key for key in unit_keys(test) if key in known))


def describe_duplicates(texts: Sequence[str]) -> str:
    """How many texts are in both sets, and the first three.

    >>> describe_duplicates(["a", "b", "c", "d"])
    "4 texts are in both: 'a', 'b', 'c', …"
    """
    shown = ", ".join(f"'{text:.60}'" for text in texts[:3]) + (", …" if len(texts) > 3 else "")
    return f"1 text is in both: {shown}" if len(texts) == 1 else f"{len(texts):,} texts are in both: {shown}"
