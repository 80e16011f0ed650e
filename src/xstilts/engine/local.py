"""Carries out a plan with worker processes on this machine."""

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from typing import Any

from xstilts.engine.step import Plan, Step
from xstilts.engine.store import Store, StoreFull
from xstilts.engine.work import run_step

Report = Callable[[dict[str, Any]], None]

_events: Any = None


@dataclass
class Outcome:
    """What happened to a plan: seconds per step that was run, and the error text of each that failed."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def execute(plan: Plan, store: Store, wanted: list[str], report: Report, jobs: int, threads: int) -> Outcome:
    """Runs what `wanted` still needs, the critical path first, and returns when nothing more can be run.

    Args:
        report: is told of every event (`started`, `progress`, `finished`, `failed`, `damaged`) as a dict.
        jobs: number of worker processes; each keeps its imports between steps.
        threads: threads of each worker; results depend on this number, never on `jobs`.

    A failed step fails those that need it and nothing else. When a worker dies (killed, out of memory), the steps
    that were running are tried once more, one at a time, so that the guilty one is known. Raises XstiltsError where
    the store cannot be written to: then no step can be finished.
    """
    finished = set()
    for fingerprint in plan.steps:
        if store.has(fingerprint):
            if damage := store.damage(fingerprint):
                store.set_aside(fingerprint)
                report({"event": "damaged", "step": fingerprint, "why": damage})
            else:
                finished.add(fingerprint)
    todo = plan.needed(finished, wanted)
    report({"event": "plan", "steps": len(plan.steps), "todo": todo})
    outcome = Outcome()
    if todo:
        run = _Run(plan, store, set(todo), finished, report, outcome, plan.urgency())
        run.drain(jobs, threads)
    return outcome


@dataclass
class _Run:
    plan: Plan
    store: Store
    waiting: set[str]
    finished: set[str]
    report: Report
    outcome: Outcome
    urgency: dict[str, float]
    tries: dict[str, int] = field(default_factory=dict)

    def drain(self, jobs: int, threads: int) -> None:
        """Keeps `jobs` workers busy until nothing is ready; fresh workers after one died."""
        while self.ready():
            suspects = self.tries.keys() & self.waiting
            workers = 1 if suspects else jobs
            events = multiprocessing.get_context("spawn").Queue()
            pool = ProcessPoolExecutor(
                workers, multiprocessing.get_context("spawn"), _start_worker, (events, os.getpid(), threads)
            )
            try:
                self._with(pool, workers, events, suspects)
            except BrokenProcessPool:
                continue
            finally:
                _stop(pool)

    def ready(self) -> list[str]:
        """Steps whose inputs are all finished, the most urgent first."""
        ready = [f for f in self.waiting if self.finished.issuperset(self.plan.steps[f].inputs.values())]
        return sorted(ready, key=lambda f: (-self.urgency[f], f))

    def _with(self, pool: ProcessPoolExecutor, jobs: int, events: Any, suspects: set[str]) -> None:
        """Runs the suspects where there are any, else whatever is or becomes ready."""
        running: dict[Future[float], str] = {}
        while True:
            try:
                chosen = [f for f in self.ready() if f in suspects or not suspects]
                for fingerprint in chosen[: jobs - len(running)]:
                    step = self.plan.steps[fingerprint]
                    running[pool.submit(_carry_out, step.to_json(), self.store.place)] = fingerprint
                    self.waiting.discard(fingerprint)
                    self.report({"event": "started", "step": fingerprint})
                if not running:
                    return
                done, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                self._relay(events)
                for future in done:
                    self._settle(running[future], future)
                    del running[future]
            except BrokenProcessPool:
                self._recover(list(running.values()))
                raise

    def _relay(self, events: Any) -> None:
        try:
            while True:
                self.report(events.get_nowait())
        except queue.Empty:
            return

    def _settle(self, fingerprint: str, future: Future[float]) -> None:
        error = future.exception()
        if isinstance(error, BrokenProcessPool):
            raise error
        if isinstance(error, StoreFull):
            raise error
        if error:
            self._fail(fingerprint, str(error))
            return
        seconds = future.result()
        self.finished.add(fingerprint)
        self.outcome.seconds[fingerprint] = seconds
        kind = self.plan.steps[fingerprint].kind
        self.report({"event": "finished", "step": fingerprint, "kind": kind, "seconds": round(seconds, 3)})

    def _fail(self, fingerprint: str, why: str) -> None:
        self.outcome.failed[fingerprint] = why
        self.report({"event": "failed", "step": fingerprint, "why": why})

    def _recover(self, interrupted: list[str]) -> None:
        for fingerprint in interrupted:
            self.tries[fingerprint] = self.tries.get(fingerprint, 0) + 1
            if self.tries[fingerprint] < 2:
                self.waiting.add(fingerprint)
                self.report({"event": "retried", "step": fingerprint, "why": "a worker process died"})
            else:
                self._fail(fingerprint, "its worker process died twice (killed, or out of memory?)")


def _stop(pool: ProcessPoolExecutor) -> None:
    """Ends the workers at once: a step that is cut short resumes from its own checkpoint."""
    for process in list((pool._processes or {}).values()):
        process.terminate()
    pool.shutdown(wait=True, cancel_futures=True)


def _start_worker(events: Any, parent: int, threads: int) -> None:
    global _events
    _events = events
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A driver that is killed cannot stop its workers, so they look after it."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _carry_out(description: dict[str, Any], root: str) -> float:
    step, store = Step(**description), Store(root)
    last = 0.0

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 0.5:
            last = time.monotonic()
            _events.put({"event": "progress", "step": step.fingerprint, "share": share})

    return run_step(step, store, progress)
