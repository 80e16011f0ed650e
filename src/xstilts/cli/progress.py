"""What is shown while a study runs."""

import time
from collections import defaultdict
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from xstilts.costs.estimate import compared, comparison
from xstilts.engine import Plan
from xstilts.report.console import say, visible

LINE_SECONDS = 60.0
"""How often a line is printed if there is no terminal to draw a bar in."""


class Watcher:
    """Draws a bar with the time left from the events of a run; prints a line a minute if there is no terminal.

    Time left is the estimated cost of the remaining steps, at the pace of the finished steps of the same kind. All
    times are those of the events, so that the log of a run can be replayed: with `replay`, progress is not printed.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan, self.jobs, self.console = plan, 1.0, Console()
        self.session, self.replay = "none yet", False
        self.todo: set[str] = set()
        self.steps = 0
        self.running: dict[str, tuple[float, float]] = {}
        """Steps that run now: when each began, and the share of it that is done."""
        self.seconds: dict[str, float] = {}
        """Seconds of each step that finished in this session."""
        self.begin = self.now = self.printed = time.time()
        name, percent = TextColumn("{task.description}", markup=False), TextColumn("{task.percentage:>3.0f} %")
        columns = (name, BarColumn(), percent, TimeElapsedColumn(), TextColumn("{task.fields[left]}"))
        self.progress = Progress(*columns, console=self.console, transient=True)
        self.bar = self.progress.add_task("planning", total=1.0, left="")

    def __enter__(self) -> "Watcher":
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Take in an event, of now or with the `time` at which it was logged."""
        name, fingerprint = event["event"], event.get("step", "")
        self.now = event.get("time", time.time())
        if name == "plan":
            if event.get("session", "") != self.session:
                self.session, self.begin, self.printed = event.get("session", ""), self.now, self.now
                self.seconds, self.running = {}, {}
                self.progress.tasks[0].start_time = time.monotonic() - (time.time() - self.begin)
            self.todo, self.steps, self.jobs = set(event["todo"]), len(event["todo"]), event["slots"]
            say(
                f"{event['steps']} steps, {event['steps'] - self.steps} of them already in the store",
                console=self.console,
            )
        elif name == "note":
            say(event["why"], console=self.console)
        elif name == "started":
            self.running[fingerprint] = (self.now, 0.0)
        elif name == "progress" and fingerprint in self.running:
            self.running[fingerprint] = (self.running[fingerprint][0], event["share"])
        elif name in ("finished", "failed", "damaged", "retried"):
            self.running.pop(fingerprint, None)
            step = self.plan.steps[fingerprint]
            if name in ("finished", "failed"):
                self.todo.discard(fingerprint)
            if name != "finished":
                say(f"{name}: {step.label}: {': '.join(event['why'].splitlines()[:2])}", console=self.console)
            else:
                self.seconds[fingerprint] = event["seconds"]
        if self.replay:
            return
        if not self.console.is_terminal and self.now - self.printed >= LINE_SECONDS:
            self.printed = self.now
            now = [f"{self.plan.steps[f].label} {share:.0%}" for f, (_, share) in self.running.items()]
            say(" · ".join([self.position(), *now]), console=self.console)
        elif self.console.is_terminal:
            label = visible(next((self.plan.steps[f].label[:44] for f in self.running), ""))
            description, left = f"{self.steps - len(self.todo)}/{self.steps} steps · {label}", clock(self.left())
            self.progress.update(self.bar, description=description, completed=self.share(), left=f"{left} left")

    def position(self) -> str:
        """How many steps are finished, and how long the others will take."""
        return f"{self.steps - len(self.todo)}/{self.steps} steps, {clock(self.left())} left"

    def left(self) -> float | None:
        """Seconds left, by what steps of each kind took against their estimates; None before anything was measured."""
        steps = self.plan.steps
        measured = [(steps[f], seconds, 1.0) for f, seconds in self.seconds.items() if f in steps]
        measured += [(steps[f], self.now - begin, share) for f, (begin, share) in self.running.items() if share > 0.02]
        spent: defaultdict[str, float] = defaultdict(float)
        cost = spent.copy()
        for step, seconds, share in measured:
            for kind in (step.kind, ""):
                spent[kind] += seconds
                cost[kind] += share * step.cost
        pace = {kind: spent[kind] / cost[kind] for kind in cost if cost[kind]}
        if not pace:
            return None
        unfinished = {f: steps[f].cost * (1 - self.running.get(f, (0.0, 0.0))[1]) for f in self.todo}
        return sum(cost * pace.get(steps[f].kind, pace[""]) for f, cost in unfinished.items()) / self.jobs

    def share(self) -> float:
        """The share of the whole time that has passed, 0 to 1."""
        left, elapsed = self.left(), self.now - self.begin
        return elapsed / (elapsed + left) if left is not None and elapsed + left > 0 else 0.0

    def summary(self) -> str:
        """What ran in this session, and how long it took."""
        if not self.seconds:
            return f"all {len(self.plan.steps):,} steps were in the store"
        return comparison(compared(self.plan, self.seconds)) or f"{len(self.seconds):,} steps ran"


def clock(seconds: float | None) -> str:
    """Minutes and seconds, or hours and minutes; `?` if unknown.

    >>> clock(438), clock(4000)
    ('7:18', '1 h 06 min')
    """
    if seconds is None:
        return "?"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
