"""Data parallelism: the micro-batches of an update shared out among processes that hold the same weights.

Every process does the whole step and knows all its data; only forward and backward passes are shared out. The sum of
gradients is taken once an update, and then all take the same optimiser step.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def ranks() -> int:
    """How many processes share this training; 1 where it is alone."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process among them."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def mine(items: Sequence[T], costs: Sequence[int]) -> list[T]:
    """The items that fall to this process: the dearest first, each to whoever has least to do."""
    loads = [0] * ranks()
    taken = []
    for i in sorted(range(len(items)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        loads[least] += costs[i]
        if least == rank():
            taken.append(i)
    return [items[i] for i in sorted(taken)]


def add_up(loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> None:
    """Replaces the loss and all gradients, in place, by their sums over the processes.

    A weight that no process has a gradient for keeps none, so that the optimiser leaves it alone as ever.
    """
    if ranks() == 1:
        return
    present = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float32, device=loss.device)
    distributed.all_reduce(present)
    distributed.all_reduce(loss)
    for weight, count in zip(weights, present.tolist(), strict=True):
        if count:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            distributed.all_reduce(weight.grad)
