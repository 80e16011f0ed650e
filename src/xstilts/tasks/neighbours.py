"""Exact nearest neighbours of vectors by blocked matrix products."""

import time
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

BLOCK = 1024
"""Rows of a block: with 50,000 candidates its similarities take 200 MB."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, h] of length one, float32; a vector of zeros stays one."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def nearest(queries: np.ndarray, candidates: np.ndarray, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Index [n] and cosine [n] of each query's nearest candidate; the first of equals.

    queries: float [n, h]; candidates: float [m, h]; `block` queries at a time bound the memory.
    """
    queries, candidates = unit(queries), unit(candidates)
    best = np.empty(len(queries), np.int64)
    cosine = np.empty(len(queries), np.float32)
    for start in range(0, len(queries), block):
        similarity = queries[start : start + block] @ candidates.T
        best[start : start + block] = similarity.argmax(1)
        cosine[start : start + block] = similarity.max(1)
    return best, cosine


Neighbours = tuple[np.ndarray, np.ndarray]
"""Similarities, float32 [n, k], from high to low, and indices, int64 [n, k]."""
Found = tuple["torch.Tensor", "torch.Tensor"]
GROUP = 32
"""Rows of a block that are looked at together."""
SPARE = 8
"""Candidates beyond k that a product in bfloat16 keeps, so that rounding rarely hides a neighbour."""


def neighbours(x: np.ndarray, y: np.ndarray, k: int, block: int = BLOCK) -> tuple[Neighbours, Neighbours]:
    """The k rows of y with the largest products with each row of x, and those of x for each row of y.

    x: float32 [n, h]; y: float32 [m, h], both of length one for cosines. Each block of the one product x yᵀ serves
    both directions, so that it is computed once and never held whole. Where bfloat16 is faster here, the product is
    taken in it, k + SPARE candidates are scored again in float32, and a query whose neighbours the rounding might have
    hidden is searched again in float32: the neighbours are exact either way. k is cut to the number of candidates.
    """
    import torch

    ours, theirs = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))
    if not bfloat16_pays():
        ahead, behind = _search(ours, theirs, k, block)
    else:
        rough = ours.bfloat16(), theirs.bfloat16()
        found, back = _search(*rough, k + SPARE, block)
        ahead = _certified(found, (ours, theirs), rough, k, block)
        behind = _certified(back, (theirs, ours), rough[::-1], k, block)
    return (ahead[0].numpy(), ahead[1].numpy()), (behind[0].numpy(), behind[1].numpy())


def _search(ours: "torch.Tensor", theirs: "torch.Tensor", k: int, block: int) -> tuple[Found, Found]:
    """The k best of both directions by the products as they are computed."""
    import torch

    forward, backward = [], None
    buffer = torch.empty(block, len(theirs), dtype=ours.dtype)  # one for all blocks: memory is mapped once
    for start in range(0, len(ours), block):
        part = ours[start : start + block]
        product = torch.mm(part, theirs.T, out=buffer[: len(part)])
        forward.append(product.topk(min(k, len(theirs)), dim=1))
        backward = _merged(backward, product, start, k)
    assert backward is not None
    return (torch.cat([part.values for part in forward]), torch.cat([part.indices for part in forward])), backward


def _merged(best: Found | None, product: "torch.Tensor", start: int, k: int) -> Found:
    """The k best rows of each column so far, [m, k] from high to low, with those of a block that begins at row `start`.

    Where the k-th best of each column is known, few groups of rows hold anything better: only those are looked at.
    """
    import torch

    rows, columns = product.shape
    if best is not None and rows % GROUP == 0 and best[0].shape[1] == k:
        grouped = product.view(-1, GROUP, columns)
        hits = (grouped.amax(1) > best[0][:, -1]).nonzero()
        if len(hits) < columns:
            return _improved(best, grouped, hits[hits[:, 1].argsort()], start)
    found = product.topk(min(k, rows), dim=0)
    values, indices = found.values.T, found.indices.T + start
    if best is not None:
        values, indices = torch.cat([best[0], values], 1), torch.cat([best[1], indices], 1)
        kept = values.topk(min(k, values.shape[1]), dim=1)
        values, indices = kept.values, indices.gather(1, kept.indices)
    return values.contiguous(), indices.contiguous()


def _improved(best: Found, grouped: "torch.Tensor", hits: "torch.Tensor", start: int) -> Found:
    """`best` with the rows of some groups; grouped: [groups, GROUP, m]; hits: (group, column) [n, 2], by column."""
    import torch

    values, indices = best
    group, column = hits[:, 0].contiguous(), hits[:, 1].contiguous()
    first = torch.searchsorted(column, column)
    turn = torch.arange(len(column)) - first  # a column that several groups improve takes them one after the other
    for number in range(int(turn.max()) + 1 if len(turn) else 0):
        now = turn == number
        where, own = column[now], group[now]
        rows = start + own[:, None] * GROUP + torch.arange(GROUP)
        both = torch.cat([values[where], grouped[own, :, where]], 1), torch.cat([indices[where], rows], 1)
        kept = both[0].topk(values.shape[1], dim=1)
        values[where], indices[where] = kept.values, both[1].gather(1, kept.indices)
    return values, indices


def _certified(
    found: Found, exact: tuple["torch.Tensor", "torch.Tensor"], rough: tuple["torch.Tensor", "torch.Tensor"], k: int,
    block: int,
) -> Found:  # fmt: skip
    """The k best of each query, in float32, from candidates that were found by rounded products.

    A product of rounded vectors differs from the exact one by at most |q - q'| |c'| + |q| |c - c'| (Cauchy-Schwarz),
    the rounding of the result and of its sum. A candidate that was not kept scored no better than the worst one kept,
    so that the k best are exact where the k-th beats that score by the bound.
    """
    import torch

    (queries, candidates), (rounded, others) = exact, rough
    scores = torch.cat([
        torch.bmm(candidates[found[1][i : i + block]], queries[i : i + block, :, None])[..., 0]
        for i in range(0, len(queries), block)
    ])  # fmt: skip
    best = scores.topk(min(k, scores.shape[1]), dim=1)
    values, indices = best.values, found[1].gather(1, best.indices)
    if found[0].shape[1] == len(candidates):
        return values, indices
    worst = found[0][:, -1].float()
    largest = others.float().norm(dim=1).max(), (candidates - others.float()).norm(dim=1).max()
    bound = (queries - rounded.float()).norm(dim=1) * largest[0] + queries.norm(dim=1) * largest[1]
    bound += worst.abs() * 2**-8 + queries.shape[1] * 2**-23 * queries.norm(dim=1) * largest[0]
    doubtful = (values[:, -1] < worst + bound).nonzero()[:, 0]
    for start in range(0, len(doubtful), block):
        rows = doubtful[start : start + block]
        again = (queries[rows] @ candidates.T).topk(values.shape[1], dim=1)
        values[rows], indices[rows] = again.values, again.indices
    return values, indices


@cache
def bfloat16_pays() -> bool:
    """Whether a matrix product in bfloat16 takes less than 60 % of the time of one in float32 on this processor."""
    import torch

    one, other = torch.ones(256, 768), torch.ones(768, 4096)
    seconds = {}
    for kind in (torch.float32, torch.bfloat16):
        a, b = one.to(kind), other.to(kind)
        times = []
        for _ in range(4):
            begin = time.perf_counter()
            a @ b
            times.append(time.perf_counter() - begin)
        seconds[kind] = min(times)
    return seconds[torch.bfloat16] < 0.6 * seconds[torch.float32]
