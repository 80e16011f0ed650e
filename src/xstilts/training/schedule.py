"""How a training is optimized and judged: recipe, learning rates, weight decay, evaluations, degenerate runs."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

AVERAGE = "average"
"""The snapshot of a training that holds the mean of its weights, see `averaged_updates`."""

DEV, ORACLE = "score", "oracle"
"""Scores that may choose weights: on English dev, and on dev examples in held-out languages, which zero-shot transfer
does not have. The oracle's model is in a folder of this name inside the model that is used."""


@dataclass(frozen=True)
class Recipe:
    """AdamW (Loshchilov and Hutter 2019) with linear warm-up and linear decay to zero.

    learning_rate: at its peak; warmup: share of the updates, 0 to 1; clip: largest gradient norm; micro_tokens:
    tokens of one forward pass, padding included, None for the device's default; gradient_checkpointing: computes
    activations twice instead of storing them; precision: 'fp32' or 'bf16' (autocast, weights stay fp32).
    """

    learning_rate: float
    warmup: float = 0.1
    weight_decay: float = 0.0
    beta2: float = 0.999
    clip: float = 1.0
    micro_tokens: int | None = None
    gradient_checkpointing: bool = False
    precision: str = "fp32"


def linear(update: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate at an update counted from 0: up over the first `warmup` share, then down to 0.

    >>> [round(linear(update, 4, 0.5), 2) for update in range(4)]
    [0.5, 1.0, 1.0, 0.5]
    """
    rising = warmup * total
    return min((update + 1) / rising if rising else 1.0, (total - update) / max(1.0, total - rising), 1.0)


def decay(recipe: Recipe, total: int, updates: int) -> float:
    """The factor by which weight decay alone shrinks a weight in the first `updates` of `total` updates."""
    rates = recipe.learning_rate * np.array([linear(u, total, recipe.warmup) for u in range(updates)])
    return float(np.prod(1 - rates * recipe.weight_decay))


def between_evaluations(asked: int, total: int, choosing: bool) -> int:
    """Updates between evaluations: as `asked`; for 0, a tenth of all if evaluations choose weights, else all."""
    return asked or (math.ceil(total / 10) if choosing else total)


def averaged_updates(total: int) -> list[int]:
    """The updates, counted from 1, after which weights enter the average of a training of `total` updates: at 60, 70,
    80, 90 and 100% of it, the second half of ten equally spaced checkpoints.

    Averaging checkpoints of one training transfers better across languages than its last weights and needs no labels of
    the target language (Schmidt et al. 2023, arxiv.org/abs/2305.16834). The rule is that of this project: the first
    half is left out because the learning rate is still high then.

    >>> averaged_updates(100), averaged_updates(3)
    ([60, 70, 80, 90, 100], [2, 3])
    """
    return sorted({math.ceil(total * tenth / 10) for tenth in range(6, 11)})


def degenerate(runs: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Which of some comparable runs are degenerate (Phang et al. 2018), whatever the scores in held-out languages: the
    loss fell by at most 5%, and the English dev score is below that of every run whose loss fell more. If no loss did,
    none is degenerate: the fault is in the setting.

    runs: mappings with `first_loss`, `loss` and `dev_score` (None if it was not measured).

    >>> good = {"first_loss": 1.1, "loss": 0.4, "dev_score": 70.0}
    >>> bad = {"first_loss": 1.1, "loss": 1.1, "dev_score": 33.0}
    >>> degenerate([good, bad]), degenerate([bad])
    ([False, True], [False])
    """
    flat = [not run["loss"] < 0.95 * run["first_loss"] for run in runs]
    scores = [run["dev_score"] for run in runs]
    learned = [score for score, is_flat in zip(scores, flat, strict=True) if score is not None and not is_flat]
    lowest = min(learned, default=-math.inf)
    return [is_flat and score is not None and score < lowest for score, is_flat in zip(scores, flat, strict=True)]
