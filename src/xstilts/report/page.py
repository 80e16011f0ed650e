"""The report as one HTML file that loads nothing from elsewhere."""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from xstilts import __version__
from xstilts.engine import write_atomically
from xstilts.report import charts, sentences, tables
from xstilts.report.console import interval, number, signed, visible
from xstilts.runs.events import read_events
from xstilts.runs.run_files import CHARTS, REPORT, TABLES

Result = dict[str, Any]
PACKAGES = ("torch", "transformers", "tokenizers", "numpy")


def write_page(result: Result, run: Path) -> Path:
    """Write `report.html`, `tables.csv` and `charts/*.svg` into a run folder; the path of the page."""
    drawn: dict[str, dict[Any, Markup]] = {}
    (run / CHARTS).mkdir(parents=True, exist_ok=True)
    for kind, key, name, chart in charts.charts_of(result):
        text = charts.svg(chart)
        write_atomically(run / CHARTS / f"{name}.svg", charts.standalone(text))
        drawn.setdefault(kind, {})[key] = Markup(text)
    write_atomically(run / TABLES, tables.scores_csv(result))
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    environment.trim_blocks = environment.lstrip_blocks = True
    environment.finalize = lambda text: text if isinstance(text, Markup) else visible(text, "\n")
    environment.globals |= {"sentences": sentences, "number": number, "signed": signed, "interval": interval}
    page = environment.get_template("page.html.j2").render(
        result=result,
        study=result["study"],
        plan=result["plan"],
        charts=drawn,
        anchor=tables.language_name(tables.anchor(result)),
        targets=[tables.target_table(result, target) for target in tables.targets(result)],
        breakdowns=tables.breakdown_tables(result),
        in_anchor=tables.in_anchor(result),
        budgets={phase: tables.budget_table(result, phase) for phase in ("intermediate", "training")},
        sources=tables.source_table(result),
        languages=_languages(result),
        provenance=_provenance(result, run),
    )
    write_atomically(run / REPORT, page)
    return run / REPORT


def _languages(result: Result) -> list[Result]:
    """Every language of the study: what it was used for, its distance from the anchor and the targets it has."""
    plan = result["plan"]
    use = {tables.anchor(result): "target training"}
    use |= dict.fromkeys(plan["pool"], "source pool") | dict.fromkeys(plan["held_out"], "held out")
    for code, reason in plan["excluded"].items():
        use[code] = f"{use[code]}; never a source: {reason}" if code in use else f"excluded: {reason}"
    rows = []
    for code in tables.by_distance(use, result):
        targets = ", ".join(target for target, codes in plan["evaluated"].items() if code in codes)
        row = {"code": code, "name": tables.language_name(code), "use": use[code], "targets": targets}
        rows.append(row | {"distance": number(plan["distances"].get(code), 3)})
    return rows


def _provenance(result: Result, run: Path) -> dict[str, str]:
    """Where the numbers come from: plan, seed, encoders, device, what ran in this folder, and versions of packages."""
    plan = result["plan"]
    facts = {"study": result["study"]["name"], "plan": plan["hash"], "seed": str(result["study"]["seed"])}
    facts |= {"encoders": ", ".join(result["encoders"]), "device": plan["device"], "precision": plan["precision"]}
    facts |= {"steps": str(len(plan["steps"]))}
    if events := read_events(run):
        seconds = [event["seconds"] for event in events if event["event"] == "finished"]
        first, last = (f"{datetime.fromtimestamp(events[i]['time'], UTC):%Y-%m-%d %H:%M}" for i in (0, -1))
        failed = sum(event["event"] == "failed" for event in events)
        facts["run"] = f"{first} to {last} UTC"
        facts["steps run"] = f"{len(seconds)} steps, {sum(seconds):,.0f} s of compute"
        facts["steps run"] += f"; {failed} failed attempts" * bool(failed)
    packages = ", ".join([f"xstilts {__version__}", *(f"{name} {version(name)}" for name in PACKAGES)])
    return facts | {"report written": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, with {packages}"}
