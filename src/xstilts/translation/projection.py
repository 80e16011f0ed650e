"""Translate an example of each task type: extract its texts with labelled spans, and rebuild it from translations."""

import re
import unicodedata
from itertools import pairwise
from typing import Any

from xstilts.errors import XstiltsError
from xstilts.tasks.metrics import SEGMENTED, chunks
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.translation.marking import Passage, sentences

Row = dict[str, Any]
AMBIGUOUS = "the right choice became equal to another"
SHARED_WORD = "a word with more than one tag"


class Dropped(Exception):
    """The reason why an example has no translation."""


def check_type(task: Task) -> None:
    """Raises XstiltsError if examples of the task cannot be translated."""
    if task.type not in PROJECTION:
        what, hint = f"examples of task '{task.name}' cannot be translated", "translate a task of type "
        why = f"its type is {task.type}, whose examples belong to each language"
        raise XstiltsError("unsupported", what, why, hint + ", ".join(PROJECTION))
    kinds = {tag[:2] for tag in task.labels if tag != "O"}
    if task.type == "tagging" and ("O" not in task.labels or not kinds <= {"B-", "I-"}):
        what = f"tags of task '{task.name}' cannot be carried over to a translation"
        why = "every word has a tag, and markers around every word do not survive translation"
        raise XstiltsError("unsupported", what, why, "translate a task whose labels are O, B-… and I-…, such as names")


def _texts(row: Row, task: Task) -> list[list[Passage]]:
    """The sentences of every text of an example, column by column; lists of texts item by item."""
    columns = (row[name] for name in FINE_TUNED[task.type].TEXT_COLUMNS)
    listed = (value if isinstance(value, list) else [value] for value in columns if value is not None)
    return [sentences(Passage(text)) for texts in listed for text in texts]


def _with_texts(row: Row, task: Task, passages: list[Passage], code: str) -> Row:
    """Raises Dropped if the right one of several choices equals another one after translation."""
    texts = (passage.text for passage in passages)
    result = dict(row)
    for name in FINE_TUNED[task.type].TEXT_COLUMNS:
        if row[name] is not None:
            result[name] = [next(texts) for _ in row[name]] if isinstance(row[name], list) else next(texts)
    choices = result.get("choices")
    if choices and row["label"] is not None and choices.count(choices[row["label"]]) > 1:
        raise Dropped(AMBIGUOUS)
    return result


def _context(row: Row, task: Task) -> list[list[Passage]]:
    """The context with its first answer, the one used in training, and the question."""
    spans = [(a["start"], a["start"] + len(a["text"]), "answer") for a in (row["answers"] or [])[:1]]
    return [sentences(Passage(row["context"], tuple(spans))), sentences(Passage(row["question"]))]


def _with_answer(row: Row, task: Task, passages: list[Passage], code: str) -> Row:
    context = passages[0]
    answers = [{"text": context.text[start:stop], "start": start} for start, stop, _ in context.spans]
    return {**_with_texts(row, task, passages, code), "answers": None if row["answers"] is None else answers}


def _sentence(row: Row, task: Task) -> list[list[Passage]]:
    """The words as running text with their chunks; an example is one sentence."""
    between = "" if row["language"] in SEGMENTED else " "
    starts, text = [], ""
    for token in row["tokens"]:
        text += between if text else ""
        starts.append(len(text))
        text += token
    spans = sorted((starts[a], starts[b] + len(row["tokens"][b]), kind) for a, b, kind in chunks(row["tags"] or []))
    return [[Passage(text, tuple(spans))]]


def _with_tags(row: Row, task: Task, passages: list[Passage], code: str) -> Row:
    """Tags for the words of the translation: a word that overlaps a span gets its tag, so a suffix after a marker
    belongs to its word; raises Dropped if a word would get two."""
    passage = passages[0]
    places, tags, last = words(passage.text, code), [], -1
    for start, stop in places:
        inside = [i for i, (a, b, _) in enumerate(passage.spans) if a < stop and start < b]
        if len(inside) > 1:
            raise Dropped(SHARED_WORD)
        tags.append(f"{'I' if inside[0] == last else 'B'}-{passage.spans[inside[0]][2]}" if inside else "O")
        last = inside[0] if inside else -1
    tokens = [passage.text[start:stop] for start, stop in places]
    return {**row, "tokens": tokens, "tags": None if row["tags"] is None else tags}


def words(text: str, code: str) -> list[tuple[int, int]]:
    """Start and end of the words of a text.

    White space separates words; each run of one punctuation sign at a word's edge is a word. In zh, ja and th, words
    are characters with their combining marks, as in WikiAnn.
    """
    if code in SEGMENTED:
        starts = [i for i, c in enumerate(text) if not c.isspace() and (i == 0 or unicodedata.category(c)[0] != "M")]
        return [(a, a + len(text[a:b].rstrip())) for a, b in pairwise([*starts, len(text)])]
    result = []
    for match in re.finditer(r"\S+", text):
        inner = [i for i, c in enumerate(match[0]) if unicodedata.category(c)[0] != "P"]
        core = range(inner[0], inner[-1] + 1) if inner else range(0)
        signs = ["" if i in core else c for i, c in enumerate(match[0])]
        edges = [0, *(i for i in range(1, len(signs)) if signs[i] != signs[i - 1]), len(signs)]
        result += [(match.start() + a, match.start() + b) for a, b in pairwise(edges)]
    return result


PROJECTION = {
    **dict.fromkeys(("classification", "multilabel", "multiple_choice"), (_texts, _with_texts)),
    "qa": (_context, _with_answer),
    "tagging": (_sentence, _with_tags),
}
"""Per task type: how to extract the sentences of an example with labelled spans, and how to rebuild the example."""
