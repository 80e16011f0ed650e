"""Multiple choice: which of several texts goes best with a context, a question or both."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks import classification
from xstilts.tasks.encoding import IGNORED, Encoded, make_schema, tokenize
from xstilts.tasks.task import BadRow, Record, Task, identity, label_of, text_of

if TYPE_CHECKING:
    import torch

SCHEMA = make_schema("context", "question", choices=pa.list_(pa.string()), label=pa.int32())
AUTO_CLASS = "AutoModelForMultipleChoice"
PROBLEM_TYPE: str | None = None
TEXT_COLUMNS: tuple[str, ...] = ("context", "question", "choices")
MASKABLE: tuple[str, ...] = ("context", "question")
METRICS: tuple[str, ...] = ("accuracy", "calibration_error")
BASELINE = "longest choice"
GOLD = "label"
SPARSE_GOLD = False

statistics, score = classification.statistics, classification.score


def complete(record: Record, task: Task) -> list[Record]:
    """The example of a record; its label is a number from 0, or one of the task's label words, which name the choices
    in order. Raises BadRow if a text is empty or the label names no choice."""
    texts = {name: text_of(record, name) if record.get(name) else None for name in ("context", "question")}
    if not any(texts.values()):
        raise BadRow("neither context nor question", "at least one of them")
    given = record.get("choices") or []
    if not isinstance(given, list):
        raise BadRow(f"choices is {given!r:.60}", "a list")
    choices = [text_of({"choice": choice}, "choice") for choice in given]
    if len(choices) < 2:
        raise BadRow(f"{len(choices)} choices", "at least two")
    words = (task.labels or tuple(map(str, range(len(choices)))))[: len(choices)]
    label = label_of(record.get("label"), words)
    number = None if label is None else words.index(label)
    return [{**identity(record), **texts, "choices": choices, "label": number}]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """A sequence per choice, next to each other: the context (else the question), then the question and the choice.

    labels: the first sequence of an example has the number of the right choice, its others are ignored.
    """
    first, second, labels, counts = [], [], [], []
    columns = (table[name].to_pylist() for name in ("context", "question", "choices", "label"))
    for context, question, choices, label in zip(*columns, strict=True):
        counts.append(len(choices))
        first += [context or question or ""] * len(choices)
        second += [f"{question} {choice}" if context and question else choice for choice in choices]
        labels += [0 if label is None else label, *[IGNORED] * (len(choices) - 1)]
    ids, offsets, segments = tokenize(tokenizer, first, second, max_length)
    examples = np.repeat(np.arange(len(table)), counts)
    return Encoded(ids, offsets, examples, np.array(labels, np.int64), segments, together=True)


def forward(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """One logit per sequence [n]: each goes through the head as the only choice of an example."""
    inputs = {name: value if name == "packing" else value[:, None] for name, value in batch.items() if name != "labels"}
    inputs.setdefault("attention_mask", inputs["input_ids"].new_ones(inputs["input_ids"].shape))  # ModernBERT needs it
    return model(**inputs).logits[:, 0]


def loss_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Summed cross entropy over the choices of each example, in float32.

    logits, labels: [n]; an example begins at each label that is not ignored, and its label counts from there.
    """
    import torch

    logits = logits.float()
    starts = (labels != IGNORED).nonzero()[:, 0]
    example = (labels != IGNORED).cumsum(0) - 1
    highest = logits.new_full((len(starts),), -torch.inf).scatter_reduce(0, example, logits.detach(), "amax")
    total = logits.new_zeros(len(starts)).index_add(0, example, (logits - highest[example]).exp())
    return (total.log() - (logits[starts + labels[starts]] - highest)).sum()


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """The logit of each sequence."""
    return list(logits.float().cpu().numpy())


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold, prediction (numbers of choices) and score (the probability of the prediction)."""
    parts = np.split(np.array(extracted, np.float64), np.flatnonzero(np.diff(encoded.examples)) + 1)
    score = np.array([1 / np.exp(part - part.max()).sum() for part in parts], np.float32)
    return {"gold": table["label"].to_pylist(), "prediction": [int(part.argmax()) for part in parts], "score": score}


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Predict the longest choice (the first of equals): writers tend to say more of what is true, so that this is
    harder to beat than a random choice."""
    choices = table["choices"].to_pylist()
    longest = [max(range(len(c)), key=lambda i: (len(c[i]), -i)) for c in choices]
    score = np.array([1 / len(c) for c in choices], np.float32)
    return {"gold": table["label"].to_pylist(), "prediction": longest, "score": score}
