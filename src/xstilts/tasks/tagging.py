"""One tag per word: parts of speech, named entities. Loss and prediction use a word's first sub-word."""

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import IGNORED, Encoded, cross_entropy_sum, make_schema, ragged, run_model
from xstilts.tasks.metrics import chunks, f1_of_sums, share
from xstilts.tasks.task import WITHHELD, BadRow, Record, Task, identity, label_of

if TYPE_CHECKING:
    import torch

SCHEMA = make_schema(tokens=pa.list_(pa.string()), tags=pa.list_(pa.string()))
AUTO_CLASS = "AutoModelForTokenClassification"
PROBLEM_TYPE: str | None = None
TEXT_COLUMNS: tuple[str, ...] = ("tokens",)
MASKABLE: tuple[str, ...] = ()
METRICS: tuple[str, ...] = ("span_f1", "token_accuracy")
BASELINE = "most frequent tag per word"
GOLD = "tags"
SPARSE_GOLD = False

forward = run_model
loss_sum = cross_entropy_sum


def complete(record: Record, task: Task) -> list[Record]:
    """The example of a record; raises BadRow if words and tags do not match or a tag is unknown."""
    tokens, tags = record.get("tokens") or [], record.get("tags")
    for name, value in (("tokens", tokens), ("tags", tags or [])):
        if not isinstance(value, list):
            raise BadRow(f"{name} is {value!r:.60}", "a list")
    if not tokens or not all(isinstance(token, str) and token.strip() for token in tokens):
        raise BadRow("an empty token" if tokens else "a sentence without words", "words")
    if not tags or all(tag in WITHHELD for tag in tags):
        return [{**identity(record), "tokens": tokens, "tags": None}]
    if len(tags) != len(tokens):
        raise BadRow(f"{len(tokens)} words with {len(tags)} tags", "a tag for each word")
    known = [label_of(tag, task.labels) for tag in tags]
    if None in known:
        raise BadRow(f"no tag for '{tokens[known.index(None)][:60]}'", "a tag for each word")
    return [{**identity(record), "tokens": tokens, "tags": known}]


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """Sequences of whole words; a sentence that does not fit is continued in further ones, so that no word is dropped
    and a score does not depend on `max_length`. A word that alone is longer keeps its first sub-words."""
    number: dict[str | None, int] = {tag: index for index, tag in enumerate(task.labels)}
    sentences = table["tokens"].to_pylist()
    pieces = _word_pieces({word for words in sentences for word in words}, tokenizer)
    marked = tokenizer("a", return_special_tokens_mask=True)
    inner = [i for i, special in enumerate(marked["special_tokens_mask"]) if not special]
    before, after = marked["input_ids"][: inner[0]], marked["input_ids"][inner[-1] + 1 :]
    room = max_length - len(before) - len(after)
    ids: list[list[int]] = []
    labels: list[list[int]] = []
    examples: list[int] = []
    for example, (words, tags) in enumerate(zip(sentences, table["tags"].to_pylist(), strict=True)):
        used = room
        for i, word in enumerate(words):
            sub_words = pieces[word][:room]
            if used + len(sub_words) > room:
                ids.append([])
                labels.append([])
                examples.append(example)
                used = 0
            used += len(sub_words)
            ids[-1] += sub_words
            # Without gold tags the label 0 still marks a word's first sub-word.
            labels[-1] += [number.get(tags[i], 0) if tags else 0, *[IGNORED] * (len(sub_words) - 1)]
    flat, offsets = ragged([[*before, *sequence, *after] for sequence in ids])
    first, last = [IGNORED] * len(before), [IGNORED] * len(after)
    flat_labels, _ = ragged([[*first, *sequence, *last] for sequence in labels], np.int64)
    return Encoded(flat, offsets, np.array(examples, np.int64), flat_labels)


def _word_pieces(words: set[str], tokenizer: Any) -> dict[str, list[int]]:
    """The sub-words of each word, at least one, as the tokenizer splits it inside running text."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()

    def ids(text: str | list[str]) -> Any:
        return backend.encode(text, is_pretokenized=isinstance(text, list), add_special_tokens=False).ids

    # Some tokenizers mark the beginning of a word by the space itself (byte-level, Gemma), the others mark every word
    # that they are given.
    space = " " if ids(["a", "b"]) != ids("a b") == ids(["a", " b"]) else ""
    distinct = list(words)
    texts = [[space + word] for word in distinct]
    encoded = backend.encode_batch_fast(texts, is_pretokenized=True, add_special_tokens=False)
    return {word: e.ids or [tokenizer.unk_token_id] for word, e in zip(distinct, encoded, strict=True)}


def extract(logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]:
    """The best tag numbers of the words of each sequence."""
    best = logits.argmax(-1).cpu().numpy()
    result = []
    for row, index in enumerate(indices):
        labels = encoded.labels[encoded.offsets[index] : encoded.offsets[index + 1]]
        result.append(best[row, : len(labels)][labels != IGNORED])
    return result


def predict(extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]:
    """Columns gold and prediction, lists of tags; the parts of a long sentence are joined again."""
    predicted: list[list[str]] = [[] for _ in range(len(table))]
    for tags, example in zip(extracted, encoded.examples, strict=True):
        predicted[example] += [task.labels[tag] for tag in tags]
    return {"gold": table["tags"].to_pylist(), "prediction": predicted}


def baseline(train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]:
    """Predict the most frequent tag of each word in the training data; unknown words get the most frequent tag of words
    that occur once there (numbers, names), which is what a new word most often is."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for words, tags in zip(train["tokens"].to_pylist(), train["tags"].to_pylist(), strict=True):
        for word, tag in zip(words, tags, strict=True):
            counts[word][tag] += 1
    rare = Counter(next(iter(c)) for c in counts.values() if c.total() == 1)
    unknown = max(task.labels, key=lambda tag: rare[tag])
    best = {word: max(task.labels, key=lambda tag: c[tag]) for word, c in counts.items()}
    sentences = table["tokens"].to_pylist()
    return {"gold": table["tags"].to_pylist(), "prediction": [[best.get(w, unknown) for w in s] for s in sentences]}


def statistics(predictions: pa.Table, metric: str) -> np.ndarray:
    """Additive statistics per sentence, float [n, 5]: true, predicted and gold chunks, correct words, words."""
    result = np.zeros((len(predictions), 5))
    gold, predicted = predictions["gold"].to_pylist(), predictions["prediction"].to_pylist()
    for row, (g, p) in enumerate(zip(gold, predicted, strict=True)):
        gold_chunks, predicted_chunks = chunks(g), chunks(p)
        right = sum(a == b for a, b in zip(g, p, strict=True))
        result[row] = len(gold_chunks & predicted_chunks), len(predicted_chunks), len(gold_chunks), right, len(g)
    return result


def score(sums: np.ndarray, metric: str) -> np.ndarray:
    """Points, 0 to 100, of summed statistics [..., 5]: `span_f1` (micro over chunks) or `token_accuracy`."""
    return share(sums[..., 3:]) if metric == "token_accuracy" else f1_of_sums(sums)
