"""The verbs that run single steps of a frozen plan, for any scheduler, and that watch a study: step, watch."""

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from xstilts.cli.options import JSON, PROGRESS, RUN, STORE, Form, Row
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import clock, say

if TYPE_CHECKING:
    from xstilts.cli.progress import Watcher
    from xstilts.engine import Plan, Store

POLL, QUIET = 1.0, 60.0
"""Seconds between looks at the log; seconds without an event before `watch` says so, and again as they double."""


@app.command(
    epilog="Examples:\n\n  xstilts plan pocket --quick --freeze runs/mine      freeze a plan, run nothing\n\n"
    "  xstilts step --run runs/mine --ready               what could run now\n\n"
    "  xstilts step --run runs/mine 3f29a1 77c0be         run two steps, one after the other\n\n"
    "  xstilts study pocket --quick --out runs/mine       when all are finished: analyse and report"
)
def step(
    fingerprints: Annotated[list[str] | None, typer.Argument(help="Steps to run; unique prefixes are enough.")] = None,
    run: Annotated[Path, typer.Option("--run", help="Run folder with a frozen plan.")] = Path("runs/pocket"),
    store: STORE = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads; results depend on their number.")] = 1,
    ready: Annotated[bool, typer.Option("--ready", help="Print the steps that could run now.")] = False,
    listed: Annotated[bool, typer.Option("--list", help="Print the remaining steps and what each waits for.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print steps as JSON lines.")] = False,
    progress: PROGRESS = "auto",
) -> None:
    """Run single steps of a frozen plan, or print which remain; for Slurm arrays, Makefiles and other schedulers.

    Exit status: 0 if all named steps are finished, 2 for an unknown step, 3 if inputs are missing, 4 if a step failed.
    """
    from xstilts.engine import Store, environment, find, read_steps
    from xstilts.runs.run_files import STEPS
    from xstilts.runs.store_runs import record_run

    if bool(fingerprints) + ready + listed != 1:
        why = "one of fingerprints, --ready and --list must be given"
        raise XstiltsError("bad-argument", "it is not clear what to do", why, "see `xstilts step --help`")
    plan, wanted = read_steps(run / STEPS)
    place = Store(store or run.parent / "store")
    if not fingerprints:
        finished = place.finished(plan.steps)
        remaining = plan.needed(finished, wanted, place.discarded(finished))
        finished = finished.difference(remaining)
        for planned in map(plan.steps.__getitem__, plan.ready(finished, remaining) if ready else remaining):
            waits = [f for f in dict.fromkeys(planned.inputs.values()) if f not in finished]
            facts = {name: getattr(planned, name) for name in ("fingerprint", "kind", "label", "cost", "resources")}
            line = json.dumps(facts | {"waits_for": waits}, ensure_ascii=False)
            typer.echo(line if as_json else " ".join([planned.fingerprint, *waits]))
        return
    os.environ.update(environment(threads))
    asked = {find(plan, name).fingerprint for name in fingerprints}
    with place.in_use(asked.union(*(plan.steps[f].inputs.values() for f in asked))):
        record_run(place, run)
        _run_alone(plan, [f for f in plan.steps if f in asked], place, progress)


def _run_alone(plan: "Plan", fingerprints: list[str], store: "Store", form: Form) -> None:
    """Run steps one after the other; if some fail, the others run, and then the first error is raised."""
    from xstilts.cli.progress import Watcher

    with Watcher(plan, form) as watcher:
        watcher.state.take({"event": "plan", "todo": fingerprints, "slots": 1})
        errors = [_run_shown(watcher, fingerprint, store) for fingerprint in fingerprints]
    for error in filter(None, errors):
        raise error


def _run_shown(watcher: "Watcher", fingerprint: str, store: "Store") -> XstiltsError | None:
    """Run a step and show its progress; returns the error if it fails."""
    from xstilts.engine import run_alone, throttled

    plan, event = watcher.state.plan, {"step": fingerprint}
    label = plan.steps[fingerprint].label
    watcher({"event": "started", **event})
    progress = throttled(lambda share: watcher({"event": "progress", **event, "share": share}), POLL / 2)

    def note(text: str) -> None:
        watcher({"event": "note", "why": f"{label}: {text}"})

    try:
        seconds = run_alone(plan, fingerprint, store, progress, note)
    except XstiltsError as error:
        watcher({"event": "failed", **event, "why": str(error)})
        return error
    watcher({"event": "finished", **event, "seconds": seconds})
    text = f"already there: {label}" if seconds is None else f"finished: {label}, {seconds:.1f} s"
    say(text, console=watcher.console)
    return None


@app.command(
    epilog="Examples:\n\n  xstilts watch runs/pocket          in a second terminal, or on another machine\n\n"
    "  xstilts watch runs/pocket --json   for a program"
)
def watch(run: RUN = Path("runs/pocket"), as_json: JSON = False) -> None:
    """Show the progress of a study that runs elsewhere, until it ends."""
    from xstilts.cli.progress import Watcher
    from xstilts.engine import read_steps
    from xstilts.runs.events import abandoned
    from xstilts.runs.run_files import EVENTS, REPORT, STEPS

    plan, _ = read_steps(run / STEPS)
    if not (run / EVENTS).is_file():
        why = f"{run / EVENTS} does not exist"
        raise XstiltsError("missing-file", "nothing to watch", why, "start the study first")
    with (run / EVENTS).open("rb") as log, Watcher(plan, "json" if as_json else "auto", sys.stdout) as watcher:
        host, last, patience, watcher.replay = "", time.time(), QUIET, True
        while True:
            gone = abandoned(log, host)
            events = _new_events(log, watcher.state.session)
            plans = [event for event in events if event["event"] == "plan"]
            if plans:  # a second try adds steps to the plan
                watcher.state.plan, _ = read_steps(run / STEPS)
                host = plans[0].get("host", "")
            for event in events:
                if "step" not in event or event["step"] in watcher.state.plan.steps:
                    watcher(event)
            if events:
                last, patience = events[-1].get("time", last), QUIET
                if events[-1]["event"] == "ended":
                    break
            if watcher.replay and (watcher.state.seconds or watcher.state.running):
                watcher.report()
            watcher.replay, silent = False, time.time() - last
            if gone and not events:
                why = f"it was killed: its last event was {clock(silent)} ago, and no process writes its log"
                hint = "run it again to continue where it stopped"
                raise XstiltsError("step-failed", "the study is no longer running on this machine", why, hint)
            if silent > patience:
                watcher({"event": "note", "why": f"no event for {clock(silent)}{f' from {host}' if host else ''}"})
                patience = 2 * silent
            time.sleep(POLL)
    if not as_json:
        _print_end(run / REPORT, watcher, events[-1].get("failed", 0), last)


def _print_end(page: Path, watcher: "Watcher", failed: int, last: float) -> None:
    """Print how and when a study ended, and where its report is."""
    seconds = watcher.state.seconds
    outcome = f"ended with {failed} failed step{'s' * (failed != 1)}" if failed else "finished"
    ran = f"{len(seconds):,} steps in {clock(last - watcher.state.begin)}" if seconds else watcher.summary()
    say(f"{outcome} {clock(time.time() - last)} ago: {ran}")
    say(f"report: {page}" if page.is_file() else "there is no report yet")


def _new_events(log: BinaryIO, session: str) -> list[Row]:
    """The events that are new in the log, of the latest session only."""
    from xstilts.runs.events import read_event

    events: list[Row] = []
    while (line := log.readline()).endswith(b"\n"):
        event = read_event(line)
        if event and event["event"] == "plan" and event.get("session", "") != session:
            session = event.get("session", "")
            events = [earlier for earlier in events if earlier.get("session", "") == session]  # damaged results
        if event:
            events.append(event)
    log.seek(log.tell() - len(line))
    return events
