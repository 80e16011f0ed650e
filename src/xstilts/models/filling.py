"""Updates of few shapes: each is filled with sequences of padding tokens up to one of a training's token capacities.

Their labels are ignored, and attention stays within a sequence: they change neither the loss nor a gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from xstilts.models.packing import Batch
from xstilts.tasks.encoding import IGNORED

MOST, STEP = 6, 128
"""How many capacities a training has, and what they are multiples of but for the padding that every update has."""


@dataclass(frozen=True)
class Frame:
    """The shapes of a training's updates: `rows` sequences, none longer than `width`, and as many tokens as one of the
    `capacities`, int64 ascending, the smallest that holds an update."""

    rows: int
    width: int
    capacities: np.ndarray


def frame_of(lengths: np.ndarray, updates: Sequence[np.ndarray]) -> Frame:
    """The frame of updates, each given by the numbers of its sequences, whose lengths are in `lengths`, int64 [n].

    >>> frame_of(np.array([5, 90, 7, 60]), [np.array([0, 1]), np.array([2, 3])])
    Frame(rows=3, width=90, capacities=array([129]))
    """
    counts = np.array([len(update) for update in updates])
    tokens = np.array([lengths[update].sum() for update in updates])
    width = max(2, *(int(lengths[update].max()) for update in updates))
    needed = tokens + counts.max() - counts  # a row that is left over has a token at least
    for more in count(1):
        limits = capacities(needed) + more
        gaps = limits[np.searchsorted(limits, needed + more)] - needed - more
        if gaps.max() <= more * (width - 1):
            return Frame(int(counts.max()) + more, width, limits)
    raise AssertionError


def capacities(tokens: np.ndarray, most: int = MOST, step: int = STEP) -> np.ndarray:
    """At most `most` multiples of `step`, ascending, with the least padding if each update, of `tokens`, int64 [n], is
    filled up to the smallest that holds it.

    >>> capacities(np.array([100, 250, 260, 900]), most=2)
    array([ 384, 1024])
    """
    limits, counts = np.unique(-(-tokens // step) * step, return_counts=True)
    until = [0, *counts.cumsum().tolist()]
    best: list[tuple[int, tuple[int, ...]]]  # per limit: tokens of all updates below it, and the capacities chosen
    best = [(limit * until[i + 1], (limit,)) for i, limit in enumerate(limits.tolist())]
    for _ in range(most - 1):
        best = [
            min(
                best[i],
                *(
                    (total + limit * (until[i + 1] - until[before + 1]), (*chosen, limit))
                    for before, (total, chosen) in enumerate(best[:i])
                ),
            )
            if i
            else best[i]
            for i, limit in enumerate(limits.tolist())
        ]
    return np.array(best[-1][1], np.int64)


def fill(batch: Batch, frame: Frame, pad_id: int, labelled_per_token: bool) -> Batch:
    """A padded batch, filled to its capacity; the sequences that are added are about equally long."""
    count, width = batch["input_ids"].shape
    lengths = batch["attention_mask"].sum(1) if "attention_mask" in batch else np.full(count, width)
    rows, tokens = frame.rows - count, int(lengths.sum())
    capacity = int(frame.capacities[np.searchsorted(frame.capacities, tokens + rows)])
    added = np.full(rows, (capacity - tokens) // rows)
    added[: (capacity - tokens) % rows] += 1
    inside = np.arange(frame.width) < np.concatenate([lengths, added])[:, None]
    filled: Batch = {"attention_mask": inside.astype(np.int64)}
    for name, value in (("input_ids", pad_id), ("token_type_ids", 0), ("labels", IGNORED)):
        if name in batch:
            per_token = name != "labels" or labelled_per_token
            missing = [(0, rows), *([(0, frame.width - width)] if per_token else [(0, 0)] * (batch[name].ndim - 1))]
            filled[name] = np.pad(batch[name], missing, constant_values=value)
    return filled
