"""Every random draw follows from a name: the study's seed, the replicate, the task and the purpose."""

import hashlib

import numpy as np

INDEPENDENT = 1000
"""Added to the replicate number of an independent arm: far beyond any number of replicates."""


def derive(*parts: str | int) -> int:
    """A 63-bit seed that is a pure function of `parts`, the same on every machine and Python version."""
    digest = hashlib.blake2b("\x1f".join(f"{type(p).__name__}:{p}" for p in parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def generator(*parts: str | int) -> np.random.Generator:
    """A NumPy generator (PCG64) seeded by `derive(*parts)`."""
    return np.random.Generator(np.random.PCG64(derive(*parts)))
