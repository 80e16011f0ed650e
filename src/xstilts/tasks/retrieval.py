"""Retrieval by the distance of embeddings; nothing is trained.

Either each English sentence has one translation among the sentences of the other language (Tatoeba), or pairs are mined
among sentences of which most have none (BUCC), by the ratio margin of Artetxe and Schwenk (2019,
aclanthology.org/P19-1309): English sentences are the queries. Or the queries of each language search one pool, the
candidates of all languages, of which several may be relevant (LAReQA; Roy et al. 2020,
aclanthology.org/2020.emnlp-main.477).
"""

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.tasks.encoding import IGNORED, Encoded, make_schema, tokenize
from xstilts.tasks.metrics import f1_of_sums, ranked_average_precision, share
from xstilts.tasks.neighbours import nearest, neighbours, top_k, unit
from xstilts.tasks.qa import answer_pairs
from xstilts.tasks.task import BETWEEN_LABELS, BadRow, Record, Task, identity, label_list, text_of

SCHEMA = make_schema("side", "text", "gold")
TEXT_COLUMNS: tuple[str, ...] = ("text",)
MASKABLE: tuple[str, ...] = ()
METRICS: tuple[str, ...] = ("accuracy", "f1", "map_at_20")
BASELINE = "randomly initialised encoder"
GOLD = "gold"
SPARSE_GOLD = True
DEPTH = 20
"""How many candidates of the pool are ranked."""


def complete(record: Record, task: Task) -> list[Record]:
    """The rows of a record: both sides of a pair of translations (the English sentence is the query, the other one a
    candidate), a question and the sentences of its context, or one query or candidate. Raises BadRow if a text is empty
    or belongs to neither side."""
    if task.pooled and "side" not in record:
        if "sentences" not in record:
            raise BadRow("neither a `side` nor a `context`", "a query, a candidate, or a question about a context")
        return _question(record)
    if "side" in record:
        side, gold = record["side"], record.get("gold")
        if side not in ("query", "candidate"):
            raise BadRow(f"side is {side!r:.60}", "query or candidate")
        if task.pooled:
            gold = _joined(label_list(gold) or [])
        gold = None if gold is None else str(gold)
        return [{**identity(record), "side": side, "text": text_of(record, "text"), "gold": gold}]
    shared, candidate = identity(record), f"{record['id']}-{record['language']}"
    gold = candidate if record.get("aligned", True) else None
    return [
        {**shared, "side": "query", "text": text_of(record, "english"), "gold": gold},
        {**shared, "id": candidate, "side": "candidate", "text": text_of(record, "text"), "gold": None},
    ]


def _question(record: Record) -> list[Record]:
    """A question, whose gold is the sentence where its answer begins and those of its context with the same text, and
    the sentences of the context, which all its questions give (`of_context`).

    record: `answers` as in SQuAD, `context`, its number `paragraph` and the spans of its `sentences`. A sentence is
    named as in XTREME-R: language, number of the paragraph from 1, number of the sentence from 0.
    """
    context, shared = record["context"], identity(record)
    texts = [context[start:stop] for start, stop in record["sentences"]]
    names = [f"{record['language']}_{record['paragraph']}_{number}" for number in range(len(texts))]
    gold: list[str] = []
    for text, start in answer_pairs(record.get("answers") or []):
        sentence = next((s for s, (a, b) in zip(texts, record["sentences"], strict=True) if a <= start < b), None)
        if not context.startswith(text, start) or sentence is None:
            bad = f"question {shared['id']}: no sentence has '{text[:60]}' at {start}"
            raise BadRow(bad, "an answer at its `answer_start`, in characters from 0")
        gold += [name for name, text in zip(names, texts, strict=True) if text == sentence]
    query = {**shared, "side": "query", "text": text_of(record, "question"), "gold": _joined(gold)}
    candidate = {**shared, "side": "candidate", "gold": None, "of_context": True}
    return [query, *({**candidate, "id": name, "text": text} for name, text in zip(names, texts, strict=True))]


def _joined(names: list[Any]) -> str | None:
    """Ids of candidates as one text, None if there are none; raises BadRow if one contains what separates them."""
    listed = list(dict.fromkeys(map(str, names)))
    if bad := [name for name in listed if BETWEEN_LABELS in name]:
        raise BadRow(f"gold names '{bad[0][:60]}'", f"ids of candidates without `{BETWEEN_LABELS}`")
    return BETWEEN_LABELS.join(listed) or None


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
    gold and prediction are None if a query has no partner, and every pair is given, whatever its margin. If the task is
    pooled, the table holds all languages, and gold and prediction are lists (`rank`).
    """
    if task.pooled:
        return rank(vectors, table, task)
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


def rank(vectors: np.ndarray, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns of the queries of all languages: gold, the relevant candidates, None if they are withheld; prediction,
    the ids of the nearest ones among the candidates of all languages, the nearest first; score, the largest cosine.

    A query's relevant candidates are those that its row names or, if the task is parallel, that the row of any language
    with its id names. Raises XstiltsError if there are no candidates, an id stands for several, or a relevant one is
    not there.
    """
    query = queries(table)
    ids = np.array(table["id"].to_pylist(), object)
    pool, asked = ids[~query], ids[query].tolist()
    named = [gold.split(BETWEEN_LABELS) if gold else [] for gold in table["gold"].filter(pa.array(query)).to_pylist()]
    if task.parallel:
        shared: dict[str, dict[str, None]] = {}
        for key, names in zip(asked, named, strict=True):
            shared.setdefault(key, {}).update(dict.fromkeys(names))
        named = [list(shared[key]) for key in asked]
    counts = Counter(pool.tolist())
    if not counts:
        what, why = f"task '{task.name}' has no candidates", "all its rows are queries"
        raise XstiltsError("missing-data", what, why, "add rows with `side: candidate` to the files")
    if repeated := [name for name, count in counts.items() if count > 1]:
        what = f"task '{task.name}': {len(repeated):,} ids stand for several candidates, such as '{repeated[0]:.60}'"
        why, hint = "the candidates of all languages are one pool", "give each candidate an id of its own"
        raise XstiltsError("inconsistent", what, why, hint)
    if absent := [name for names in named for name in names if name not in counts]:
        what = f"task '{task.name}': no candidate has the id '{absent[0]:.60}', which a query names as relevant"
        hint = "score the languages whose files have these candidates, or correct `gold`"
        raise XstiltsError("inconsistent", what, f"{len(set(absent)):,} relevant candidates are not in the pool", hint)
    best, cosine = top_k(vectors[query], vectors[~query], DEPTH)
    gold = pa.array([names or None for names in named], pa.list_(pa.string()))
    return {"gold": gold, "prediction": pool[best].tolist(), "score": cosine[:, 0]}


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
    """Additive statistics per query, float: correct, counted [n, 2]; for f1 correct, predicted, gold [n, 3]; for
    map_at_20 the average precision, counted [n, 2], of which queries without gold have none."""
    gold, predicted = predictions["gold"].to_pylist(), predictions["prediction"].to_pylist()
    if metric == "map_at_20":
        counted = np.array([bool(names) for names in gold])
        precision = ranked_average_precision([names or [""] for names in gold], predicted, DEPTH)
        return np.stack([precision * counted, counted], 1)
    correct = np.array([p is not None and g == p for g, p in zip(gold, predicted, strict=True)], float)
    if metric == "accuracy":
        return np.stack([correct, np.ones(len(gold))], 1)
    return np.stack([correct, [p is not None for p in predicted], [g is not None for g in gold]], 1).astype(float)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., k]: `accuracy` or `map_at_20` of queries, or `f1` of pairs."""
    return f1_of_sums(sums) if metric == "f1" else share(sums)
