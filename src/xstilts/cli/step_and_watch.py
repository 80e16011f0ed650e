"""The verb that runs single steps of a frozen plan, so that any scheduler can carry a study out."""

import json
import os
import time
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console

from xstilts.cli.root import app
from xstilts.cli.study_and_report import STORE

QUIET = 60.0
"""Seconds without an event after which `watch` says so, and again whenever they have doubled."""


@app.command(
    epilog="Examples:\n\n  xstilts plan pocket --quick --freeze runs/mine      freeze a plan, run nothing\n\n"
    "  xstilts step --run runs/mine --ready               what could run now\n\n"
    "  xstilts step --run runs/mine 3f29a1 77c0be         run two steps, one after the other\n\n"
    "  xstilts study pocket --quick --out runs/mine       when all are finished: analyse and report"
)
def step(
    fingerprints: Annotated[
        list[str] | None, typer.Argument(help="Steps to run; unique beginnings are enough.")
    ] = None,
    run: Annotated[Path, typer.Option("--run", help="Run folder with a frozen plan.")] = Path("runs/pocket"),
    store: STORE = None,
    threads: Annotated[int, typer.Option("--threads", min=1, help="Threads; a result depends on them.")] = 1,
    ready: Annotated[bool, typer.Option("--ready", help="Print the steps that could run now.")] = False,
    listed: Annotated[
        bool, typer.Option("--list", help="Print the steps still to run, each with those of them that it needs.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print steps as JSON lines.")] = False,
) -> None:
    """Run single steps of a frozen plan, or print which are to be run; for Slurm arrays, Makefiles and the like.

    The status is 0 where every step is finished (or was already), 3 where inputs are missing, 4 where a step failed.
    """
    from xstilts.engine import Store, read_steps
    from xstilts.errors import XstiltsError
    from xstilts.runs.run_files import STEPS

    if bool(fingerprints) + ready + listed != 1:
        raise XstiltsError(
            "bad-argument", "what is to be done?", "it takes one of fingerprints, --ready and --list", "see --help"
        )
    plan, wanted = read_steps(run / STEPS)
    place = Store(store or run.parent / "store")
    if fingerprints:
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ[name] = str(threads)
        _run(plan, place, fingerprints)
        return
    finished = place.finished(plan.steps)
    todo = plan.needed(finished, wanted)
    for fingerprint in plan.ready(finished, todo) if ready else todo:
        one = plan.steps[fingerprint]
        waits = [f for f in dict.fromkeys(one.inputs.values()) if f not in finished]
        if as_json:
            facts = {"fingerprint": fingerprint, "kind": one.kind, "label": one.label, "cost": one.cost}
            typer.echo(json.dumps(facts | {"resources": one.resources, "waits_for": waits}, ensure_ascii=False))
        else:
            typer.echo(" ".join([fingerprint, *waits]))


def _run(plan: Any, store: Any, names: list[str]) -> None:
    """Runs the steps in the plan's order; one that fails does not keep the others from being run."""
    from xstilts.engine import find, run_alone
    from xstilts.errors import STEP_FAILED, XstiltsError

    console = Console(soft_wrap=True, markup=False, highlight=False)
    asked = {find(plan, name).fingerprint for name in names}
    failure: XstiltsError | None = None
    for fingerprint in [f for f in plan.steps if f in asked]:
        label = plan.steps[fingerprint].label
        try:
            seconds = run_alone(plan, fingerprint, store)
        except XstiltsError as error:
            console.print(f"{'failed' if error.code == STEP_FAILED else 'not run'}: {label}")
            failure = failure or error
        else:
            console.print(f"already there: {label}" if seconds is None else f"finished: {label}, {seconds:.1f} s")
    if failure:
        raise failure


@app.command(epilog="Example:\n\n  xstilts watch runs/pocket          in a second terminal, or on another machine")
def watch(run: Annotated[Path, typer.Argument(help="The run folder of a study.")] = Path("runs/pocket")) -> None:
    """Show the progress of a study that runs elsewhere, until it ends."""
    from xstilts.cli.progress import Watcher, clock
    from xstilts.engine import read_steps
    from xstilts.errors import XstiltsError
    from xstilts.runs.events import abandoned
    from xstilts.runs.run_files import EVENTS, STEPS

    plan, _ = read_steps(run / STEPS)
    if not (run / EVENTS).is_file():
        raise XstiltsError(
            "missing-file", "nothing to watch", f"{run / EVENTS} does not exist", "start the study first"
        )
    with (run / EVENTS).open("rb") as log, Watcher(plan, Console()) as watcher:
        host, last, patience = "", time.time(), QUIET
        while True:
            gone = abandoned(log, host)
            events = _lines(log)
            _show(events, watcher, run / STEPS)
            if events:
                host = next((event.get("host", "") for event in events if event["event"] == "plan"), host)
                last, patience = events[-1].get("time", last), QUIET
                if events[-1]["event"] == "ended":
                    break
            silent = time.time() - last
            if gone and not events:
                why = f"it was killed: its last event was {clock(silent)} ago, and no process writes its log"
                raise XstiltsError("step-failed", "the study is no longer running on this machine", why,
                                   "run it again to go on where it stopped")  # fmt: skip
            if silent > patience:
                watcher({"event": "note", "why": f"no event for {clock(silent)}{f' from {host}' if host else ''}"})
                patience = 2 * silent
            time.sleep(1.0)
    failed = events[-1].get("failed", 0)
    told = f"ended, {failed} step{'s' * (failed != 1)} failed" if failed else "finished"
    page = run / "report.html"
    Console().print(f"{told}; {f'report: {page}' if page.is_file() else 'there is no report yet'}", highlight=False,
                    soft_wrap=True, markup=False)  # fmt: skip


def _show(events: list[dict[str, Any]], watcher: Any, steps: Path) -> None:
    """Tells the watcher the events, by the plan as it is now: a second try adds steps to it."""
    from xstilts.engine import read_steps

    if any(event["event"] == "plan" for event in events):
        watcher.plan, _ = read_steps(steps)
    for event in events:
        if "step" not in event or event["step"] in watcher.plan.steps:
            watcher(event)


def _lines(log: BinaryIO) -> list[dict[str, Any]]:
    """The events that are new in the log, of the latest start of the study only."""
    from xstilts.runs.events import read_event

    events: list[dict[str, Any]] = []
    while (line := log.readline()).endswith(b"\n"):
        event = read_event(line)
        if event is None:
            continue
        events = [event] if event["event"] == "plan" else [*events, event]
    log.seek(log.tell() - len(line))
    return events
