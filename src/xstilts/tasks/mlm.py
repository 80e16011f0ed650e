"""Masked language modelling: pretraining, and raw text mixed into training."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from xstilts.tasks.encoding import IGNORED, Encoded, cross_entropy_sum, make_schema, ragged, tokenize
from xstilts.tasks.task import BadRow, Record, Task, identity

if TYPE_CHECKING:
    import torch

SCHEMA = make_schema("text", "text_b")
AUTO_CLASS = "AutoModelForMaskedLM"
TEXT_COLUMNS: tuple[str, ...] = ("text", "text_b")
MASKABLE: tuple[str, ...] = ()
GOLD = ""
SPARSE_GOLD = False


def complete(record: Record, task: Task) -> list[Record]:
    """The row of a record with single spaces; no row if its text is empty, which raw text may be. Raises BadRow if the
    text is no string."""
    text = record.get("text") or ""
    if not isinstance(text, str):
        raise BadRow(f"text is {text!r:.60}", "some text")
    text = " ".join(text.split())
    return [{**identity(record), "text": text, "text_b": None}] if text else []


def encode(table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded:
    """Sequences to be masked later. A row with `text_b` is a whole document; rows without it are sentences, and
    neighbours of one language are joined by the separator until `max_length` is full."""
    texts = table["text"].to_pylist()
    if table["text_b"].null_count == 0:
        ids, offsets, segments = tokenize(tokenizer, texts, table["text_b"].to_pylist(), max_length)
        return Encoded(ids, offsets, np.arange(len(table)), np.full(len(ids), IGNORED, np.int64), segments)
    languages = table["language"].to_pylist()
    ids, offsets, _ = tokenize(tokenizer, texts, None, max_length - 2, special_tokens=False)
    sentences = [part.tolist() for part in np.split(ids, offsets[1:-1])]
    joined: list[list[int]] = []
    first: list[int] = []
    for row, sentence in enumerate(sentences):
        fits = first and languages[first[-1]] == languages[row] and len(joined[-1]) + len(sentence) < max_length
        if not fits:
            joined.append([tokenizer.cls_token_id])
            first.append(row)
        joined[-1] += [*sentence, tokenizer.sep_token_id]
    ids, offsets = ragged(joined)
    segments = np.zeros(len(ids), np.uint8) if "token_type_ids" in tokenizer.model_input_names else None
    return Encoded(ids, offsets, np.array(first, np.int64), np.full(len(ids), IGNORED, np.int64), segments)


def corruption(tokenizer: Any, rate: float) -> Callable[[dict[str, np.ndarray], np.random.Generator], None]:
    """A function that chooses `rate` of the ordinary tokens of a batch as labels and masks them, in place: 80%
    become the mask, 10% a random token, 10% stay as they are (Devlin et al. 2019, §3.1)."""
    special, mask, size = np.array(tokenizer.all_special_ids), tokenizer.mask_token_id, len(tokenizer)

    def corrupt(batch: dict[str, np.ndarray], rng: np.random.Generator) -> None:
        ids = batch["input_ids"]
        chosen = (rng.random(ids.shape) < rate) & ~np.isin(ids, special)
        batch["labels"] = np.where(chosen, ids, IGNORED)
        fate = rng.random(ids.shape)
        ids[chosen & (fate < 0.8)] = mask
        random = chosen & (fate >= 0.9)
        ids[random] = rng.integers(0, size, int(random.sum()))

    return corrupt


HEADS = {
    "xlm-roberta": lambda model, hidden: model.lm_head(hidden),
    "bert": lambda model, hidden: model.cls(hidden),
    "modernbert": lambda model, hidden: model.decoder(model.head(hidden)),
}
"""What turns the hidden states of masked positions into logits, per model type whose class allows it."""


def forward(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """Logits [masked, vocabulary] of the masked positions alone: equal to all positions, and far cheaper."""
    masked = batch["labels"] != IGNORED
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    head = HEADS.get(model.config.model_type)
    if head is None:
        return model(**inputs).logits[masked]
    return head(model, model.base_model(**inputs).last_hidden_state[masked])


def loss_sum(logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor":
    """Summed cross entropy of the masked positions, in their order in the batch."""
    return cross_entropy_sum(logits, labels[labels != IGNORED])
