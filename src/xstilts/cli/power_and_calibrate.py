"""The verbs that plan the size of a study and test the analysis itself: power, calibrate."""

from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import harmonic_mean
from typing import Annotated, Any

import typer

from xstilts.cli import options
from xstilts.cli.options import Row
from xstilts.cli.root import app
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.models.hardware import device_class
from xstilts.report.console import NONE, clock, emit, print_table, say


@app.command(
    epilog="Examples:\n\n  xstilts calibrate --studies 100 --world usual\n\n"
    "  xstilts calibrate --jobs 2 --json > calibration.json"
)
def calibrate(
    studies: Annotated[int, typer.Option("--studies", min=2, help="Simulated studies per setting.")] = 1000,
    world: Annotated[list[str] | None, typer.Option("--world", help="Only this world; may be repeated.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="Worker processes.")] = 1,
    as_json: options.JSON = False,
) -> None:
    """Simulate studies with a known truth: how often intervals cover it, and how often verdicts are false."""
    from xstilts.analysis.calibrate import ENOUGH, WORLDS, fault, settings
    from xstilts.analysis.calibrate import calibrate as simulate

    for name in world or ():
        if name not in WORLDS:
            hint = did_you_mean(name, WORLDS) or "leave --world out for all of them"
            raise XstiltsError("unknown-name", f"there is no world '{name}'", f"there are {', '.join(WORLDS)}", hint)
    todo = list(settings(world or tuple(WORLDS)))
    with ProcessPoolExecutor(jobs) as pool:
        parts = pool.map(simulate, *zip(*todo, strict=True), [studies] * len(todo))
        rows = [row | {"fault": fault(row)} for part in parts for row in part]
    about = {name: each.about for name, each in WORLDS.items() if name in {row["world"] for row in rows}}
    if emit({"worlds": about, "settings": rows}, as_json):
        return
    for name, description in about.items():
        say((name, "bold"), f": {description}")
        _print_world([row for row in rows if row["world"] == name])
    say(
        "\nColumns: replicates × languages (–: refused). Coverage of 95% intervals (!: the method fails there); false "
        "verdicts: better or worse although there is no difference; power: better if the difference is "
        f"{rows[0]['gain']:g} points; width of the whole interval in points.",
        wrap=True,
    )
    if studies < ENOUGH:
        say(f"{studies} studies a setting are a smoke test: a method is judged by at least {ENOUGH:,}.")


def _print_world(rows: list[Row]) -> None:
    sizes = list(dict.fromkeys((row["replicates"], row["languages"]) for row in rows))
    for method in dict.fromkeys(row["method"] for row in rows):
        by_size = {(row["replicates"], row["languages"]): row for row in rows if row["method"] == method}
        present = [by_size.get(size) for size in sizes]
        lines = []
        for measure, digits in {"coverage": 3, "false_verdicts": 3, "power": 2, "width": 1}.items():
            cells = [NONE if row is None else f"{row[measure]:.{digits}f}" for row in present]
            if measure == "coverage":
                cells = [cell + "!" * bool(row and row["fault"]) for cell, row in zip(cells, present, strict=True)]
            lines.append((measure.replace("_", " "), *cells))
        default = " (default)" if next(iter(by_size.values()))["default"] else ""
        print_table(("", *(f">{r}×{n}" for r, n in sizes)), lines, method + default)


@app.command(
    epilog="Examples:\n\n  xstilts power pocket\n\n  xstilts power mine.yaml --from runs/pilot --picture power.svg\n\n"
    "  xstilts power distant-sources --device h200         what it costs on such a GPU\n\n"
    "  xstilts power laptop --items 5010 --json"
)
def power(
    name: options.STUDY = "pocket",
    run: Annotated[Path | None, typer.Option("--from", help="A pilot run, for its variance components.")] = None,
    items: Annotated[
        int | None, typer.Option("--items", min=2, help="Item clusters.", show_default="the run's, or 1,000 a target")
    ] = None,
    data: options.DATA = None,
    source: options.SOURCE = None,
    device: options.ANY_DEVICE = "cpu",
    allow_few: options.ALLOW_FEW = False,
    picture: Annotated[Path | None, typer.Option("--picture", help="Draw the curve: FILE.svg, .png or .html.")] = None,
    as_json: options.JSON = False,
) -> None:
    """Estimate how many replicates and languages detect half, one or two equivalence margins, and what they cost."""
    from xstilts.analysis.components import ASSUMED, pilot_components
    from xstilts.analysis.power import table
    from xstilts.costs.devices import rates
    from xstilts.runs.reader import read_run

    parts, clusters, contrasts = pilot_components(run) if run else (ASSUMED, None, [])
    speed = rates(device_class(device))
    facts, design, cost = _design(name, data, source, allow_few, items or clusters, speed)
    result = table(parts, design, facts["level"], cost, facts["gains"]) | facts
    result |= {"from": str(run) if run else "assumed", "contrasts": contrasts, "items_assumed": not (items or run)}
    differing = []
    if run:
        pilot = read_run(run)
        pairs = ("encoder", pilot.encoders, facts["encoders"]), ("target", pilot.study["primary"], facts["targets"])
        differing = [f"{name} {', '.join(a)} instead of {', '.join(b)}" for name, a, b in pairs if set(a) != set(b)]
    note = f"components and items come from {' and '.join(differing)}: read the table as an order of magnitude"
    result |= {"device": speed.name, "note": note if differing else ""}
    if picture:
        from xstilts.report.pictures import write_power

        write_power(result, picture)
    if not emit(result, as_json):
        _print_power(name, result)


def _design(
    name: str, data: Path | None, source: str | None, allow_few: bool, clusters: int | None, speed: Any
) -> tuple[Row, Any, tuple[float, float]]:
    """What a study would detect (targets with their held-out languages, encoders, gains, level); its size; and its
    seconds on one device: for one replicate, and for each more.

    Several targets count as one that has the harmonic mean of their languages: what languages add to the variance of a
    mean over targets is at most the mean of what they add to each. Families are the fewest, since random-language
    inference needs enough of them on every target. The targets' items differ, and add up.
    """
    from xstilts.analysis.components import Design
    from xstilts.analysis.covariates import families_of
    from xstilts.analysis.power import ASSUMED_CLUSTERS
    from xstilts.costs.estimate import estimates
    from xstilts.study.source_languages import encoder_names

    one, two, whole = (
        options.planned_study(name, data, speed.kind, allow_few, replicates=count, data_source=source)
        for count in (1, 2, None)
    )
    first, second = (sum(each.seconds for each in estimates(p.plan, speed).values()) for p in (one, two))
    frozen, study = whole.frozen, whole.frozen.study
    held = {t: [code for code in frozen.evaluated[t] if code in frozen.held_out] for t in study.primary}
    targets, encoders = {target: len(codes) for target, codes in held.items()}, encoder_names(study)
    families = min(len(set(families_of(codes).values())) for codes in held.values())
    items = clusters or ASSUMED_CLUSTERS * len(held)
    design = Design(study.replicates, round(harmonic_mean(list(targets.values()))), families, items, len(encoders))
    level = 1 - (1 - study.level) / max(len(study.contrasts), 1)
    gains = [study.equivalence * share for share in (0.5, 1, 2)]
    facts = {"level": level, "targets": targets, "encoders": encoders, "gains": gains}
    return facts, design, (first, second - first)


def _print_power(name: str, result: Row) -> None:
    from xstilts.report.sentences import components_line

    design = result["design"]
    targets = ", ".join(f"{name} ({count} held-out languages)" for name, count in result["targets"].items())
    languages = f"{design['languages']} languages of {design['families']} families"
    encoders = f"{design['encoders']} encoder{'s' * (design['encoders'] != 1)}"
    clusters = f"{design['clusters']:,} item clusters{' (assumed)' * result['items_assumed']}"
    size = f"computed for {languages}, {encoders}, {clusters}, intervals of {result['level']:.1%}"
    say((name, "bold"), f": mean over {targets}; {size}", wrap=True)
    say(components_line(result), wrap=True)
    if result["note"]:
        say(f"warning: {result['note']}", wrap=True)
    gains = [f"{gain:g}" for gain in result["gains"]]
    headings = [f">{gain} point{'s' * (gain != '1')}" for gain in gains]
    for inference, rows in result["needed"].items():
        cells = [(str(row["languages"]), *(str(row[gain] or "none") for gain in gains)) for row in rows]
        title = f"Replicates of each encoder for {result['share']:.0%} power, {inference}"
        print_table([">languages", *headings], cells, title)
    none = "no number of replicates is enough; more items or languages would be"
    say(f"\nnone: {none}. Power is the chance that the interval lies above zero.", wrap=True)
    curve = []
    for row in result["curve"]:
        shares = (f"{row[gain]:.2f}" for gain in gains)
        curve.append((str(row["replicates"]), *shares, clock(row["device_seconds"])))
    device = {"cpu": "core", "cuda": "GPU"}.get(result["device"], result["device"])
    columns = [">replicates", *headings, f">time on one {device}"]
    print_table(columns, curve, f"Power with {design['languages']} languages")
