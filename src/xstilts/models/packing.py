"""Batches without padding: the encoder runs on the concatenated tokens of a batch, [1, tokens, h]; fast dropout.

Where the tokens of a batch go is worked out in numpy, before the batch is sent to the device. Attention stays within a
sequence. It is registered with `transformers` as an attention function, so that the layers are the library's and the
model is an ordinary one again after the context.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from xstilts.models.hardware import PACKED_FROM, PACKED_TYPES, is_ampere

SLACK = {"cpu": 0.0, "cuda": 1.0}
"""How much shorter than the longest of its group a sequence may be in attention. On a GPU all sequences are one group:
for short sequences the number of calls limits its speed, not the products."""

NAME = "packed"

Batch = dict[str, Any]
"""Padded arrays of a batch by name, as `tasks.encoding.pad` makes them, and its `packing`."""


class Group(NamedTuple):
    """Sequences whose attention is one call, [sequences, longest].

    gather: int64 [sequences * longest], takes them out of the packed tokens. back: int64 [tokens], removes padding
    again. mask: bool [sequences, 1, 1, longest], marks the tokens. All are None if the sequences are equally long.
    """

    sequences: int
    longest: int
    tokens: int
    gather: Any = None
    back: Any = None
    mask: Any = None


class Packing(NamedTuple):
    """The order of the real tokens of a padded batch [n, width] when packed, the longest sequences first.

    where: int64 [tokens], the place of each in the flattened batch. positions: int64 [1, tokens], of each in its
    sequence. Attention is either one call for sequences between `starts`, int32 [n + 1], none longer than `longest`, or
    one for each of `groups`.
    """

    where: Any
    positions: Any
    longest: int
    starts: Any = None
    groups: tuple[Group, ...] = ()


@contextmanager
def packed(model: Any, precision: str = "fp32") -> Iterator[Callable[[Batch], Batch] | None]:
    """Makes the encoder of `model` compute without padding inside the context; its inputs and outputs stay padded.

    Yields a function that adds the packing to a batch of numpy arrays, or None if packing is impossible for the model's
    type or does not pay on its device. Padding must be on the right. Hidden states of padding are 0.
    """
    base, config = model.base_model, model.base_model.config
    before, device = config._attn_implementation, base.device
    if config.model_type not in PACKED_TYPES or config.hidden_size < PACKED_FROM[device.type]:
        yield None
        return
    one_call = takes_one_call(device, precision, config.hidden_size // config.num_attention_heads)
    padding = getattr(base.embeddings, "padding_idx", None)  # of those that count positions from it
    counted = padding if hasattr(base.embeddings, "create_position_ids_from_input_ids") else None
    if before != NAME:
        base.forward = partial(_forward, base, base.forward)
        base.set_attn_implementation(NAME)
    try:
        slack = None if one_call else SLACK[device.type]
        yield lambda batch: {**batch, "packing": packing_of(batch, counted, slack)}
    finally:
        if before != NAME:
            del base.forward
            base.set_attn_implementation(before)


def takes_one_call(device: torch.device, precision: str, width: int) -> bool:
    """Whether the device has a kernel for attention of sequences of different lengths with heads this wide."""
    return is_ampere(device) and precision == "bf16" and width % 8 == 0 and width <= 256


def packing_of(batch: Batch, padding: int | None, slack: float | None) -> Packing:
    """The packing of a batch of numpy arrays.

    padding: the id that has no position of its own, and from which positions are counted (RoBERTa); None: positions are
    0, 1, 2 … slack: forms groups of sequences that are shorter than their longest by this share at most; None: none.
    """
    ids = batch["input_ids"]
    count, width = ids.shape
    lengths = batch["attention_mask"].sum(1) if "attention_mask" in batch else np.full(count, width)
    order = np.argsort(-lengths, kind="stable")
    sizes = lengths[order]
    places = np.arange(width)
    inside = places < sizes[:, None]
    where = (order[:, None] * width + places)[inside]
    if padding is None:
        positions = np.broadcast_to(places, inside.shape)[inside]
    else:
        real = ids[order] != padding
        positions = (real.cumsum(1) * real)[inside] + padding
    if slack is None:
        starts = np.concatenate([[0], sizes.cumsum()]).astype(np.int32)
        return Packing(where, positions[None], width, starts)
    cuts = [0]
    for number, size in enumerate(sizes.tolist()):
        if size < (1 - slack) * sizes[cuts[-1]]:
            cuts.append(number)
    groups = tuple(_group(part) for part in np.split(sizes, cuts[1:]))
    return Packing(where, positions[None], int(sizes[0]), groups=groups)


def _group(lengths: np.ndarray) -> Group:
    """The group of sequences of these lengths, the longest first."""
    count, longest, tokens = len(lengths), int(lengths[0]), int(lengths.sum())
    if lengths[-1] == longest:
        return Group(count, longest, tokens)
    places, sizes = np.arange(longest), lengths[:, None]
    inside = places < sizes
    gather = (lengths.cumsum() - lengths)[:, None] + np.minimum(places, sizes - 1)
    return Group(count, longest, tokens, gather.ravel(), np.flatnonzero(inside), inside[:, None, None])


def _forward(base: Any, original: Any, input_ids: Tensor, packing: Packing, **settings: Any) -> Any:
    """The forward pass of an encoder on a padded batch, through its original one on the packed batch."""
    shape = input_ids.shape
    settings.pop("attention_mask", None)
    inputs = {"input_ids": input_ids, "token_type_ids": settings.pop("token_type_ids", None)}
    flat = {
        n: tensor.flatten().index_select(0, packing.where)[None] for n, tensor in inputs.items() if tensor is not None
    }
    given = {name: value for name, value in settings.items() if value is not None}
    outputs = original(**flat, position_ids=packing.positions, packing=packing, **given)

    def unpacked(states: Tensor) -> Tensor:
        padded = states.new_zeros(shape.numel(), states.shape[-1])
        return padded.index_copy(0, packing.where, states.squeeze(0)).view(*shape, -1)

    outputs.last_hidden_state = unpacked(outputs.last_hidden_state)
    if outputs.get("hidden_states") is not None:
        outputs.hidden_states = tuple(unpacked(states) for states in outputs.hidden_states)
    if getattr(base, "pooler", None) is not None:
        outputs.pooler_output = base.pooler(outputs.last_hidden_state)
    return outputs


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: None, packing: Packing, **settings: Any
) -> tuple[Tensor, None]:
    """Attention within each sequence of a packed batch, from [1, heads, tokens, d] to [1, tokens, heads, d]. settings:
    `dropout`, `scaling`, and `sliding_window`, how far tokens attend to either side, plus 1."""
    rate, window = settings["dropout"], settings.get("sliding_window")
    q, k, v = (tensor.squeeze(0).transpose(0, 1) for tensor in (query, key, value))
    scale = settings.get("scaling") or q.shape[-1] ** -0.5
    if packing.starts is not None:
        return one_call(q, k, v, packing.starts, packing.longest, rate, scale, window)[None], None
    if len(packing.groups) == 1:
        return _group_attention(packing.groups[0], (q, k, v), rate, scale, window)[None], None
    parts = [tensor.split([group.tokens for group in packing.groups]) for tensor in (q, k, v)]
    results = [
        _group_attention(group, tensors, rate, scale, window)
        for group, *tensors in zip(packing.groups, *parts, strict=True)
    ]
    return torch.cat(results)[None], None


def one_call(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    starts: Tensor,
    longest: int,
    rate: float,
    scale: float,
    window: int | None,
) -> Tensor:
    """Attention of all sequences by FlashAttention, with dropout; query, key and value are [tokens, heads, d] like the
    result. Its kernel is called directly, because `torch.nn.attention.varlen` has no dropout."""
    reach = -1 if window is None else window - 1
    return torch.ops.aten._flash_attention_forward(
        query, key, value, starts, starts, longest, longest, rate, False, False,
        scale=scale, window_size_left=reach, window_size_right=reach,
    )[0]  # fmt: skip


def _group_attention(group: Group, tensors: Any, rate: float, scale: float, window: int | None) -> Tensor:
    """Attention of a group from its query, key and value, each [tokens, heads, d] like the result."""
    padded = [tensor if group.gather is None else tensor.index_select(0, group.gather) for tensor in tensors]
    query, key, value = (tensor.unflatten(0, (group.sequences, group.longest)).transpose(1, 2) for tensor in padded)
    visible = group.mask  # bool [sequences or 1, 1, longest or 1, longest]; None if all tokens attend to each other
    if window is not None and group.longest > window:
        place = torch.arange(group.longest, device=query.device)
        band = (place[:, None] - place).abs() < window
        visible = band if visible is None else band & visible
    if query.is_cuda:
        result = scaled_dot_product_attention(query, key, value, attn_mask=visible, dropout_p=rate, scale=scale)
    else:  # two products are several times as fast as torch's function for sequences as short as these
        with torch.autocast("cpu", enabled=False):
            scores = (query * scale) @ key.transpose(-1, -2)
            if visible is not None:
                scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
            result = dropout(scores.softmax(-1), rate) @ value
    flat = result.transpose(1, 2).flatten(0, 1)
    return flat if group.back is None else flat.index_select(0, group.back)


def dropout(values: Tensor, rate: float) -> Tensor:
    """Sets elements to 0 with probability `rate` (rounded to 1/65,536), and divides the others by 1 - rate.

    On a processor it draws 16 bits per element from torch's default generator: five times as fast as torch's dropout.
    """
    if values.device.type != "cpu" or not 0 < rate < 1:
        return torch.nn.functional.dropout(values, rate)
    words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)
    return values * (bits >= round(rate * 2**16) - 2**15).to(values.dtype).mul_(1 / (1 - rate))


@contextmanager
def cheap_dropout(model: torch.nn.Module) -> Iterator[None]:
    """Makes the dropout layers of the model use `dropout` inside the context."""
    layers = [module for module in model.modules() if type(module) is torch.nn.Dropout]
    for layer in layers:
        vars(layer)["forward"] = lambda values, layer=layer: dropout(values, layer.p) if layer.training else values
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, lambda *arguments, **settings: None)
