"""Run a plan with worker processes on this machine."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from xstilts.engine.scheduler import Outcome, Report, Scheduler
from xstilts.engine.step import Plan, Step
from xstilts.engine.store import Store
from xstilts.engine.work import work

TRIES = 2


def execute(
    plan: Plan, store: Store, wanted: list[str], report: Report, jobs: int, threads: int, devices: Sequence[str] = ()
) -> Outcome:
    """Runs what `wanted` still needs, the critical path first, and returns when nothing more can be run.

    Args:
        report: called with each event (`plan`, `started`, `progress`, `finished`, `failed`, `damaged`, `retried`).
        jobs: number of steps at once; their worker processes keep their imports between steps.
        threads: threads of each worker; results depend on this number, never on `jobs`.
        devices: ids of the available GPUs, as in CUDA_VISIBLE_DEVICES; a step sees as many as its `resources` say, and
            no other step uses them meanwhile.

    A failed step stops only the steps that need it. A step whose worker dies (killed, out of memory) is retried once,
    alone. A step waits until its memory (as planned, corrected by finished steps of its kind) is available; one that
    needs more than there is runs alone. Raises XstiltsError of kind "store-full" if no step can finish.
    """
    scheduler = Scheduler(plan, store, wanted, report, TRIES, alone=True)
    report({"event": "plan", "steps": len(plan.steps), "todo": scheduler.todo, "slots": jobs})
    total = {"steps": jobs, "gpus": len(devices), **_available_memory()}
    workers: list[_Worker] = []
    try:
        while True:
            while step := scheduler.take(total):
                report({"event": "started", "step": step.fingerprint})
                _hand_out(step, store, workers, devices, threads)
            busy = {key: w for w in workers if w.step for key in (w.pipe, w.process.sentinel)}
            if not busy:
                return scheduler.outcome
            for key in wait(busy):
                if busy[key].step:
                    _listen(busy[key], scheduler)
    finally:
        for worker in workers:
            _end(worker)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    devices: tuple[str, ...]
    step: str = ""


def _hand_out(step: Step, store: Store, workers: list[_Worker], devices: Sequence[str], threads: int) -> None:
    """Gives the step to an idle worker that sees the right devices, or to a new one.

    An idle worker holds memory on its devices: those whose devices are needed are stopped.
    """
    for worker in [w for w in workers if not w.step and not w.process.is_alive()]:
        _discard(worker, workers)
    count = min(round(step.resources.get("gpus", 0)), len(devices))
    fitting = [w for w in workers if not w.step and len(w.devices) == count]
    if fitting:
        worker = fitting[0]
    else:
        taken = {device for w in workers if w.step for device in w.devices}
        chosen = tuple(device for device in devices if device not in taken)[:count]
        for other in [w for w in workers if set(w.devices) & set(chosen)]:
            _discard(other, workers)
        worker = _start(chosen, threads, restrict=bool(devices))
        workers.append(worker)
    worker.step = step.fingerprint
    with suppress(BrokenPipeError):  # `_listen` sees that the worker died
        worker.pipe.send((step.to_json(), store.place))


def _listen(worker: _Worker, scheduler: Scheduler) -> None:
    """Handles one message of a worker, or its death."""
    fingerprint = worker.step
    try:
        message = worker.pipe.recv() if worker.pipe.poll() else {}
    except (EOFError, OSError):
        message = {}
    if "share" in message:
        scheduler.report({"event": "progress", "step": fingerprint, **message})
        return
    worker.step = ""
    if message:
        scheduler.settle(fingerprint, message)
    else:
        worker.process.kill()
        worker.process.join()
        scheduler.lose(fingerprint, "a worker process died")


def _start(devices: tuple[str, ...], threads: int, restrict: bool) -> _Worker:
    """A new worker; `restrict` makes `devices` the only GPUs that it sees."""
    spawn = multiprocessing.get_context("spawn")
    pipe, end = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(end, os.getpid(), threads, ",".join(devices) if restrict else None))
    process.start()
    end.close()
    return _Worker(process, pipe, devices)


def _discard(worker: _Worker, workers: list[_Worker]) -> None:
    workers.remove(worker)
    _end(worker)


def _end(worker: _Worker) -> None:
    """Kills a worker; its step resumes from a checkpoint."""
    worker.process.kill()
    worker.process.join()
    worker.process.close()
    worker.pipe.close()


def _serve(pipe: Connection, parent: int, threads: int, visible: str | None) -> None:
    """Runs steps in a worker process until the main process kills it."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    last = 0.0

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            pipe.send({"share": share})

    while True:
        description, place = pipe.recv()
        pipe.send(work(description, place, progress))


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone: a killed main process cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _available_memory() -> dict[str, float]:
    """Available memory in GB by the kernel and the control group's limit; empty if unknown."""
    limits = []
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        limits.append(int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024 / 1e9)
    with suppress(OSError, ValueError):
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        limits.append((limit - used) / 1e9)
    return {"memory": min(limits)} if limits else {}
