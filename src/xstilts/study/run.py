"""Carries a planned study out and gathers what its cells predicted."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from xstilts.costs.compare import ESTIMATES, compared, measured_seconds
from xstilts.engine import Outcome, Plan, Report, Store, digest, write_atomically, write_steps
from xstilts.errors import XstiltsError
from xstilts.runs.run_lock import claim
from xstilts.study.results import FACTS, gather
from xstilts.study.retry import second_tries
from xstilts.study.steps import StudyPlan

PLAN, STEPS, EVENTS = "plan.json", "steps.jsonl", "events.jsonl"
PROGRESS_SECONDS = 10.0
"""How often a step's progress enters the log of events: a study of days would fill it."""


Executor = Callable[[Plan, Store, list[str], Report], Outcome]


def run_study(planned: StudyPlan, store: Store, out: Path, executor: Executor, watch: Report) -> None:
    """Runs every step that is not in the store and writes the run folder: plan, events, study, cells, predictions,
    and what steps took beside their estimates.

    Raises XstiltsError with code 4 where steps failed; what the other steps made is kept, and the predictions of
    the cells that are complete are written all the same.
    """
    out.mkdir(parents=True, exist_ok=True)
    store.sweep()
    with (out / EVENTS).open("a+", encoding="utf-8") as log:
        claim(log)
        report = _reporter(log, watch)
        failed: dict[str, str] = {}
        try:
            second = _execute(planned, store, out, executor, report, failed)
        finally:
            with suppress(OSError):  # of a full disk, perhaps: the error that is on its way says so
                report({"event": "ended", "failed": len(failed)})
    rows = compared(planned.plan, measured_seconds(out / EVENTS))
    write_atomically(out / ESTIMATES, json.dumps(rows, indent=1))
    gather(planned, store, out, second)
    if failed:
        labels = [f"{planned.plan.steps[f].label}: {why}" for f, why in failed.items()]
        raise XstiltsError(
            "step-failed",
            f"{len(failed)} step{'s' if len(failed) > 1 else ''} failed; all others are kept",
            "\n".join(labels[:5]),
            "mend the cause and run the same command again: only what is missing is computed",
        )


def _execute(
    planned: StudyPlan, store: Store, out: Path, executor: Executor, report: Report, failed: dict[str, str]
) -> StudyPlan | None:
    """Runs the plan, and then another try of what came to nothing, whose plan is returned; fills `failed`."""
    for change in freeze_plan(planned, out):
        report({"event": "note", "why": change})
    failed |= executor(planned.plan, store, planned.wanted, report).failed
    second = second_tries(planned, store)
    if second:
        report({"event": "note", "why": "trainings that came to nothing are tried once more with another seed"})
        planned.plan.steps |= second.plan.steps
        write_steps(out / STEPS, planned.plan, [*planned.wanted, *second.wanted])
        failed |= executor(planned.plan, store, second.wanted, report).failed
    return second


def _reporter(log: TextIO, watch: Report) -> Report:
    """Tells events to the log, which may end in a line that was cut short, and to whoever watches."""
    told: dict[str, float] = {}
    if log.tell():
        log.seek(log.tell() - 1)
        if log.read() != "\n":
            log.write("\n")

    def report(event: dict[str, Any]) -> None:
        now, progress = time.time(), event["event"] == "progress"
        if not progress or now - told.get(event["step"], 0.0) > PROGRESS_SECONDS:
            if progress:
                told[event["step"]] = now
            where = {"host": socket.gethostname()} if event["event"] == "plan" else {}
            log.write(json.dumps({"time": round(now, 2), **event, **where}) + "\n")
            log.flush()
        watch(event)

    return report


def freeze_plan(planned: StudyPlan, out: Path) -> list[str]:
    """Writes what was decided before the first step, and the steps as such, so that each can be run alone.

    Where an earlier plan differs, it is kept beside the new one, and what has changed is returned in words. So are the
    facts that go with its predictions: they would be analysed by another split of languages.
    """
    description = json.loads(json.dumps(planned.frozen.describe() | {"steps": list(planned.plan.steps)}))
    file, changed = out / PLAN, []
    if file.is_file():
        earlier = _earlier(file)
        changed = differences(earlier, description) + _other_data(earlier["steps"], planned)
        if changed:
            kept = f"plan-{digest([earlier['hash'], earlier['steps']])[:8]}.json"
            write_atomically(out / kept, json.dumps(earlier, indent=1))
            if (out / FACTS).is_file():
                (out / FACTS).replace(out / kept.replace("plan", "study"))
            changed = [f"this is another plan than before, which is kept as {kept}", *changed]
    write_atomically(file, json.dumps(description, indent=1, ensure_ascii=False))
    write_steps(out / STEPS, planned.plan, planned.wanted)
    return changed


def _other_data(earlier: list[str], planned: StudyPlan) -> list[str]:
    """Steps that take in something from outside, and did not so before: other files, or another way to read them."""
    new = [step for f, step in planned.plan.steps.items() if not step.inputs and f not in set(earlier)]
    labels = ", ".join(step.label for step in new[:3]) + (", …" if len(new) > 3 else "")
    return [f"{len(new)} steps have no result yet that begin with data or encoders: {labels}"] if new else []


def _earlier(file: Path) -> dict[str, Any]:
    """The plan that a run folder holds; raises XstiltsError where it is none."""
    try:
        found = json.loads(file.read_bytes())
        _ = found["hash"][:8]
    except (ValueError, KeyError, TypeError):
        raise XstiltsError("bad-setting", f"{file.parent} holds something else than a run", f"{file.name} is no plan of a study",
                           "name another run folder, or remove the file") from None  # fmt: skip
    return dict(found)


def differences(earlier: Any, later: Any, where: str = "") -> list[str]:
    """The settings of two plans that differ, each in words; hash, steps and warnings follow from them."""
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        return [] if earlier == later else [f"{where}: {_short(earlier)} is now {_short(later)}"]
    follow = ("hash", "steps", "warnings")
    names = [name for name in dict.fromkeys([*earlier, *later]) if where or name not in follow]
    return [
        told
        for name in names
        for told in differences(earlier.get(name), later.get(name), f"{where}.{name}" if where else name)
    ]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + "..."
