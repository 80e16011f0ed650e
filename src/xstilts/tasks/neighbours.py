"""Exact nearest neighbours of vectors by blocked matrix products."""

import numpy as np

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


def neighbours(x: np.ndarray, y: np.ndarray, k: int, block: int = BLOCK) -> tuple[Neighbours, Neighbours]:
    """The k rows of y with the largest products with each row of x, and those of x for each row of y.

    x: float32 [n, h]; y: float32 [m, h], both of length one for cosines. Each block of the one product x yᵀ serves
    both directions, so that it is computed once and never held whole. k is cut to the number of candidates.
    """
    import torch

    ours, theirs = torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(np.ascontiguousarray(y))
    forward, backward = [], None
    for start in range(0, len(x), block):
        product = ours[start : start + block] @ theirs.T
        forward.append(product.topk(min(k, len(y)), dim=1))
        found = product.topk(min(k, len(product)), dim=0)
        values, indices = found.values.T, found.indices.T + start
        if backward is not None:
            values, indices = torch.cat([backward[0], values], 1), torch.cat([backward[1], indices], 1)
            kept = values.topk(min(k, values.shape[1]), dim=1)
            values, indices = kept.values, indices.gather(1, kept.indices)
        backward = values, indices
    assert backward is not None
    near = torch.cat([part.values for part in forward]), torch.cat([part.indices for part in forward])
    return (near[0].numpy(), near[1].numpy()), (backward[0].numpy(), backward[1].numpy())
