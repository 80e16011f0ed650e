"""Run a plan with worker processes on this machine."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from xstilts.engine.gpus import ALONE, Sharing
from xstilts.engine.plan import Plan
from xstilts.engine.scheduler import Outcome, Report, Scheduler
from xstilts.engine.store import Store
from xstilts.engine.work import environment, kernel_memory, release_gpu, throttled, work


def execute(
    plan: Plan, store: Store, wanted: list[str], report: Report, jobs: int, threads: int,
    devices: Sequence[str] = (), discard: bool = False, sharing: Sharing = ALONE,
) -> Outcome:  # fmt: skip
    """Runs what `wanted` still needs, the critical path first, and returns when nothing more can be run.

    Args:
        report: called with each event (`plan`, `started`, `progress`, `finished`, `failed`, `damaged`, `retried`).
        jobs: number of steps at once; their worker processes keep their imports between steps.
        threads: threads of each worker; results depend on this number, never on `jobs`.
        devices: ids of the available GPUs, as in CUDA_VISIBLE_DEVICES; a step sees as many as its `resources` say.
        discard: whether an event `unneeded` is reported for each trained model that no step of the plan needs any more,
            and steps run in an order that needs few models at the same time.
        sharing: how many steps use a GPU at the same time; results do not depend on it.

    A failed step stops only the steps that need it. A step whose worker dies (killed, out of memory) or whose GPU has
    too little memory is retried once, alone. A step waits until its memory (as planned, corrected by finished steps of
    its kind) is available; one that needs more than there is runs alone. Raises XstiltsError of kind "store-full" if no
    step can finish.
    """
    scheduler = Scheduler(plan, store, wanted, report, 2, alone=True, discard=discard, sharing=sharing, devices=devices)
    report({"event": "plan", "steps": len(plan.steps), "todo": scheduler.todo, "slots": jobs})
    total: dict[str, float] = {"steps": jobs, "gpus": len(devices)}
    limits = [kernel_memory("/proc/meminfo", "MemAvailable:")]
    with suppress(OSError, ValueError):  # the control group's limit
        limit, used = (int(Path("/sys/fs/cgroup", name).read_text()) for name in ("memory.max", "memory.current"))
        limits.append((limit - used) / 1e9)
    if known := [limit for limit in limits if limit is not None]:
        total["memory"] = min(known)
    workers: list[_Worker] = []
    try:
        while True:
            while step := scheduler.take(total):
                report({"event": "started", "step": step.fingerprint})
                chosen, shares = scheduler.devices_of[step.fingerprint], scheduler.shares_gpu(step.fingerprint)
                worker = _worker_for(chosen, shares, workers, threads, ",".join(chosen) if devices else None)
                worker.step = step.fingerprint
                with suppress(BrokenPipeError):  # `_listen` sees that the worker died
                    worker.pipe.send((step.to_json(), store.place))
            busy = {key: w for w in workers if w.step for key in (w.pipe, w.process.sentinel)}
            if not busy:
                return scheduler.outcome
            for key in wait(busy):
                if busy[key].step:
                    _listen(busy[key], scheduler)
    finally:
        _discard([*workers], workers)


@dataclass
class _Worker:
    process: Any
    pipe: Connection
    devices: tuple[str, ...]
    step: str = ""


def _worker_for(
    devices: tuple[str, ...], shares: bool, workers: list[_Worker], threads: int, visible: str | None
) -> _Worker:
    """An idle worker that sees these devices, or a new one. Other idle workers that see some of them hold memory on
    them: they end, unless the step `shares` its GPU and they can run a step next to it."""
    _discard([w for w in workers if not w.step and not w.process.is_alive()], workers)
    idle = [w for w in workers if not w.step]
    worker = next((w for w in idle if w.devices == devices), None)
    usable = [worker, *(w for w in idle if shares and w.devices == devices)]
    _discard([w for w in idle if w not in usable and set(w.devices) & set(devices)], workers)
    if worker is None:
        spawn = multiprocessing.get_context("spawn")
        pipe, end = spawn.Pipe()
        process = spawn.Process(target=_serve, args=(end, os.getpid()))
        only = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
        with _environment({**environment(threads), **only}):  # before it imports the user's script, perhaps with torch
            process.start()
        end.close()
        worker = _Worker(process, pipe, devices)
        workers.append(worker)
    return worker


def _listen(worker: _Worker, scheduler: Scheduler) -> None:
    """Handles one message of a worker, or its death."""
    message: dict[str, Any] = {}
    fingerprint = worker.step
    with suppress(EOFError, OSError):
        message = worker.pipe.recv() if worker.pipe.poll() else {}
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


def _discard(superfluous: list[_Worker], workers: list[_Worker]) -> None:
    """Kills workers; their steps resume from a checkpoint."""
    for worker in superfluous:
        workers.remove(worker)
        worker.process.kill()
        worker.process.join()
        worker.process.close()
        worker.pipe.close()


@contextmanager
def _environment(changes: dict[str, str]) -> Iterator[None]:
    """Environment variables that processes started in the block inherit."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, parent: int) -> None:
    """Runs steps in a worker process until the main process kills it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    progress = throttled(lambda share: send({"share": share}), 0.5)

    def send(message: dict[str, Any]) -> None:
        try:
            pipe.send(message)
        except OSError:  # the main process was killed
            os._exit(1)

    while True:
        try:
            description, place = pipe.recv()
        except (EOFError, OSError):
            os._exit(1)
        result = work(description, place, progress)
        release_gpu()
        send(result)


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone: a killed main process cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
