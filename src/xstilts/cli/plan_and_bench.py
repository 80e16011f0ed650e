"""The verbs that price a study before anything runs, and measure this machine for that: plan, bench device."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xstilts.cli import options
from xstilts.cli.options import Row
from xstilts.cli.root import app, group
from xstilts.errors import XstiltsError
from xstilts.models.hardware import cores, device_class
from xstilts.report.console import NONE, clock, emit, print_table, say, short


@app.command(
    epilog="Examples:\n\n  xstilts plan pocket --replicates 10             steps, costs, and how long it would take\n\n"
    "  xstilts plan mine.yaml --gpus 8 --device h200   the same on eight GPUs, without having any\n\n"
    "  xstilts plan pocket --mermaid                   a picture of its steps; --dot for Graphviz\n\n"
    "  xstilts plan pocket --json                      all of it for a program"
)
def plan(
    name: options.STUDY = "pocket",
    data: options.DATA = None,
    store: options.STORE = None,
    quick: options.QUICK = False,
    replicates: options.REPLICATES = None,
    seed: options.SEED = None,
    device: options.ANY_DEVICE = "auto",
    gpus: Annotated[int | None, typer.Option("--gpus", min=1, help="How many devices (1, or all cores).")] = None,
    source: options.SOURCE = None,
    allow_few: options.ALLOW_FEW = False,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the graph for Mermaid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    run: Annotated[Path | None, typer.Option("--freeze", help="Freeze the plan in this run folder.")] = None,
) -> None:
    """Show what a study would do and cost: arms, steps, what is shared, what is in the store, FLOPs, hours, disk.

    Nothing is trained, fetched or loaded: sizes come from a table, and from the data if they are on this machine. The
    licence and access of each task are shown, with a warning if its files or a token are missing.
    """
    from xstilts.costs.devices import rates
    from xstilts.costs.estimate import estimates
    from xstilts.engine import Store
    from xstilts.study.data_access import data_access, data_warnings, model_download
    from xstilts.study.overview import bill, draw
    from xstilts.study.run import freeze_plan

    if as_dot + as_mermaid + as_json > 1:
        why = "several of --dot, --mermaid and --json are given"
        raise XstiltsError("bad-argument", "output has one format", why, "give one of them")
    speed = rates("cuda" if device == "auto" and gpus else device_class(device))
    changes: Row = {"quick": quick, "replicates": replicates, "seed": seed, "data_source": source}
    planned = options.planned_study(name, data, speed.kind, allow_few, run, run is not None, **changes)
    for change in freeze_plan(planned, run) if run else ():
        say(change, console=Console(stderr=True))
    if as_dot or as_mermaid:
        typer.echo(draw(planned, "dot" if as_dot else "mermaid"))
        return
    place = Store(store or (run.parent if run else Path("runs")) / "store")
    finished = place.finished(planned.plan.steps)
    prices = estimates(planned.plan, speed, place)
    devices = gpus or (cores() if speed.kind == "cpu" else 1)
    cost = bill(planned, prices, finished, devices, place.discarded(finished))
    facts = planned.frozen.describe() | cost
    facts |= {"planned_steps": len(planned.plan.steps), "requested_steps": planned.plan.requested}
    facts |= {"steps_to_run": cost["to_run"]["steps"], "rates": {"device": speed.name, "ground": speed.ground}}
    facts |= {"steps_by_kind": dict(Counter(step.kind for step in planned.plan.steps.values()))}
    facts |= {"artificial": planned.frozen.artificial, "device_memory_warning": _memory_warning(cost, speed)}
    facts["data"], facts["weight_bytes"] = data_access(planned), model_download(planned)
    facts["warnings"] = [*facts["warnings"], *data_warnings(planned, facts["data"])]
    if emit(facts, as_json):
        return
    _print_design(facts)
    _print_data(facts["data"], facts["weight_bytes"])
    _print_cost(facts)
    for warning in filter(None, [facts["device_memory_warning"], *facts["warnings"]]):
        say(f"warning: {warning}")
    if run:
        say(f"frozen in {run}; its steps: xstilts step --run {run} --list")


def _print_design(facts: Row) -> None:
    study = facts["study"]
    say((study["name"], "bold"), f"  plan {facts['hash'][:8]}, {facts['device']}, {facts['precision']}")
    if facts["artificial"]:
        say(f"targets in artificial languages: {', '.join(facts['artificial'])}")
    say(f"source pool, near to far: {', '.join(facts['pool'])}")
    say(f"held out, near to far:    {', '.join(facts['held_out'])}")
    for code, why in facts["excluded"].items():
        say(f"not a source: {code} ({why})")
    rows = []
    for name, arm in study["arms"].items():
        drawn = dict.fromkeys(" ".join(codes) for codes in facts["sources"][name].values())
        rows.append((name, arm["intermediate"] or "none", " · ".join(drawn), arm["role"]))
    print_table(("arm", "intermediate", "languages", "role"), rows, "Arms")


def _print_data(rows: list[Row], weights: int) -> None:
    cells: list[tuple[Any, ...]] = []
    for row in rows:
        here = ("no: see the warnings", "bold red") if row["missing"] else NONE if row["access"] == "open" else "yes"
        size = f"{short(row['download'])}B" if row["download"] else NONE
        cells.append((row["task"], row["licence"], row["access"], size, here))
    print_table(("task", "licence", "access", ">download", "on this machine"), cells, "Data")
    text = sum(row["download"] for row in rows)
    if text or weights:
        say(f"from the hub, if not in its cache: about {short(text)}B of text and {short(weights)}B of weights")


def _print_cost(facts: Row) -> None:
    unit, todo = "core" if facts["device"] == "cpu" else "GPU", facts["to_run"]
    memory = ["memory_gb"] + ["device_memory_gb"] * (facts["device_memory_gb"] > 0)
    total = {"kind": "all", "steps": facts["planned_steps"], "cached": facts["cached_steps"]}
    total |= {"seconds": 3600 * facts["device_hours"], "size": facts["disk_bytes"]}
    rows = []
    for row in [*facts["kinds"], facts | total]:
        counts = row["kind"], f"{row['steps']:,}", f"{row['cached']:,}", short(row["tokens"]), short(row["flops"])
        most = (f"{row[name]:.1f}" if row[name] else NONE for name in memory)
        rows.append((*counts, f"{row['seconds'] / 3600:,.2f}", f"{short(row['size'])}B", *most))
    headings = ("steps", ">count", ">in the store", ">tokens", ">FLOPs", f">{unit} hours", ">disk", ">GB", ">GPU GB")
    print_table(headings[: 7 + len(memory)], rows, "Cost (GB: peak memory of the largest step)")
    say(
        f"\n{facts['planned_steps']:,} steps, {facts['requested_steps']:,} before deduplication; "
        f"{facts['training_runs']:,} training runs, {facts['naive_runs']:,} with one pipeline per cell"
    )
    makespan, path = (clock(3600 * todo[f"{name}_hours"]) for name in ("makespan", "critical_path"))
    devices = f"{facts['devices']:,} {unit}{'s' * (facts['devices'] != 1)}"
    say(
        f"to run: {todo['steps']:,} steps, {todo['device_hours']:,.2f} {unit} hours, {makespan} on {devices} "
        f"({todo['devices_used']:.0%} of their time; the critical path takes {path})"
    )
    sizes = [f"{short(size)}B with --keep-models {keep}" for keep, size in facts["disk_bytes_by_keep_models"].items()]
    say(f"largest size of the store: {', '.join(sizes)}")
    say(f"{facts['rates']['device']} rates: {facts['rates']['ground']}")
    if facts["assumed_steps"]:
        say(f"{facts['assumed_steps']:,} steps rest on an assumed size; docs/planning.md has the table")


def _memory_warning(cost: Row, speed: Any) -> str:
    """Name the kinds of steps that need more memory than the smallest card of the device's name has; "" if none."""
    kinds = [row["kind"] for row in cost["kinds"] if speed.memory and row["device_memory_gb"] > speed.memory[0]]
    cards = " or ".join(f"{size:g}" for size in speed.memory)
    needed = f"steps of kind {', '.join(kinds)} need up to {cost['device_memory_gb']:.0f} GB of GPU memory"
    remedy = "smaller `micro_tokens` or `gradient_checkpointing` make trainings need less"
    return f"{needed}, {speed.name} has {cards}: {remedy}" if kinds else ""


_EXAMPLES = (
    "Examples:\n\n  xstilts bench device                 in about half a minute\n\n"
    "  xstilts bench device --device cuda --json"
)
bench = group("bench", "Measure this machine.", _EXAMPLES)


@bench.command(epilog=_EXAMPLES)
def device(
    name: options.DEVICE = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, and save nothing.")] = False,
) -> None:
    """Measure how fast this machine is, and save the rates for `xstilts plan`; cpu is one core."""
    from xstilts.costs.bench import keep, measure

    kind = device_class(name)
    entry = measure(kind, lambda text: None if as_json else say(text))
    if not emit(entry, as_json):
        say(f"saved as '{kind}' in {keep(entry)}; `xstilts plan` reads it")
