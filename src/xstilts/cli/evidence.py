"""The verbs that hold runs against what is claimed, and learn from them: claims, predict-transfer."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xstilts.cli import app

JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
STYLES = {"supported": "bold green", "contradicted": "bold red", "undetermined": "bold", "not tested": "dim"}
HOLDS = {True: "holds", False: "does not hold", None: "open"}


@app.command(
    epilog="Examples:\n\n  xstilts claims runs/pocket\n\n  xstilts claims runs/xtreme --published v2\n\n"
    "  xstilts claims runs/xtreme --json"
)
def claims(
    run: Annotated[Path, typer.Argument(help="The run folder of a study.")],
    published: Annotated[
        str, typer.Option("--published", help="Lay the paper's scores beside the run's: v1 (preprint) or v2 (AACL).")
    ] = "",
    as_json: JSON = False,
) -> None:
    """Hold a run against nine claims about English intermediate training, and the leading question."""
    from xstilts.analysis.claims import NINE, judge_claims, published_table
    from xstilts.analysis.runs import read_run

    found = read_run(run)
    table = published_table(found, published) if published else []
    judged = judge_claims(found)
    if as_json:
        typer.echo(json.dumps({"claims": judged, "published": table}, indent=1, ensure_ascii=False))
        return
    console = Console()
    for entry in judged:
        _print_claim(entry, published, console)
    console.print(Text(f"The nine intermediate tasks are {', '.join(NINE)}."))
    if published:
        _print_published(table, published, console)


def _print_claim(entry: dict[str, Any], published: str, console: Console) -> None:
    def say(text: str) -> None:
        console.print(Padding(Text(text), (0, 0, 0, 2)))

    heading = Text(f"{entry['claim']}  ", style="bold")
    console.print(heading.append(entry["result"], STYLES[entry["result"]]).append(f"  {entry['says']}"))
    if entry["reference"] == "unconfirmed":
        say("reference: unconfirmed (not found in the paper at hand)")
    if published:
        say(f"{published}: {entry[published] or 'nothing found'}")
    for row in entry["comparisons"]:
        say(_comparison(row))
    if entry["missing"]:
        say(f"missing: {'; '.join(entry['missing'])}")
    for note in entry["notes"]:
        say(note)
    console.print()


def _comparison(row: dict[str, Any]) -> str:
    numbers = f"{row['estimate']:+.1f} points [{row['low']:+.1f}, {row['high']:+.1f}] at {row['level']:.1%}"
    where = ", ".join(row["targets"]) + (f" less the same on {row['over']}" if row["over"] else "")
    figure = f" (claimed {row['figure']:+.1f})" if row["figure"] else ""
    word = "shown beside it" if row["beside"] else f"'{row['relation']}' {HOLDS[row['holds']]}"
    return f"{row['left']} - {row['right']} on {where}: {numbers}{figure}: {word}"


def _print_published(rows: list[dict[str, Any]], version: str, console: Console) -> None:
    arms = list(dict.fromkeys(arm for row in rows for arm in row["scores"]))
    names = list(rows[0]["published"])
    table = Table(title=f"means over all languages of a task, beside {version}", title_justify="left", box=None)
    for heading in ("task", "metric"):
        table.add_column(heading)
    for heading in (*arms, *(f"{name} ({version})" for name in names)):
        table.add_column(Text(heading), justify="right")
    for row in rows:
        mark = "*" if row["scores"] and not row["whole"] else ""
        own = (f"{row['scores'][arm]:.1f}{mark}" if arm in row["scores"] else "" for arm in arms)
        theirs = ("" if value is None else f"{value:.1f}" for value in row["published"].values())
        table.add_row(row["task"], row["metric"], *own, *theirs)
    console.print(table)
    if any(row["scores"] and not row["whole"] for row in rows):
        console.print("*: not all languages of the task were scored, so that the two are not the same mean")
    for source in sorted({source for row in rows for source in row["sources"]}):
        console.print(f"source: {source}", highlight=False)
