"""Span question answering: the answer is a stretch of the context."""

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import Encoded, cross_entropy_sum, make_schema, ragged
from xstilts.tasks.metrics import normaliser, share, token_f1
from xstilts.tasks.spelling import visible_text
from xstilts.tasks.task import BadRow, Record, Task, identity, text_of

if TYPE_CHECKING:
    import torch

ANSWER = pa.struct([("text", pa.string()), ("start", pa.int32())])
SCHEMA = make_schema("context", "question", answers=pa.list_(ANSWER))
AUTO_CLASS = "AutoModelForQuestionAnswering"
PROBLEM_TYPE: str | None = None
TEXT_COLUMNS: tuple[str, ...] = ("context", "question")
MASKABLE: tuple[str, ...] = ("question",)
METRICS: tuple[str, ...] = ("f1", "exact_match", "f1_em", "mlqa_f1", "mlqa_exact_match", "mlqa_f1_em", "segmented_f1")
BASELINE = "whole context, or no answer"
GOLD = "answers"
SPARSE_GOLD = False
OVERLAP = 128
LONGEST_ANSWER = 30
BEST = 20
"""Number of spans extracted from each window."""


def complete(record: Record, task: Task) -> list[Record]:
    """The example of a record, whose answers are a list of objects or an object of lists, None if withheld; raises
    BadRow if an answer is not at its offset."""
    text_of(record, "context")
    context, given = record["context"], record.get("answers")
    row = {**identity(record), "context": context, "question": text_of(record, "question")}
    pairs = answer_pairs(given or [])
    no_answer = task.unanswerable and given is not None and not pairs
    if not no_answer and not any(text for text, _ in pairs):
        return [{**row, "answers": None}]
    for text, start in pairs:
        if not text or start < 0 or not context.startswith(text, start):
            bad = f"question {row['id']}: the context does not have '{text[:60]}' at {start}"
            raise BadRow(
                bad + _misplaced(context, text, start), "an answer at its `answer_start`, in characters from 0"
            )
    return [{**row, "answers": [{"text": text, "start": start} for text, start in pairs]}]


def _misplaced(context: str, text: str, start: int) -> str:
    """Why an answer may not be at its offset, as the rest of a sentence; "" if nothing explains it."""
    for unit, encoding, width in (("UTF-16 units", "utf-16-le", 2), ("bytes of UTF-8", "utf-8", 1)):
        place = len(context.encode(encoding, "replace")[: max(0, start) * width].decode(encoding, "replace"))
        if text and place != start and context.startswith(text, place):
            return f": the offset counts {unit}, in characters it is {place}"
    if text and start >= 0 and context.replace("\n", "\r\n").startswith(text, start):
        return ": the offset counts line ends twice, as CR and LF"
    if text and text not in context and visible_text(text) in visible_text(context):
        return ": answer and context are in different normal forms of Unicode, or one has invisible characters"
    place = context.find(text) if text else -1
    return f": it has it at {place}" if place >= 0 else ""


def answer_pairs(given: Any) -> list[tuple[str, int]]:
    """The texts of answers and where they start (0 if an empty text does not say); raises BadRow if they cannot be
    read."""
    listed = given
    if isinstance(given, dict):
        texts, starts = given.get("text"), given.get("answer_start")
        if isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts):
            listed = [{"text": text, "answer_start": start} for text, start in zip(texts, starts, strict=True)]
    pairs = []
    for answer in listed if isinstance(listed, list) else [None]:
        text, start = (answer.get("text"), answer.get("answer_start")) if isinstance(answer, dict) else (None, None)
        if not isinstance(text, str) or (text and type(start) is not int):
            raise BadRow(f"answers is {given!r:.60}", "a list of objects with `text` and a whole number `answer_start`")
        pairs.append((text, start or 0))
    return pairs


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """Question and context; a long context is read in windows that overlap by a third of `max_length` (128 at most).

    A question is cut to not quite half of `max_length`, so that every window has room for context.
    labels: [sequences, 2], the first and last token of the first answer, or 0, 0 if the window does not have it whole
    (a null window). spans: [tokens, 2], the characters of the context where a token begins and ends, -1 for others.
    """
    before, between, after, kind = _frame(tokenizer)
    questions, contexts = ([text or "" for text in table[name].to_pylist()] for name in ("question", "context"))
    pieces = _pieces([*questions, *contexts], tokenizer)
    ids: list[Any] = []
    covered: list[np.ndarray] = []
    segments: list[Any] = []
    labels: list[tuple[int, int]] = []
    examples: list[int] = []
    for example, answers in enumerate(table["answers"].to_pylist()):
        start = np.concatenate([before, pieces[questions[example]][0][: max_length // 2 - 2], between])
        tokens, spans = pieces[contexts[example]]
        first, last = -1, -1
        if answers:
            answer_start, answer_stop = answers[0]["start"], answers[0]["start"] + len(answers[0]["text"])
            answer_tokens = np.flatnonzero((spans[:, 1] > answer_start) & (spans[:, 0] < answer_stop)).tolist()
            first, last = (answer_tokens[0], answer_tokens[-1]) if answer_tokens else (-1, -1)
        room = max_length - len(start) - len(after)
        overlap = min(OVERLAP, max_length // 3, room // 2)
        for a in range(0, max(1, len(tokens) - overlap), room - overlap):
            ids.append(np.concatenate([start, tokens[a : a + room], after]))
            covered.append(np.full((len(ids[-1]), 2), -1, np.int32))
            covered[-1][len(start) : len(ids[-1]) - len(after)] = spans[a : a + room]
            segments.append(np.repeat([0, kind], [len(start), len(ids[-1]) - len(start)]))
            whole = a <= first and last < a + room
            labels.append((len(start) + first - a, len(start) + last - a) if whole else (0, 0))
            examples.append(example)
    flat, offsets = ragged(ids)
    types = ragged(segments, np.uint8)[0] if "token_type_ids" in tokenizer.model_input_names else None
    token_spans = np.concatenate([np.empty((0, 2), np.int32), *covered])
    numbers = np.array(labels, np.int64).reshape(-1, 2)
    return Encoded(flat, offsets, np.array(examples, np.int64), numbers, types, token_spans)


def _pieces(texts: list[str], tokenizer: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Ids [t] and character spans [t, 2] of each distinct text, without special tokens: a paragraph is tokenized once
    for all its questions."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    distinct = list(dict.fromkeys(texts))
    result = {}
    for i in range(0, len(distinct), 1024):  # what the library returns is bulky: not all at once
        part = distinct[i : i + 1024]
        for text, e in zip(part, backend.encode_batch(part, add_special_tokens=False), strict=True):
            result[text] = np.array(e.ids, np.int32), np.array(e.offsets, np.int32).reshape(-1, 2)
    return result


def _frame(tokenizer: Any) -> tuple[list[int], list[int], list[int], int]:
    """Special tokens before, between and after the texts of a pair, and the segment of the second text."""
    pair = tokenizer.backend_tokenizer.encode("a", "a")
    text = np.array([-1 if number is None else number for number in pair.sequence_ids])
    (first, first_end), (second, second_end) = (np.flatnonzero(text == number)[[0, -1]] for number in (0, 1))
    return pair.ids[:first], pair.ids[first_end + 1 : second], pair.ids[second_end + 1 :], pair.type_ids[second]


def forward(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """Logits [b, t, 2] of the first and the last token."""
    import torch

    output = model(**{name: tensor for name, tensor in batch.items() if name != "labels"})
    return torch.stack([output.start_logits, output.end_logits], -1)


def loss_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Summed cross entropy of both ends of every window."""
    return cross_entropy_sum(logits.transpose(1, 2), labels)


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """Per window (score, first token, last token), float32 [1 + k, 3]: the null span, which is the first token, then
    the k <= 20 best spans of 1 to 30 tokens of the context, the best first. A score is the sum of two logits."""
    values = logits.cpu().numpy()
    positions = np.arange(values.shape[1])
    inside = positions < encoded.lengths[indices, None]
    where = np.where(inside, encoded.offsets[indices, None] + positions, 0)
    context = inside & (encoded.spans[where, 0] >= 0)  # type: ignore[index]
    starts, stops = np.where(context[..., None], values, -np.inf).transpose(2, 0, 1)
    ahead = np.pad(stops, ((0, 0), (0, LONGEST_ANSWER - 1)), constant_values=-np.inf)
    scores = starts[..., None] + np.lib.stride_tricks.sliding_window_view(ahead, LONGEST_ANSWER, axis=1)
    scores = scores.reshape(len(scores), -1)
    best = np.sort(np.argpartition(scores, -BEST)[:, -BEST:])
    order = np.argsort(-np.take_along_axis(scores, best, 1), kind="stable")
    best = np.take_along_axis(best, order, 1)
    first = best // LONGEST_ANSWER
    best_spans = np.stack([np.take_along_axis(scores, best, 1), first, first + best % LONGEST_ANSWER], -1)
    nulls = values[:, 0].sum(1)
    return [
        np.concatenate([[(null, 0, 0)], spans[spans[:, 0] > -np.inf]], dtype=np.float32)
        for null, spans in zip(nulls, best_spans, strict=True)
    ]


def n_best(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table) -> list[list[tuple[float, str]]]:
    """Per question (score, text) of the best spans of all its windows, the best first; no text twice and none empty."""
    contexts = table["context"].to_pylist()
    answers: list[list[tuple[float, str]]] = [[] for _ in contexts]
    for i, example in enumerate(encoded.examples):
        context = contexts[example]
        spans = encoded.spans[encoded.offsets[i] : encoded.offsets[i + 1]]  # type: ignore[index]
        _, first, last = extracted[i][1:].T.astype(int)
        edges = extracted[i][1:, 0].tolist(), spans[first, 0].tolist(), spans[last, 1].tolist()
        for value, start, stop in zip(*edges, strict=True):
            # Combining marks belong to the last letter; no token covers them if the tokenizer strips accents.
            while stop < len(context) and unicodedata.category(context[stop])[0] == "M":
                stop += 1
            answers[example].append((value, context[start:stop].strip()))
    result = []
    for pairs in answers:
        best: dict[str, float] = {}
        for value, text in sorted(pairs, key=lambda pair: -pair[0]):
            best.setdefault(text, value)
        result.append([(value, text) for text, value in best.items() if text])
    return result


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold (answers), prediction (text) and score (summed logits) of each question's best span.

    If the task has questions without an answer also `null_score`, the smallest over the windows of a question, which
    `withhold` uses. A question without any span (an empty context) is answered by "".
    """
    nulls = np.full(len(table), np.inf, np.float32)
    np.minimum.at(nulls, encoded.examples, np.array([spans[0, 0] for spans in extracted], np.float32))
    answers = n_best(extracted, encoded, table)
    best = [options[0] if options else (null, "") for options, null in zip(answers, nulls.tolist(), strict=True)]
    columns = {
        "gold": _gold(table),
        "prediction": [text for _, text in best],
        "score": np.array([value for value, _ in best], np.float32),
    }
    return columns | ({"null_score": nulls} if task.unanswerable else {})


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Answer with the whole context, or with nothing if the task has questions without an answer."""
    zeros = np.zeros(len(table), np.float32)
    columns = {"gold": _gold(table), "prediction": table["context"].to_pylist(), "score": zeros}
    return columns | ({"prediction": [""] * len(table), "null_score": zeros} if task.unanswerable else {})


def _gold(table: pa.Table) -> pa.Array:
    texts = [[answer["text"] for answer in answers or ()] for answers in table["answers"].to_pylist()]
    return pa.array(texts, pa.list_(pa.string()))


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per question, float [n, 2]: the metric, 0 to 1, against the gold answer that fits best, and
    one. Without a gold answer the metric is 1 for an empty prediction, else 0.

    Answers are compared by the `normaliser` of metric and language; `…f1_em` is the mean of F1 and exact match.
    """
    languages = predictions["language"].to_pylist()
    normal = {code: cache(normaliser(metric, code)) for code in dict.fromkeys(languages)}
    result = np.ones((len(predictions), 2))
    rows = zip(languages, predictions["gold"].to_pylist(), predictions["prediction"].to_pylist(), strict=True)
    for row, (code, gold, prediction) in enumerate(rows):
        given, wanted = normal[code](prediction), {normal[code](answer) for answer in gold}
        exact = given in wanted if wanted else not given
        if metric.endswith("exact_match"):
            result[row, 0] = exact
        else:
            f1 = max((token_f1(given, answer) for answer in wanted), default=exact)
            result[row, 0] = (f1 + exact) / 2 if metric.endswith("f1_em") else f1
    return result


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., 2]."""
    return share(sums)


def withhold(predictions: pa.Table, threshold: float) -> pa.Table:
    """The predictions, empty if null score - score is greater than `threshold` (a difference of summed logits); those
    of tasks whose questions all have an answer do not change."""
    if "null_score" not in predictions.column_names:
        return predictions
    pairs = zip(predictions["prediction"].to_pylist(), _margin(predictions), strict=True)
    texts = ["" if margin > threshold else text for text, margin in pairs]
    position = predictions.column_names.index("prediction")
    return predictions.set_column(position, "prediction", pa.array(texts, pa.string()))


def fit_threshold(predictions: pa.Table) -> float:
    """The threshold of `withhold` that gives these predictions their highest F1, the smallest of equals, among all
    margins that occur and one below them (`find_best_thresh` of SQuAD v2's evaluator)."""
    if_withheld = [not answers for answers in predictions["gold"].to_pylist()]
    gain = statistics(predictions, "f1")[:, 0] - if_withheld
    values, group = np.unique(_margin(predictions), return_inverse=True)
    total = np.concatenate([[0.0], np.cumsum(np.bincount(group, gain))])
    return float([values[0] - 1, *values][total.argmax()])


def _margin(predictions: pa.Table) -> np.ndarray:
    """By how much no answer scores better than the best answer, float64 [n]."""
    null, best = (predictions[name].to_numpy().astype(float) for name in ("null_score", "score"))
    return null - best
