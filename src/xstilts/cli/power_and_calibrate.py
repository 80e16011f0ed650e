"""The verbs that judge the analysis itself and plan its size: calibrate, power."""

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import harmonic_mean
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from xstilts.cli.plan_costs import DEVICE
from xstilts.cli.root import app
from xstilts.cli.study_and_report import ALLOW_FEW, DATA, SOURCE, STUDY, device_class
from xstilts.cli.study_and_report import planned_study as planned
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
            raise XstiltsError(
                "unknown-name", f"there is no world '{name}'", f"there are {', '.join(ours.WORLDS)}", hint
            )
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
        console.print(f"[bold]{name}[/]: {WORLDS[name].about}")
        own = [row for row in rows if row["world"] == name]
        sizes = list(dict.fromkeys((row["replicates"], row["languages"]) for row in own))
        for method in dict.fromkeys(row["method"] for row in own):
            found = {(row["replicates"], row["languages"]): row for row in own if row["method"] == method}
            told = f"{method}{' (default)' if next(iter(found.values()))['default'] else ''}"
            table = Table("", *(f"{r}×{n}" for r, n in sizes), title=told, title_justify="left", box=None,
                          pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
            for measure, digits in (("coverage", 3), ("false_verdicts", 3), ("power", 2), ("width", 1)):
                cells = [_cell(found.get(size), measure, digits) for size in sizes]
                table.add_row(measure.replace("_", " "), *cells)
            console.print(table)
    console.print(
        "\nColumns: replicates × languages (–: refused). Coverage of 95 % intervals (!: the method fails there); false "
        "verdicts: better or worse where there is no difference; power: better where the difference is "
        f"{rows[0]['gain']:g} points; width of the whole interval in points."
    )
    if studies < ENOUGH:
        console.print(f"{studies} studies a setting only show the way: a method is judged by at least {ENOUGH:,}.")


def _cell(row: Row | None, measure: str, digits: int) -> str:
    if row is None:
        return "–"
    return f"{row[measure]:.{digits}f}{'!' if measure == 'coverage' and row['fault'] else ''}"


@app.command(
    epilog="Examples:\n\n  xstilts power pocket\n\n  xstilts power mine.yaml --from runs/pilot --picture power.svg\n\n"
    "  xstilts power distant-sources --device h200         what it costs on such a GPU\n\n"
    "  xstilts power real-mini --data data --items 5010 --json"
)
def power(
    name: STUDY = "pocket",
    run: Annotated[Path | None, typer.Option("--from", help="An earlier run, for its variance components.")] = None,
    items: Annotated[
        int | None,
        typer.Option(
            "--items",
            min=2,
            help="Item clusters of all primary targets together.",
            show_default="the run's, or 1,000 a target",
        ),
    ] = None,
    data: DATA = None,
    source: SOURCE = None,
    device: DEVICE = "cpu",
    allow_few: ALLOW_FEW = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="Write the curve: FILE.svg or FILE.html.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say how many replicates and languages it takes to detect 0.5, 1 and 2 points, and what they cost."""
    from xstilts.analysis.pilot import components_of
    from xstilts.analysis.power import table
    from xstilts.costs.devices import rates
    from xstilts.report.power_chart import write_curve

    parts, found, contrasts = components_of(run) if run else (None, None, [])
    speed = rates(device_class(device) if device == "auto" else device)
    facts, design, cost = _design(name, data, source, allow_few, items or found, speed)
    facts["note"] = _of_another(run, facts) if run else ""
    result = table(parts, design, facts.pop("level"), cost)
    result |= {"from": str(run) if run else "assumed", "contrasts": contrasts, "items_assumed": not (items or run),
               "device": speed.name, **facts}  # fmt: skip
    if picture:
        write_curve(result, picture)
    if as_json:
        typer.echo(json.dumps(result, indent=1))
        return
    _print_power(name, result)


def _design(
    name: str, data: Path | None, source: str | None, allow_few: bool, clusters: int | None, speed: Any
) -> tuple[Row, Any, tuple[float, float]]:  # fmt: skip
    """Of a study the targets, their held-out languages and the level of its intervals; its size; and its seconds on one
    device: for one replicate, and for each more.

    Several targets count as one that has the harmonic mean of their languages: what languages add to the variance of a
    mean over targets is at most the mean of what they add to each. Families are the fewest, since the second reading
    needs enough of them on every target. The targets' items differ, and add up.
    """
    from xstilts.analysis.components import Design
    from xstilts.analysis.inference import families_of
    from xstilts.analysis.power import ASSUMED_CLUSTERS
    from xstilts.costs.estimate import estimates
    from xstilts.study.source_languages import encoder_names

    one, two, whole = (planned(name, data, False, {"replicates": count, "data_source": source}, speed.kind, allow_few)
                       for count in (1, 2, None))  # fmt: skip
    first, second = (sum(each.seconds for each in estimates(p.plan, speed).values()) for p in (one, two))
    frozen, study = whole.frozen, whole.frozen.study
    held = {t: [code for code in frozen.evaluated[t] if code in frozen.held_out] for t in study.primary}
    languages = round(harmonic_mean([len(codes) for codes in held.values()]))
    families = min(len(set(families_of(codes).values())) for codes in held.values())
    design = Design(study.replicates, languages, families, clusters or ASSUMED_CLUSTERS * len(held),
                    len(encoder_names(study)))  # fmt: skip
    level = 1 - (1 - study.level) / max(len(study.contrasts), 1)
    facts = {"level": level, "targets": {t: len(codes) for t, codes in held.items()}, "encoders": encoder_names(study)}
    return facts, design, (first, second - first)


def _of_another(run: Path, facts: Row) -> str:
    """What to say where components come from other encoders or targets than the study's."""
    from xstilts.runs.reader import read_run

    earlier = read_run(run)
    told = [f"{what} {', '.join(there)} in place of {', '.join(ours)}"
            for what, there, ours in (("encoder", earlier.encoders, facts["encoders"]),
                                      ("target", earlier.study["primary"], facts["targets"]))
            if set(there) != set(ours)]  # fmt: skip
    return f"components and items come from {' and '.join(told)}: read the table as an order of size" if told else ""


def _print_power(name: str, result: Row) -> None:
    from xstilts.cli.progress import clock

    console = Console()
    design = result["design"]
    told = ", ".join(f"{key.replace('_', ' × ')} {value:g}" for key, value in result["components"].items())
    origin = (
        f"from {result['from']} ({', '.join(result['contrasts'])}, on average)"
        if result["contrasts"]
        else "assumed: a judgement, not a measurement; give --from RUN for those of a run"
    )
    targets = ", ".join(f"{target} ({count})" for target, count in result["targets"].items())
    console.print(f"[bold]{name}[/]: mean over {targets}, held-out languages in brackets; reckoned as "
                  f"{design['languages']} languages of {design['families']} families, "
                  f"{design['encoders']} encoder(s), {design['clusters']:,} item clusters"
                  f"{' (assumed)' if result['items_assumed'] else ''}, intervals of {result['level']:.1%}")  # fmt: skip
    console.print(f"Variance components in points², {origin}: {told}")
    if result["note"]:
        console.print(f"note: {result['note']}", markup=False, highlight=False)
    gains = [f"{gain:g}" for gain in result["gains"]]
    for reading, rows in result["needed"].items():
        shown = _plain_table(
            f"Replicates of each encoder for {result['share']:.0%} power, {reading}", "languages", gains
        )
        for row in rows:
            shown.add_row(str(row["languages"]), *(str(row[gain] or "none") for gain in gains))
        console.print(shown)
    console.print("none: no number of replicates does it; more items or languages would. Power is the chance that the "
                  "interval lies above zero.")  # fmt: skip
    curve = _plain_table(f"Power with {design['languages']} languages", "replicates", gains, f"one {result['device']}")
    for row in result["curve"]:
        cost = clock(row["device_seconds"])
        curve.add_row(str(row["replicates"]), *(f"{row[gain]:.2f}" for gain in gains), cost)
    console.print(curve)


def _plain_table(title: str, first: str, gains: list[str], *more: str) -> Table:
    columns = [first, *(f"{gain} point{'s' * (gain != '1')}" for gain in gains), *more]
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
