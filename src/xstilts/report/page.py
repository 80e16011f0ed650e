"""The report as one HTML file that loads nothing from elsewhere."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from markupsafe import Markup

from xstilts import __version__
from xstilts.engine import write_atomically
from xstilts.report import sentences, tables
from xstilts.report.chart_basics import Figure, standalone
from xstilts.report.console import number
from xstilts.report.glossary import GLOSSARY
from xstilts.report.next_step import last_start, next_step
from xstilts.report.paper import bibliography, cited, methods
from xstilts.report.render import render
from xstilts.runs.run_files import CHARTS, EVENTS, REPORT, TABLES
from xstilts.runs.verify import verified_events

Result = dict[str, Any]
SECTIONS = ("contrasts", "languages", "distance", "map", "gains", "scores", "spread", "curves", "plan")


def write_page(result: Result, run: Path, figures: Sequence[Figure]) -> Path:
    """Write `report.html`, `tables.csv` and `charts/*.svg` into a run folder; the path of the page."""
    sections: dict[str, list[Result]] = {section: [] for section in SECTIONS}
    (run / CHARTS).mkdir(parents=True, exist_ok=True)
    for figure in figures:
        write_atomically(run / CHARTS / f"{figure.name}.svg", standalone(figure.svg))
        shown = {name: getattr(figure, name) for name in ("name", "title", "caption", "rows", "about")}
        sections[figure.section].append({**shown, "svg": Markup(figure.svg)})
    write_atomically(run / TABLES, tables.results_csv(result))
    page = render(
        "page.html.j2",
        result=result,
        study=result["study"],
        plan=result["plan"],
        figures=sections,
        level=f"{result['study']['level']:.0%}",
        summary=_summary(result),
        next_step=next_step(result, run),
        anchor=tables.language_name(tables.anchor(result)),
        targets=[tables.target_table(result, target) for target in tables.targets(result)],
        breakdowns=tables.breakdown_tables(result),
        in_anchor=tables.in_anchor(result),
        budgets={phase: tables.budget_table(result, phase) for phase in ("intermediate", "training")},
        sources=tables.source_table(result),
        languages=_languages(result),
        provenance=_provenance(result, run),
        methods=cited(methods(result)),
        bibliography=bibliography(),
        glossary=GLOSSARY,
    )
    write_atomically(run / REPORT, page)
    return run / REPORT


def _summary(result: Result) -> dict[str, str]:
    """What the first screen says next to the first contrast: data, encoders, languages, controls."""
    study, verdicts = result["study"], result["verdicts"]
    judged = verdicts[0]["targets"] if verdicts else tables.targets(result)
    facts = {"task": " and ".join(judged) + tables.artificial(result, judged)}
    runs = [row["replicates"] // len(result["encoders"]) for row in verdicts[:1]]
    each = "".join(f"; {n} replicate{'s' * (n > 1)} each" for n in runs)
    facts["encoders"] = ", ".join(result["encoders"]) + each
    scored = {row["language"] for row in result["scores"] if row["target"] in judged and row["held_out"]}
    facts["held-out languages"] = f"{len(scored)}: {', '.join(tables.by_distance(scored, result))}"
    scores = [row for target in judged for row in tables.target_table(result, target)["rows"]]
    for arm in dict.fromkeys(row[side] for row in verdicts[:1] for side in ("left", "right")):
        held_out = [row["held_out"] for row in scores if row["arm"] == arm]
        trained = study["arms"].get(arm, {}).get("intermediate")
        phase = f"{trained} in {tables.sources_of(result, arm)}" if trained else "no intermediate training"
        facts[arm] = f"{number(fmean(held_out))}, {phase}" if None not in held_out and held_out else phase
    outcomes = {row["contrast"]: sentences.expectation(result, row)[1] for row in result["controls"]}
    if outcomes:
        facts["controls"] = "; ".join(f"{name}: {text.partition(':')[0].rstrip('.').lower()}"
                                      for name, text in outcomes.items() if text)  # fmt: skip
    facts["equivalence margin"] = f"±{study['equivalence']:g} points"
    return facts


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
    """Where the numbers come from: command, plan, seed, data, machine, what ran in this folder, and versions."""
    study, plan, start = result["study"], result["plan"], last_start(run)
    facts = {
        "study": study["name"],
        "command": start.get("command", ""),
        "plan": plan["hash"],
        "seed": str(study["seed"]),
    }
    facts |= {"encoders": ", ".join(result["encoders"])}
    facts |= {"device": f"{plan['device']}, {plan['precision']}", "machine": start.get("machine", "")}
    facts["licences of the data"] = "; ".join(f"{name}: {text}" for name, text in study.get("licences", {}).items())
    if (events := verified_events(run)) is None:
        facts["run"] = f"not known: {EVENTS} is missing or was changed after the study wrote it"
    elif events:
        seconds = [event["seconds"] or 0.0 for event in events if event["event"] == "finished"]
        first, last = (f"{datetime.fromtimestamp(events[i].get('time', 0), UTC):%Y-%m-%d %H:%M}" for i in (0, -1))
        failed = sum(event["event"] == "failed" for event in events)
        ran = f"{len(seconds)} steps, {sum(seconds):,.0f} s of compute"
        facts["run"] = f"{first} to {last} UTC, {ran}"
        facts["run"] += f"; {failed} failed attempts" * bool(failed)
    facts["versions"] = start.get("versions", "")
    facts["report"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, with xstilts {__version__}"
    return {name: value for name, value in facts.items() if value}
