"""Run one step in this process, for any executor."""

import gc
import importlib
import logging
import math
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from xstilts.context import Context, Progress
from xstilts.engine.plan import RECORD, Plan, Step
from xstilts.engine.store import Store
from xstilts.errors import STEP_FAILED, XstiltsError


def run_step(
    step: Step, store: Store, progress: Progress = lambda _: None, note: Callable[[str], None] = lambda _: None
) -> float:
    """Runs one step in this process and returns its seconds; its inputs must be finished.

    Raises XstiltsError: an unexpected error inside the step is the cause of one of kind "step-failed".
    """
    begin = time.monotonic()
    try:
        inputs = {name: store.open(fingerprint) for name, fingerprint in step.inputs.items()}
        function = _function(step)
        with _warnings_to(note), store.scratch(step.fingerprint) as scratch, store.writing(step) as out:
            arguments = {**step.arguments, **step.location}
            context = Context(scratch, progress, max(1, round(step.resources.get("ranks", 1))), store.root, note)
            function(arguments, inputs, out, context)
    except XstiltsError:
        raise
    except Exception as error:
        hint = "look up its traceback in events.jsonl of the run folder, or run the step alone: xstilts --debug step"
        raise XstiltsError("step-failed", f"step '{step.label}' failed", repr(error), hint) from error
    return time.monotonic() - begin


def _function(step: Step) -> Callable[..., None]:
    """The function of a step; raises XstiltsError of kind "unsafe" if it is not one of this package."""
    module, _, name = step.function.partition(":")
    if not module.startswith("xstilts."):
        why = "it is not a function of this package"
        raise XstiltsError("unsafe", f"refused to run {step.function}", why, "check the plan")
    return cast(Callable[..., None], getattr(importlib.import_module(module), name))


@contextmanager
def _warnings_to(note: Callable[[str], None]) -> Iterator[None]:
    """Hand what the package logs as a warning meanwhile to `note`, from code that no `Context` is given to."""
    handler, logger = logging.Handler(logging.WARNING), logging.getLogger("xstilts")
    handler.emit = lambda record: note(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def run_alone(
    plan: Plan, fingerprint: str, store: Store, progress: Progress = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
) -> float | None:  # fmt: skip
    """Runs one step of a plan without an executor and returns its seconds; None if it was already finished.

    note: takes a sentence for whoever watches, such as one about a damaged result that is computed again.
    Raises XstiltsError of kind "unfinished" if an input is missing or damaged, else with exit status 4.
    """
    step = plan.steps[fingerprint]
    if store.has(fingerprint) and not store.discarded([fingerprint]):
        if not (broken := store.inspect(fingerprint)):
            return None
        note(f"its result was damaged, is set aside and is computed again: {broken}")
    sources = dict.fromkeys(step.inputs.values())
    discarded = store.discarded(source for name, source in step.inputs.items() if name != RECORD)
    broken_inputs = {f: store.inspect(f) if store.has(f) else "" for f in sources}
    missing = [f for f in sources if broken_inputs[f] or f in discarded or not store.has(f)]
    if missing:
        states = {f: f"damaged, and set aside: {why}" if why else f[:12] for f, why in broken_inputs.items()}
        named = "; ".join(f"{plan.steps[f].label} ({states[f]})" for f in missing[:3])
        why = f"{len(missing)} of its {len(sources)} inputs are not in the store at {store.place}: {named}"
        hint = "run these first; `xstilts step --ready --run RUN` prints what can run now"
        raise XstiltsError("unfinished", f"'{step.label}' cannot run yet", why, hint)
    try:
        return run_step(step, store, progress, note)
    except XstiltsError as error:
        if error.code == STEP_FAILED:
            raise
        raise XstiltsError("step-failed", error.what, error.why, error.hint) from error


def work(description: dict[str, Any], place: str, progress: Progress) -> dict[str, Any]:
    """Runs a step for an executor and returns the outcome as plain data.

    That is `seconds`, `core_seconds` (of processors, which other work on the machine hardly changes), `memory` (GB, the
    peak of this process), `device_memory` (GB, the peak of its GPU) if it used one, and any `notes`; or `failed` (the
    error in words) and, if the error was unexpected, `trace`; or `lost` if another try may succeed: one of its
    processes died, or a GPU had too little memory; or `full`, the arguments of an error after which no step can finish.
    """
    with suppress(OSError):  # forgets the peak of earlier steps
        Path("/proc/self/clear_refs").write_text("5")
    notes: list[str] = []
    if gpu := _torch_gpu():
        gpu.reset_peak_memory_stats()
    store = Store(place)
    try:
        step = Step(**description)
        with suppress(ImportError, AttributeError):  # the first step of a process is not slower than the next
            _function(step)
        begin = _core_seconds()
        seconds = run_step(step, store, progress, notes.append)
    except XstiltsError as failure:
        error = store.gone() or failure
        if error.kind == "store-full":
            return {"full": error.args}
        if error.kind == "process-died":
            return {"lost": f"{error.what}: {error.why}"}
        if type(error.__cause__).__name__ == "OutOfMemoryError":  # torch's, of a GPU
            return {"lost": str(error)}
        trace = {"trace": "".join(traceback.format_exception(error.__cause__))} if error.__cause__ else {}
        return {"failed": str(error), **trace}
    peak = kernel_memory("/proc/self/status", "VmHWM:")
    if peak is None:  # elsewhere than on Linux: since the process started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    measured = {"seconds": seconds, "core_seconds": _core_seconds() - begin, "memory": peak}
    if gpu := _torch_gpu():
        measured["device_memory"] = gpu.max_memory_reserved() / 1e9
    rounded = {name: round(value, 3) for name, value in measured.items()}
    return {**rounded, **({"notes": notes} if notes else {})}


def release_gpu() -> None:
    """Returns the GPU memory that torch keeps for reuse, for other processes that share the GPU."""
    if gpu := _torch_gpu():
        gc.collect()
        gpu.empty_cache()


def _torch_gpu() -> Any:
    """The module `torch.cuda` if this process computes on a GPU, else None."""
    torch = sys.modules.get("torch")
    return torch.cuda if torch and torch.cuda.is_initialized() else None


def _core_seconds() -> float:
    """Seconds of processors that this process and those that it waited for have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def kernel_memory(file: str, name: str) -> float | None:
    """GB that a line of a file of the kernel gives in kB; None if there is no such file or line."""
    with suppress(OSError, StopIteration, ValueError):
        lines = Path(file).read_text().splitlines()
        return 1024 * int(next(line for line in lines if line.startswith(name)).split()[1]) / 1e9
    return None


def environment(threads: int) -> dict[str, str]:
    """Environment variables of a process that runs steps: results depend on the number of threads, those that wait for
    each other should not occupy cores, and bars of the hub's client would be drawn over those of the study."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    others = {
        "OMP_WAIT_POLICY": "passive",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    return {**dict.fromkeys(names, str(threads)), **others}


def throttled(send: Progress, seconds: float) -> Progress:
    """`send`, but at most once in so many seconds: what comes in between is dropped."""
    last = -math.inf

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > seconds:
            last = time.monotonic()
            send(share)

    return progress
