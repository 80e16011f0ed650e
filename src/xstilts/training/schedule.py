"""How weights are moved over a training: the recipe, the learning rate of each update, and what decay leaves."""

import math
from dataclasses import dataclass

import numpy as np

DEV, ORACLE = "score", "oracle"
"""Scores by which weights may be chosen: on English dev, and on dev rows in the languages that are evaluated, which
nobody has. The latter is also the name of the folder of the model that it chose, below the one that is used."""


@dataclass(frozen=True)
class Recipe:
    """How weights are moved: AdamW (Loshchilov and Hutter 2019) with linear warm-up and linear decay to zero.

    learning_rate: at its peak; warmup: share of the updates, 0 to 1; clip: largest gradient norm; micro_tokens:
    tokens with padding of one forward pass, None for what suits the device; gradient_checkpointing: computes
    activations twice in place of keeping them; precision: 'fp32' or 'bf16' (autocast, weights stay fp32).
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
    """Share of the peak learning rate at an update counted from 0: up over the first `warmup` share, then down to 0."""
    rising = warmup * total
    return min((update + 1) / rising if rising else 1.0, (total - update) / max(1.0, total - rising), 1.0)


def decay(recipe: Recipe, total: int, updates: int) -> float:
    """What weight decay alone leaves of a weight after the first `updates` of `total` updates, as a factor."""
    rates = recipe.learning_rate * np.array([linear(u, total, recipe.warmup) for u in range(updates)])
    return float(np.prod(1 - rates * recipe.weight_decay))


def between_evaluations(asked: int, total: int, choosing: bool) -> int:
    """Updates from one evaluation to the next: as `asked`; where that is 0, a tenth of all if weights are chosen by
    one, and all of them if not."""
    return asked or (math.ceil(total / 10) if choosing else total)
