"""Sequence classification of one text or a pair: NLI, paraphrase, topic."""

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import IGNORED, Encoded, tokenize
from xstilts.tasks.heads import cross_entropy_sum, run_model
from xstilts.tasks.task import Record, Task, identity, label_of, text_of

if TYPE_CHECKING:
    import torch

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "cluster_id", "language", "text_a", "text_b", "label")])
AUTO_CLASS = "AutoModelForSequenceClassification"
TEXT_COLUMNS: tuple[str, ...] = ("text_a", "text_b")
METRICS: tuple[str, ...] = ("accuracy",)
BASELINE = "majority label"
GOLD = "label"
SPARSE_GOLD = False

forward = run_model
loss_sum = cross_entropy_sum


def complete(record: Record, task: Task) -> list[Record]:
    """The row of a record; raises BadRow where a text is empty or a label unknown."""
    second = text_of(record, "text_b") if "text_b" in record else None
    label = label_of(record.get("label"), task.labels)
    return [{**identity(record), "text_a": text_of(record, "text_a"), "text_b": second, "label": label}]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """One sequence per row; the longer text is cut first where a pair does not fit."""
    paired = "text_b" in table.column_names and table["text_b"].null_count < len(table)
    second = [text or "" for text in table["text_b"].to_pylist()] if paired else None
    ids, offsets, segments = tokenize(tokenizer, table["text_a"].to_pylist(), second, max_length)
    number = {label: index for index, label in enumerate(task.labels)}
    labels = np.array([number.get(label, IGNORED) for label in table["label"].to_pylist()], np.int64)
    return Encoded(ids, offsets, np.arange(len(table)), labels, segments)


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """Per sequence its class probabilities [k]."""
    return list(logits.softmax(-1).cpu().numpy())


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold, prediction and score (the probability of the prediction), a row per example."""
    probabilities = np.stack(extracted)
    best = probabilities.argmax(1)
    return {
        "gold": table["label"].to_pylist(),
        "prediction": [task.labels[i] for i in best],
        "score": probabilities[np.arange(len(best)), best].astype(np.float32),
    }


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Predicts the label that is most frequent in the training data (the first in case of a tie)."""
    counts = Counter(train["label"].to_pylist())
    majority = max(task.labels, key=lambda label: counts[label])
    return {
        "gold": table["label"].to_pylist(),
        "prediction": [majority] * len(table),
        "score": np.full(len(table), counts[majority] / len(train), np.float32),
    }


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per row, float [n, 2]: correct, counted."""
    correct = np.array(predictions["gold"]) == np.array(predictions["prediction"])
    return np.stack([correct, np.ones(len(correct))], 1).astype(float)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Accuracy in points, 0 to 100, of summed statistics [..., 2]."""
    return 100 * sums[..., 0] / sums[..., 1]
