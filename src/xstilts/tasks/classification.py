"""Sequence classification of one text or a pair: NLI, paraphrase, topic."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xstilts.tasks.encoding import IGNORED, Encoded, cross_entropy_sum, make_schema, run_model, tokenize_texts
from xstilts.tasks.metrics import mean_f1, share
from xstilts.tasks.task import Record, Task, identity, label_of, text_of

if TYPE_CHECKING:
    import torch

SCHEMA = make_schema("text_a", "text_b", "label")
AUTO_CLASS = "AutoModelForSequenceClassification"
PROBLEM_TYPE: str | None = None
TEXT_COLUMNS: tuple[str, ...] = ("text_a", "text_b")
MASKABLE: tuple[str, ...] = ("text_a", "text_b")
METRICS: tuple[str, ...] = ("accuracy", "macro_f1", "calibration_error")
BASELINE = "majority class"
GOLD = "label"
SPARSE_GOLD = False
CALIBRATION_BINS = 15

forward = run_model
loss_sum = cross_entropy_sum


def complete(record: Record, task: Task) -> list[Record]:
    """The example of a record; raises BadRow if a text is empty or a label unknown."""
    second = text_of(record, "text_b") if "text_b" in record else None
    label = label_of(record.get("label"), task.labels)
    return [{**identity(record), "text_a": text_of(record, "text_a"), "text_b": second, "label": label}]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """One sequence per example, of a pair or, if a column is empty, of the other one; the longer text of a pair is cut
    first if it does not fit."""
    ids, offsets, segments = tokenize_texts(table, TEXT_COLUMNS, tokenizer, max_length)
    number = {label: index for index, label in enumerate(task.labels)}
    labels = np.array([number.get(label, IGNORED) for label in table["label"].to_pylist()], np.int64)
    return Encoded(ids, offsets, np.arange(len(table)), labels, segments)


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """The class probabilities [k] of each sequence."""
    return list(logits.softmax(-1).cpu().numpy())


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold, prediction and score (the probability of the prediction) of each example."""
    probabilities = np.stack(extracted)
    prediction = [task.labels[i] for i in probabilities.argmax(1)]
    score = probabilities.max(1).astype(np.float32)
    return {"gold": table["label"].to_pylist(), "prediction": prediction, "score": score}


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Predict the label that is most frequent in the training data (the first of equals)."""
    counts = Counter(train["label"].to_pylist())
    majority = max(task.labels, key=lambda label: counts[label])
    score = np.full(len(table), counts[majority] / len(train), np.float32)
    return {"gold": table["label"].to_pylist(), "prediction": [majority] * len(table), "score": score}


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per example, float.

    accuracy: correct, counted [n, 2]. macro_f1: per label of the table whether gold and prediction share it, and in how
    many of the two it occurs [n, k + k]. calibration_error: per bin of confidence how far that exceeds being correct,
    and counted [n, CALIBRATION_BINS + 1]; a bin is (lower, upper] (Guo et al. 2017, eq. 3). Raises TypeError for labels
    that are no values or are of two types, and ValueError for a confidence that is not finite.
    """
    gold, predicted = predictions["gold"], predictions["prediction"]
    types = {c.type.value_type if pa.types.is_dictionary(c.type) else c.type for c in (gold, predicted)}
    if len(types) > 1 or any(map(pa.types.is_nested, types)):
        raise TypeError(f"gold labels and predictions are of the types {' and '.join(sorted(map(str, types)))}")
    correct, counted = _same(gold, predicted), np.ones(len(gold))
    if metric == "accuracy":
        return np.stack([correct, counted], 1)
    if metric == "macro_f1":
        labels = sorted({label for each in (gold, predicted) for label in pc.unique(each).drop_null().to_pylist()})
        wanted, given = (np.stack([_same(column, label) for label in labels], 1) for column in (gold, predicted))
        return np.hstack([wanted * given, wanted + given])
    confidence = np.array(predictions["score"], float)
    if not np.isfinite(confidence).all():
        raise ValueError("a confidence is not finite")
    bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, CALIBRATION_BINS - 1)
    in_bin = bins[:, None] == np.arange(CALIBRATION_BINS)
    return np.hstack([in_bin * (confidence - correct)[:, None], counted[:, None]])


def _same(column: pa.ChunkedArray, value: Any) -> np.ndarray:
    """1.0 where a column equals a value or another column, else 0.0 [n]."""
    return np.array(pc.equal(column, value).fill_null(False).cast(pa.float64()))


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., k]; a label that occurs nowhere does not count in macro_f1."""
    if metric == "accuracy":
        return share(sums)
    if metric == "macro_f1":
        return mean_f1(sums)
    return 100 * np.abs(sums[..., :-1]).sum(-1) / sums[..., -1]
