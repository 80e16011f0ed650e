"""Degenerate runs (Phang et al. 2018), judged by training loss and English dev score, never by held-out languages."""

from collections.abc import Mapping, Sequence
from typing import Any

FLAT = 0.95
"""A run whose last loss is at least this share of its first loss has hardly learned."""


def degenerate(runs: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of some comparable runs are degenerate: the loss hardly fell, and the English dev score is below that of
    every run whose loss did fall. If no loss fell, none is degenerate: the fault is in the setting.

    runs: mappings with `first_loss`, `loss` and `dev_score` (None if it was not measured).

    >>> good = {"first_loss": 1.1, "loss": 0.4, "dev_score": 70.0}
    >>> bad = {"first_loss": 1.1, "loss": 1.1, "dev_score": 33.0}
    >>> degenerate([good, bad]), degenerate([bad])
    ([False, True], [False])
    """
    flat = [not run["loss"] < FLAT * run["first_loss"] for run in runs]
    scores = [run["dev_score"] for run, is_flat in zip(runs, flat, strict=True) if not is_flat]
    lowest = min((score for score in scores if score is not None), default=float("-inf"))
    return [
        is_flat and run["dev_score"] is not None and run["dev_score"] < lowest
        for run, is_flat in zip(runs, flat, strict=True)
    ]
