"""Any number of labels for one text or a pair: topics, emotions. One sigmoid per label."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from xstilts.tasks.encoding import IGNORED, Encoded, make_schema, run_model, tokenize_texts
from xstilts.tasks.metrics import f1_of_sums, mean_f1, share
from xstilts.tasks.task import BadRow, Record, Task, identity, label_list, label_of, text_of

if TYPE_CHECKING:
    import torch

LABELS = pa.list_(pa.string())
SCHEMA = make_schema("text_a", "text_b", label=LABELS)
AUTO_CLASS = "AutoModelForSequenceClassification"
PROBLEM_TYPE: str | None = "multi_label_classification"
TEXT_COLUMNS: tuple[str, ...] = ("text_a", "text_b")
MASKABLE: tuple[str, ...] = ("text_a", "text_b")
METRICS: tuple[str, ...] = ("micro_f1", "macro_f1", "exact_match")
BASELINE = "labels of most examples"
GOLD = "label"
SPARSE_GOLD = False
THRESHOLD = 0.5
"""A label is predicted if its probability is above this."""

forward = run_model


def complete(record: Record, task: Task) -> list[Record]:
    """The example of a record, whose labels are a list or a text with `|` between them, in the order of the task's.

    No labels are a gold label too: none applies. Raises BadRow if a text is empty or a label empty or unknown.
    """
    second = text_of(record, "text_b") if "text_b" in record else None
    given = label_list(record.get("label"))
    known = {label_of(label, task.labels) for label in given or ()}
    if None in known:
        raise BadRow("an empty label among others", "a list of label words")
    labels = None if given is None else [label for label in task.labels if label in known]
    return [{**identity(record), "text_a": text_of(record, "text_a"), "text_b": second, "label": labels}]


def indicators(lists: pa.ChunkedArray, labels: Sequence[str]) -> np.ndarray:
    """Which of k labels each of n lists has, bool [n, k]; null has none."""
    whole = lists.combine_chunks()
    result = np.zeros((len(whole), len(labels)), bool)
    places = pc.index_in(pc.list_flatten(whole).cast(pa.string()), value_set=pa.array(labels, pa.string()))
    known = places.is_valid()
    result[pc.list_parent_indices(whole).filter(known), places.filter(known)] = True
    return result


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """One sequence per example, as in classification, with labels [n, k]: 1 if the example has it, else 0."""
    ids, offsets, segments = tokenize_texts(table, TEXT_COLUMNS, tokenizer, max_length)
    labels = indicators(table["label"], task.labels).astype(np.int64)
    labels[table["label"].is_null()] = IGNORED
    return Encoded(ids, offsets, np.arange(len(table)), labels, segments)


def loss_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Binary cross entropy of logits [n, k] and labels [n, k], summed over examples and labels, in float32; divided by
    the number of labels that are not ignored, it is the mean that `BCEWithLogitsLoss` gives."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    counted = (labels != IGNORED).float()
    return binary_cross_entropy_with_logits(logits.float(), labels.float(), counted, reduction="sum")


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """The probabilities [k] of the labels of each sequence."""
    return list(logits.sigmoid().cpu().numpy())


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold, prediction and score (the probabilities of the predicted labels), lists in the order of labels."""
    probabilities = np.stack(extracted)
    return _columns(table, task, probabilities, probabilities > THRESHOLD)


def _columns(table: pa.Table, task: Task, probabilities: np.ndarray, chosen: np.ndarray) -> dict[str, Any]:
    """Gold, prediction and score from probabilities [n, k] and whether each label is predicted, bool [n, k]."""
    offsets = np.concatenate([[0], chosen.sum(1).cumsum()])
    words = pa.array(task.labels, pa.string()).take(pa.array(np.nonzero(chosen)[1]))
    flat = {"prediction": words, "score": pa.array(probabilities[chosen], pa.float32())}
    lists = {name: pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), each) for name, each in flat.items()}
    return {"gold": table["label"].cast(LABELS), **lists}


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Predict the labels that more than half of the training examples have, without any the most frequent one."""
    shares = indicators(train["label"], task.labels).mean(0)
    chosen = shares > THRESHOLD if shares.max() > THRESHOLD else np.arange(len(shares)) == shares.argmax()
    return _columns(table, task, *(np.tile(row, (len(table), 1)) for row in (shares, chosen)))


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per example, float.

    micro_f1: labels that gold and prediction share, labels predicted, gold labels [n, 3]. macro_f1: per label of the
    table whether gold and prediction share it, and in how many of the two it occurs [n, k + k]. exact_match: whether
    both have the same labels, counted [n, 2].
    """
    lists = [predictions[name] for name in ("gold", "prediction")]
    labels = sorted({label for each in lists for label in pc.list_flatten(each).unique().to_pylist()})
    labels = labels or [""]  # no example has any: the statistics of one that never occurs
    wanted, given = (indicators(each, labels) for each in lists)
    if metric == "micro_f1":
        return np.stack([(wanted & given).sum(1), given.sum(1), wanted.sum(1)], 1).astype(float)
    if metric == "macro_f1":
        return np.hstack([wanted & given, wanted.astype(float) + given])
    return np.stack([(wanted == given).all(1), np.ones(len(wanted))], 1).astype(float)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., k]; F1 is 0 if there are no labels at all, and a label that occurs
    nowhere does not count in macro_f1."""
    if metric == "exact_match":
        return share(sums)
    return mean_f1(sums) if metric == "macro_f1" else f1_of_sums(sums)
