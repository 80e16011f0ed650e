"""A schedule on paper: the steps of a plan on so many devices, the most urgent first, as the local engine does it."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xstilts.engine import Plan


@dataclass(frozen=True)
class Schedule:
    """What a simulated run came to.

    makespan: seconds from the first step's start to the last one's end; busy: seconds of all devices together;
    critical: seconds of the longest chain, below which no number of devices brings the makespan; widest: most steps
    that were at work at once.
    """

    makespan: float
    busy: float
    critical: float
    widest: int

    def use(self, devices: int) -> float:
        """Share of the devices' time that was worked, 0 to 1."""
        return self.busy / (self.makespan * devices) if self.makespan else 0.0


def simulate(
    plan: Plan, todo: Iterable[str], seconds: Mapping[str, float], devices: int, dispatch: float = 0.0
) -> Schedule:
    """Carries out the steps `todo` on paper: a device takes the ready step with the longest chain behind it.

    Args:
        todo: steps to run; an input that is not among them is taken to be finished.
        seconds: what each step takes on one device.
        dispatch: seconds that the one scheduler needs to hand out a step; steps wait for it one after the other.
    """
    wanted = set(todo)
    order = [fingerprint for fingerprint in plan.steps if fingerprint in wanted]
    after: dict[str, list[str]] = {fingerprint: [] for fingerprint in order}
    missing = {}
    for fingerprint in order:
        inputs = wanted.intersection(plan.steps[fingerprint].inputs.values())
        missing[fingerprint] = len(inputs)
        for source in inputs:
            after[source].append(fingerprint)
    priority: dict[str, float] = {}
    for fingerprint in reversed(order):
        priority[fingerprint] = seconds[fingerprint] + max((priority[s] for s in after[fingerprint]), default=0.0)
    ready = [(-priority[f], f) for f in order if not missing[f]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now = free = 0.0
    widest = 0
    while ready or running:
        while ready and len(running) < devices:
            fingerprint = heapq.heappop(ready)[1]
            free = max(now, free) + dispatch
            heapq.heappush(running, (free + seconds[fingerprint], fingerprint))
        widest = max(widest, len(running))
        now, done = heapq.heappop(running)
        for following in after[done]:
            missing[following] -= 1
            if not missing[following]:
                heapq.heappush(ready, (-priority[following], following))
    busy = sum(seconds[fingerprint] for fingerprint in order)
    return Schedule(now, busy, max(priority.values(), default=0.0), widest)
