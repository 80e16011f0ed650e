"""The order of steps, their outcomes and retries: what all executors share."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from heapq import heappop, heappush
from typing import Any

from xstilts.engine.gpus import ALONE, Resources, Sharing, place
from xstilts.engine.plan import Plan, Step
from xstilts.engine.store import Store
from xstilts.errors import XstiltsError

Report = Callable[[dict[str, Any]], None]


@dataclass
class Outcome:
    """The outcome of a plan: seconds of each step that ran, the seconds of a core or a GPU that it used, and the error
    text of each that failed."""

    seconds: dict[str, float] = field(default_factory=dict)
    device_seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class Scheduler:
    """The state of a running plan.

    Args:
        tries: how often a step may start if its worker dies.
        alone: whether such a step is retried alone, which identifies the cause and frees all memory for it.
        discard: whether an event `unneeded` is reported for each trained model that no step of the plan needs any more,
            and steps run in an order that needs few models at the same time.
        sharing: how steps share GPUs.
        devices: ids of the GPUs that `devices_of` gives to steps; none if the caller has them placed.
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
        sharing: Sharing = ALONE,
        devices: Sequence[str] = (),
    ) -> None:
        self.plan, self.store, self.report, self.tries, self.alone = plan, store, report, tries, alone
        self.discard, self.sharing, self.devices = discard, sharing, devices
        self.outcome = Outcome()
        finished = store.finished(plan.steps)
        present = sorted(f for f in plan.steps if f in finished or store.path(f).is_dir())  # it may lack its manifest
        with ThreadPoolExecutor() as threads:  # sets damaged results on this machine aside
            damaged = {f: why for f, why in zip(present, threads.map(store.inspect, present), strict=True) if why}
        for fingerprint, why in damaged.items():
            report({"event": "damaged", "step": fingerprint, "why": why})
        finished = {f for f in finished if f not in damaged or store.has(f)}
        discarded = store.discarded(f for f in finished if plan.steps[f].kind == "train")
        self.todo = plan.needed(finished, [*wanted, *(f for f in damaged if f not in finished)], discarded)
        for note in sharing.notes(plan.steps[f].resources for f in self.todo):
            report({"event": "note", "why": note})
        self.running: dict[str, Resources] = {}
        self.devices_of: dict[str, tuple[str, ...]] = {}
        """The GPUs of each running step, if there are `devices`."""
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
        # Per kind of step and of memory the largest amount, and the largest ratio of measured to planned memory.
        self._most: dict[tuple[str, str], float] = {}
        self._error: dict[tuple[str, str], float] = {}
        self._make_ready(*self._order.get_ready())

    def take(self, total: Resources) -> Step | None:
        """The step to start now, the head of the critical path first; None if none is ready or none fits.

        `total` holds the available resources: `steps` at once, `gpus` and `memory` (GB); what it does not name is
        unlimited. A step that needs more than the total runs without others that use the same resource. A waiting step
        blocks steps of lower priority that would take what it waits for: steps that share GPUs do not keep one that
        needs a whole GPU waiting for ever.
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
            lacking = {n for n, a in resources.items() if n in total and used[n] and used[n] + a > total[n] + 1e-6}
            if self._place(resources) is None:
                lacking.add("gpus")
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
        if "lost" in result:
            self.lose(fingerprint, result["lost"])
            return
        gpus = self._end(fingerprint).get("gpus", 1.0)
        self._deaths.pop(fingerprint, None)
        step = self.plan.steps[fingerprint]
        for name in ("memory", "device_memory"):
            key, measured, planned = (step.kind, name), result.get(name, 0.0), step.resources.get(name, 0.0)
            self._most[key] = max(self._most.get(key, 0.0), measured)
            if planned and measured:
                self._error[key] = max(self._error.get(key, 0.0), measured / planned)
        used = min(1.0, gpus) * result["seconds"] if step.resources.get("gpus") else result["core_seconds"]
        self.outcome.seconds[fingerprint], self.outcome.device_seconds[fingerprint] = result["seconds"], used
        for note in result.get("notes", ()):
            self.report({"event": "note", "step": fingerprint, "why": f"{step.label}: {note}"})
        measured = {**result, "device_seconds": round(used, 3)}
        self.report({"event": "finished", "step": fingerprint, "kind": step.kind, **measured})
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
        self._end(fingerprint)
        self.report({"event": "retried", "step": fingerprint, "why": why})
        if self.alone:
            heappush(self._suspects, (-self._priority[fingerprint], fingerprint))
        else:
            self._make_ready(fingerprint)

    def _begin(self, fingerprint: str, resources: Resources) -> Step:
        step = self.plan.steps[fingerprint]
        self.running[fingerprint] = resources
        self.devices_of[fingerprint] = self._place(resources or {"gpus": step.resources.get("gpus", 0)}) or ()
        return step

    def shares_gpu(self, fingerprint: str) -> bool:
        """Whether other steps may use the GPU of a running step."""
        return 0 < self.running[fingerprint].get("gpus", 0) < 1

    def _end(self, fingerprint: str) -> Resources:
        """Frees the resources of a step, and returns them."""
        del self.devices_of[fingerprint]
        return self.running.pop(fingerprint)

    def _place(self, resources: Resources) -> tuple[str, ...] | None:
        """The GPUs that a step gets, () if it needs none; None if it has to wait."""
        taken: Counter[str] = Counter()
        for fingerprint, devices in self.devices_of.items():
            taken.update(dict.fromkeys(devices, min(1.0, self.running[fingerprint].get("gpus", 0.0))))
        return place(resources.get("gpus", 0.0), self.devices, taken)

    def _resources(self, step: Step) -> Resources:
        """The resources that a step takes: `gpus` as it shares them, and memory (GB) corrected by finished steps of the
        same kind. A step that lost its worker shares no GPU."""
        memory = {name: self._memory(step, name) for name in ("memory", "device_memory")}
        needed = {name: amount for name, amount in {"steps": 1, **step.resources, **memory}.items() if amount}
        if "gpus" in needed and not self._deaths[step.fingerprint]:
            needed["gpus"] = self.sharing.share(needed)
        return needed

    def _memory(self, step: Step, name: str) -> float:
        """Memory as planned, times the largest error of the kind, but never above the most that was measured if the
        plan was too low: a worker also holds what earlier steps left in it."""
        planned, most = step.resources.get(name, 0.0), self._most.get((step.kind, name), 0.0)
        return min(planned * self._error.get((step.kind, name), 1.0), max(planned, most)) if planned else most

    def _make_ready(self, *fingerprints: str) -> None:
        for fingerprint in fingerprints:
            queue = self._ready[self.plan.steps[fingerprint].resources.get("gpus", 0)]
            heappush(queue, (-self._priority[fingerprint], fingerprint))

    def _fail(self, fingerprint: str, why: str, trace: str = "") -> None:
        self._end(fingerprint)
        self._deaths.pop(fingerprint, None)
        self.outcome.failed[fingerprint] = why
        self.report({"event": "failed", "step": fingerprint, "why": why, **({"trace": trace} if trace else {})})
