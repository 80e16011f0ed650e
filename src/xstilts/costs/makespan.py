"""A simulated schedule: a plan's steps on a number of devices, the critical path first, as the local engine does it."""

import heapq
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from xstilts.engine import Plan


class Schedule(NamedTuple):
    """Seconds from the first start to the last end, of work on all devices together, and of the critical path: the
    longest chain of steps, which bounds the makespan on any number of devices."""

    makespan: float
    busy: float
    critical: float

    def use(self, devices: int) -> float:
        """Share of the devices' time that is worked, 0 to 1."""
        return self.busy / (self.makespan * devices) if self.makespan else 0.0


def simulate(plan: Plan, todo: Iterable[str], seconds: Mapping[str, float], devices: int) -> Schedule:
    """Schedule the steps `todo`: a free device takes the ready step with the longest chain behind it.

    Inputs that are not in `todo` count as finished; `seconds` says what each step takes on one device.
    """
    wanted = set(todo)
    order = [fingerprint for fingerprint in plan.steps if fingerprint in wanted]
    successors: dict[str, list[str]] = {fingerprint: [] for fingerprint in order}
    missing = {fingerprint: wanted.intersection(plan.steps[fingerprint].inputs.values()) for fingerprint in order}
    for fingerprint in order:
        for source in missing[fingerprint]:
            successors[source].append(fingerprint)
    priority: dict[str, float] = {}
    for fingerprint in reversed(order):
        priority[fingerprint] = seconds[fingerprint] + max((priority[s] for s in successors[fingerprint]), default=0.0)
    ready = [(-priority[f], f) for f in order if not missing[f]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = 0.0
    while ready or running:
        while ready and len(running) < devices:
            fingerprint = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + seconds[fingerprint], fingerprint))
        now, done = heapq.heappop(running)
        for successor in successors[done]:
            missing[successor].remove(done)
            if not missing[successor]:
                heapq.heappush(ready, (-priority[successor], successor))
    return Schedule(now, sum(seconds[f] for f in order), max(priority.values(), default=0.0))
