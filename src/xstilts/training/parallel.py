"""Data parallelism: processes with equal weights share the micro-batches of each update.

Every process runs the whole step on all data and computes only its share of the forward and backward passes. The
gradients are summed once per update, and then all take the same optimizer step.
"""

import importlib
import json
import shutil
import signal
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import distributed as dist
from torch import multiprocessing

from xstilts.context import Context
from xstilts.errors import XstiltsError

T = TypeVar("T")
StepFunction = Callable[[dict[str, Any], dict[str, Path], Path, Context], None]


def distributed(step: StepFunction) -> StepFunction:
    """Makes a step that trains run in `context.ranks` processes; what the first of them writes is its result.

    Raises the XstiltsError of one of the processes, or one of kind "process-died".
    """

    @wraps(step)
    def run(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
        gpus = torch.cuda.device_count() if arguments["device"] == "cuda" else context.ranks
        count = min(context.ranks, gpus)
        if count <= 1 or dist.is_initialized():
            return step(arguments, inputs, out, context)
        share = multiprocessing.get_context("spawn").Value("d", 0.0)
        folder = context.scratch / "processes"
        shutil.rmtree(folder, ignore_errors=True)  # of processes that were killed
        folder.mkdir()
        call = (step.__module__, step.__name__, arguments, inputs, out)  # a decorated function cannot be pickled
        settings = (call, context.scratch, context.store, count, share, folder)
        processes = multiprocessing.start_processes(_process, settings, count, join=False, start_method="spawn")
        assert processes is not None
        try:
            while not processes.join(timeout=0.5):
                context.progress(share.value)
        except (multiprocessing.ProcessRaisedException, multiprocessing.ProcessExitedException):
            for file in folder.glob("error*.json"):
                raise XstiltsError(*json.loads(file.read_text())) from None
            killed = {process.exitcode for process in processes.processes} - {None, 0, 1, -signal.SIGTERM}
            if killed:  # the error of another one is only that it lost its peer
                what = f"one of {count} processes of a training died"
                why, hint = f"it ended with status {killed.pop()}: killed, or out of memory?", "run the study again"
                raise XstiltsError("process-died", what, why, hint) from None
            raise
        for note in json.loads((folder / "notes0.json").read_text()):
            context.note(note)

    return run


def _process(
    number: int, call: tuple[Any, ...], scratch: Path, store: Path | None, count: int, share: Any, folder: Path
) -> None:
    """One of the processes; all but the first write to a folder that is thrown away."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # torch ends it by this signal if its parent dies
    module, name, arguments, inputs, out = call
    cuda = arguments["device"] == "cuda"
    if cuda:
        torch.cuda.set_device(number)
    meeting = dist.FileStore(str(folder / "meeting"), count)  # a URL would cut a path with '#'
    dist.init_process_group("nccl" if cuda else "gloo", store=meeting, rank=number, world_size=count)
    notes: list[str] = []
    context = Context(scratch, lambda done: setattr(share, "value", done), store=store, note=notes.append)
    if number:
        out, context = folder / f"out{number}", Context(scratch, store=store)
        out.mkdir()
    try:
        getattr(importlib.import_module(module), name)(arguments, inputs, out, context)
    except XstiltsError as error:
        (folder / f"error{number}.json").write_text(json.dumps(error.args))
        raise
    (folder / f"notes{number}.json").write_text(json.dumps(notes))
    dist.destroy_process_group()


def ranks() -> int:
    """The number of processes that share this training."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """The number of this process among them, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def local_shard(items: Sequence[T], costs: Sequence[int]) -> list[T]:
    """The items of this process: in order of falling cost, each goes to the process with the least load."""
    loads = [0] * ranks()
    local = []
    for i in sorted(range(len(items)), key=lambda i: -costs[i]):
        least = loads.index(min(loads))
        loads[least] += costs[i]
        if least == rank():
            local.append(i)
    return [items[i] for i in sorted(local)]


def all_reduce(loss: torch.Tensor, weights: list[torch.nn.Parameter]) -> None:
    """Replaces the loss and all gradients, in place, by their sums over the processes.

    A weight without a gradient in any process keeps none, so that the optimizer leaves it alone.
    """
    if ranks() == 1:
        return
    present = torch.tensor([weight.grad is not None for weight in weights], dtype=torch.float32, device=loss.device)
    dist.all_reduce(present)
    dist.all_reduce(loss)
    for weight, count in zip(weights, present.tolist(), strict=True):
        if count:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            dist.all_reduce(weight.grad)
