"""Fast dropout on processors: 16 bits of a 64-bit random number decide about each element."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

LEVELS = 2**16


def dropout(values: torch.Tensor, rate: float) -> torch.Tensor:
    """Sets elements to 0 with probability `rate` (rounded to 1/65,536), and divides the others by 1 - rate.

    Draws from torch's default generator, as torch's dropout does, but five times as fast on a processor.
    """
    if values.device.type != "cpu" or not 0 < rate < 1:
        return torch.nn.functional.dropout(values, rate)
    words = torch.empty(-(-values.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = words.view(torch.int16)[: values.numel()].view(values.shape)
    return values * (bits >= round(rate * LEVELS) - LEVELS // 2).to(values.dtype).mul_(1 / (1 - rate))


@contextmanager
def cheap_dropout(model: torch.nn.Module) -> Iterator[None]:
    """Makes the dropout layers of the model use `dropout` inside the context."""
    layers = [module for module in model.modules() if type(module) is torch.nn.Dropout]
    for layer in layers:
        vars(layer)["forward"] = lambda values, layer=layer: dropout(values, layer.p) if layer.training else values
    try:
        yield
    finally:
        for layer in layers:
            del vars(layer)["forward"]
