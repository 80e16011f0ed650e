"""Whole updates as CUDA graphs: the processor starts one recording instead of some two thousand kernels."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten

Outputs = tuple[Tensor, ...]
Call = Callable[[], Outputs]


class Replay:
    """A function of tensors (in dicts and tuples) that may change other tensors in place, such as weights.

    The first call with tensors of some shapes runs it; the second records it, and the later ones replay the recording.
    Random numbers follow from the generator's seed at each call. A function that cannot be recorded is run each time;
    `why_not` then says why.

    record: records what a call without arguments does to the device, and returns a call that does it again.
    """

    def __init__(self, function: Callable[..., Outputs], record: Callable[[Call], Call] | None = None) -> None:
        self.function, self.record = function, record or cuda_recorder()
        self.seen: set[Any] = set()
        self.recorded: dict[Any, tuple[list[Tensor], Call]] = {}
        self.why_not = ""

    def __call__(self, *arguments: Any) -> Outputs:
        leaves, form = tree_flatten(arguments)
        shapes = (str(form), *((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves))
        if self.why_not or shapes not in self.seen:
            self.seen.add(shapes)
            return self.function(*arguments)
        if shapes not in self.recorded:
            held = [leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in leaves]
            try:
                again = self.record(lambda: self.function(*tree_unflatten(held, form)))
            except RuntimeError as error:  # nothing ran
                self.why_not = f"{type(error).__name__}: {error}"
                return self.function(*arguments)
            self.recorded[shapes] = held, again
        held, again = self.recorded[shapes]
        for old, new in zip(held, leaves, strict=True):
            if isinstance(old, Tensor):
                old.copy_(new)
        return tuple(output.clone() for output in again())


def cuda_recorder() -> Callable[[Call], Call]:
    """Records CUDA graphs that share their memory: only one of them runs at a time."""
    pool = torch.cuda.graph_pool_handle()

    def record(call: Call) -> Call:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            outputs = call()

        def again() -> Outputs:
            graph.replay()
            return outputs

        return again

    return record
