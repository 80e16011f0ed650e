"""What is shown while a plan is carried out."""

import sys
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.progress import Task as Bar
from rich.text import Text

from xstilts.engine import Plan


class Watcher:
    """Draws a bar with the time left from the events of a run; prints a line per step where there is no terminal.

    Time left is the estimated cost of what is still to be done, at the pace that steps of its kind have shown so far.
    """

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan, self.jobs, self.console = plan, 1.0, console
        self.todo: set[str] = set()
        self.steps = 0
        self.running: dict[str, tuple[float, float]] = {}
        self.measured: dict[str, tuple[float, float]] = {}
        self.begin = time.monotonic()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
        self.progress = Progress(*columns, TimeElapsedColumn(), _Left(self), console=console, transient=True)
        self.bar = self.progress.add_task("planning", total=1.0)

    def __enter__(self) -> "Watcher":
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.progress.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Takes in an event: one that happens now, or with its `time` one that was read from a run's log."""
        name, fingerprint = event["event"], event.get("step", "")
        happened = time.monotonic() - (time.time() - event.get("time", time.time()))
        if name == "plan":
            self.todo, self.steps = set(event["todo"]), len(event["todo"])
            self.jobs, self.begin = event["slots"], happened
            self._say(f"{event['steps']} steps, {event['steps'] - self.steps} of them already in the store")
            return
        if name in ("note", "ended"):
            if name == "note":
                self._say(f"note: {event['why']}")
            return
        step = self.plan.steps[fingerprint]
        if name == "started":
            self.running[fingerprint] = (happened, 0.0)
        elif name == "progress" and fingerprint in self.running:
            self.running[fingerprint] = (self.running[fingerprint][0], event["share"])
        elif name in ("finished", "failed"):
            self._settle(fingerprint, event)
        elif name in ("damaged", "retried"):
            self.running.pop(fingerprint, None)
            self._say(f"{name}: {step.label}: {event['why']}")
        self._draw()

    def _settle(self, fingerprint: str, event: dict[str, Any]) -> None:
        step = self.plan.steps[fingerprint]
        self.running.pop(fingerprint, None)
        self.todo.discard(fingerprint)
        finished = self.steps - len(self.todo)
        if event["event"] == "failed":
            self._say(f"failed: {step.label}: {event['why'].splitlines()[0]}")
            return
        seconds, cost = self.measured.get(step.kind, (0.0, 0.0))
        self.measured[step.kind] = (seconds + event["seconds"], cost + step.cost)
        if not self.console.is_terminal and (finished % 20 == 0 or step.kind == "pretrain"):
            self._say(f"{finished}/{self.steps} steps, {clock(self.left())} left · {step.label}")

    def left(self) -> float | None:
        """Seconds left, by what steps of each kind took against their estimates; None before anything was measured."""
        measured = dict(self.measured)
        for fingerprint, (begin, share) in self.running.items():
            if share > 0.02:
                step = self.plan.steps[fingerprint]
                seconds, cost = measured.get(step.kind, (0.0, 0.0))
                measured[step.kind] = (seconds + time.monotonic() - begin, cost + share * step.cost)
        if not measured:
            return None
        whole = sum(s for s, _ in measured.values()) / sum(c for _, c in measured.values())
        pace = {kind: seconds / cost for kind, (seconds, cost) in measured.items()}
        remaining = 0.0
        for fingerprint in self.todo:
            step = self.plan.steps[fingerprint]
            share = self.running.get(fingerprint, (0.0, 0.0))[1]
            remaining += step.cost * (1 - share) * pace.get(step.kind, whole)
        return remaining / self.jobs

    def share(self) -> float:
        """How much of the time is behind us, 0 to 1."""
        left = self.left()
        elapsed = time.monotonic() - self.begin
        return elapsed / (elapsed + left) if left is not None and elapsed + left > 0 else 0.0

    def _draw(self) -> None:
        labels = [self.plan.steps[f].label for f in self.running]
        shown = f"{self.steps - len(self.todo)}/{self.steps} steps · " + (labels[0][:44] if labels else "")
        self.progress.update(self.bar, description=shown, completed=self.share())

    def _say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False)
        if not self.console.is_terminal:
            sys.stdout.flush()


class _Left(TextColumn):
    """Time left as the watcher sees it."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__("")
        self.watcher = watcher

    def render(self, task: Bar) -> Text:
        return Text(f"{clock(self.watcher.left())} left")


def clock(seconds: float | None) -> str:
    """Minutes and seconds, or hours and minutes; '?' where unknown."""
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
