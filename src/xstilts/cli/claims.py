"""The verb that checks runs against published claims."""

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.options import JSON, RUN, Row
from xstilts.cli.root import app
from xstilts.report.console import emit, interval, print_table, say, signed

STYLES = {"supported": "bold green", "contradicted": "bold red", "undetermined": "bold", "not tested": "dim"}
HOLDS = {True: "holds", False: "does not hold", None: "open"}


@app.command(
    epilog="Examples:\n\n  xstilts claims runs/pocket\n\n  xstilts claims runs/xtreme --published v2\n\n"
    "  xstilts claims runs/xtreme --json"
)
def claims(
    run: RUN,
    published: Annotated[str, typer.Option("--published", help="Show scores of the paper (v1, v2) or FILE.csv.")] = "",
    as_json: JSON = False,
) -> None:
    """Check a run against nine published claims about English intermediate training, and the main question."""
    from xstilts.claims import NINE, judge_claims, published_table
    from xstilts.runs.reader import read_run

    results = read_run(run)
    table = published_table(results, published) if published else []
    judged = judge_claims(results)
    if emit({"claims": judged, "published": table}, as_json):
        return
    seen: set[str] = set()
    for entry in judged:
        _print_claim(entry, published, seen)
    say(f"The nine intermediate tasks are {', '.join(NINE)}.", wrap=True)
    if published:
        _print_published(table, published)


def _print_claim(entry: Row, published: str, seen: set[str]) -> None:
    """Print a claim, what was compared for it, and those of its notes that were not `seen` before."""
    result = entry["result"]
    say((f"{entry['claim']}  ", "bold"), (result, STYLES[result]), f"  {entry['says']}", wrap=True)
    lines = ["reference: unconfirmed (not found in the paper at hand)"] * (entry["reference"] == "unconfirmed")
    if published in ("v1", "v2"):
        lines.append(f"{published}: {entry[published] or 'nothing found'}")
    for row in entry["comparisons"]:
        where = ", ".join(row["targets"]) + (f" minus the same on {row['over']}" if row["over"] else "")
        numbers = f"{signed(row['estimate'], 1)} points {interval(row, 1)} at {row['level']:.1%}"
        figure = f" (claimed {row['figure']:+.1f})" if row["figure"] else ""
        verdict = "for information" if row["for_information"] else f"'{row['relation']}' {HOLDS[row['holds']]}"
        lines.append(f"{row['left']} - {row['right']} on {where}: {numbers}{figure}: {verdict}")
    if entry["missing"]:
        lines.append(f"missing: {'; '.join(entry['missing'])}")
    for line in [*lines, *(note for note in entry["notes"] if note not in seen)]:
        say(line, indent=2, wrap=True)
    seen.update(entry["notes"])
    say()


def _print_published(rows: list[Row], version: str) -> None:
    name = Path(version).stem
    cells = []
    for row in rows:
        mark = "*" if row["scores"] and not row["whole"] else ""
        scores = ", ".join(f"{arm} {score:.1f}{mark}" for arm, score in row["scores"].items())
        published = ", ".join(f"{arm} {value:.1f}" for arm, value in row["published"].items() if value is not None)
        cells.append((row["task"], row["metric"], scores, published))
    title = f"Means over all languages of a task, next to {name}"
    print_table(("task", "metric", "this run", name), cells, title)
    if any(row["scores"] for row in rows):
        say("This run scores the examples in its own files: whether these are the official ones is not known.")
    if any(row["scores"] and not row["whole"] for row in rows):
        say("*: not all languages of the task were scored, so the two means are not comparable")
    for source in sorted({source for row in rows for source in row["sources"]}):
        say(f"source: {source}")
