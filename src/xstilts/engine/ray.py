"""Carries out a plan on a Ray cluster: each step a task with its cores, GPUs and memory."""

import logging
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.queue import Empty, Queue
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from xstilts import __version__
from xstilts.engine.scheduler import Outcome, Report, Resources, Scheduler
from xstilts.engine.step import Plan, Step
from xstilts.engine.store import Store
from xstilts.engine.work import work
from xstilts.errors import XstiltsError

TRIES = 5
"""More than on one machine: a node that goes away takes steps with it that did nothing wrong."""
PATIENCE = 60.0
"""Seconds until a file that was written on one machine is seen on all: network file systems remember its absence."""


def execute_on_ray(plan: Plan, store: Store, wanted: list[str], report: Report, address: str, threads: int) -> Outcome:
    """As `execute`, on the Ray cluster at `address` (`auto`: the one that this machine belongs to).

    A step asks Ray for `threads` cores, without GPUs for so many for each process that shares it; for its `gpus`,
    which are all that it sees; and for its `memory` as planned and corrected by what was measured, or where
    no machine has so much for all that the largest has. Where its worker or its node dies, it is begun again wherever
    there is room. The store must be one that all machines reach: a shared folder under the same path, or a URL. Raises
    XstiltsError where there is no cluster.
    """
    variables = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    try:
        _knock(address)
        environment = {"env_vars": {**variables, "TOKENIZERS_PARALLELISM": "false"}}
        ray.init(address=address, runtime_env=environment, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        hint = "start one with `ray start --head`, join it on other machines, or check --address"
        raise XstiltsError("missing-file", f"no Ray cluster at '{address}'", str(error), hint) from None
    try:
        scheduler = Scheduler(plan, store, wanted, report, TRIES, alone=False)
        report({"event": "plan", "steps": len(plan.steps), "todo": scheduler.todo, "slots": _total(threads)["steps"]})
        _tell_what_is_short(scheduler, threads)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        _drain(scheduler, threads, Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here}))
        return scheduler.outcome
    finally:
        ray.shutdown()


def _knock(address: str) -> None:
    """Raises OSError where nobody listens at `host:port`: Ray itself goes on asking for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdigit():
        socket.create_connection((host, int(port)), timeout=10.0).close()


def _drain(scheduler: Scheduler, threads: int, events: Queue) -> None:
    """Keeps the cluster busy until nothing is ready; it may grow and shrink meanwhile."""
    running: dict[Any, str] = {}
    try:
        while True:
            total = _total(threads)
            while step := scheduler.take(total):
                running[_submit(step, scheduler, threads, events)] = step.fingerprint
            if not running:
                return
            ray.wait(list(running), timeout=0.5)
            done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            _relay(scheduler.report, events)
            for reference in done:
                _settle(scheduler, running.pop(reference), reference)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _total(threads: int) -> dict[str, float]:
    """What the cluster has now, in the terms of `Scheduler.take`, and at least one step of every kind: tasks that find no
    room wait in Ray's own queue, which calls for machines where the cluster can grow."""
    there = ray.cluster_resources()
    cores, gpus, memory = (float(there.get(name, 0.0)) for name in ("CPU", "GPU", "memory"))
    return {"steps": max(1.0, cores // threads), "gpus": gpus, "memory": memory / 1e9}


def _tell_what_is_short(scheduler: Scheduler, threads: int) -> None:
    steps = [scheduler.plan.steps[f] for f in scheduler.todo]
    nodes = ray.nodes()
    there = [node["Resources"] for node in nodes if node["Alive"]]
    cores, gpus = [_cores(step.resources, threads) for step in steps], [step.resources.get("gpus", 0) for step in steps]
    for name, wanted, what in (("CPU", cores, "cores"), ("GPU", gpus, "GPUs")):
        most, needed = max(node.get(name, 0) for node in there), max(wanted, default=0)
        if needed > most:
            why = f"steps need {needed:g} {what} of one machine, {most:g} are there: they wait for such a machine"
            scheduler.report({"event": "note", "why": why})
    if any(step.resources.get("memory", 0) > largest(nodes, step.resources, threads) > 0 for step in steps):
        why = "the plan gives steps more memory than any machine has: each gets all of the largest, and may fail"
        scheduler.report({"event": "note", "why": why})


def _cores(resources: Resources, threads: int) -> int:
    """Cores of a step: its threads, and without GPUs those of each process that shares it."""
    return threads * (1 if resources.get("gpus") else round(resources.get("ranks", 1)))


def largest(nodes: list[Mapping[str, Any]], resources: Resources, threads: int) -> float:
    """The most memory, in GB, of a machine that has the cores and GPUs for a step; 0 where there is no such machine."""
    there, cores = [node["Resources"] for node in nodes if node["Alive"]], _cores(resources, threads)
    fitting = [r for r in there if r.get("CPU", 0) >= cores and r.get("GPU", 0) >= resources.get("gpus", 0)]
    return max((r.get("memory", 0.0) / 1e9 for r in fitting), default=0.0)


def _submit(step: Step, scheduler: Scheduler, threads: int, events: Queue) -> Any:
    resources = scheduler.running[step.fingerprint]
    memory = min(resources.get("memory", 0), largest(ray.nodes(), resources, threads))
    task = _task.options(
        name=step.label,
        num_cpus=_cores(resources, threads),
        num_gpus=round(resources.get("gpus", 0)),
        memory=int(1e9 * memory) or None,
        max_retries=0,
        scheduling_strategy="SPREAD",
    )
    return task.remote(step.to_json(), scheduler.store.place, __version__, events)


def _relay(report: Report, events: Queue) -> None:
    with suppress(Empty, RayError):
        while True:
            report(events.get_nowait())


def _settle(scheduler: Scheduler, fingerprint: str, reference: Any) -> None:
    try:
        result = ray.get(reference)
    except RayError as error:
        scheduler.lose(fingerprint, f"{type(error).__name__}: {str(error).splitlines()[0]}")
    else:
        scheduler.settle(fingerprint, result)


@ray.remote
def _task(description: dict[str, Any], place: str, version: str, events: Queue) -> Mapping[str, Any]:
    step, store = Step(**description), Store(place)
    node = f"{ray.util.get_node_ip_address()} {ray.get_runtime_context().get_node_id()}"
    if version != __version__:
        return {"failed": f"xstilts is {__version__} on {node}, but {version} where the study was started"}
    last = 0.0

    def tell(event: dict[str, Any]) -> None:
        with suppress(RayError):
            events.put({"step": step.fingerprint, **event})

    def progress(share: float) -> None:
        nonlocal last
        if time.monotonic() - last > 2.0:
            last = time.monotonic()
            tell({"event": "progress", "share": share})

    tell({"event": "started", "node": node})
    deadline = time.monotonic() + PATIENCE
    while len(store.finished(step.inputs.values())) < len(set(step.inputs.values())) and time.monotonic() < deadline:
        time.sleep(1.0)
    return {**work(description, place, progress), "node": node}
