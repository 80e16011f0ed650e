"""How well an encoder's features fit a task before it is trained."""

import numpy as np

ITERATIONS = 100
TOLERANCE = 1e-6


def h_score(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """tr(cov(f)⁻¹ cov(E[f|y])) of embeddings [n, d] and class numbers [n]: 0 to the number of classes − 1.

    Bao et al. 2019, "An Information-Theoretic Approach to Transferability in Task Transfer Learning", eq. 2; the
    pseudo-inverse stands in where features are not independent.
    """
    centred = embeddings - embeddings.mean(0)
    covariance = centred.T @ centred / len(centred)
    means = np.zeros_like(centred)
    for label in np.unique(labels):
        means[labels == label] = centred[labels == label].mean(0)
    between = means.T @ means / len(centred)
    return float(np.trace(np.linalg.pinv(covariance, rcond=1e-8, hermitian=True) @ between))


def log_me(embeddings: np.ndarray, labels: np.ndarray) -> float:
    """Log of the maximum evidence per row of a linear model from embeddings [n, d] to class numbers [n].

    You et al. 2021, "LogME: Practical Assessment of Pre-trained Models for Transfer Learning" (arXiv 2102.11005),
    algorithm 1: one model for each class against the others, the mean of their evidence. Higher is better.
    """
    n, d = embeddings.shape
    u, s, _ = np.linalg.svd(embeddings.astype(float), full_matrices=False)
    found = []
    for label in np.unique(labels):
        y = (labels == label).astype(float)
        found.append(_evidence(s**2, u.T @ y, float(y @ y), n, d))
    return float(np.mean(found))


def _evidence(s2: np.ndarray, z: np.ndarray, yy: float, n: int, d: int) -> float:
    """The evidence per row, where α (precision of the weights) and β (of the noise) make it largest.

    s2: squared singular values; z: the target in the basis of the left singular vectors; yy: its squared length.
    """
    outside = max(yy - float(z @ z), 0.0)  # what no weights can fit
    alpha, beta = 1.0, 1.0
    for _ in range(ITERATIONS):
        t = alpha / beta
        gamma = float((s2 / (s2 + t)).sum())
        m2 = float((s2 * z**2 / (s2 + t) ** 2).sum())
        res2 = float((t**2 * z**2 / (s2 + t) ** 2).sum()) + outside
        alpha, beta = gamma / max(m2, 1e-12), (n - gamma) / max(res2, 1e-12)
        if abs(alpha / beta - t) <= TOLERANCE * t:
            break
    t = alpha / beta
    m2 = float((s2 * z**2 / (s2 + t) ** 2).sum())
    res2 = float((t**2 * z**2 / (s2 + t) ** 2).sum()) + outside
    log_det = float(np.log(alpha + beta * s2).sum()) + (d - len(s2)) * np.log(alpha)
    value = n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi) - beta * res2 - alpha * m2 - log_det
    return float(value / (2 * n))
