"""Exact nearest neighbours of vectors by blocked matrix products."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch

BLOCK = 1024
"""Rows of a block: with 50,000 candidates its similarities take 200 MB."""


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors [n, h] scaled to length one, float32; a vector of zeros remains zero."""
    vectors = np.asarray(vectors, np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def nearest(queries: np.ndarray, candidates: np.ndarray, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Index [n] and cosine [n] of the nearest candidate, the first of equals, of each query, float [n, h]; candidates:
    float [m, h]. `block` queries at a time bound the memory."""
    queries, candidates = unit(queries), unit(candidates)
    best, cosine = np.empty(len(queries), np.int64), np.empty(len(queries), np.float32)
    for start in range(0, len(queries), block):
        part = slice(start, start + block)
        similarity = queries[part] @ candidates.T
        best[part], cosine[part] = similarity.argmax(1), similarity.max(1)
    return best, cosine


def top_k(queries: np.ndarray, candidates: np.ndarray, k: int, block: int = BLOCK) -> tuple[np.ndarray, np.ndarray]:
    """Indices, int64 [n, k], and cosines, float32 [n, k], of the k nearest candidates of each query, the nearest and of
    equals the first first. queries: float [n, h]; candidates: float [m, h]; k is cut to m. At most `block` queries at
    a time, and 50 million similarities, bound the memory.

    >>> top_k(np.array([[1.0, 0.0]]), np.array([[0.0, 2.0], [3.0, 0.0], [1.0, 0.0]]), 2)[0].tolist()
    [[1, 2]]
    """
    queries, candidates = unit(queries), unit(candidates)
    k = min(k, len(candidates))
    best, cosine = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    rows = max(1, min(block, 50_000_000 // len(candidates)))
    for start in range(0, len(queries), rows):
        similarity = queries[start : start + rows] @ candidates.T
        least = np.partition(similarity, -k, 1)[:, -k]
        for row, (values, threshold) in enumerate(zip(similarity, least, strict=True), start):
            chosen = np.flatnonzero(values >= threshold)
            best[row] = chosen[np.argsort(-values[chosen], kind="stable")][:k]
            cosine[row] = values[best[row]]
    return best, cosine


Neighbours = tuple[np.ndarray, np.ndarray]
"""Similarities, float32 [n, k], from high to low, and indices, int64 [n, k]."""
TopK = tuple["torch.Tensor", "torch.Tensor"]
"""The same as tensors."""
Vectors = tuple["torch.Tensor", "torch.Tensor"]
"""Queries [n, h] and candidates [m, h]."""
GROUP = 32
"""Rows of a block that are compared together."""
SPARE = 8
"""Candidates beyond k that a product in bfloat16 keeps, so that rounding rarely hides a neighbour."""


def neighbours(x: np.ndarray, y: np.ndarray, k: int, block: int = BLOCK) -> tuple[Neighbours, Neighbours]:
    """The k rows of y with the largest products with each row of x, and those of x for each row of y.

    x: float32 [n, h]; y: float32 [m, h], both of length one for cosines. Each block of the one product x yᵀ serves
    both directions, so that it is computed once and never held whole. If bfloat16 is faster here, the product is
    taken in it, k + SPARE candidates are scored again in float32, and a query whose neighbours the rounding might have
    hidden is searched again in float32: the neighbours are exact either way. k is cut to the number of candidates.

    >>> vectors = np.eye(3, dtype=np.float32)
    >>> (_, nearest_of_x), _ = neighbours(vectors, vectors[::-1], k=1)
    >>> nearest_of_x[:, 0].tolist()
    [2, 1, 0]
    """
    import torch

    exact = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))
    if not bfloat16_pays():
        forward, backward = _search(*exact, k, block)
    else:
        rounded = exact[0].bfloat16(), exact[1].bfloat16()
        forward, backward = _search(*rounded, k + SPARE, block)
        forward = _certified(forward, exact, rounded, k, block)
        backward = _certified(backward, exact[::-1], rounded[::-1], k, block)
    return (forward[0].numpy(), forward[1].numpy()), (backward[0].numpy(), backward[1].numpy())


def _search(queries: "torch.Tensor", candidates: "torch.Tensor", k: int, block: int) -> tuple[TopK, TopK]:
    """The k best of both directions by the products as they are computed."""
    import torch

    forward, backward = [], None
    buffer = torch.empty(block, len(candidates), dtype=queries.dtype)  # one for all blocks: memory is mapped once
    for start in range(0, len(queries), block):
        part = queries[start : start + block]
        product = torch.mm(part, candidates.T, out=buffer[: len(part)])
        forward.append(product.topk(min(k, len(candidates)), dim=1))
        backward = _merged(backward, product, start, k)
    assert backward is not None
    return (torch.cat([part.values for part in forward]), torch.cat([part.indices for part in forward])), backward


def _merged(best: TopK | None, product: "torch.Tensor", start: int, k: int) -> TopK:
    """The k best rows of each column so far, [m, k] from high to low, with those of a block that begins at row `start`.

    Once the k-th best of each column is known, few groups of rows hold anything better: only those are searched.
    """
    import torch

    rows, columns = product.shape
    if best is not None and rows % GROUP == 0 and best[0].shape[1] == k:
        values, indices = best
        grouped = product.view(-1, GROUP, columns)
        hits = (grouped.amax(1) > values[:, -1]).nonzero()
        if len(hits) < columns:
            hits = hits[hits[:, 1].argsort()]
            group, column = hits[:, 0].contiguous(), hits[:, 1].contiguous()
            turn = torch.arange(len(column)) - torch.searchsorted(column, column)
            for number in range(int(turn.max()) + 1 if len(turn) else 0):  # groups that improve one column take turns
                g, c = group[turn == number], column[turn == number]
                members = start + g[:, None] * GROUP + torch.arange(GROUP)
                values[c], indices[c] = _best_of((values[c], indices[c]), (grouped[g, :, c], members), k)
            return best
    top = product.topk(min(k, rows), dim=0)
    values, indices = top.values.T, top.indices.T + start
    return (values.contiguous(), indices.contiguous()) if best is None else _best_of(best, (values, indices), k)


def _best_of(first: TopK, second: TopK, k: int) -> TopK:
    """The k best of two lists for each query."""
    import torch

    values, indices = torch.cat([first[0], second[0]], 1), torch.cat([first[1], second[1]], 1)
    top = values.topk(min(k, values.shape[1]), dim=1)
    return top.values, indices.gather(1, top.indices)


def _certified(rounded_best: TopK, exact: Vectors, rounded: Vectors, k: int, block: int) -> TopK:
    """The k best of each query, in float32, from candidates with the best rounded products.

    A product of rounded vectors differs from the exact one by at most |q - q'| |c'| + |q| |c - c'| (Cauchy-Schwarz),
    the rounding of the result and of its sum. A candidate that was not kept scored no better than the worst one kept,
    so that the k best are exact if the k-th exceeds that score by the bound.
    """
    import torch

    (queries, candidates), (rounded_queries, rounded_candidates) = exact, rounded
    blocks = [slice(i, i + block) for i in range(0, len(queries), block)]
    scores = torch.cat([torch.bmm(candidates[rounded_best[1][b]], queries[b, :, None])[..., 0] for b in blocks])
    best = scores.topk(min(k, scores.shape[1]), dim=1)
    values, indices = best.values, rounded_best[1].gather(1, best.indices)
    if rounded_best[0].shape[1] == len(candidates):
        return values, indices
    worst = rounded_best[0][:, -1].float()
    length = rounded_candidates.float().norm(dim=1).max()
    error = (candidates - rounded_candidates.float()).norm(dim=1).max()
    bound = (queries - rounded_queries.float()).norm(dim=1) * length + queries.norm(dim=1) * error
    bound += worst.abs() * 2**-8 + queries.shape[1] * 2**-23 * queries.norm(dim=1) * length
    doubtful = (values[:, -1] < worst + bound).nonzero()[:, 0]
    for start in range(0, len(doubtful), block):
        rows = doubtful[start : start + block]
        again = (queries[rows] @ candidates.T).topk(values.shape[1], dim=1)
        values[rows], indices[rows] = again.values, again.indices
    return values, indices


def bfloat16_pays() -> bool:
    """Whether this processor multiplies bfloat16 itself: by what it reports, because a timing may differ the next time,
    and with it the last bits of scores."""
    import torch

    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
