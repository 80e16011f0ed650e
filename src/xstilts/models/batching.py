"""Which sequences form an update, and how an update is cut into micro-batches."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from xstilts.tasks.encoding import Encoded, cuts, pad


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


def to_tensors(batch: dict[str, np.ndarray], device: torch.device) -> dict[str, torch.Tensor]:
    """The arrays of a batch as tensors on a device."""
    return {name: torch.from_numpy(np.ascontiguousarray(array)).to(device) for name, array in batch.items()}


def sorted_batches(
    encoded: Encoded, pad_id: int, budget: int, device: torch.device, progress: Callable[[float], None]
) -> Iterator[tuple[np.ndarray, dict[str, torch.Tensor]]]:
    """All sequences once, the longest first, as (indices, padded tensors) of at most `budget` tokens.

    progress: takes the share of sequences that are done, after each batch.
    """
    done = 0
    for indices in micro_batches(encoded, np.arange(len(encoded)), budget):
        yield indices, to_tensors(pad(encoded, indices, pad_id), device)
        done += len(indices)
        progress(done / len(encoded))
