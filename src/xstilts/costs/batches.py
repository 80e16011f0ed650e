"""What an update or a pass over some rows computes on average, padding included: drawn from the rows' lengths."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from xstilts.costs.sizes import Size
from xstilts.tasks.encoding import cuts

DRAWN_UPDATES = 16
"""Updates that are drawn to see how much of them is padding."""


@dataclass(frozen=True)
class Batch:
    """The mean update or pass: tokens, tokens with padding, and the sum of padded lengths squared."""

    tokens: float
    computed: float
    squares: float


@lru_cache(maxsize=4096)
def mean_pass(size: Size, max_length: int, padded: bool) -> Batch:
    """The mean sequence of some rows."""
    if padded:
        return Batch(max_length, max_length, max_length**2)
    lengths = size.lengths(4096, max_length, np.random.default_rng(0))
    return Batch(float(lengths.mean()), float(lengths.mean()), float((lengths**2).mean()))


@lru_cache(maxsize=4096)
def mean_update(sizes: tuple[Size, ...], sequences: int, max_length: int, budget: int, padded: bool) -> Batch:
    """The mean update of so many sequences, drawn at random and cut into micro-batches of at most `budget` tokens
    as training does; 0 leaves the padding out."""
    if padded:
        return Batch(sequences * max_length, sequences * max_length, sequences * max_length**2)
    rng = np.random.default_rng(0)
    tokens = computed = squares = 0.0
    for _ in range(DRAWN_UPDATES):
        parts = [size.lengths(len(range(i, sequences, len(sizes))), max_length, rng) for i, size in enumerate(sizes)]
        lengths = np.sort(np.concatenate(parts))[::-1]
        tokens += lengths.sum()
        if not budget:
            computed, squares = tokens, squares + (lengths**2).sum()
            continue
        whole = np.ceil(lengths).astype(int)
        for part in cuts(whole, budget):
            count, longest = part.stop - part.start, int(whole[part.start])
            computed += count * longest
            squares += count * longest**2
    return Batch(*(float(total) / DRAWN_UPDATES for total in (tokens, computed, squares)))
