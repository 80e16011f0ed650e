"""Batches without padding: the encoder runs on the concatenated tokens of a batch, [1, tokens, h].

Attention stays within a sequence. It is registered with `transformers` as an attention function, so that the layers are
the library's and the model is an ordinary one again after the context.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface

from xstilts.models.dropout import dropout
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
    gather: torch.Tensor | None = None
    back: torch.Tensor | None = None
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class Packing:
    """The order of the real tokens of a padded batch [n, width] when packed, the longest sequences first.

    where: int64 [tokens], the place of each in the flattened batch; starts: int32 [n + 1], where sequences begin, None
    if the device has no attention kernel for sequences of different lengths.
    """

    where: torch.Tensor
    starts: torch.Tensor | None
    groups: list[Group]


def can_pack(model: Any) -> bool:
    """Whether packing is possible for the model's type and pays on its device."""
    return model.config.model_type in PACKED_TYPES and model.config.hidden_size >= PACKED_FROM[model.device.type]


@contextmanager
def packed(model: Any) -> Iterator[bool]:
    """Makes the encoder of `model` compute without padding inside the context; its inputs and outputs stay padded.

    Yields whether it does so. A model that cannot be packed, or is packed already, does not change. Padding must be on
    the right. Hidden states of padding are 0.
    """
    base = model.base_model
    before = base.config._attn_implementation
    if before == NAME or not can_pack(base):
        yield before == NAME
        return
    base.forward = partial(_forward, base, base.forward)
    base.set_attn_implementation(NAME)
    try:
        yield True
    finally:
        del base.forward
        base.set_attn_implementation(before)


def packing_of(mask: torch.Tensor, slack: float) -> Packing:
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
    count, longest, tokens = len(lengths), lengths[0], sum(lengths)
    if lengths[-1] == longest:
        return Group(count, longest, tokens)
    sizes, place = torch.tensor(lengths, device=device), torch.arange(longest, device=device)
    inside = place < sizes[:, None]
    gather = (sizes.cumsum(0) - sizes)[:, None] + place.minimum(sizes[:, None] - 1)
    return Group(count, longest, tokens, gather.flatten(), inside.flatten().nonzero()[:, 0], inside[:, None, None])


def _forward(base: Any, original: Any, input_ids: torch.Tensor, attention_mask: torch.Tensor | None = None,
             token_type_ids: torch.Tensor | None = None, **settings: Any) -> Any:  # fmt: skip
    """The forward pass of an encoder on a padded batch, through its original one on the packed batch."""
    shape = input_ids.shape
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    packing = packing_of(mask.bool(), SLACK[mask.device.type])
    inputs = {"input_ids": input_ids, "position_ids": _positions(base, input_ids)}
    if token_type_ids is not None:
        inputs["token_type_ids"] = token_type_ids
    flat = {name: tensor.flatten()[packing.where][None] for name, tensor in inputs.items()}
    outputs = original(**flat, packing=packing, **{k: v for k, v in settings.items() if v is not None})

    def unpacked(states: torch.Tensor) -> torch.Tensor:
        padded = states.new_zeros(shape.numel(), states.shape[-1])
        return padded.index_copy(0, packing.where, states[0]).view(*shape, -1)

    outputs.last_hidden_state = unpacked(outputs.last_hidden_state)
    if outputs.get("hidden_states") is not None:
        outputs.hidden_states = tuple(unpacked(states) for states in outputs.hidden_states)
    if getattr(base, "pooler", None) is not None:
        outputs.pooler_output = base.pooler(outputs.last_hidden_state)
    return outputs


def _positions(base: Any, ids: torch.Tensor) -> torch.Tensor:
    """Positions of a padded batch [n, width] as the encoder would number them."""
    create = getattr(base.embeddings, "create_position_ids_from_input_ids", None)
    if create:
        return create(ids, base.embeddings.padding_idx)
    return torch.arange(ids.shape[1], device=ids.device).expand(ids.shape)


def _attention(
    module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, attention_mask: None, packing: Packing,
    scaling: float | None = None, sliding_window: int | None = None, **others: Any,
) -> tuple[torch.Tensor, None]:  # fmt: skip
    """Attention within each sequence of a packed batch; query, key, value [1, heads, tokens, d], the result
    [1, tokens, heads, d]. `sliding_window`: how far tokens attend to either side, plus 1."""
    rate = others["dropout"]
    q, k, v = (tensor[0].transpose(0, 1) for tensor in (query, key, value))
    starts = packing.starts
    if starts is not None and q.dtype in (torch.bfloat16, torch.float16) and not rate:
        window = (-1, -1) if sliding_window is None else (sliding_window - 1, sliding_window - 1)
        longest = packing.groups[0].longest
        whole = varlen_attn(q, k, v, starts, starts, longest, longest, scale=scaling, window_size=window)
        assert isinstance(whole, torch.Tensor)
        return whole[None], None
    parts = [tensor.split([group.tokens for group in packing.groups]) for tensor in (q, k, v)]
    scale = scaling or q.shape[-1] ** -0.5
    results = [
        _group_attention(group, [_padded(tensor, group) for tensor in tensors], rate, scale, sliding_window)
        for group, *tensors in zip(packing.groups, *parts, strict=True)
    ]
    return torch.cat(results)[None], None


def _group_attention(
    group: Group, tensors: list[torch.Tensor], rate: float, scaling: float, sliding_window: int | None
) -> torch.Tensor:
    """Attention of a group from its query, key and value, each [count, heads, longest, d], as [tokens, heads, d]."""
    query, key, value = tensors
    seen = _visible(group, sliding_window, query.device)
    if query.is_cuda:
        result = scaled_dot_product_attention(query, key, value, attn_mask=seen, dropout_p=rate, scale=scaling)
    else:  # two products are several times as fast as torch's function for sequences as short as these
        with torch.autocast("cpu", enabled=False):
            scores = (query * scaling) @ key.transpose(-1, -2)
            shares = (scores if seen is None else scores.masked_fill(~seen, torch.finfo(scores.dtype).min)).softmax(-1)
            result = dropout(shares, rate) @ value
    flat = result.transpose(1, 2).flatten(0, 1)
    return flat if group.back is None else flat[group.back]


def _padded(tensor: torch.Tensor, group: Group) -> torch.Tensor:
    """The tokens of a group [tokens, heads, d] as [count, heads, longest, d]; the padding is masked later."""
    taken = tensor if group.gather is None else tensor[group.gather]
    return taken.unflatten(0, (group.count, group.longest)).transpose(1, 2)


def _visible(group: Group, sliding_window: int | None, device: torch.device) -> torch.Tensor | None:
    """Which tokens attend to each other, bool [count or 1, 1, longest or 1, longest]; None if all do."""
    if sliding_window is None or group.longest <= sliding_window:
        return group.mask
    place = torch.arange(group.longest, device=device)
    band = (place[:, None] - place).abs() < sliding_window
    return band if group.mask is None else band & group.mask


AttentionInterface.register(NAME, _attention)
AttentionMaskInterface.register(NAME, lambda *arguments, **settings: None)
