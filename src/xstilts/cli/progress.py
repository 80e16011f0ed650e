"""What is shown while a study runs: a live display, a line a minute, or JSON lines."""

import sys
import time
from typing import Any, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from xstilts.cli.options import Form, Row
from xstilts.costs.estimate import compared, comparison
from xstilts.engine import Plan
from xstilts.report.console import as_json_text, clock, say, short, visible
from xstilts.runs.study_progress import StudyProgress

LINE_SECONDS, REDRAW_SECONDS = 60.0, 0.5
"""How often a line is printed if there is no terminal, and the live display is brought up to date if there is one."""
SHOWN = 12
"""Running steps that are shown one by one; there may be hundreds on a cluster."""


class Watcher:
    """Shows the progress of a study from its events: call it with each.

    With `replay`, the events of a log up to now are taken in, and progress of long ago is not printed.
    """

    def __init__(self, plan: Plan, form: Form = "auto", json_stream: TextIO | None = None) -> None:
        self.state, self.console, self.replay = StudyProgress(plan), Console(), False
        self.form = "live" if form == "auto" and self.console.is_terminal else form
        self.json_stream = json_stream or sys.stderr
        self.printed, self.drawn = self.state.begin, 0.0
        fields = ("share", "speed", "left")
        columns = [TextColumn(f"{{task.fields[{name}]}}", markup=False, justify="right") for name in fields]
        label = TextColumn("{task.description}", markup=False)
        bar, elapsed = BarColumn(bar_width=10), TimeElapsedColumn()
        self.display = Progress(label, bar, columns[0], elapsed, *columns[1:], console=self.console, transient=True)
        self.bars: dict[str, TaskID] = {"": self._bar(self.state.begin)} if self.form == "live" else {}
        """The bar of each step that is shown, and under "" that of the study."""

    def __enter__(self) -> "Watcher":
        if self.form == "live":
            self.display.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.form == "live":
            self.display.stop()

    def __call__(self, event: Row) -> None:
        """Take in an event and show what it changes."""
        name, state = event["event"], self.state
        state.take(event)
        if name == "plan":
            self.printed = state.now
        if self.form == "json":
            if name != "progress":
                reason = {"why": event["why"]} if "why" in event else {}
                self._write(state.snapshot(name, event.get("step", "")) | reason)
        elif self.form != "quiet" and (text := self._announcement(event)):
            say(text, console=self.console)
        if self.replay or self.form == "quiet":
            return
        if self.form == "live" or state.now - self.printed >= LINE_SECONDS:
            self.report()

    def report(self) -> None:
        """Show how far the study and the steps that run are: live, in a line or as JSON."""
        self.printed = self.state.now
        if self.form == "json":
            for fingerprint in self.state.running:
                self._write(self.state.snapshot("progress", fingerprint))
        elif self.form in ("auto", "lines"):
            rows = self.state.rows()
            steps = [" ".join([row["label"], ", ".join(filter(None, _words(row)))]) for row in rows[:SHOWN]]
            more = [f"{len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
            say(" · ".join([self.position(), *steps, *more]), console=self.console)
        elif self.form == "live" and time.monotonic() - self.drawn >= REDRAW_SECONDS:
            self._redraw()

    def position(self) -> str:
        """How many steps are finished, and how long the others will take."""
        return f"{self.state.finished}/{self.state.total} steps, {clock(self.state.seconds_left())} left"

    def summary(self) -> str:
        """What ran in this session, and how long it took."""
        if not self.state.seconds:
            return f"all {len(self.state.plan.steps):,} steps were in the store"
        return (
            comparison(compared(self.state.plan, self.state.device_seconds)) or f"{len(self.state.seconds):,} steps ran"
        )

    def _announcement(self, event: Row) -> str:
        """The line that an event is worth; "" if it is worth none."""
        name, todo = event["event"], self.state.total
        if name == "plan":
            return f"{event['steps']} steps, {event['steps'] - todo} of them already in the store"
        if name == "note":
            return str(event["why"])
        if name in ("failed", "damaged", "retried"):
            label = self.state.plan.steps[event["step"]].label
            return f"{name}: {label}: {': '.join(event['why'].splitlines()[:2])}"
        return ""

    def _write(self, record: Row) -> None:
        print(as_json_text(record), file=self.json_stream, flush=True)

    def _bar(self, begin: float) -> TaskID:
        """A new bar in the live display, of something that began at a time."""
        bar = self.display.add_task("", total=1.0, share="", speed="", left="")
        self.display.tasks[-1].start_time = time.monotonic() - (time.time() - begin)
        return bar

    def _redraw(self) -> None:
        """Bring the live display up to date: a bar for the study and one for each running step."""
        self.drawn, state = time.monotonic(), self.state
        self.display.tasks[0].start_time = time.monotonic() - (time.time() - state.begin)
        rows = {row["step"]: row for row in state.rows()[:SHOWN]}
        for fingerprint in self.bars.keys() - rows.keys() - {""}:
            self.display.remove_task(self.bars.pop(fingerprint))
        more = f", {len(state.running)} running" if len(state.running) > SHOWN else ""
        share, left = state.share(), f"{clock(state.seconds_left())} left"
        facts: dict[str, Any] = {"description": f"{state.finished}/{state.total} steps{more}", "completed": share}
        self.display.update(self.bars[""], **facts, share=f"{share:.0%}", left=left)
        width = max(12, self.console.width - 58)  # the other columns take so much
        for fingerprint, row in rows.items():
            if fingerprint not in self.bars:
                self.bars[fingerprint] = self._bar(state.running[fingerprint].begin)
            total = None if row["share"] is None else 1.0  # a bar that moves to and fro: the step reports no share
            facts = {"description": visible(row["label"][:width]), "total": total, "completed": row["share"] or 0.0}
            facts |= zip(("share", "speed", "left"), _words(row), strict=True)
            self.display.update(self.bars[fingerprint], **facts)


def _words(row: Row) -> tuple[str, str, str]:
    """Share, speed and time left of a running step, "" for what is not known."""
    share, rate, left = row["share"], row["examples_per_second"], row["seconds_left"]
    speed = f"{short(row['bytes'])}B" if row["bytes"] else f"{rate:,g} examples/s" if rate else ""
    return "" if share is None else f"{share:.0%}", speed, "" if left is None else f"{clock(left)} left"
