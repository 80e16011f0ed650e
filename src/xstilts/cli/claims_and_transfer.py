"""The verbs that hold runs against what is claimed, and learn from them: claims, predict-transfer."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from xstilts.cli.root import app

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
        str, typer.Option("--published", help="Lay scores beside the run's: the paper's v1 or v2, or FILE.csv.")
    ] = "",
    as_json: JSON = False,
) -> None:
    """Hold a run against nine claims about English intermediate training, and the leading question."""
    from xstilts.claims import NINE, judge_claims, published_table
    from xstilts.runs.reader import read_run

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
    if published in ("v1", "v2"):
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
    beside = Path(version).stem
    table = Table(title=f"means over all languages of a task, beside {beside}", title_justify="left", box=None)
    for heading in ("task", "metric", "this run", beside):
        table.add_column(Text(heading))
    for row in rows:
        mark = "*" if row["scores"] and not row["whole"] else ""
        own = (f"{arm} {score:.1f}{mark}" for arm, score in row["scores"].items())
        theirs = (f"{name} {value:.1f}" for name, value in row["published"].items() if value is not None)
        table.add_row(row["task"], row["metric"], *(Text(", ".join(cells)) for cells in (own, theirs)))
    console.print(table)
    if any(row["scores"] for row in rows):
        console.print("This run scores the rows of its own files: whether these are the official ones is not known.")
    if any(row["scores"] and not row["whole"] for row in rows):
        console.print("*: not all languages of the task were scored, so that the two are not the same mean")
    for source in sorted({source for row in rows for source in row["sources"]}):
        console.print(f"source: {source}", highlight=False)


@app.command(
    epilog="Examples:\n\n  xstilts predict-transfer runs/pocket\n\n"
    "  xstilts predict-transfer runs/a runs/b --for sw,th --out scores.csv\n\n"
    "  xstilts predict-transfer --for sw,th --candidates de,es,hi,tr,zh\n\n"
    "  xstilts sources --strategy predicted --scores scores.csv --held-out sw,th --candidates de,es,hi,tr,zh"
)
def predict_transfer(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders to learn from.")] = None,
    wanted: Annotated[str, typer.Option("--for", help="Languages to rank sources for, with commas.")] = "",
    candidates: Annotated[
        str, typer.Option("--candidates", help="Sources to rank.", show_default="the runs' pools, or XTREME's")
    ] = "",
    target: Annotated[str, typer.Option("--target", help="Learn from one target task only.")] = "",
    store: Annotated[
        str | None, typer.Option("--store", help="The runs' store: also measures what needs texts and encoders.")
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Sources to print for each language.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write the scores for `--strategy predicted`.")] = None,
    as_json: JSON = False,
) -> None:
    """Learn from runs which sources help which language, say how well that predicts, and rank sources for new ones."""
    from xstilts.cli.language_tables import codes
    from xstilts.engine import Store
    from xstilts.errors import XstiltsError
    from xstilts.runs.reader import read_run
    from xstilts.transfer import measure, predict_by_distance, predict_transfer, write_scores

    if not runs and (target or store):
        raise XstiltsError("bad-argument", "there are no runs to learn from", "--target and --store say what of them is used",
                           "give run folders, or leave both out")  # fmt: skip
    found = [read_run(run) for run in dict.fromkeys(run.resolve() for run in runs or ())]
    if store:
        for run in found:
            measure(run, Store(store))
    asked, among = codes(wanted), codes(candidates)
    result = predict_transfer(found, asked, among, target) if found else predict_by_distance(asked, among)
    if out:
        write_scores(out, result["rankings"], result["languages"])
    if as_json:
        typer.echo(json.dumps(result, indent=1, ensure_ascii=False))
        return
    _print_prediction(result, top, Console())
    if out:
        Console().print(Text(f"scores: {out}"), soft_wrap=True)


def _print_prediction(result: dict[str, Any], top: int, console: Console) -> None:
    def say(text: str) -> None:
        console.print(Text(text))

    if result["rows"]:
        say(f"{result['rows']} gains in {len(result['languages'])} languages of {len(result['families'])} families, "
            f"{result['units']} trainings of an encoder")  # fmt: skip
        weights = ", ".join(f"{name} {value:+.3f}" for name, value in list(result["weights"].items())[:6])
        say(f"weights of standardised features, largest first: {weights}")
        for need in dict.fromkeys(result["absent"].values()):
            say(f"absent: {', '.join(name for name, why in result['absent'].items() if why == need)} ({need})")
    for check in result["validation"]:
        _print_check(check, console)
    for warning in result["warnings"]:
        say(f"Warning: {warning}")
    for code, ranking in result["rankings"].items():
        console.print()
        _print_ranking(code, ranking, top, bool(result["rows"]), console)
    if result["rankings"] and result["rows"]:
        say("score: predicted rank, 0 in the middle, ±0.5 the ends of what was learnt: beyond them it is extrapolated. "
            "Interval and shares: languages and trainings drawn anew, together")  # fmt: skip


def _print_check(check: dict[str, Any], console: Console) -> None:
    title = (
        f"left out: one of {check['blocks']} {'languages' if check['by'] == 'language' else 'families'} and of "
        f"{check['units']} trainings at a time; {check['candidates']:.1f} candidates each"
    )
    table = Table(title=title, title_justify="left", box=None)
    table.add_column("ranking by")
    for metric in ("Spearman", "NDCG@3"):
        table.add_column(f"{metric} [95 %]", justify="right")
    for name, found in [*check["methods"].items(), ("ridge - nearest language", check["over_nearest"])]:
        table.add_row(name, *(_estimate(found[metric]) for metric in ("spearman", "ndcg@3")))
    console.print(table)


def _estimate(found: dict[str, Any]) -> str:
    if found["mean"] is None:
        return ""
    ends = "" if found["low"] is None else f" [{found['low']:+.2f}, {found['high']:+.2f}]"
    return f"{found['mean']:+.2f}{ends}"


def _print_ranking(code: str, ranking: list[dict[str, Any]], top: int, learnt: bool, console: Console) -> None:
    from xstilts.languages import language

    title = f"sources for {language(code).name} ({code})"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    several = len({row["intermediate"] for row in ranking}) > 1
    for heading in ("source", "", *(["intermediate"] if several else [])):
        table.add_column(heading)
    for heading in ("score", "95 %", "distance", *(["top 3", "best"] if learnt else [])):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in ranking[:top]:
        ends = "" if row["low"] is None else f"[{row['low']:+.2f}, {row['high']:+.2f}]"
        far = "unknown" if row["distance"] is None else f"{row['distance']:.3f}"
        task = [Text(row["intermediate"])] if several else []
        shares = [f"{row['top']:.2f}", f"{row['best']:.2f}"] if learnt else []
        name = language(row["source"]).name
        table.add_row(row["source"], name, *task, f"{row['score']:+.3f}", ends, far, *shares)
    console.print(table)
