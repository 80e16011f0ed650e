"""Data parallelism: the micro-batches of an update shared out among processes that hold the same weights.

Every process does the whole step and knows all its data; only forward and backward passes are shared out. The sum of
gradients is taken once an update, and then all take the same optimiser step.
"""

import importlib
import json
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import multiprocessing

from xstilts.context import Context
from xstilts.errors import XstiltsError

T = TypeVar("T")
StepFunction = Callable[[dict[str, Any], dict[str, Path], Path, Context], None]


def distributed(step: StepFunction) -> StepFunction:
    """A step that trains in `context.ranks` processes where there are more than one: all do the same step, and what
    the first of them writes is its result."""

    @wraps(step)
    def alone_or_shared(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
        """The step itself, or its processes."""
        count = context.ranks
        if arguments["device"] == "cuda":
            count = min(count, torch.cuda.device_count())
        if count <= 1 or torch.distributed.is_initialized():
            step(arguments, inputs, out, context)
        else:
            _spread(f"{step.__module__}:{step.__name__}", arguments, inputs, out, context, count)

    return alone_or_shared


def _spread(
    place: str, arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context, count: int
) -> None:
    """Runs the step at `place` in that many processes; raises the XstiltsError of one of them."""
    share = multiprocessing.get_context("spawn").Value("d", 0.0)
    with tempfile.TemporaryDirectory() as folder:
        told = (place, arguments, inputs, out, context.scratch, context.store, count, share, folder)
        processes = multiprocessing.start_processes(_one, told, count, join=False, start_method="spawn")
        assert processes is not None
        try:
            while not processes.join(timeout=0.5):
                context.progress(share.value)
        except multiprocessing.ProcessRaisedException:
            for file in Path(folder).glob("error*.json"):
                raise XstiltsError(*json.loads(file.read_text())) from None
            raise


def _one(number: int, place: str, arguments: dict[str, Any], inputs: dict[str, Path], out: Path, scratch: Path,
         store: Path | None, count: int, share: Any, folder: str) -> None:  # fmt: skip
    """One of the processes; all but the first write to a folder that is thrown away."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # by which it is ended when the process that began it dies
    module, _, name = place.partition(":")
    step = getattr(importlib.import_module(module), name)
    cuda = arguments["device"] == "cuda"
    if cuda:
        torch.cuda.set_device(number)
    torch.distributed.init_process_group("nccl" if cuda else "gloo", f"file://{folder}/meeting", rank=number,
                                   world_size=count)  # fmt: skip

    def progress(done: float) -> None:
        share.value = done

    if number:
        out = Path(folder) / f"out{number}"
        out.mkdir()
    try:
        step(arguments, inputs, out, Context(scratch, (lambda done: None) if number else progress, store=store))
    except XstiltsError as error:
        Path(folder, f"error{number}.json").write_text(json.dumps(error.args))
        raise
    torch.distributed.destroy_process_group()


def ranks() -> int:
    """How many processes share this training; 1 where it is alone."""
    return torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1


def rank() -> int:
    """The number of this process among them."""
    return torch.distributed.get_rank() if torch.distributed.is_initialized() else 0


def local_shard(items: Sequence[T], costs: Sequence[int]) -> list[T]:
    """The items that fall to this process: the dearest first, each to whoever has least to do."""
    loads = [0] * ranks()
    taken = []
    for i in sorted(range(len(items)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        loads[least] += costs[i]
        if least == rank():
            taken.append(i)
    return [items[i] for i in sorted(taken)]


def all_reduce(loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> None:
    """Replaces the loss and all gradients, in place, by their sums over the processes.

    A weight that no process has a gradient for keeps none, so that the optimiser leaves it alone as ever.
    """
    if ranks() == 1:
        return
    present = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float32, device=loss.device)
    torch.distributed.all_reduce(present)
    torch.distributed.all_reduce(loss)
    for weight, count in zip(weights, present.tolist(), strict=True):
        if count:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            torch.distributed.all_reduce(weight.grad)
