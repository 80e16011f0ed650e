"""The verbs that judge the analysis itself and plan its size: calibrate, power."""

import json
from concurrent.futures import ProcessPoolExecutor
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from xstilts.cli import app
from xstilts.errors import XstiltsError, did_you_mean

Row = dict[str, Any]


@app.command(
    epilog="Examples:\n\n  xstilts calibrate --studies 100 --world usual\n\n"
    "  xstilts calibrate --jobs 2 --json > calibration.json"
)
def calibrate(
    studies: Annotated[
        int, typer.Option("--studies", min=2, help="Studies without a difference, and as many with one, a setting.")
    ] = 1000,
    world: Annotated[list[str] | None, typer.Option("--world", help="Only this world; may be given again.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Worker processes.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate studies whose truth is known: how often intervals cover it, and verdicts are false."""
    from xstilts.analysis import calibrate as ours

    for name in world or ():
        if name not in ours.WORLDS:
            hint = did_you_mean(name, ours.WORLDS) or "leave --world out for all of them"
            raise XstiltsError(f"there is no world '{name}'", f"there are {', '.join(ours.WORLDS)}", hint)
    todo = list(ours.settings(world or tuple(ours.WORLDS)))
    with ProcessPoolExecutor(jobs) as pool:
        parts = pool.map(ours.calibrate, *zip(*todo, strict=True), [studies] * len(todo))
        rows = [row | {"fault": ours.fault(row)} for part in parts for row in part]
    if as_json:
        about = {name: each.about for name, each in ours.WORLDS.items() if name in {row["world"] for row in rows}}
        typer.echo(json.dumps({"worlds": about, "settings": rows}, indent=1))
        return
    _print_calibration(rows, studies)


def _print_calibration(rows: list[Row], studies: int) -> None:
    from xstilts.analysis.calibrate import ENOUGH, WORLDS

    console = Console()
    for name in dict.fromkeys(row["world"] for row in rows):
        own = [row for row in rows if row["world"] == name]
        sizes = list(dict.fromkeys((row["replicates"], row["languages"]) for row in own))
        table = Table("", *(f"{r}×{n}" for r, n in sizes), title=f"{name}: {WORLDS[name].about}", title_justify="left",
                      box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
        for method in dict.fromkeys(row["method"] for row in own):
            found = {(row["replicates"], row["languages"]): row for row in own if row["method"] == method}
            default = next(iter(found.values()))["default"]
            table.add_row(f"[bold]{method}{' (default)' if default else ''}")
            for measure, digits in (("coverage", 3), ("false_verdicts", 3), ("power", 2), ("width", 1)):
                cells = [_cell(found.get(size), measure, digits) for size in sizes]
                table.add_row(f"  {measure.replace('_', ' ')}", *cells)
        console.print(table)
    console.print(
        "Columns: replicates × languages. Coverage of 95 % intervals (!: the method fails there); false verdicts: better "
        "or worse where there is no difference; power: better where the difference is "
        f"{rows[0]['gain']:g} points; width of the whole interval in points."
    )
    if studies < ENOUGH:
        console.print(f"{studies} studies a setting only show the way: a method is judged by at least {ENOUGH:,}.")


def _cell(row: Row | None, measure: str, digits: int) -> str:
    if row is None:
        return "refused"
    return f"{row[measure]:.{digits}f}{'!' if measure == 'coverage' and row['fault'] else ''}"
