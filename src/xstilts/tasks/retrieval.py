"""Finding a sentence's translation by the distance of embeddings; nothing is trained."""

from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.tasks import classification
from xstilts.tasks.encoding import IGNORED, Encoded, tokenize
from xstilts.tasks.task import Record, Task, identity, text_of

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "cluster_id", "language", "side", "text", "gold")])
TEXT_COLUMNS: tuple[str, ...] = ("text",)
METRICS: tuple[str, ...] = ("accuracy",)
BASELINE = "the same encoder with random weights"
GOLD = "gold"
SPARSE_GOLD = True

statistics, score = classification.statistics, classification.score


def complete(record: Record, task: Task) -> list[Record]:
    """The rows of a record: both sides of a pair of translations (the English sentence asks, the other language's
    sentences answer), or the one sentence that it is. Raises BadRow where a sentence is empty."""
    if "side" in record:
        return [{**identity(record), "side": record["side"], "text": text_of(record, "text"), "gold": record["gold"]}]
    shared, candidate = identity(record), f"{record['id']}-{record['language']}"
    gold = candidate if record.get("aligned", True) else None
    return [
        {**shared, "side": "query", "text": text_of(record, "english"), "gold": gold},
        {**shared, "id": candidate, "side": "candidate", "text": text_of(record, "text"), "gold": None},
    ]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """One sequence per sentence, of either side."""
    ids, offsets, segments = tokenize(tokenizer, table["text"].to_pylist(), None, max_length)
    return Encoded(ids, offsets, np.arange(len(table)), np.full(len(table), IGNORED, np.int64), segments)


def predict(vectors: np.ndarray, table: pa.Table) -> dict[str, Any]:
    """Columns of the query rows: gold, prediction (id of the nearest candidate by cosine) and score (that cosine).

    vectors: float32 [rows, h], in the order of the table, which holds one language's queries and candidates.
    """
    query = np.array(table["side"].to_pylist()) == "query"
    ids = np.array(table["id"].to_pylist(), object)[~query]
    best, cosine = nearest(vectors[query], vectors[~query])
    return {
        "gold": [gold for gold in table["gold"].to_pylist() if gold is not None],
        "prediction": ids[best].tolist(),
        "score": cosine.astype(np.float32),
    }


def nearest(queries: np.ndarray, candidates: np.ndarray, block: int = 4096) -> tuple[np.ndarray, np.ndarray]:
    """Index [n] and cosine [n] of each query's nearest candidate; the first of equals.

    queries: float [n, h]; candidates: float [m, h]; `block` queries at a time bound the memory.
    """
    queries, candidates = _unit(queries), _unit(candidates)
    best = np.empty(len(queries), np.int64)
    cosine = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), block):
        similarity = queries[start : start + block] @ candidates.T
        best[start : start + block] = similarity.argmax(1)
        cosine[start : start + block] = similarity.max(1)
    return best, cosine


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
