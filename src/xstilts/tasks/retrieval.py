"""Finding translations by the distance of embeddings; nothing is trained.

Either each English sentence has one translation among the other language's sentences (Tatoeba), or pairs are mined
among sentences of which most have none (BUCC). English sentences are the queries.
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import IGNORED, Encoded, tokenize
from xstilts.tasks.mining import mine
from xstilts.tasks.neighbours import nearest
from xstilts.tasks.task import BadRow, Record, Task, identity, text_of

SCHEMA = pa.schema([(name, pa.string()) for name in ("id", "cluster_id", "language", "side", "text", "gold")])
TEXT_COLUMNS: tuple[str, ...] = ("text",)
MASKABLE: tuple[str, ...] = ()
METRICS: tuple[str, ...] = ("accuracy", "f1")
BASELINE = "the same encoder with random weights"
GOLD = "gold"
SPARSE_GOLD = True


def complete(record: Record, task: Task) -> list[Record]:
    """The rows of a record: both sides of a pair of translations (the English sentence asks, the other language's
    sentences answer), or the one sentence that it is. Raises BadRow where a sentence is empty
    or is of neither side."""
    if "side" in record:
        side, gold = record["side"], record.get("gold")
        if side not in ("query", "candidate"):
            raise BadRow(f"side is {side!r:.60}", "query or candidate")
        gold = None if gold is None else str(gold)
        return [{**identity(record), "side": side, "text": text_of(record, "text"), "gold": gold}]
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


def queries(table: pa.Table) -> np.ndarray:
    """Which rows ask, bool [rows]."""
    return np.array(table["side"].to_pylist()) == "query"


def predict(vectors: np.ndarray, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns of the query rows: gold and prediction (ids of candidates) and score.

    vectors: float32 [rows, h], in the order of the table, which holds one language's queries and candidates. The score
    is the cosine; the column `index` is the candidate's place in its file. Where pairs are mined, the score is the
    margin, gold and prediction are None where there is none, and every pair is given, whatever its margin.
    """
    asks = queries(table)
    gold = [value for value, asked in zip(table["gold"].to_pylist(), asks, strict=True) if asked]
    ids = np.array(table["id"].to_pylist(), object)[~asks]
    if task.mining:
        return {"gold": gold, **_mined(vectors, np.array(table["text"].to_pylist(), object), asks, ids)}
    best, cosine = nearest(vectors[asks], vectors[~asks])
    return {"gold": gold, "prediction": ids[best].tolist(), "score": cosine.astype(np.float32), "index": best}


def _mined(vectors: np.ndarray, texts: np.ndarray, asks: np.ndarray, ids: np.ndarray) -> dict[str, Any]:
    """Predictions and margins of the queries. Equal sentences are one; a sentence that occurs twice on its side is
    never paired, since nobody could say which was meant (XTREME's `read_sent2id`)."""
    english, foreign = _distinct(texts[asks]), _distinct(texts[~asks])
    there, here, margins = mine(vectors[~asks][foreign[0]], vectors[asks][english[0]])
    prediction: list[str | None] = [None] * int(asks.sum())
    score = np.zeros(len(prediction), np.float32)
    for f, e, margin in zip(there, here, margins, strict=True):
        if english[1][e] and foreign[1][f]:
            prediction[english[0][e]] = ids[foreign[0][f]]
            score[english[0][e]] = margin
    return {"prediction": prediction, "score": score}


def _distinct(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each distinct text stands first, int [d], and whether it stands there alone, bool [d]."""
    counts = Counter(texts)
    first = {text: i for i, text in reversed(list(enumerate(texts)))}
    distinct = sorted(first.values())
    return np.array(distinct, np.int64), np.array([counts[texts[i]] == 1 for i in distinct], bool)


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per query, float: correct, counted [n, 2]; for f1 correct, predicted, gold [n, 3]."""
    gold, predicted = predictions["gold"].to_pylist(), predictions["prediction"].to_pylist()
    correct = np.array([p is not None and g == p for g, p in zip(gold, predicted, strict=True)], float)
    if metric == "accuracy":
        return np.stack([correct, np.ones(len(gold))], 1)
    return np.stack([correct, [p is not None for p in predicted], [g is not None for g in gold]], 1).astype(float)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., k]: `accuracy` of queries or `f1` of pairs."""
    if metric == "accuracy":
        return 100 * sums[..., 0] / sums[..., 1]
    total = sums[..., 1] + sums[..., 2]
    return np.where(total > 0, 200 * sums[..., 0] / np.maximum(total, 1), 0.0)
