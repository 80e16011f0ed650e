"""The verbs that look after a store: store list, show, verify, gc, export."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from xstilts.cli.options import JSON, Row
from xstilts.cli.root import group
from xstilts.errors import XstiltsError
from xstilts.report.console import NONE, emit, print_table, say, short

if TYPE_CHECKING:
    from xstilts.engine.garbage import Garbage
    from xstilts.engine.inventory import Result

PLACE = Annotated[str, typer.Argument(metavar="[STORE]", help="The folder of finished steps.")]
STORE = Annotated[str, typer.Option("--store", help="The folder of finished steps.")]
_RUNS = "Run folders that need results; can be repeated."
RUNS = Annotated[
    list[Path] | None, typer.Option("--run", help=_RUNS, show_default="those that used the store, or lie next to it")
]
DEFAULT = "runs/store"
SHOWN = 20
"""Problems that are printed one by one."""

app = group(
    "store",
    "Look after the folder of finished steps: what is in it, what is damaged, what can go.",
    "Examples:\n\n  xstilts store list\n\n  xstilts store gc          what could be freed; --yes frees it",
)


@app.command(
    "list",
    epilog="Examples:\n\n  xstilts store list                        by kind, and which runs need them\n\n"
    "  xstilts store list runs/store --kind train    every trained model",
)
def list_(
    place: PLACE = DEFAULT,
    kind: Annotated[str, typer.Option("--kind", help="List the results of this kind one by one.")] = "",
    runs: RUNS = None,
    as_json: JSON = False,
) -> None:
    """Show the results in a store: how many of each kind, their size and last use, which runs need them, and what else
    takes space. Only manifests are read, no files of results."""
    from xstilts.engine.in_use import uses
    from xstilts.engine.inventory import OTHERS, leftovers, local_store, needed_results, results
    from xstilts.runs.store_runs import recorded_runs, steps_of, store_runs

    store = local_store(place)
    present, known = results(store), store_runs(store, runs or ())
    if kind:
        _list_kind([result for result in present if result.kind == kind], kind, {r.kind for r in present}, as_json)
        return
    needed = needed_results(present, steps_of(known))
    others = {name: leftovers(store, name) for name in OTHERS}
    facts: Row = {
        "store": str(store.root),
        "kinds": _kinds([result for result in present if not result.problem], needed),
        "runs": [
            {"run": str(run.folder), "steps": len(run.steps), "here": len(sizes), "size": sum(sizes)}
            for run in known
            for sizes in [[result.size for result in present if result.fingerprint in run.steps]]
        ],
        "not_here": [str(run) for run in recorded_runs(store) if not run.is_dir()],
        "in_use": [
            {"file": str(u.file), "host": u.host, "since": u.since, "steps": len(u.steps)} for u in uses(store.root)
        ],
        "problems": [{"fingerprint": r.fingerprint, "problem": r.problem} for r in present if r.problem],
        "others": {name: {"count": len(parts), "size": sum(p.size for p in parts)} for name, parts in others.items()},
    }
    if not emit(facts, as_json):
        _print_list(facts)


@app.command(epilog="Example:\n\n  xstilts store show 3f29a1")
def show(
    fingerprint: Annotated[str, typer.Argument(help="The fingerprint of a step, or a unique prefix of it.")],
    place: STORE = DEFAULT,
    as_json: JSON = False,
) -> None:
    """Show one result: the step that made it, its files and inputs, where and when it was made, and what needs it."""
    from xstilts.engine.inventory import describe, find_result, local_store
    from xstilts.runs.store_runs import store_runs

    store = local_store(place)
    facts = describe(store, find_result(store, fingerprint))
    facts["runs"] = [str(run.folder) for run in store_runs(store) if facts["fingerprint"] in run.steps]
    if not emit(facts, as_json):
        _print_result(facts)


@app.command(epilog="Example:\n\n  xstilts store verify runs/store")
def verify(place: PLACE = DEFAULT, as_json: JSON = False) -> None:
    """Compare every file in a store with its checksum, and every step with its fingerprint.

    Damaged results are set aside in the folder `damaged`; the next run computes them again. Exit status: 0 if all are
    sound, 4 if not.
    """
    from xstilts.engine.inventory import local_store
    from xstilts.engine.inventory import verify as verify_store

    store = local_store(place)
    with _progress() as bar:
        count, damaged = verify_store(store, _advance(bar, "checked"))
    if not emit({"checked": count, "damaged": damaged}, as_json):
        _print_problems(damaged)
        say(f"{count - len(damaged):,} of {count:,} results are what their steps wrote")
    if damaged:
        what = f"{len(damaged):,} of {count:,} results in {store.root} are damaged"
        hint = "run the studies that need them again: they compute damaged results again"
        raise XstiltsError("damaged", what, "they do not have the checksums in their manifests", hint)


@app.command(
    epilog="Examples:\n\n  xstilts store gc                             show what could be freed, delete nothing\n\n"
    "  xstilts store gc --yes                       free it\n\n"
    "  xstilts store gc --models --older-than 30    models that no step to come needs; predictions stay\n\n"
    "  xstilts store gc --run runs/a --run runs/b   free what only other runs need"
)
def gc(
    place: PLACE = DEFAULT,
    runs: RUNS = None,
    models: Annotated[
        bool, typer.Option("--models", help="Free only trained models that no step still to run reads; records stay.")
    ] = False,
    days: Annotated[
        float, typer.Option("--older-than", min=0.0, metavar="DAYS", help="Only what was not used for so many days.")
    ] = 0.0,
    yes: Annotated[bool, typer.Option("--yes", help="Delete. Without it nothing is deleted.")] = False,
    as_json: JSON = False,
) -> None:
    """Free what no run needs: results outside the plans of the runs, damaged results, checkpoints of other steps.

    What a run folder's plan names stays, and so does everything that a running study needs. Studies may run meanwhile.
    """
    from xstilts.engine.garbage import remove, unneeded, unneeded_models
    from xstilts.engine.inventory import local_store
    from xstilts.runs.store_runs import models_needed, recorded_runs, steps_of, store_runs

    store = local_store(place)
    known = store_runs(store, runs or ())
    if not known:
        why, hint = "without a plan, every result would count as unneeded", "name the run folders with --run"
        raise XstiltsError("not-a-run", f"no run folder that needs {store.root} is known", why, hint)
    if models:
        garbage = unneeded_models(store, models_needed(store, known), days)
    else:
        garbage = unneeded(store, steps_of(known), days)
    gone = [] if runs else [str(run) for run in recorded_runs(store) if not run.is_dir()]
    freed = 0
    if yes:
        store.sweep()
        freed = remove(store, garbage)
    facts: Row = {"runs": [str(run.folder) for run in known], "not_here": gone, "kinds": _garbage_rows(garbage)}
    if emit(facts | {"size": garbage.size, "freed": freed}, as_json):
        return
    say(f"runs that count: {', '.join(facts['runs'])}")
    for run in gone:
        say(f"warning: the run folder {run} used this store and is not here: what it needs does not count")
    if facts["kinds"]:
        rows = [(row["kind"], f"{row['count']:,}", _bytes(row["size"])) for row in facts["kinds"]]
        print_table(("not needed", ">count", ">size"), rows)
    if yes and facts["kinds"]:
        say(f"freed {_bytes(freed)}")
    else:
        free = f"{_bytes(garbage.size)} could be freed; add --yes to free it"
        say(free if facts["kinds"] else "there is nothing to free")


@app.command(
    epilog="Examples:\n\n  xstilts store export finished.tar.xz\n\n"
    "  xstilts store export paper.tar.xz --run runs/paper    only what this run needs"
)
def export(
    out: Annotated[Path, typer.Argument(help="The archive to write, *.tar.xz.")],
    place: STORE = DEFAULT,
    runs: Annotated[list[Path] | None, typer.Option("--run", help="Only the results that this run needs.")] = None,
) -> None:
    """Pack predictions and the records of trainings, without models, so that a study continues on another machine.

    Unpack the archive with `tar -xf` in the folder of another store.
    """
    from xstilts.engine.archive import pack
    from xstilts.engine.inventory import local_store
    from xstilts.runs.store_runs import steps_of, store_runs

    store = local_store(place)
    steps = steps_of(store_runs(store, runs)) if runs else None
    with _progress() as bar:
        count = pack(store, out, steps, _advance(bar, "packed"))
    say(f"{count:,} results are in {out}; unpack them: mkdir -p STORE && tar -xf {out} -C STORE")


def _print_list(facts: Row) -> None:
    rows = [
        (row["kind"], f"{row['count']:,}", _bytes(row["size"]), f"{row['needed']:,}", _day(row["used"]))
        for row in facts["kinds"]
    ]
    print_table(("kind", ">results", ">size", ">needed by a run", ">last use"), rows)
    if facts["runs"]:
        lines = [(r["run"], f"{r['steps']:,}", f"{r['here']:,}", _bytes(r["size"])) for r in facts["runs"]]
        print_table(("run", ">steps", ">in the store", ">size"), lines, "Runs")
    else:
        say("no run folder that needs these results is known")
    for run in facts["not_here"]:
        say(f"the run folder {run} used this store and is not here")
    for use in facts["in_use"]:
        say(f"in use since {_day(use['since'])} on {use['host']}: {use['steps']:,} steps ({use['file']})")
    for name, about in (("damaged", "set aside"), ("temporary", "being written"), ("scratch", "checkpoints")):
        if (other := facts["others"][name])["count"]:
            say(f"{name}/ ({about}): {other['count']:,}, {_bytes(other['size'])}")
    _print_problems({row["fingerprint"]: row["problem"] for row in facts["problems"]})


def _print_result(facts: Row) -> None:
    say((facts["label"] or facts["kind"], "bold"), f"  {facts['kind']} {facts['fingerprint']}")
    say(f"folder:   {facts['folder']}")
    say(f"function: {facts['function']}, version {facts['version']}")
    made = facts["made"]
    origin = f" on {made['host']} by xstilts {made['xstilts']}" if made["host"] else ""
    say(f"made:     {_day(made['time']) if made['time'] else 'not recorded'}{origin}; last used {_day(facts['used'])}")
    print_table(("argument", "value"), [(n, str(v)[:200]) for n, v in facts["arguments"].items()], "Arguments")
    if facts["inputs"]:
        rows = [(row["name"], row["step"], row["label"] or "not in the store") for row in facts["inputs"]]
        print_table(("input", "step", "label"), rows, "Inputs")
    files = [(name, _bytes(size)) for name, size in facts["files"].items()]
    print_table(("file", ">size"), [*files, *((name, "deleted") for name in facts["discarded"])], "Files")
    if facts["read_by"]:
        rows = [(row["kind"], row["step"], row["label"]) for row in facts["read_by"]]
        print_table(("kind", "step", "label"), rows, "Read by")
    say(f"needed by: {', '.join(facts['runs']) or 'no run folder that is known'}")


def _list_kind(chosen: list["Result"], kind: str, kinds: set[str], as_json: bool) -> None:
    if not chosen:
        hint = f"the store has {', '.join(sorted(filter(None, kinds))) or 'no results'}"
        raise XstiltsError("unknown-name", f"the store has no results of kind '{kind}'", "it has other kinds", hint)
    names = ("fingerprint", "label", "size", "used", "discarded")
    rows = [{name: getattr(result, name) for name in names} for result in sorted(chosen, key=lambda r: r.label)]
    if not emit(rows, as_json):
        cells = []
        for row in rows:
            model = "deleted" if row["discarded"] else ""
            cells.append((row["fingerprint"][:12], row["label"], _bytes(row["size"]), model, _day(row["used"])))
        print_table(("step", "label", ">size", "model", ">last use"), cells)


def _kinds(present: list["Result"], needed: set[str]) -> list[Row]:
    rows: dict[str, Row] = {}
    for result in present:
        row = rows.setdefault(result.kind, {"kind": result.kind, "count": 0, "size": 0, "needed": 0, "used": 0.0})
        row["count"] += 1
        row["size"] += result.size
        row["needed"] += result.fingerprint in needed
        row["used"] = max(row["used"], result.used)
    return sorted(rows.values(), key=lambda row: -row["size"])


def _garbage_rows(garbage: "Garbage") -> list[Row]:
    parts = [(result.kind or "unreadable", result.size) for result in garbage.results]
    parts += [("model", result.model) for result in garbage.models]
    parts += [(f"{leftover.folder.parent.name}/", leftover.size) for leftover in garbage.folders]
    rows: dict[str, Row] = {}
    for kind, size in parts:
        row = rows.setdefault(kind, {"kind": kind, "count": 0, "size": 0})
        row["count"] += 1
        row["size"] += size
    return sorted(rows.values(), key=lambda row: -row["size"])


def _print_problems(problems: dict[str, str]) -> None:
    for fingerprint, why in list(problems.items())[:SHOWN]:
        say(("damaged: ", "bold red"), f"{fingerprint}: {why}")
    if len(problems) > SHOWN:
        say(f"and {len(problems) - SHOWN:,} more")


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=not console.is_terminal)


def _advance(bar: Progress, what: str) -> Any:
    task = bar.add_task(what)
    return lambda done, total: bar.update(task, completed=done, total=total)


def _bytes(size: float) -> str:
    return f"{short(size)}B" if size else "0 B"


def _day(seconds: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds)) if seconds else NONE
