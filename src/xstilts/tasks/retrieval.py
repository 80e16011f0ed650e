"""Finding translations by the distance of embeddings; nothing is trained.

Either each English sentence has one translation among the sentences of the other language (Tatoeba), or pairs are mined
among sentences of which most have none (BUCC), by the ratio margin of Artetxe and Schwenk (2019,
aclanthology.org/P19-1309). English sentences are the queries.
"""

from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import IGNORED, Encoded, make_schema, tokenize
from xstilts.tasks.metrics import f1_of_sums, share
from xstilts.tasks.neighbours import nearest, neighbours, unit
from xstilts.tasks.task import BadRow, Record, Task, identity, text_of

SCHEMA = make_schema("side", "text", "gold")
TEXT_COLUMNS: tuple[str, ...] = ("text",)
MASKABLE: tuple[str, ...] = ()
METRICS: tuple[str, ...] = ("accuracy", "f1")
BASELINE = "randomly initialised encoder"
GOLD = "gold"
SPARSE_GOLD = True


def complete(record: Record, task: Task) -> list[Record]:
    """The rows of a record: both sides of a pair of translations (the English sentence is the query, the other one a
    candidate), or its one sentence. Raises BadRow if a sentence is empty or belongs to neither side."""
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
    """Which rows are queries, bool [rows]."""
    return np.array(table["side"].to_pylist()) == "query"


def predict(vectors: np.ndarray, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns of the query rows: gold and prediction (ids of candidates) and score.

    vectors: float32 [rows, h], in the order of the table, which holds one language's queries and candidates. The score
    is the cosine; the column `index` is the candidate's place in its file. If pairs are mined, the score is the margin,
    gold and prediction are None if a query has no partner, and every pair is given, whatever its margin.
    """
    query, texts = queries(table), np.array(table["text"].to_pylist(), object)
    gold = table["gold"].filter(pa.array(query)).to_pylist()
    ids = np.array(table["id"].to_pylist(), object)[~query]
    if not task.mining:
        best, cosine = nearest(vectors[query], vectors[~query])
        return {"gold": gold, "prediction": ids[best].tolist(), "score": cosine.astype(np.float32), "index": best}
    # Equal sentences are one. A sentence that occurs twice on its side is never paired, because its partner is
    # ambiguous (XTREME's `read_sent2id`).
    (english, english_once), (foreign, foreign_once) = _distinct(texts[query]), _distinct(texts[~query])
    prediction, score = [None] * len(gold), np.zeros(len(gold), np.float32)
    for c, q, margin in zip(*mine(vectors[~query][foreign], vectors[query][english]), strict=True):
        if english_once[q] and foreign_once[c]:
            prediction[english[q]] = ids[foreign[c]]
            score[english[q]] = margin
    return {"gold": gold, "prediction": prediction, "score": score}


def _distinct(texts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first position of each distinct text, int [d], ascending, and whether it is the only one, bool [d]."""
    _, first, counts = np.unique(texts, return_index=True, return_counts=True)
    order = first.argsort()
    return first[order], counts[order] == 1


def mine(source: np.ndarray, target: np.ndarray, k: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One-to-one pairs of rows, the best first: indices into source and target, int64 [p], and margins, float [p].

    source: float [n, h]; target: float [m, h]. The margin of a pair is its cosine divided by the mean of both sides'
    mean cosines with their k nearest neighbours. Candidates are each row's best neighbour by margin, in both
    directions; from high to low, a pair is chosen if neither of its rows is taken and its margin is above 0.
    """
    (forward, ahead), (backward, behind) = neighbours(unit(source), unit(target), k)
    near_source, near_target = forward.mean(1, dtype=float), backward.mean(1, dtype=float)
    there = forward / ((near_source[:, None] + near_target[ahead]) / 2)
    back = backward / ((near_target[:, None] + near_source[behind]) / 2)
    rows, columns = np.arange(len(source)), np.arange(len(target))
    best, best_back = there.argmax(1), back.argmax(1)
    pairs = np.concatenate([np.stack([rows, ahead[rows, best]], 1), np.stack([behind[columns, best_back], columns], 1)])
    margins = np.concatenate([there[rows, best], back[columns, best_back]])
    taken: tuple[set[int], set[int]] = set(), set()
    chosen = []
    for i in np.argsort(-margins, kind="stable").tolist():
        row, column = pairs[i].tolist()
        if margins[i] > 0 and row not in taken[0] and column not in taken[1]:
            taken[0].add(row)
            taken[1].add(column)
            chosen.append(i)
    return pairs[chosen, 0], pairs[chosen, 1], margins[chosen]


def fit_threshold(margins: np.ndarray, correct: np.ndarray, gold: int) -> tuple[float, float]:
    """The smallest margin of pairs that are taken, chosen for the highest F1, and that F1 in points.

    margins: float [p]; correct: bool [p]; gold: the number of pairs to find. The threshold lies half way between the
    last pair taken and the next (XTREME's `bucc_optimize`), on the last pair if all are taken, and at 0, which takes
    all, if no pair is correct.
    """
    margins = np.asarray(margins, float)
    order = np.argsort(-margins, kind="stable")
    margins, hits = margins[order], np.cumsum(correct[order])
    if not len(hits) or not hits[-1]:
        return 0.0, 0.0
    f1 = 2 * hits / (np.arange(1, len(hits) + 1) + gold)
    best = int(f1.argmax())
    following = margins[min(best + 1, len(margins) - 1)]
    return float((margins[best] + following) / 2), float(100 * f1[best])


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per query, float: correct, counted [n, 2]; for f1 correct, predicted, gold [n, 3]."""
    gold, predicted = predictions["gold"].to_pylist(), predictions["prediction"].to_pylist()
    correct = np.array([p is not None and g == p for g, p in zip(gold, predicted, strict=True)], float)
    if metric == "accuracy":
        return np.stack([correct, np.ones(len(gold))], 1)
    return np.stack([correct, [p is not None for p in predicted], [g is not None for g in gold]], 1).astype(float)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., k]: `accuracy` of queries or `f1` of pairs."""
    return share(sums) if metric == "accuracy" else f1_of_sums(sums)
