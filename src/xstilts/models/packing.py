"""Batches without padding: the encoder runs on the concatenated tokens of a batch, [1, tokens, h]; fast dropout.

Attention stays within a sequence. It is registered with `transformers` as an attention function, so that the layers are
the library's and the model is an ordinary one again after the context.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from xstilts.models.hardware import PACKED_FROM, PACKED_TYPES, is_ampere

SLACK = {"cpu": 0.0, "cuda": 1.0}
"""How much shorter than the longest of its group a sequence may be in attention. On a GPU all sequences are one group:
for short sequences the number of calls limits its speed, not the products."""

NAME = "packed"


@dataclass(frozen=True)
class Group:
    """Sequences whose attention is one call, as [count, longest]; `gather` int64 [count * longest] takes them out of
    the packed tokens, `back` int64 [tokens] removes their padding again and `mask` bool [count, 1, 1, longest] marks
    the tokens; None if all are equally long."""

    count: int
    longest: int
    tokens: int
    gather: Tensor | None = None
    back: Tensor | None = None
    mask: Tensor | None = None


@dataclass(frozen=True)
class Packing:
    """The order of the real tokens of a padded batch [n, width] when packed, the longest sequences first.

    where: int64 [tokens], the place of each in the flattened batch; starts: int32 [n + 1], where sequences begin, None
    if the device has no attention kernel for sequences of different lengths.
    """

    where: Tensor
    starts: Tensor | None
    groups: list[Group]


@contextmanager
def packed(model: Any) -> Iterator[bool]:
    """Makes the encoder of `model` compute without padding inside the context; its inputs and outputs stay padded.

    Yields whether it does so: not if packing is impossible for the model's type or does not pay on its device. Padding
    must be on the right. Hidden states of padding are 0.
    """
    base, config = model.base_model, model.base_model.config
    before = config._attn_implementation
    possible = config.model_type in PACKED_TYPES and config.hidden_size >= PACKED_FROM[base.device.type]
    if before == NAME or not possible:
        yield before == NAME
        return
    base.forward = partial(_forward, base, base.forward)
    base.set_attn_implementation(NAME)
    try:
        yield True
    finally:
        del base.forward
        base.set_attn_implementation(before)


def packing_of(mask: Tensor, slack: float) -> Packing:
    """The packing of a batch from its attention mask, bool [n, width], with groups for attention by `slack`."""
    width, lengths = mask.shape[1], mask.sum(1)
    order = lengths.argsort(descending=True, stable=True)
    places = order[:, None] * width + torch.arange(width, device=mask.device)
    ends = lengths[order].cumsum(0)
    starts = torch.nn.functional.pad(ends, (1, 0)).to(torch.int32) if is_ampere(mask.device) else None
    groups: list[list[int]] = []
    for length in lengths[order].tolist():
        if not groups or length < (1 - slack) * groups[-1][0]:
            groups.append([])
        groups[-1].append(length)
    return Packing(places[mask[order]], starts, [_group(lengths, mask.device) for lengths in groups])


def _group(lengths: list[int], device: torch.device) -> Group:
    """The group of sequences of these lengths, the longest first."""
    count, longest, tokens = len(lengths), lengths[0], sum(lengths)
    if lengths[-1] == longest:
        return Group(count, longest, tokens)
    sizes, place = torch.tensor(lengths, device=device), torch.arange(longest, device=device)
    inside = place < sizes[:, None]
    gather = (sizes.cumsum(0) - sizes)[:, None] + place.minimum(sizes[:, None] - 1)
    return Group(count, longest, tokens, gather.flatten(), inside.flatten().nonzero()[:, 0], inside[:, None, None])


def _forward(base: Any, original: Any, input_ids: Tensor, attention_mask: Tensor | None = None, **settings: Any) -> Any:
    """The forward pass of an encoder on a padded batch, through its original one on the packed batch."""
    shape, embeddings = input_ids.shape, base.embeddings
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    packing = packing_of(mask.bool(), SLACK[mask.device.type])
    if hasattr(embeddings, "create_position_ids_from_input_ids"):
        positions = embeddings.create_position_ids_from_input_ids(input_ids, embeddings.padding_idx)
    else:
        positions = torch.arange(shape[1], device=mask.device).expand(shape)
    inputs = {"input_ids": input_ids, "position_ids": positions, "token_type_ids": settings.pop("token_type_ids", None)}
    flat = {name: tensor.flatten()[packing.where][None] for name, tensor in inputs.items() if tensor is not None}
    outputs = original(**flat, packing=packing, **{k: v for k, v in settings.items() if v is not None})

    def unpacked(states: Tensor) -> Tensor:
        padded = states.new_zeros(shape.numel(), states.shape[-1])
        return padded.index_copy(0, packing.where, states[0]).view(*shape, -1)

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
    rate, scaling, window = settings["dropout"], settings.get("scaling"), settings.get("sliding_window")
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    starts = packing.starts
    if starts is not None and q.dtype in (torch.bfloat16, torch.float16) and not rate:
        reach = -1 if window is None else window - 1
        longest = packing.groups[0].longest
        whole = varlen_attn(q, k, v, starts, starts, longest, longest, scale=scaling, window_size=(reach, reach))
        assert isinstance(whole, Tensor)
        return whole[None], None
    parts = [tensor.split([group.tokens for group in packing.groups]) for tensor in (q, k, v)]
    scale = scaling or q.shape[-1] ** -0.5
    results = [
        _group_attention(group, tensors, rate, scale, window)
        for group, *tensors in zip(packing.groups, *parts, strict=True)
    ]
    return torch.cat(results)[None], None


def _group_attention(group: Group, tensors: list[Tensor], rate: float, scale: float, window: int | None) -> Tensor:
    """Attention of a group from its query, key and value, each [tokens, heads, d] like the result."""
    padded = [tensor if group.gather is None else tensor[group.gather] for tensor in tensors]
    query, key, value = (tensor.unflatten(0, (group.count, group.longest)).transpose(1, 2) for tensor in padded)
    visible = group.mask  # bool [count or 1, 1, longest or 1, longest]; None if all tokens attend to each other
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
    return flat if group.back is None else flat[group.back]


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
