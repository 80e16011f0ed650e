"""Which sequences form an update, how it is cut into micro-batches, and how these get to a device."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from xstilts.models.packing import Batch
from xstilts.tasks.encoding import Encoded, cuts, pad

T = TypeVar("T")


def epochs(count: int, repeats: int, rng: np.random.Generator) -> np.ndarray:
    """`repeats` shuffles of 0 … count-1 in a row, int64 [repeats * count]."""
    return np.concatenate([np.empty(0, np.int64), *(rng.permutation(count) for _ in range(repeats))])


def mixture(groups: np.ndarray, total: int, weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """`total` draws of items, in which group g (a language, a task) has a share proportional to `weights[g]`.

    groups: int [n], the group of each item; weights: float [groups]. Within a group, every item is drawn once before
    any is drawn again.
    """
    sizes = np.bincount(groups, minlength=len(weights))
    present = np.where(sizes > 0, weights, 0.0)
    drawn = rng.choice(len(sizes), total, p=present / present.sum())
    result = np.empty(total, np.int64)
    for group in np.flatnonzero(sizes):
        slots = np.flatnonzero(drawn == group)
        order = epochs(int(sizes[group]), -(-len(slots) // int(sizes[group])), rng)[: len(slots)]
        result[slots] = np.flatnonzero(groups == group)[order]
    return result


def micro_batches(
    encoded: Encoded, indices: np.ndarray, budget: int, padded: bool = True, ranks: int = 1
) -> list[np.ndarray]:
    """Cuts the sequences `indices` into groups of similar length, each of at most `budget` tokens.

    Sequences that belong together stay together. A sequence longer than the budget is a group of its own.
    padded: whether padding counts as tokens; if not, the groups have about equal size, which may exceed the budget by
    less than a sequence. ranks: the smallest number of groups, if there are enough sequences.
    """
    if ranks > 1:
        budget = min(budget, -(-int(encoded.lengths[indices].sum()) // ranks))
    if encoded.together:
        return _together(encoded, indices, budget)
    lengths = encoded.lengths
    order = indices[np.argsort(lengths[indices], kind="stable")[::-1]]
    if not padded:
        ends = np.cumsum(lengths[order])
        count = -(-int(ends[-1]) // budget)
        parts = np.split(order, np.searchsorted(ends, ends[-1] * np.arange(1, count) / count, side="right"))
        return [part for part in parts if len(part)]
    return [order[part] for part in cuts(lengths[order], budget)]


def _together(encoded: Encoded, indices: np.ndarray, budget: int) -> list[np.ndarray]:
    """As `micro_batches`, cut between examples only: each counts as long as its longest sequence."""
    examples = np.split(indices, np.flatnonzero(np.diff(encoded.examples[indices])) + 1)
    groups: list[np.ndarray] = []
    width = 0
    for sequences in sorted(examples, key=lambda sequences: -encoded.lengths[sequences].max()):
        if groups and (len(groups[-1]) + len(sequences)) * width <= budget:
            groups[-1] = np.concatenate([groups[-1], sequences])
        else:
            groups.append(sequences)
            width = int(encoded.lengths[sequences].max())
    return groups


def to_tensors(batch: T, device: torch.device) -> T:
    """A batch (arrays in dicts and tuples) as tensors on a device.

    A GPU gets them in one copy from pinned memory, for which the processor does not wait.
    """
    leaves, form = tree_flatten(batch)
    arrays = {i: np.asarray(leaf, order="C") for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray)}
    if device.type == "cuda":
        tensors = in_one_copy(list(arrays.values()), device)
    else:
        tensors = [torch.from_numpy(array) for array in arrays.values()]
    for i, tensor in zip(arrays, tensors, strict=True):
        leaves[i] = tensor
    return tree_unflatten(leaves, form)


def in_one_copy(arrays: Sequence[np.ndarray], device: torch.device) -> list[torch.Tensor]:
    """The arrays as tensors on a device: parts of one buffer, each at a multiple of 16 bytes."""
    places = np.cumsum([0, *(-(-array.nbytes // 16) * 16 for array in arrays)]).tolist()
    buffer = torch.empty(places[-1], dtype=torch.uint8, pin_memory=device.type == "cuda")
    bytes_ = buffer.numpy()
    for place, array in zip(places, arrays, strict=False):
        bytes_[place : place + array.nbytes] = array.reshape(-1).view(np.uint8)
    there = buffer.to(device, non_blocking=True)
    return [
        there[place : place + array.nbytes].view(torch.from_numpy(array).dtype).view(array.shape)
        for place, array in zip(places, arrays, strict=False)
    ]


def sorted_batches(
    encoded: Encoded, pad_id: int, budget: int, device: torch.device, pack: Callable[[Batch], Batch] | None,
    progress: Callable[[float], None],
) -> Iterator[tuple[np.ndarray, Batch]]:  # fmt: skip
    """All sequences once, the longest first, as (indices, padded tensors) of at most `budget` tokens.

    pack: adds the packing to a batch. progress: takes the share of sequences that are done, after each batch.
    """
    done = 0
    for indices in micro_batches(encoded, np.arange(len(encoded)), budget):
        batch = pad(encoded, indices, pad_id)
        yield indices, to_tensors(pack(batch) if pack else batch, device)
        done += len(indices)
        progress(done / len(encoded))
