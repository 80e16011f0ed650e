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

    Time left is the estimated cost of what is still to be done, at the pace that was measured so far.
    """

    def __init__(self, plan: Plan, jobs: int, console: Console) -> None:
        self.plan, self.jobs, self.console = plan, jobs, console
        self.todo: list[str] = []
        self.total = self.done = 0.0
        self.running: dict[str, float] = {}
        self.finished = 0
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
        name, fingerprint = event["event"], event.get("step", "")
        if name == "plan":
            self.todo, self.begin = event["todo"], time.monotonic()
            self.total = sum(self.plan.steps[f].cost for f in self.todo)
            self._say(f"{event['steps']} steps, {event['steps'] - len(self.todo)} of them already in the store")
            return
        step = self.plan.steps[fingerprint]
        if name == "started":
            self.running[fingerprint] = 0.0
        elif name == "progress":
            self.running[fingerprint] = event["share"]
        elif name in ("finished", "failed"):
            self.running.pop(fingerprint, None)
            self.done += step.cost
            self.finished += 1
            if name == "failed":
                self._say(f"failed: {step.label}: {event['why'].splitlines()[0]}")
            elif not self.console.is_terminal and (self.finished % 20 == 0 or step.kind == "pretrain"):
                self._say(f"{self.finished}/{len(self.todo)} steps, {clock(self.left())} left · {step.label}")
        elif name in ("damaged", "retried"):
            self.running.pop(fingerprint, None)
            self._say(f"{name}: {step.label}: {event['why']}")
        self._draw()

    def share(self) -> float:
        """How much of the estimated cost is done, 0 to 1."""
        under_way = sum(self.plan.steps[f].cost * share for f, share in self.running.items())
        return min(1.0, (self.done + under_way) / self.total) if self.total else 1.0

    def left(self) -> float | None:
        """Seconds left at the pace so far; None before there is any."""
        share, elapsed = self.share(), time.monotonic() - self.begin
        return elapsed * (1 - share) / share if share > 0.01 and elapsed > 2 else None

    def _draw(self) -> None:
        labels = [self.plan.steps[f].label for f in self.running]
        shown = f"{self.finished}/{len(self.todo)} steps · " + (labels[0][:44] if labels else "")
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
