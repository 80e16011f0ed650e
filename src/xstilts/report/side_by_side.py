"""Several runs side by side: their verdicts on each contrast, and the held-out scores of each arm."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from xstilts.engine import write_atomically
from xstilts.report import chart_basics
from xstilts.report.console import interval, number, print_table, say, signed
from xstilts.report.effect_charts import labelled_forest
from xstilts.report.render import render
from xstilts.report.tables import target_table, targets

Result = dict[str, Any]


def runs_by_contrast(results: Mapping[str, Result]) -> list[Result]:
    """The verdicts of all runs, by contrast and then by `run`, `on` names contrast and targets."""
    rows = [
        {**row, "run": name, "on": f"{row['contrast'].partition(' on ')[0]} on {', '.join(row['targets'])}"}
        for name, result in results.items()
        for row in result["verdicts"]
    ]
    order = list(dict.fromkeys(row["on"] for row in rows))
    return sorted(rows, key=lambda row: order.index(row["on"]))


def arms_by_run(results: Mapping[str, Result]) -> list[Result]:
    """Held-out mean scores: a row per `target` and `arm`, with the `scores` by run (None if a run lacks the arm)."""
    means: dict[tuple[str, str], dict[str, float | None]] = {}
    for name, result in results.items():
        for target in targets(result):
            for row in target_table(result, target)["rows"]:
                means.setdefault((target, row["arm"]), {})[name] = row["held_out"]
    return [
        {"target": target, "arm": arm, "scores": {name: scores.get(name) for name in results}}
        for (target, arm), scores in means.items()
    ]


def print_side_by_side(results: Mapping[str, Result]) -> None:
    """Print the verdicts and scores of several runs, next to each other."""
    numbers = [
        (row["on"], row["run"], signed(row["estimate"]), interval(row), row["verdict"])
        for row in runs_by_contrast(results)
    ]
    print_table(("contrast", "run", ">difference", ">interval", "verdict"), numbers, "Verdicts")
    cells = [
        (row["target"], row["arm"], *(number(score) for score in row["scores"].values()))
        for row in arms_by_run(results)
    ]
    print_table(("target", "arm", *(f">{name}" for name in results)), cells, "Mean held-out scores")


def write_side_by_side(results: Mapping[str, Result], path: Path) -> None:
    """Write a page with the verdicts and scores of several runs; `results`: run names and their analyses."""
    judged = runs_by_contrast(results)
    margin = max(result["study"]["equivalence"] for result in results.values())
    drawn = ""
    if judged:
        named = [{**row, "contrast": f"{row['on']} · {row['run']}"} for row in judged]
        drawn = chart_basics.svg(labelled_forest(named, margin, "Verdicts of the runs, each with its own intervals"))
    rows = {"judged": judged, "arms": arms_by_run(results)}
    text = render("side-by-side.html.j2", results=results, drawn=Markup(drawn), **rows)
    write_atomically(path, text)
    say(f"Side by side: {path}")
