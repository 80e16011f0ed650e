"""What most task types share: schemas of examples, token sequences in flat arrays, batches, logits and loss."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    import torch

IGNORED = -100
"""Label of a token that does not count in the loss and is not predicted (the value torch's cross entropy skips)."""


def make_schema(*texts: str, **more: pa.DataType) -> pa.Schema:
    """The Arrow schema of a task type: id, cluster, language and texts, which are strings, then more columns."""
    names = ("id", "cluster_id", "language", *texts)
    return pa.schema([*((name, pa.string()) for name in names), *more.items()])


@dataclass(frozen=True)
class Encoded:
    """n sequences in flat arrays: sequence i is `ids[offsets[i]:offsets[i + 1]]`.

    ids: int32 [tokens]. offsets: int64 [n + 1]. examples: int64 [n], ascending, the number of the example that each
    sequence comes from. labels: int64 [n] or [n, j] per sequence, or [tokens] for one label per token. segments: uint8
    [tokens] if the tokenizer distinguishes the texts of a pair. spans: int32 [tokens, 2] if predictions need to know
    which characters a token covers. together: the sequences of an example belong in one batch, in their order.
    """

    ids: np.ndarray
    offsets: np.ndarray
    examples: np.ndarray
    labels: np.ndarray
    segments: np.ndarray | None = None
    spans: np.ndarray | None = None
    together: bool = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens per sequence, int64 [n]."""
        return np.diff(self.offsets)

    @property
    def labelled_per_token(self) -> bool:
        """Whether labels belong to tokens and not to sequences."""
        return len(self.labels) != len(self)


def ragged(sequences: Sequence[Sequence[int]], dtype: Any = np.int32) -> tuple[np.ndarray, np.ndarray]:
    """Flat values and offsets [n + 1] of a list of lists."""
    offsets = np.zeros(len(sequences) + 1, np.int64)
    np.cumsum([len(s) for s in sequences], out=offsets[1:])
    flat = np.empty(int(offsets[-1]), dtype)
    for start, stop, sequence in zip(offsets[:-1], offsets[1:], sequences, strict=True):
        flat[start:stop] = sequence
    return flat, offsets


def places(encoded: Encoded, indices: np.ndarray) -> np.ndarray:
    """Where the tokens of the sequences `indices` are in the flat arrays, int64 [tokens], one sequence after the other.

    >>> places(Encoded(np.array([7, 8, 9]), np.array([0, 2, 3]), np.arange(2), np.arange(2)), np.array([1, 0]))
    array([2, 0, 1])
    """
    lengths = encoded.lengths[indices]
    return np.repeat(encoded.offsets[indices] - (lengths.cumsum() - lengths), lengths) + np.arange(lengths.sum())


def tokenize(
    tokenizer: Any, first: list[str], second: list[str] | None, max_length: int, special_tokens: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Ids [tokens], offsets [n + 1] and, if the model needs them, segments [tokens] of texts or pairs of texts; the
    longer text of a pair is cut first if it does not fit into `max_length`. The tokenizer is left without truncation
    and padding, so that its file is the same wherever it is saved."""
    # The backend's batch call is several times faster than the wrapper around it.
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length, strategy="longest_first")
    backend.no_padding()
    texts = first if second is None else list(zip(first, second, strict=True))
    encoded = backend.encode_batch_fast(texts, add_special_tokens=special_tokens)
    backend.no_truncation()
    has_segments = "token_type_ids" in tokenizer.model_input_names
    segments = ragged([e.type_ids for e in encoded], np.uint8)[0] if has_segments else None
    return *ragged([e.ids for e in encoded]), segments


def tokenize_texts(
    table: pa.Table, columns: Sequence[str], tokenizer: Any, max_length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """As `tokenize`, of the texts in two columns of examples: pairs or, if a column is empty, those of the other."""
    present = [name for name in columns if table[name].null_count < len(table)] or [columns[0]]
    first, *second = ([text or "" for text in table[name].to_pylist()] for name in present)
    return tokenize(tokenizer, first, second[0] if second else None, max_length)


def cuts(lengths: np.ndarray, budget: int) -> list[slice]:
    """Cut sequences of these lengths, int [n] from the longest on, into groups of at most `budget` tokens with their
    padding; a sequence that is longer than the budget is a group by itself.

    >>> cuts(np.array([4, 3, 3, 2]), budget=8)
    [slice(0, 2, None), slice(2, 4, None)]
    """
    parts, start = [], 0
    while start < len(lengths):
        stop = min(len(lengths), start + max(1, budget // max(1, int(lengths[start]))))
        parts.append(slice(start, stop))
        start = stop
    return parts


def pad(encoded: Encoded, indices: np.ndarray, pad_id: int) -> dict[str, np.ndarray]:
    """The sequences `indices` as rectangular arrays [b, longest], int64: input_ids, attention_mask (if any is padded),
    token_type_ids (if there are segments) and labels."""
    starts, lengths = encoded.offsets[indices], encoded.lengths[indices]
    width = int(lengths.max())
    positions = np.arange(width)
    inside = positions < lengths[:, None]
    where = np.where(inside, starts[:, None] + positions, 0)
    batch = {"input_ids": np.where(inside, encoded.ids[where], pad_id).astype(np.int64)}
    if not inside.all():
        batch["attention_mask"] = inside.astype(np.int64)
    if encoded.segments is not None:
        batch["token_type_ids"] = np.where(inside, encoded.segments[where], 0).astype(np.int64)
    if encoded.labelled_per_token:
        batch["labels"] = np.where(inside, encoded.labels[where], IGNORED).astype(np.int64)
    else:
        batch["labels"] = encoded.labels[indices]
    return batch


def run_model(model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor":
    """The logits of a model with one head, of the shape that its class gives."""
    return model(**{name: tensor for name, tensor in batch.items() if name != "labels"}).logits


def cross_entropy_sum(
    logits: "torch.Tensor", labels: "torch.Tensor", weights: "torch.Tensor | None" = None
) -> "torch.Tensor":
    """Summed cross entropy of logits [..., k] and labels [...], ignored labels left out, in float32; each label counts
    by its weight, float32 [k], or once."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(
        logits.flatten(0, -2).float(), labels.flatten(), weights, ignore_index=IGNORED, reduction="sum"
    )
