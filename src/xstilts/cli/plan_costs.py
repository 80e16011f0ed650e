"""The verb that shows and prices a study before anything is run."""

import json
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli.root import app
from xstilts.cli.study_and_report import (
    ALLOW_FEW,
    DATA,
    QUICK,
    REPLICATES,
    SEED,
    SOURCE,
    STORE,
    STUDY,
    cores,
    device_class,
    planned_study,
)

DEVICE = Annotated[
    str, typer.Option("--device", help="cpu, cuda, auto, or a device whose rates are known: h200, h100, a100.")
]
GPUS = Annotated[
    int | None,
    typer.Option("--gpus", min=1, help="Devices of the schedule.", show_default="1, or the cores at hand for cpu"),
]


@app.command(
    epilog="Examples:\n\n  xstilts plan pocket --replicates 10             steps, costs, and how long it would take\n\n"
    "  xstilts plan mine.yaml --gpus 8 --device h200   the same on eight GPUs, without any here\n\n"
    "  xstilts plan pocket --mermaid                   the picture of its steps; --dot for Graphviz\n\n"
    "  xstilts plan pocket --json                      all of it for a program"
)
def plan(
    name: STUDY = "pocket",
    data: DATA = None,
    store: STORE = None,
    quick: QUICK = False,
    replicates: REPLICATES = None,
    seed: SEED = None,
    device: DEVICE = "auto",
    gpus: GPUS = None,
    source: SOURCE = None,
    allow_few: ALLOW_FEW = False,
    as_dot: Annotated[bool, typer.Option("--dot", help="Print the graph for Graphviz.")] = False,
    as_mermaid: Annotated[bool, typer.Option("--mermaid", help="Print the graph for Mermaid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
    run: Annotated[
        Path | None, typer.Option("--freeze", help="Run folder to freeze the plan in, running nothing.")
    ] = None,
) -> None:
    """Show what a study would do and cost: arms, steps, what is shared, what is in the store, FLOPs, hours, disk.

    Nothing is trained, fetched or loaded: sizes come from a table, and from the data where it is at hand.
    """
    from xstilts.costs.devices import rates
    from xstilts.costs.estimate import estimates
    from xstilts.costs.sizes import Sizes
    from xstilts.engine import Store
    from xstilts.errors import XstiltsError
    from xstilts.study.graph import dot, grouped, mermaid
    from xstilts.study.price import bill
    from xstilts.study.run import freeze_plan

    if as_dot + as_mermaid + as_json > 1:
        raise XstiltsError(
            "bad-argument", "one form at a time", "of --dot, --mermaid and --json several are given", "give one of them"
        )
    named = "cuda" if device == "auto" and gpus else device
    speed = rates(named if named != "auto" else device_class("auto"))
    changes = {"replicates": replicates, "seed": seed, "data_source": source}
    planned = planned_study(name, data, quick, changes, speed.kind, allow_few, resolved=run is not None)
    for change in freeze_plan(planned, run) if run else ():
        Console(stderr=True).print(f"note: {change}", markup=False, highlight=False)
    if as_dot or as_mermaid:
        typer.echo((dot if as_dot else mermaid)(grouped(planned)))
        return
    kept = Store(store or (run.parent if run else Path("runs")) / "store")
    finished = kept.finished(planned.plan.steps)
    prices = estimates(planned.plan, speed, Sizes(kept))
    cost = bill(planned, prices, finished, gpus or (cores() if speed.kind == "cpu" else 1))
    facts = planned.frozen.describe() | {
        "planned_steps": len(planned.plan.steps),
        "requested_steps": planned.plan.requested,
        "steps_to_run": cost["to_run"]["steps"],
        "steps_by_kind": dict(Counter(step.kind for step in planned.plan.steps.values())),
        "rates": {"device": speed.name, "ground": speed.ground},
        "device_memory_warning": _too_large(cost, speed),
        **cost,
    }
    if as_json:
        typer.echo(json.dumps(facts, indent=1, ensure_ascii=False))
        return
    console = Console()
    _print_design(facts, planned, console)
    _print_cost(facts, console)
    for warning in facts["warnings"]:
        console.print(f"note: {warning}", markup=False, highlight=False)
    if run:
        console.print(f"frozen in {run}; its steps: xstilts step --run {run} --list", markup=False, highlight=False)


def _print_design(facts: dict[str, Any], planned: Any, console: Console) -> None:
    console.print(
        f"[bold]{facts['study']['name']}[/]  plan {facts['hash'][:8]}, {facts['device']}, {facts['precision']}"
    )
    console.print(f"source pool, near to far: {', '.join(facts['pool'])}")
    console.print(f"held out, near to far:    {', '.join(facts['held_out'])}")
    for code, why in facts["excluded"].items():
        console.print(f"not a source: {code} ({why})")
    table = Table("arm", "intermediate", "languages", "role", title="arms")
    for name, arm in planned.frozen.study.arms.items():
        drawn = dict.fromkeys(" ".join(codes) for codes in facts["sources"][name].values())
        table.add_row(name, arm.intermediate or "none", " · ".join(drawn), arm.role)
    console.print(table)


def _print_cost(facts: dict[str, Any], console: Console) -> None:
    unit = "core" if facts["device"] == "cpu" else "GPU"
    title = "cost; GB: the most memory that one step needs"
    table = Table("steps", title=title, pad_edge=False, collapse_padding=True)
    held = ["memory_gb"] + ["device_memory_gb"] * (facts["device_memory_gb"] > 0)
    headings = ("number", "in the store", "tokens", "FLOPs", f"{unit} hours", "disk", "GB", "GPU GB")
    for heading in headings[: 6 + len(held)]:
        table.add_column(heading, justify="right")
    rows = [*facts["kinds"], {**facts, "kind": "all", "steps": facts["planned_steps"], "cached": facts["cached_steps"],
                              "seconds": 3600 * facts["device_hours"], "size": facts["disk_bytes"]}]  # fmt: skip
    for row in rows:
        table.add_row(row["kind"], f"{row['steps']:,}", f"{row['cached']:,}", short(row["tokens"]),
                      short(row["flops"]), f"{row['seconds'] / 3600:,.2f}", f"{short(row['size'])}B",
                      *(f"{row[name]:.1f}" if row[name] else "–" for name in held))  # fmt: skip
    console.print(table)
    console.print(
        f"{facts['planned_steps']:,} steps, {facts['requested_steps']:,} before equal ones were shared; "
        f"{facts['training_runs']:,} training runs, {facts['naive_runs']:,} with one pipeline per cell",
        highlight=False,
    )
    left = facts["to_run"]
    several = "" if facts["devices"] == 1 else "s"
    console.print(
        f"to run: {left['steps']:,} steps, {left['device_hours']:,.2f} {unit} hours, "
        f"{_clock(left['makespan_hours'])} on {facts['devices']:,} {unit}{several} "
        f"({left['devices_used']:.0%} of their time; the longest chain takes {_clock(left['critical_path_hours'])})",
        highlight=False,
    )
    rates = facts["rates"]
    console.print(f"rates of {rates['device']}: {rates['ground']}", markup=False, highlight=False)
    if facts["device_memory_warning"]:
        console.print(f"note: {facts['device_memory_warning']}", markup=False, highlight=False)
    if facts["assumed_steps"]:
        console.print(f"{facts['assumed_steps']:,} steps rest on an assumed size; docs/planning.md has the table")


def _too_large(cost: dict[str, Any], speed: Any) -> str:
    """What to say where a step needs more memory than the smallest card of the device's name has, else ""."""
    kinds = [row["kind"] for row in cost["kinds"] if speed.memory and row["device_memory_gb"] > speed.memory[0]]
    if not kinds:
        return ""
    cards = " or ".join(f"{size:g}" for size in speed.memory)
    most = f"{cost['device_memory_gb']:.0f} GB of GPU memory"
    return (f"steps of kind {', '.join(kinds)} need up to {most}, {speed.name} has {cards}: smaller "
            "`micro_tokens` or `gradient_checkpointing` make trainings need less")  # fmt: skip


def _clock(hours: float) -> str:
    from xstilts.cli.progress import clock

    return clock(3600 * hours)


def short(number: float) -> str:
    """A large number to three digits with its prefix: 12.3 k, 4.56 P."""
    if not number:
        return "–"
    for power, prefix in ((18, "E"), (15, "P"), (12, "T"), (9, "G"), (6, "M"), (3, "k")):
        if number >= 10**power:
            return f"{number / 10**power:.3g} {prefix}"
    return f"{number:.3g} "
