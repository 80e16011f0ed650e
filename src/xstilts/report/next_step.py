"""What would settle the undetermined contrasts of a run: the command, and what it costs."""

import re
import shlex
from pathlib import Path
from typing import Any

from xstilts.report.console import clock
from xstilts.runs.verify import verified_events

Row = dict[str, Any]


def last_start(run: Path) -> Row:
    """How the run was started last: its `command`, `machine` and `versions`; {} without a log that can be trusted."""
    starts = [event for event in verified_events(run) or [] if event["event"] == "plan"]
    return starts[-1] if starts else {}


def next_step(result: Row, run: Path) -> Row | None:
    """What would settle the undetermined contrasts: `lines` of text, the `command`, and its `cost`; None if all are.

    The command is that of the run's last start with as many replicates as the last contrast needs; the cost is the
    measured time of all finished steps, for each replicate more. Both are "" if they are unknown, or if no number of
    replicates is enough.
    """
    decisions = [row for row in result["verdicts"] if row["decision"]]
    if not decisions:
        return None
    lines = [f"{row['contrast']}: {row['decision']['text']}" for row in decisions]
    needed = max((row["decision"]["replicates"] or 0 for row in decisions), default=0)
    now = decisions[0]["replicates"] // len(result["encoders"])
    known = last_start(run).get("command", "")
    command = known if "xstilts study" in known else f"xstilts study {shlex.quote(result['study']['name'])}"
    events = verified_events(run) or []
    spent = sum({event["step"]: event["seconds"] or 0.0 for event in events if event["event"] == "finished"}.values())
    cost = clock(spent * (needed - now) / now) if needed and spent and now else ""
    return {"lines": lines, "command": with_replicates(command, needed) if needed else "", "cost": cost}


def with_replicates(command: str, count: int) -> str:
    """A `study` command with another number of replicates.

    >>> with_replicates("xstilts study pocket --replicates 3 --jobs 2", 8)
    'xstilts study pocket --jobs 2 --replicates 8'
    """
    return f"{re.sub(r' --replicates[ =][0-9]+', '', command)} --replicates {count}"
