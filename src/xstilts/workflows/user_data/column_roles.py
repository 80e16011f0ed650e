"""Find the columns of texts, labels and languages in a table, and the kind of task that they form."""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.workflows.user_data.kinds import KINDS

MAX_LABELS = 1000
FEW_LABELS = 50
"""A column without the name of a label column has at most as many different values."""
SAMPLE = 1000
FLAGS = {"0", "1", "true", "false", "0.0", "1.0"}
# Names as `plain` writes them, most specific first.
PAIRS = (
    ("premise", "hypothesis"), ("prem", "hyp"), ("context", "hypothesis"), ("sentence1", "sentence2"),
    ("texta", "textb"), ("text1", "text2"), ("question1", "question2"), ("sentencea", "sentenceb"),
    ("question", "sentence"), ("question", "passage"),
)  # fmt: skip
TEXTS = (
    "text", "sentence", "review", "reviewtext", "reviewbody", "content", "comment", "commenttext", "message", "body",
    "tweet", "utterance", "document", "article", "abstract", "description", "headline", "question", "query", "title",
    "input",
)  # fmt: skip
LABELS = (
    "label", "labels", "goldlabel", "class", "category", "stars", "rating", "sentiment", "target", "topic", "intent",
    "emotion", "polarity", "gold", "y",
)  # fmt: skip
LANGUAGES = ("language", "lang", "locale", "languagecode", "langcode", "langid")
IDS = ("id", "uid", "guid", "idx", "index", "indexid", "pairid", "exampleid", "qid")
TOKENS, TAGS = ("tokens", "words", "forms"), ("tags", "nertags", "postags", "upos", "chunktags", "labels")
CONTEXTS, QUESTIONS = ("context", "passage", "premise", "article"), ("question", "stem", "goal", "query", "prompt")
CHOICES, ANSWERS = ("choices", "options", "endings"), ("correct", "answer", "answerkey", *LABELS)
NUMBERED = re.compile(r"(choice|option|answer|ending|sol|solution|alternative)([0-9]+|[a-f])")


@dataclass(frozen=True)
class Roles:
    """The kind of a task, its columns with those of the data, and other columns that might be meant."""

    kind: str
    columns: dict[str, list[str]]
    others: dict[str, list[str]]


def plain(name: str) -> str:
    """A column's name as it is compared: `Review_Text` is `reviewtext`."""
    return re.sub(r"[\W_]+", "", name).casefold()


def word(value: Any) -> str:
    """A cell as a text or a label word, stripped; "" if there is none.

    >>> word(4.0), word(True), word(" good "), word(None)
    ('4', 'true', 'good', '')
    """
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()


def by_name(table: pa.Table, names: Iterable[str]) -> list[str]:
    """The columns that have one of these plain names, in the order of these."""
    present = {plain(name): name for name in reversed(table.column_names)}
    return [present[name] for name in names if name in present]


def chosen(table: pa.Table, wanted: str | Sequence[str] | None, option: str) -> list[str]:
    """The columns that an option names, one or several with commas; raises XstiltsError if the data lack one."""
    names = [wanted] if isinstance(wanted, str) and wanted else list(wanted or ())
    if len(names) == 1 and names[0] not in table.column_names:
        names = [name.strip() for name in names[0].split(",")]
    for name in names:
        if name not in table.column_names:
            hint = did_you_mean(name, table.column_names) or f"name one of these with {option}"
            raise XstiltsError("unknown-name", f"the data have no column '{name}'", columns_of(table), hint)
    return names


def columns_of(table: pa.Table) -> str:
    """A line that lists the columns."""
    return "the columns are " + ", ".join(table.column_names)


def split_names(text: str, present: Collection[str]) -> list[str]:
    """The one or several columns that a text names: it is a name itself, or has commas between names."""
    return [text] if text in present else text.split(",")


def known_roles(table: pa.Table, kind: str, columns: Mapping[str, str]) -> Roles | None:
    """The roles of columns that are known from other data of a task, None if the table lacks one of these columns."""
    present = set(table.column_names)
    named = {role: split_names(text, present) for role, text in columns.items()}
    return Roles(kind, named, {}) if all(present.issuperset(names) for names in named.values()) else None


def find_roles(
    table: pa.Table, text: str | Sequence[str] | None, label: str | Sequence[str] | None, kind: str | None, other: str
) -> Roles:
    """What each column is for; `other` is one that is taken. Raises XstiltsError if texts or labels are not found."""
    if kind and kind not in KINDS:
        hint = did_you_mean(kind, KINDS) or "leave it out to have it inferred"
        raise XstiltsError("bad-argument", f"unknown kind '{kind}'", f"a kind is one of {', '.join(KINDS)}", hint)
    texts, labels = chosen(table, text, "--text"), chosen(table, label, "--label")
    for name, columns in {"tagging": _tagging, "qa": _qa, "choice": _choice}.items():
        possible = kind == name or (kind is None and (not texts or name == "tagging"))
        if possible and (roles := columns(table, texts, labels)):
            return Roles(name, roles, {})
        if kind == name:
            why, hint = columns_of(table), f"see docs/tasks.md for the columns of '{name}', or leave --kind out"
            raise XstiltsError("bad-argument", f"these columns do not form a task of the kind '{name}'", why, hint)
    return _classes(table, texts, labels, kind, other)


def _is_list(table: pa.Table, name: str) -> bool:
    kind = table.schema.field(name).type
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def is_text(table: pa.Table, name: str) -> bool:
    """Whether a column holds texts."""
    kind = table.schema.field(name).type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _tagging(table: pa.Table, texts: list[str], labels: list[str]) -> dict[str, list[str]]:
    tokens = [name for name in texts or by_name(table, TOKENS) if _is_list(table, name)]
    tags = [name for name in labels or by_name(table, TAGS) if _is_list(table, name) and name not in tokens]
    return {"tokens": tokens[:1], "tags": tags[:1]} if tokens and tags else {}


def _qa(table: pa.Table, texts: list[str], labels: list[str]) -> dict[str, list[str]]:
    strings = table.select([name for name in table.column_names if is_text(table, name)])
    context, question = (texts[:1], texts[1:]) if texts else (by_name(strings, CONTEXTS), by_name(strings, QUESTIONS))
    answers = [
        name
        for name in labels or by_name(table, ("answers",))
        if pa.types.is_nested(table.schema.field(name).type) and "text" in str(table.schema.field(name).type)
    ]
    found = {"context": context[:1], "question": question[:1], "answers": answers[:1]}
    return found if all(found.values()) and all(is_text(table, name) for name in texts) else {}


def _choice(table: pa.Table, texts: list[str], labels: list[str]) -> dict[str, list[str]]:
    listed = [name for name in by_name(table, CHOICES) if _is_list(table, name)][:1]
    numbered: dict[str, list[str]] = {}
    for name in sorted(table.column_names, key=lambda name: natural(plain(name))):
        if (parts := NUMBERED.fullmatch(plain(name))) and is_text(table, name):
            numbered.setdefault(parts[1], []).append(name)
    choices = listed or max(numbered.values(), key=len, default=[])
    answer = labels or [name for name in by_name(table, ANSWERS) if name not in choices]
    strings = table.select([name for name in table.column_names if is_text(table, name)])
    context, question = (texts[:-1], texts[-1:]) if texts else (by_name(strings, CONTEXTS), by_name(strings, QUESTIONS))
    if not (listed or len(choices) > 1) or not answer or not (context or question):
        return {}
    if _is_list(table, answer[0]) or not all(is_text(table, name) for name in texts):
        return {}
    found = {"context": context[:1], "question": question[:1], "choices": choices, "label": answer[:1]}
    return {role: names for role, names in found.items() if names}


def _classes(table: pa.Table, texts: list[str], labels: list[str], kind: str | None, other: str) -> Roles:
    """The columns of a task with one label a row or, as `multilabel`, any number of them."""
    others: dict[str, list[str]] = {}
    if not texts:
        taken = {other, *labels}
        free = table.select([name for name in table.column_names if name not in taken and is_text(table, name)])
        pairs = [columns for pair in PAIRS if len(columns := by_name(free, pair)) == 2]
        if pairs and kind != "classification":
            texts = pairs[0]
        else:
            texts, others["text"] = find_text(table, taken)
    if len(texts) > 2 or (kind in ("classification", "pair") and len(texts) != 1 + (kind == "pair")):
        why = f"a task of the kind '{kind or 'pair'}' has {1 if kind == 'classification' else 2} of them"
        hint = "give --text once, or twice for pairs of texts"
        what = f"{len(texts)} column{'s' * (len(texts) != 1)} of texts: {', '.join(texts)}"
        raise XstiltsError("bad-argument", what, why, hint)
    if not labels:
        labels, others["label"] = _find_labels(table, {other, *texts})
    for name in (*texts, *(labels if kind in ("classification", "pair") else ())):
        if pa.types.is_nested(table.schema.field(name).type) or pa.types.is_binary(table.schema.field(name).type):
            why = f"it holds values of the type {table.schema.field(name).type}"
            hint = "name another with --text or --label, or leave --kind out"
            raise XstiltsError("bad-argument", f"column '{name}' does not hold plain text", why, hint)
    if not kind:
        kind = "pair" if len(texts) == 2 else "classification"
        kind = "multilabel" if len(labels) > 1 or _several(table, labels[0]) else kind
    elif kind != "multilabel" and len(labels) > 1:
        why = f"a task of the kind '{kind}' has one label a row"
        raise XstiltsError("bad-argument", f"the labels are {', '.join(labels)}", why, "name one column with --label")
    roles = {role: [name] for role, name in zip(("text_a", "text_b"), texts, strict=False)}
    return Roles(kind, roles | {"label": labels}, {role: names for role, names in others.items() if names})


def _several(table: pa.Table, name: str) -> bool:
    """Whether cells have several labels: lists, or words with `|` between them that also occur apart."""
    if _is_list(table, name):
        return True
    cells = {word(value) for value in table[name].to_pylist()} if is_text(table, name) else set()
    lists = [[part.strip() for part in cell.split("|")] for cell in cells if cell]
    most = max(Counter(part for parts in lists for part in parts).values(), default=0)
    return most > 1 and any(len(parts) > 1 and all(parts) for parts in lists)


def find_text(table: pa.Table, taken: set[str]) -> tuple[list[str], list[str]]:
    """The column of texts, and others with the name of one."""
    named = [name for name in by_name(table, TEXTS) if name not in taken and is_text(table, name)]
    if named:
        return named[:1], named[1:]
    lengths = {name: free_text(table, name) for name in table.column_names if name not in taken}
    if not lengths or not max(lengths.values()):
        hint = "name it with --text COLUMN"
        raise XstiltsError("bad-argument", "there is no column of texts", columns_of(table), hint)
    return [max(lengths, key=lambda name: lengths[name])], []


def free_text(table: pa.Table, name: str) -> float:
    """The mean length of a column's texts; 0 if most are single ASCII words, as ids and dates are, or equal ones."""
    if not is_text(table, name) or plain(name) in (*IDS, *LABELS):
        return 0.0
    rows = np.unique(np.linspace(0, len(table) - 1, SAMPLE).astype(int))
    texts = [word(text) for text in table[name].take(pa.array(rows)).to_pylist()]
    free = sum(" " in text or not text.isascii() for text in texts)
    distinct = len(set(texts))
    return sum(map(len, texts)) / len(texts) if 2 * free >= len(texts) and 2 * distinct >= len(texts) else 0.0


def _find_labels(table: pa.Table, taken: set[str]) -> tuple[list[str], list[str]]:
    """The column of labels (several columns of 0 and 1), and others with the name of one."""
    free = [name for name in table.column_names if name not in taken]
    if named := [name for name in by_name(table, LABELS) if name in free]:
        good = [name for name in named if _is_list(table, name) or 2 <= _distinct(table, name) <= MAX_LABELS]
        first = (good or named)[0]
        return [first], [name for name in good if name != first]
    if any(is_text(table, name) and pc.any(pc.equal(table[name], name)).as_py() for name in free):
        why = f"{columns_of(table)}, and one of these also occurs in its own column"
        hint = "add a first line with column names, or name the column of labels with --label COLUMN"
        raise XstiltsError("bad-argument", "the first row looks like data, not like column names", why, hint)
    few, flags = [], []
    for name in (name for name in free if _distinct(table, name) <= FEW_LABELS):
        words = Counter(filter(None, map(word, table[name].to_pylist())))
        if len(words) > 1 and set(words) <= FLAGS:
            flags.append(name)
        if plain(name) not in IDS and 2 <= len(words) <= len(table) // 4 and min(words.values()) > 1:
            few.append(name)
    if len(flags) > 1 or len(few) == 1:
        return (flags if len(flags) > 1 else few), []
    close = next(filter(None, (did_you_mean(name, free) for name in LABELS[:10])), "")
    hint = "name it with --label COLUMN" + (f"; {close}" if close else "")
    raise XstiltsError("bad-argument", "there is no column of labels", columns_of(table), hint)


def _distinct(table: pa.Table, name: str) -> int:
    """The number of different values; more than any column of labels may have if they are nested."""
    kind = table.schema.field(name).type
    return MAX_LABELS + 1 if pa.types.is_nested(kind) else len(table[name].drop_null().unique())


def natural(text: str) -> list[tuple[int, float, str]]:
    """A key that sorts numbers by value, inside words too.

    >>> sorted(["10", "9", "b", "a2", "a10", "-1"], key=natural)
    ['-1', '9', '10', 'a2', 'a10', 'b']
    """
    parts = [text] if re.fullmatch(r"-?\d+(\.\d+)?", text) else re.split(r"(\d+)", text)
    numeric = re.compile(r"-?[0-9]+(\.[0-9]+)?")
    return [(0, float(part), "") if numeric.fullmatch(part) else (1, 0.0, part) for part in parts if part]
