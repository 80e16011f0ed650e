"""Run a plan on a Ray cluster: each step is a task with its cores, GPUs and memory."""

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
from xstilts.engine.gpus import PARTS, Resources, Sharing, usable_memory
from xstilts.engine.plan import Plan, Step
from xstilts.engine.scheduler import Outcome, Report, Scheduler
from xstilts.engine.store import Store
from xstilts.engine.work import environment, throttled, work
from xstilts.errors import XstiltsError

TRIES = 5
"""More than on one machine: a node that leaves takes healthy steps with it."""
PATIENCE = 60.0
"""Seconds until all machines see a file that one wrote: network file systems cache its absence."""


def execute_on_ray(
    plan: Plan, store: Store, wanted: list[str], report: Report, address: str, threads: int, per_gpu: int = 1
) -> Outcome:
    """As `execute`, on the Ray cluster at `address` (`auto`: the one that this machine belongs to).

    A step asks Ray for `threads` cores (for each of its processes, if it has no GPU), for its `gpus`, the only ones
    that it sees, or for a part of one that up to `per_gpu` steps share, and for its `memory` as planned and corrected,
    at most what the largest machine has. If its worker or node dies, it starts again on any machine with room, and
    shares no GPU any more. All machines must reach the store: a shared folder under the same path, or a URL. Raises
    XstiltsError if there is no cluster.
    """
    try:
        host, _, port = address.removeprefix("ray://").rpartition(":")
        if port.isdigit():  # Ray itself would retry for minutes if nothing listens
            socket.create_connection((host, int(port)), timeout=10.0).close()
        variables = {"env_vars": environment(threads)}
        ray.init(address=address, runtime_env=variables, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError) as error:
        hint = "start one with `ray start --head`, join it on other machines, or check --address"
        raise XstiltsError("network", f"no Ray cluster at '{address}'", str(error), hint) from None
    try:
        sharing = Sharing(per_gpu, _smallest_gpu() if per_gpu > 1 else None)
        scheduler = Scheduler(plan, store, wanted, report, TRIES, alone=False, sharing=sharing)
        report({"event": "plan", "steps": len(plan.steps), "todo": scheduler.todo, "slots": _total(threads)["steps"]})
        _report_shortages(scheduler, threads)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        _drain(scheduler, threads, Queue(actor_options={"num_cpus": 0, "scheduling_strategy": here}))
        return scheduler.outcome
    finally:
        ray.shutdown()


def _drain(scheduler: Scheduler, threads: int, events: Queue) -> None:
    """Keeps the cluster busy until no step is ready; the cluster may grow and shrink meanwhile."""
    running: dict[Any, tuple[Step, float]] = {}
    started: dict[str, str] = {}  # the ids of the nodes of running steps
    try:
        while True:
            total = _total(threads)
            while step := scheduler.take(total):
                running |= _submit(step, scheduler, threads, events)
            if not running:
                return
            ray.wait(list(running), timeout=0.5)
            done, _ = ray.wait(list(running), num_returns=len(running), timeout=0)
            with suppress(Empty, RayError):
                while True:
                    event = events.get_nowait()
                    if event["event"] == "started":
                        started[event["step"]] = event["node"].split()[-1]
                    scheduler.report(event)
            for reference in done:
                fingerprint = running.pop(reference)[0].fingerprint
                started.pop(fingerprint, None)
                try:
                    scheduler.settle(fingerprint, ray.get(reference))
                except RayError as error:
                    scheduler.lose(fingerprint, f"{type(error).__name__}: {str(error).splitlines()[0]}")
            nodes = ray.nodes()
            dead = {node["NodeID"] for node in nodes if not node["Alive"]}
            for reference, (step, memory) in list(running.items()):
                if started.get(step.fingerprint) in dead:  # Ray itself waits for a node behind a cut network
                    del running[reference], started[step.fingerprint]
                    scheduler.lose(step.fingerprint, "its machine cannot be reached")
                elif step.fingerprint not in started and memory > _memory(step, scheduler, threads, nodes):
                    del running[reference]  # the machine that had so much left before the step could start
                    ray.cancel(reference, force=True)
                    running |= _submit(step, scheduler, threads, events)
    finally:
        for reference in running:
            ray.cancel(reference, force=True)


def _total(threads: int) -> dict[str, float]:
    """The cluster's resources for `Scheduler.take`, at least one step: tasks without room wait in Ray's queue, so that
    an autoscaling cluster grows."""
    resources = ray.cluster_resources()
    cores, gpus, memory = (float(resources.get(name, 0.0)) for name in ("CPU", "GPU", "memory"))
    return {"steps": max(1.0, cores // threads), "gpus": gpus, "memory": memory / 1e9}


def _report_shortages(scheduler: Scheduler, threads: int) -> None:
    needs = [scheduler.plan.steps[f].resources for f in scheduler.todo]
    nodes, notes = ray.nodes(), []
    cores, gpus = [_cores(need, threads) for need in needs], [need.get("gpus", 0) for need in needs]
    for name, amounts, what in (("CPU", cores, "cores"), ("GPU", gpus, "GPUs")):
        most = max(node["Resources"].get(name, 0) for node in nodes if node["Alive"])
        if (amount := max(amounts, default=0)) > most:
            shortage = f"steps need {amount:g} {what} of one machine, the largest has {most:g}"
            notes.append(f"{shortage}: they wait for a larger machine")
    if any(need.get("memory", 0) > largest(nodes, need, threads) > 0 for need in needs):
        notes.append("some steps need more memory than any machine has: each gets all of the largest one, and may fail")
    for note in notes:
        scheduler.report({"event": "note", "why": note})


def _smallest_gpu() -> float | None:
    """GB that planned memory may fill of the cluster's GPU with least free memory; None if a machine does not say."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU")]
    places = [NodeAffinitySchedulingStrategy(node, soft=False) for node in nodes]
    asked = [_usable_memory.options(scheduling_strategy=place).remote() for place in places]
    answered, late = ray.wait(asked, num_returns=len(asked), timeout=PATIENCE) if asked else ([], [])
    for reference in late:  # its GPUs are full
        ray.cancel(reference, force=True)
    try:
        memory = [] if late else ray.get(answered)
    except RayError:
        return None
    return None if None in memory else min(memory, default=None)


@ray.remote(num_cpus=0, num_gpus=1 / PARTS, max_retries=0)
def _usable_memory() -> float | None:
    return usable_memory()


def _cores(resources: Resources, threads: int) -> int:
    """Cores of a step: its threads, times the processes that share it if it has no GPU."""
    return threads * (1 if resources.get("gpus") else round(resources.get("ranks", 1)))


def largest(nodes: list[Mapping[str, Any]], resources: Resources, threads: int) -> float:
    """Memory in GB of the largest machine with enough cores and GPUs for a step; 0 if there is none."""
    machines, cores = [node["Resources"] for node in nodes if node["Alive"]], _cores(resources, threads)
    fitting = [r for r in machines if r.get("CPU", 0) >= cores and r.get("GPU", 0) >= resources.get("gpus", 0)]
    return max((r.get("memory", 0.0) / 1e9 for r in fitting), default=0.0)


def _memory(step: Step, scheduler: Scheduler, threads: int, nodes: list[Mapping[str, Any]]) -> float:
    """GB that a step asks for: what it needs, and at most what the largest machine has."""
    resources = scheduler.running[step.fingerprint]
    return min(resources.get("memory", 0), largest(nodes, resources, threads))


def _submit(step: Step, scheduler: Scheduler, threads: int, events: Queue) -> dict[Any, tuple[Step, float]]:
    resources = scheduler.running[step.fingerprint]
    memory = _memory(step, scheduler, threads, ray.nodes())
    cores, gpus = _cores(resources, threads), resources.get("gpus", 0)
    amounts = {"num_cpus": cores, "num_gpus": gpus, "memory": int(1e9 * memory) or None}
    task = (_gpu_task if gpus else _task).options(
        name=step.label, max_retries=0, scheduling_strategy="SPREAD", **amounts
    )
    return {task.remote(step.to_json(), scheduler.store.place, __version__, events): (step, memory)}


def _run(description: dict[str, Any], place: str, version: str, events: Queue) -> Mapping[str, Any]:
    step, store = Step(**description), Store(place)
    node = f"{ray.util.get_node_ip_address()} {ray.get_runtime_context().get_node_id()}"
    if version != __version__:
        return {"failed": f"xstilts is {__version__} on {node}, but {version} where the study was started"}

    def send(event: dict[str, Any]) -> None:
        with suppress(RayError):
            events.put({"step": step.fingerprint, **event})

    send({"event": "started", "node": node})
    deadline = time.monotonic() + PATIENCE
    while len(store.finished(step.inputs.values())) < len(set(step.inputs.values())) and time.monotonic() < deadline:
        time.sleep(1.0)
    progress = throttled(lambda share: send({"event": "progress", "share": share}), 2.0)
    return {**work(description, place, progress), "node": node}


_task, _gpu_task = ray.remote(_run), ray.remote(max_calls=1)(_run)
"""The worker of a step on a GPU ends with it: it would hold memory, and go on with the GPU that it began with."""
