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

from xstilts.engine.plan import Plan, Step
from xstilts.engine.scheduler import Outcome, Report, Scheduler
from xstilts.engine.store import Store
from xstilts.engine.work import environment, kernel_memory, throttled, work


def execute(
    plan: Plan, store: Store, wanted: list[str], report: Report, jobs: int, threads: int,
    devices: Sequence[str] = (), discard: bool = False,
) -> Outcome:  # fmt: skip
    """Runs what `wanted` still needs, the critical path first, and returns when nothing more can be run.

    Args:
        report: called with each event (`plan`, `started`, `progress`, `finished`, `failed`, `damaged`, `retried`).
        jobs: number of steps at once; their worker processes keep their imports between steps.
        threads: threads of each worker; results depend on this number, never on `jobs`.
        devices: ids of the available GPUs, as in CUDA_VISIBLE_DEVICES; a step sees as many as its `resources` say, and
            no other step uses them meanwhile.
        discard: whether a trained model is deleted once no step of the plan needs it any more.

    A failed step stops only the steps that need it. A step whose worker dies (killed, out of memory) is retried once,
    alone. A step waits until its memory (as planned, corrected by finished steps of its kind) is available; one that
    needs more than there is runs alone. Raises XstiltsError of kind "store-full" if no step can finish.
    """
    scheduler = Scheduler(plan, store, wanted, report, tries=2, alone=True, discard=discard)
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
                _hand_out(step, store, workers, devices, threads)
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


def _hand_out(step: Step, store: Store, workers: list[_Worker], devices: Sequence[str], threads: int) -> None:
    """Gives the step to an idle worker that sees the right devices, or to a new one."""
    _discard([w for w in workers if not w.step and not w.process.is_alive()], workers)
    count = min(round(step.resources.get("gpus", 0)), len(devices))
    worker = next((w for w in workers if not w.step and len(w.devices) == count), None)
    if worker is None:
        taken = {device for w in workers if w.step for device in w.devices}
        chosen = tuple(device for device in devices if device not in taken)[:count]
        _discard([w for w in workers if set(w.devices) & set(chosen)], workers)  # idle workers hold memory on them
        spawn = multiprocessing.get_context("spawn")
        pipe, end = spawn.Pipe()
        visible = ",".join(chosen) if devices else None
        process = spawn.Process(target=_serve, args=(end, os.getpid(), threads, visible))
        process.start()
        end.close()
        worker = _Worker(process, pipe, chosen)
        workers.append(worker)
    worker.step = step.fingerprint
    with suppress(BrokenPipeError):  # `_listen` sees that the worker died
        worker.pipe.send((step.to_json(), store.place))


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


def _serve(pipe: Connection, parent: int, threads: int, visible: str | None) -> None:
    """Runs steps in a worker process until the main process kills it; `visible` lists the only GPUs that it sees."""
    os.environ.update(environment(threads))
    if visible is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = visible
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
        send(work(description, place, progress))


def _end_with(parent: int) -> None:
    """Ends this process once its parent is gone: a killed main process cannot stop its workers."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
