"""Trainings that came to nothing, judged by training loss and English dev alone: never by what is evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any

FLAT = 0.95
"""A training whose last loss is at least this share of its first has hardly learnt."""


def degenerate(runs: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of some comparable trainings are dead: the loss hardly fell, and the English-dev score is below that of
    every training whose loss did fall. Where none of them has learnt, none is dead: the setting is.

    runs: mappings with `first_loss`, `loss` and `dev_score` (None: not measured).
    """
    flat = [not run["loss"] < FLAT * run["first_loss"] for run in runs]
    known = [run["dev_score"] for run, idle in zip(runs, flat, strict=True) if not idle]
    lowest = min((score for score in known if score is not None), default=float("-inf"))
    return [
        idle and run["dev_score"] is not None and run["dev_score"] < lowest
        for run, idle in zip(runs, flat, strict=True)
    ]
