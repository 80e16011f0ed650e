"""How far a running study is: finished steps, share and speed of each that runs, and the time left."""

import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xstilts.engine import Plan, Step

MEASURED = 2.0
"""Seconds between two reports of a step before its speed is computed from them: the first updates are slow."""
Row = dict[str, Any]


@dataclass
class RunningStep:
    """When a step began, and time and share of its first and its latest report; no report yet if `latest` is None.

    >>> step = RunningStep(begin=0.0)
    >>> for report in ((20.0, 0.5), (30.0, 0.6)):
    ...     step.report(*report)
    >>> round(step.speed, 3)
    0.01
    """

    begin: float
    first: tuple[float, float] = (0.0, 0.0)
    latest: tuple[float, float] | None = None

    def report(self, now: float, share: float) -> None:
        """Take in the share of the step that is done at a time."""
        if self.latest is None or share < self.latest[1]:
            self.first = (now, share)
        self.latest = (now, share)

    @property
    def measured(self) -> tuple[float, float]:
        """Seconds and share between the first and the latest report. What comes before the first is left out: loading
        and tokenizing, and what a resumed training has from its checkpoint."""
        return (self.latest[0] - self.first[0], self.latest[1] - self.first[1]) if self.latest else (0.0, 0.0)

    @property
    def speed(self) -> float | None:
        """The share of the step that is done in a second; None before it was measured."""
        seconds, share = self.measured
        return share / seconds if share > 0 and seconds >= MEASURED else None


class StudyProgress:
    """The state of a study, from its events as they happen or from its log: all times are those of the events.

    The time left of a step follows from its own speed, else from its estimated cost at the pace of finished steps of
    its kind. The time left of the study is that of all steps divided by the number that run at once, at least that of
    the slowest step that runs.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.session, self.slots = plan, "none yet", 1.0
        self.begin = self.now = time.time()
        self.running: dict[str, RunningStep] = {}
        self.todo: set[str] = set()
        self.total = 0
        """Steps to run in this session; those that were in the store do not count."""
        self.seconds: dict[str, float] = {}
        """Seconds of each step that finished in this session."""
        self.device_seconds: dict[str, float] = {}
        """Seconds of a core or a GPU that each of them used, if they were measured."""
        self._ahead: defaultdict[str, float] = defaultdict(float)
        """Estimated seconds of the steps in `todo`, by kind: sums, because plans have up to 100,000s of steps."""
        self._spent: defaultdict[str, float] = defaultdict(float)
        self._estimated: defaultdict[str, float] = defaultdict(float)
        """Measured and estimated seconds of the steps that finished in this session, by kind."""

    def take(self, event: Row) -> None:
        """Take in an event, of now or with the `time` at which it was logged."""
        name, fingerprint = event["event"], event.get("step", "")
        self.now = event.get("time", time.time())
        if name == "plan":
            self._start(event)
        elif name == "started":
            self.running[fingerprint] = RunningStep(self.now)
        elif name == "progress" and fingerprint in self.running:
            self.running[fingerprint].report(self.now, event["share"])
        elif name in ("finished", "failed", "damaged", "retried"):
            self.running.pop(fingerprint, None)
            step = self.plan.steps[fingerprint]
            if name in ("finished", "failed") and fingerprint in self.todo:
                self.todo.remove(fingerprint)
                self._ahead[step.kind] -= step.cost
            if name == "finished" and (seconds := event["seconds"]) is not None:  # None: it was in the store
                self.seconds[fingerprint] = seconds
                self.device_seconds[fingerprint] = event.get("device_seconds") or seconds
                self._spent[step.kind] += seconds
                self._estimated[step.kind] += step.cost

    def _start(self, event: Row) -> None:
        """Begin a session, or go on with the second tries of the same one."""
        if event.get("session", "") != self.session:
            self.session, self.begin = event.get("session", ""), self.now
            self.seconds, self.device_seconds, self.running = {}, {}, {}
            self._spent.clear()
            self._estimated.clear()
        self.todo, self.total, self.slots = set(event["todo"]), len(event["todo"]), event["slots"]
        self._ahead.clear()
        for step in (self.plan.steps[f] for f in self.todo if f in self.plan.steps):
            self._ahead[step.kind] += step.cost

    @property
    def finished(self) -> int:
        """Steps of this session that finished or failed."""
        return self.total - len(self.todo)

    def rows(self) -> list[Row]:
        """The steps that run now, each with its share and speed as in `snapshot`."""
        pace = self._pace()
        return [self._row(fingerprint, pace) for fingerprint in self.running]

    def seconds_left(self) -> float | None:
        """Seconds until the study ends; None before anything was measured."""
        pace = self._pace()
        if not pace:
            return None
        ahead, running = self._ahead.copy(), []
        for fingerprint in self.running:
            step = self.plan.steps[fingerprint]
            ahead[step.kind] -= step.cost
            running.append(self._left(fingerprint, pace) or 0.0)
        waiting = sum(max(0.0, cost) * pace.get(kind, pace[""]) for kind, cost in ahead.items())
        return max([(sum(running) + waiting) / self.slots, *running])

    def share(self) -> float:
        """The share of the whole time that has passed, 0 to 1."""
        left, elapsed = self.seconds_left(), self.now - self.begin
        return elapsed / (elapsed + left) if left is not None and elapsed + left > 0 else 0.0

    def snapshot(self, event: str, fingerprint: str = "") -> Row:
        """The state of the study and of one of its steps, as a JSON object of these keys; null if unknown.

        `time` (seconds since 1970), `event`, `step` (fingerprint), `label`, `share` (of the step, 0 to 1),
        `examples_per_second` (the share done per second times the plan's number of examples), `bytes` (of the files
        that it is downloading, on this machine), `seconds_left` (of the step), `finished` and `total` (steps of this
        session), `study_seconds_left`.
        """
        step: Row = dict.fromkeys(("step", "label", "share", "examples_per_second", "bytes", "seconds_left"))
        if fingerprint in self.running:
            step = self._row(fingerprint, self._pace())
        elif fingerprint in self.plan.steps:
            step |= {"step": fingerprint, "label": self.plan.steps[fingerprint].label}
        left = self.seconds_left()
        study: Row = {"finished": self.finished, "total": self.total}
        study["study_seconds_left"] = None if left is None else round(left)
        return {"time": round(self.now, 2), "event": event, **step, **study}

    def _row(self, fingerprint: str, pace: dict[str, float]) -> Row:
        step, running = self.plan.steps[fingerprint], self.running[fingerprint]
        left, speed = self._left(fingerprint, pace), running.speed
        return {
            "step": fingerprint,
            "label": step.label,
            "share": round(running.latest[1], 4) if running.latest else None,
            "examples_per_second": float(f"{speed * step.examples:.3g}") if speed and step.examples else None,
            "bytes": downloading(step, running.begin),
            "seconds_left": None if left is None else round(left),
        }

    def _left(self, fingerprint: str, pace: dict[str, float]) -> float | None:
        step, running = self.plan.steps[fingerprint], self.running[fingerprint]
        since, share = running.latest or (running.begin, 0.0)
        if speed := running.speed:
            return max(0.0, (1 - share) / speed - (self.now - since))
        expected = (1 - share) * step.cost * pace.get(step.kind, pace[""]) - (self.now - since) if pace else 0.0
        return expected if expected > 0 else None  # a step that takes longer than estimated can take any time

    def _pace(self) -> dict[str, float]:
        """Measured seconds per estimated one by kind of step, and of all kinds under ""; {} before the first."""
        spent, estimated = self._spent.copy(), self._estimated.copy()
        for fingerprint, running in self.running.items():
            if running.speed:
                step, (seconds, share) = self.plan.steps[fingerprint], running.measured
                spent[step.kind] += seconds
                estimated[step.kind] += share * step.cost
        pace = {kind: spent[kind] / cost for kind, cost in estimated.items() if cost > 0}
        return pace | {"": sum(spent.values()) / sum(estimated.values())} if pace else {}


def downloading(step: Step, since: float) -> int | None:
    """Bytes of the unfinished files of a step's hub repository, written after a time; None if there are none.

    The hub's client writes them into this machine's cache, whichever process calls it.
    """
    source = dict(step.arguments.get("task") or {}).get("source", {})
    kind, repository = {
        "fetch": ("models", step.arguments.get("load", "")),
        "rows": ("datasets", source.get("hub", "")),
    }.get(step.kind, ("", ""))
    if "/" not in repository:
        return None
    from huggingface_hub import constants

    size = 0
    for file in Path(constants.HF_HUB_CACHE, f"{kind}--{repository.replace('/', '--')}", "blobs").glob("*.incomplete"):
        with suppress(OSError):  # it was finished meanwhile
            state = file.stat()
            size += state.st_size if state.st_mtime >= since else 0
    return size or None
