"""The order of steps, their outcomes and retries: what all executors share."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from xstilts.engine.plan import Plan, Step
from xstilts.engine.store import Store
from xstilts.errors import XstiltsError

Report = Callable[[dict[str, Any]], None]
Resources = Mapping[str, float]


@dataclass
class Outcome:
    """The outcome of a plan: seconds of each step that ran, and the error text of each that failed."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Scheduler:
    """The state of a running plan.

    Args:
        tries: how often a step may start if its worker dies.
        alone: whether such a step is retried alone, which identifies the cause and frees all memory for it.
        discard: whether an event `unneeded` is reported for each trained model that no step of the plan needs any more,
            and steps run in an order that needs few models at the same time.
    """

    def __init__(
        self,
        plan: Plan,
        store: Store,
        wanted: list[str],
        report: Report,
        tries: int,
        alone: bool,
        discard: bool = False,
    ) -> None:
        self.plan, self.store, self.report, self.tries, self.alone = plan, store, report, tries, alone
        self.discard = discard
        self.outcome = Outcome()
        present = sorted(store.finished(plan.steps))
        with ThreadPoolExecutor() as threads:  # sets damaged results on this machine aside
            damaged = {f: why for f, why in zip(present, threads.map(store.inspect, present), strict=True) if why}
        for fingerprint, why in damaged.items():
            report({"event": "damaged", "step": fingerprint, "why": why})
        finished = {f for f in present if f not in damaged or store.has(f)}
        discarded = store.discarded(f for f in finished if plan.steps[f].kind == "train")
        self.todo = plan.needed(finished, wanted, discarded)
        self.running: dict[str, Resources] = {}
        self._priority = plan.priority()
        if discard:
            longest, rank = 1 + max(self._priority.values(), default=0.0), plan.frugal_order()
            self._priority = {f: rank[f] * longest + cost for f, cost in self._priority.items()}
        inputs = {f: set(plan.steps[f].inputs.values()) for f in self.todo}
        self._order = TopologicalSorter({f: sources.intersection(inputs) for f, sources in inputs.items()})
        self._users = Counter(source for sources in inputs.values() for source in sources)
        self._report_unneeded(finished - discarded - inputs.keys())
        self._order.prepare()
        self._ready: dict[float, list[tuple[float, str]]] = defaultdict(list)
        self._suspects: list[tuple[float, str]] = []
        self._deaths: Counter[str] = Counter()
        # Per kind of step the largest memory, and the largest ratio of measured to planned memory.
        self._most: dict[str, float] = {}
        self._error: dict[str, float] = {}
        self._make_ready(*self._order.get_ready())

    def take(self, total: Resources) -> Step | None:
        """The step to start now, the head of the critical path first; None if none is ready or none fits.

        `total` holds the available resources: `steps` at once, `gpus` and `memory` (GB); what it does not name is
        unlimited. A step that needs more than the total runs without others that use the same resource. A waiting step
        blocks steps of lower priority that would take what it waits for.
        """
        if self._suspects or (self.alone and self._deaths.keys() & self.running.keys()):
            if self.running or not self._suspects:
                return None
            return self._begin(heappop(self._suspects)[1], {})
        used: Counter[str] = Counter()
        for resources in self.running.values():
            used.update(resources)
        short: set[str] = set()
        for queue in sorted((q for q in self._ready.values() if q), key=lambda q: q[0]):
            resources = self._resources(self.plan.steps[queue[0][1]])
            lacking = {n for n, amount in resources.items() if n in total and used[n] and used[n] + amount > total[n]}
            if not lacking and not short & resources.keys():
                return self._begin(heappop(queue)[1], resources)
            short |= lacking
        return None

    def settle(self, fingerprint: str, result: Mapping[str, Any]) -> None:
        """Records what `work` returned; raises XstiltsError of kind "store-full" if no step can finish any more."""
        if "full" in result:
            raise XstiltsError(*result["full"])
        if "failed" in result:
            self._fail(fingerprint, result["failed"], result.get("trace", ""))
            return
        del self.running[fingerprint]
        self._deaths.pop(fingerprint, None)
        step = self.plan.steps[fingerprint]
        self._most[step.kind] = max(self._most.get(step.kind, 0.0), result["memory"])
        if planned := step.resources.get("memory"):
            self._error[step.kind] = max(self._error.get(step.kind, 0.0), result["memory"] / planned)
        self.outcome.seconds[fingerprint] = result["seconds"]
        for note in result.get("notes", ()):
            self.report({"event": "note", "step": fingerprint, "why": f"{step.label}: {note}"})
        self.report({"event": "finished", "step": fingerprint, "kind": step.kind, **result})
        self._order.done(fingerprint)
        sources = set(step.inputs.values())
        self._users.subtract(sources)
        self._report_unneeded(sources)
        self._make_ready(*self._order.get_ready())

    def _report_unneeded(self, fingerprints: Iterable[str]) -> None:
        for fingerprint in fingerprints:
            if self.discard and self.plan.steps[fingerprint].kind == "train" and not self._users[fingerprint]:
                self.report({"event": "unneeded", "step": fingerprint})

    def lose(self, fingerprint: str, why: str) -> None:
        """Records that the step's worker died, and queues the step again unless it died too often."""
        self._deaths[fingerprint] += 1
        if self._deaths[fingerprint] == self.tries:
            self._fail(fingerprint, f"its worker died {self.tries} times (killed, or out of memory?): {why}")
            return
        del self.running[fingerprint]
        self.report({"event": "retried", "step": fingerprint, "why": why})
        if self.alone:
            heappush(self._suspects, (-self._priority[fingerprint], fingerprint))
        else:
            self._make_ready(fingerprint)

    def _begin(self, fingerprint: str, resources: Resources) -> Step:
        self.running[fingerprint] = resources
        return self.plan.steps[fingerprint]

    def _resources(self, step: Step) -> Resources:
        """The planned resources, with memory (GB) corrected by finished steps of the same kind.

        Memory is as planned, times the largest error of the kind, but never above the most that was measured if the
        plan was too low: a worker also holds what earlier steps left in it.
        """
        planned, memory = step.resources.get("memory", 0.0), self._most.get(step.kind, 0.0)
        if planned:
            memory = min(planned * self._error.get(step.kind, 1.0), max(planned, memory))
        resources = {"steps": 1, **step.resources, "memory": memory}
        return {name: amount for name, amount in resources.items() if amount}

    def _make_ready(self, *fingerprints: str) -> None:
        for fingerprint in fingerprints:
            queue = self._ready[self.plan.steps[fingerprint].resources.get("gpus", 0)]
            heappush(queue, (-self._priority[fingerprint], fingerprint))

    def _fail(self, fingerprint: str, why: str, trace: str = "") -> None:
        del self.running[fingerprint]
        self._deaths.pop(fingerprint, None)
        self.outcome.failed[fingerprint] = why
        self.report({"event": "failed", "step": fingerprint, "why": why, **({"trace": trace} if trace else {})})
