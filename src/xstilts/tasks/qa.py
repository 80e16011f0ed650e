"""Span question answering: the answer is a stretch of the context."""

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import Encoded, ragged
from xstilts.tasks.heads import cross_entropy_sum
from xstilts.tasks.metrics import squad_normal, token_f1
from xstilts.tasks.task import BadRow, Record, Task, identity, text_of

if TYPE_CHECKING:
    import torch

SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "cluster_id", "language", "context", "question")),
        ("answers", pa.list_(pa.struct([("text", pa.string()), ("start", pa.int32())]))),
    ]
)
AUTO_CLASS = "AutoModelForQuestionAnswering"
TEXT_COLUMNS: tuple[str, ...] = ("context", "question")
METRICS: tuple[str, ...] = ("f1", "exact_match")
BASELINE = "the whole context"
GOLD = "answers"
SPARSE_GOLD = False
OVERLAP = 128
LONGEST_ANSWER = 30


def complete(record: Record, task: Task) -> list[Record]:
    """The row of a record, whose answers are a list of objects or an object of lists; raises BadRow where an answer is
    not where its offset says."""
    text_of(record, "context")
    context, answers = record["context"], record.get("answers") or []
    if isinstance(answers, dict):
        pairs = zip(answers["text"], answers["answer_start"], strict=True)
        answers = [{"text": text, "answer_start": start} for text, start in pairs]
    row = {**identity(record), "context": context, "question": text_of(record, "question")}
    if not any(answer["text"] for answer in answers) and not (task.unanswerable and not answers):
        return [{**row, "answers": None}]
    for answer in answers:
        if not answer["text"] or not context.startswith(answer["text"], answer["answer_start"]):
            raise BadRow(
                f"question {row['id']}: the context does not have '{answer['text'][:60]}' at {answer['answer_start']}",
                "an answer at its `answer_start`, in characters from 0",
            )
    return [{**row, "answers": [{"text": a["text"], "start": a["answer_start"]} for a in answers]}]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """Question and context; a long context is read in windows that overlap by a third of `max_length` (128 at most).

    A question is cut to not quite half of `max_length`, so that every window has room for context.
    labels: [sequences, 2], the first and last token of the first answer, or 0, 0 where the window lacks it.
    spans: [tokens, 2], where in the context a token begins and ends, -1 for what is not context.
    """
    questions, longest = _cut(table["question"].to_pylist(), tokenizer, max_length // 2 - 2)
    room = max_length - longest - tokenizer.num_special_tokens_to_add(pair=True)
    result = tokenizer(
        questions,
        table["context"].to_pylist(),
        truncation="only_second",
        max_length=max_length,
        stride=min(OVERLAP, max_length // 3, room // 2),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    rows = np.array(result["overflow_to_sample_mapping"], np.int64)
    ids, offsets = ragged(result["input_ids"])
    spans = np.full((len(ids), 2), -1, np.int32)
    for i, mapping in enumerate(result["offset_mapping"]):
        inside = np.array([part == 1 for part in result.sequence_ids(i)])
        spans[offsets[i] : offsets[i + 1]][inside] = np.array(mapping, np.int32)[inside]
    answers = table["answers"].to_pylist()
    labels = np.array(
        [_ends(spans[offsets[i] : offsets[i + 1]], answers[row]) for i, row in enumerate(rows)], np.int64
    ).reshape(-1, 2)
    segments = ragged(result["token_type_ids"], np.uint8)[0] if "token_type_ids" in result else None
    return Encoded(ids, offsets, rows, labels, segments, spans)


def _cut(questions: list[str], tokenizer: Any, most: int) -> tuple[list[str], int]:
    """The questions, none of more than `most` tokens, and the length of the longest in tokens."""
    spans = tokenizer(questions, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    cut = [q[: s[most - 1][1]] if len(s) > most else q for q, s in zip(questions, spans, strict=True)]
    return cut, min(most, max(map(len, spans)))


def _ends(spans: np.ndarray, answers: list[dict[str, Any]]) -> tuple[int, int]:
    """First and last token of the first answer in one window, 0, 0 where it is not wholly inside."""
    if not answers:
        return 0, 0
    start = answers[0]["start"]
    stop = start + len(answers[0]["text"])
    first = np.flatnonzero((spans[:, 0] <= start) & (spans[:, 1] > start))
    last = np.flatnonzero((spans[:, 0] < stop) & (spans[:, 0] >= 0) & (spans[:, 1] >= stop))
    return (int(first[0]), int(last[0])) if len(first) and len(last) else (0, 0)


def forward(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """Logits [b, t, 2] of the first and the last token."""
    import torch

    output = model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
    return torch.stack([output.start_logits, output.end_logits], -1)


def loss_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Summed cross entropy of both ends of every window."""
    return cross_entropy_sum(logits.transpose(1, 2), labels)


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """Per window the best span as (score, first token, last token): in the context and not over-long."""
    result = []
    for window, index in zip(logits.float().cpu().numpy(), indices, strict=True):
        spans = encoded.spans[encoded.offsets[index] : encoded.offsets[index + 1]]  # type: ignore[index]
        barred = np.where(spans[:, 0] < 0, -np.inf, 0.0)
        starts, stops = window[: len(spans), 0] + barred, window[: len(spans), 1] + barred
        scores = starts[:, None] + stops[None, :]
        length = np.arange(len(spans))[None, :] - np.arange(len(spans))[:, None]
        scores[(length < 0) | (length >= LONGEST_ANSWER)] = -np.inf
        first, last = np.unravel_index(scores.argmax(), scores.shape)
        result.append(np.array([scores[first, last], first, last]))
    return result


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold (answers), prediction (text) and score (summed logits), the best window of each question."""
    contexts = table["context"].to_pylist()
    best: dict[int, tuple[float, str]] = {}
    for i, (value, first, last) in enumerate(extracted):
        row, offset = int(encoded.rows[i]), encoded.offsets[i]
        start, stop = encoded.spans[offset + int(first), 0], encoded.spans[offset + int(last), 1]  # type: ignore[index]
        if row not in best or value > best[row][0]:
            best[row] = (float(value), contexts[row][start:stop])
    return {
        "gold": _gold(table),
        "prediction": [best[row][1] for row in range(len(table))],
        "score": np.array([best[row][0] for row in range(len(table))], np.float32),
    }


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Answers with the whole context."""
    return {"gold": _gold(table), "prediction": table["context"].to_pylist(), "score": np.zeros(len(table), np.float32)}


def _gold(table: pa.Table) -> list[list[str]]:
    return [[answer["text"] for answer in answers] for answers in table["answers"].to_pylist()]


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per question, float [n, 3]: best token F1 over the gold answers, exact match, counted."""
    rows = zip(predictions["gold"].to_pylist(), predictions["prediction"].to_pylist(), strict=True)
    return np.array([[*_best(prediction, gold), 1.0] for gold, prediction in rows]).reshape(-1, 3)


def _best(prediction: str, gold: list[str]) -> tuple[float, float]:
    """Token F1 and exact match with the gold answer that fits best; none at all is matched by an empty prediction."""
    predicted = squad_normal(prediction)
    pairs = [(token_f1(predicted, squad_normal(g)), float(predicted == squad_normal(g))) for g in gold or [""]]
    return max(f1 for f1, _ in pairs), max(exact for _, exact in pairs)


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., 3]: `f1` or `exact_match`."""
    return 100 * sums[..., METRICS.index(metric)] / sums[..., 2]
