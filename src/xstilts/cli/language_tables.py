"""The verbs for people who train nothing: languages, distances, sources."""

import csv
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli.root import app
from xstilts.errors import XstiltsError

Row = dict[str, Any]
JSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
CSV = Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")]
MEASURE = Annotated[
    str,
    typer.Option(
        "--measure",
        help="syntax, syntax-knn, phonology, inventory, genetic, geographic, lang2vec, or a table FILE.csv.",
    ),
]
PICTURE = Annotated[
    Path | None, typer.Option("--picture", help="Write a picture: FILE.svg, FILE.png, or all of them on FILE.html.")
]
# A candidate that was not chosen is worth a line if it belongs to the set in one draw of twenty.
WORTH_A_LINE = 0.05


@app.command(epilog="Examples:\n\n  xstilts languages\n\n  xstilts languages Swahili\n\n  xstilts languages swh --json")
def languages(
    query: Annotated[str, typer.Argument(help="A code, a name or a tag: sw, swh_Latn, Swahili.")] = "",
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """List languages with their script, family and distance from English, or look one up."""
    from xstilts.languages import all_languages, distance_matrix, language

    chosen = [language(query)] if query else [one for one in all_languages() if one.glottocode]
    matrix = distance_matrix(["en", *(one.code for one in chosen if one.code != "en")])
    rows = []
    for one in chosen:
        pair = matrix.pair(0, matrix.codes.index(one.code))
        rows.append({**asdict(one), "distance": _rounded(pair.value), "shared": pair.shared})
    if not _machine(rows, as_json, as_csv):
        columns = {"code": "code", "name": "name", "iso639_3": "ISO 639-3", "script": "script", "family": "family",
                   "distance": "from English", "shared": "shared features"}  # fmt: skip
        _table(rows, columns)


@app.command(
    epilog="Examples:\n\n  xstilts distances en --to de,tr,sw\n\n"
    "  xstilts distances en --to de,tr,sw --measure geographic --csv\n\n"
    "  xstilts distances en --to de,tr,sw,hi,zh --matrix --picture distances.svg"
)
def distances(
    origin: Annotated[str, typer.Argument(help="The language to measure from.", metavar="LANGUAGE")] = "en",
    to: Annotated[str, typer.Option("--to", help="Languages, with commas.", show_default="XTREME's")] = "",
    measure: MEASURE = "syntax",
    matrix: Annotated[bool, typer.Option("--matrix", help="All distances among the languages.")] = False,
    as_json: JSON = False,
    as_csv: CSV = False,
    picture: PICTURE = None,
) -> None:
    """Measure how far languages are from one, near to far, with 95 % intervals; 'unknown' where too little is known."""
    from xstilts.languages import all_languages, distance_matrix, language

    start = language(origin).code
    others = codes(to) or [one.code for one in all_languages() if one.glottocode]
    found = distance_matrix([start, *(code for code in others if code != start)], measure=measure, intervals=True)
    pairs = sorted((found.pair(0, i) for i in range(1, len(found.codes))), key=lambda p: (p.value != p.value, p.value))
    if matrix:
        rows = [{"language": code, **dict(zip(found.codes, map(_rounded, values), strict=True))}
                for code, values in zip(found.codes, found.values, strict=True)]  # fmt: skip
    else:
        rows = [{"language": p.b, "distance": _rounded(p.value), "shared": p.shared, "low": _rounded(p.low),
                 "high": _rounded(p.high)} for p in pairs]  # fmt: skip
    if not _machine(rows, as_json, as_csv):
        heading = "km" if measure == "geographic" else "distance"
        columns = {"language": "", "name": "", "distance": heading, "interval": "95 % interval", "shared": "shared"}
        if matrix:
            columns = {"language": "", **{code: code for code in found.codes}}
        else:
            rows = [{**row, "name": language(str(row["language"])).name, "interval": _interval(row)} for row in rows]
        _table(rows, columns)
    if picture:
        from xstilts.report.language_pictures import draw_distances

        draw_distances(found, picture, matrix)


@app.command(
    epilog="Examples:\n\n  xstilts sources --candidates ar,bg,de,es,hi,sw,tr --from en -k 3 --strategy far\n\n"
    "  xstilts sources --candidates ar,bg,de,es,hi,sw,tr --strategy random --draws 5 --json\n\n"
    "  xstilts sources --candidates de,fi,hu,id,tr,vi --strategy near --exclude family --picture map.svg"
)
def sources(
    task: Annotated[str, typer.Option("--task", help="Choose among the languages of a task of the catalogue.")] = "",
    candidates: Annotated[str, typer.Option("--candidates", help="Choose among these, with commas.")] = "",
    origin: Annotated[str, typer.Option("--from", help="The language to measure from.")] = "en",
    k: Annotated[int, typer.Option("-k", help="How many to choose.")] = 3,
    strategy: Annotated[
        str,
        typer.Option(
            "--strategy", help="near, far, diverse, random, stratified, same-script, other-script, predicted."
        ),
    ] = "far",
    measure: MEASURE = "syntax",
    match: Annotated[list[str] | None, typer.Option("--match", help="Only the same 'script' or 'family'.")] = None,
    exclude: Annotated[list[str] | None, typer.Option("--exclude", help="Not the same 'script' or 'family'.")] = None,
    draws: Annotated[int, typer.Option("--draws", min=0, help="Seeded draws, instead of the one exact set.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The seed of the first draw.")] = 0,
    scores: Annotated[Path | None, typer.Option("--scores", help="For 'predicted': source,target,score.")] = None,
    held_out: Annotated[str, typer.Option("--held-out", help="Languages that --scores must not hold.")] = "",
    as_json: JSON = False,
    as_csv: CSV = False,
    picture: PICTURE = None,
) -> None:
    """Choose source languages for training, and say how firm the choice is."""
    from xstilts.languages import read_scores, select

    among = _candidates(task, candidates)
    known = read_scores(scores, codes(held_out)) if scores else None
    if strategy == "predicted" and known is None:
        raise XstiltsError(
            "bad-argument",
            "'predicted' needs scores",
            "It chooses by the scores of earlier runs.",
            "Give --scores FILE.",
        )
    chosen = [
        select(strategy, among, k, anchor=origin, exact=draws == 0, seed=seed + i, measure=measure,
               match=match or (), exclude=exclude or (), scores=known)
        for i in range(max(draws, 1))
    ]  # fmt: skip
    facts = _facts(chosen)
    flat = [{**row, "agree": " ".join(row["agree"] or ())} for row in facts["candidates"]]
    if not _machine(facts if as_json else flat, as_json, as_csv):
        _print_sources(facts)
    if picture:
        from xstilts.report.language_pictures import draw_selection

        draw_selection(chosen[0], picture)


def _facts(chosen: list[Any]) -> Row:
    """What is printed of one exact selection or of several draws; the candidates as the first of them saw them."""
    first = chosen[0]
    rows = [{**asdict(one), "distance": _rounded(one.distance), "low": _rounded(one.low), "high": _rounded(one.high),
             "probability": _rounded(one.probability)} for one in first.evidence]  # fmt: skip
    return {"strategy": first.strategy, "from": first.anchor, "measure": first.measure, "exact": first.exact,
            "method": first.method, "sets": [one.languages for one in chosen], "candidates": rows,
            "left_out": first.excluded}  # fmt: skip


def _print_sources(facts: Row) -> None:
    console = Console(soft_wrap=True)
    several = len(facts["sets"]) > 1
    for codes in facts["sets"]:
        console.print(f"[bold]{facts['strategy']}[/] of {facts['from']} by {facts['measure']}: {' '.join(codes)}")
    rows = [
        {**row, "mark": "*" if row["chosen"] else "", "interval": _interval(row),
         "agree": "" if row["agree"] is None else len(row["agree"])}
        for row in facts["candidates"]
        if row["chosen"] or several or (row["probability"] or 0) >= WORTH_A_LINE
    ]  # fmt: skip
    columns = {"mark": "", "language": "", "name": "", "distance": "distance", "interval": "95 % interval",
               "shared": "shared", "probability": "P", "agree": "agree", "script": "script",
               "family": "family"}  # fmt: skip
    _table(rows, {key: title for key, title in columns.items() if not (several and key == "mark")})
    if rows and not several:
        console.print("*: chosen", highlight=False)
    if rows and rows[0]["probability"] is not None:
        console.print("P: how often it belongs to the set when the features are drawn anew", highlight=False)
    if rows and rows[0]["agree"] != "":
        console.print("agree: by how many of the seven measures it belongs to the set", highlight=False)
    if facts["method"]:
        console.print(f"how: {facts['method']}", highlight=False)
    for code, why in facts["left_out"].items():
        console.print(f"left out: {code} ({why})", highlight=False, markup=False)


def _candidates(task: str, given: str) -> list[str]:
    """The languages to choose from: those given, or those of a task."""
    if bool(task) == bool(given):
        raise XstiltsError(
            "bad-argument",
            "there is nothing to choose from" if not task else "--task and --candidates are both given",
            "sources chooses among the languages of a task or among those that you name",
            "give --candidates de,tr,sw or --task NAME (one of XTREME, or of `xstilts tasks`)",
        )
    if given:
        return codes(given)
    from xstilts.tasks.task import find_task
    from xstilts.tasks.xtreme import TARGETS

    if found := TARGETS[task].languages if task in TARGETS else find_task(task).languages:
        return list(found)
    why = "its languages are those of the data or of the study that uses it"
    raise XstiltsError("bad-argument", f"task '{task}' names no languages", why, "give --candidates de,tr,sw")


def codes(text: str) -> list[str]:
    """The languages of a list with commas, each once."""
    from xstilts.languages import language

    return list(dict.fromkeys(language(part).code for part in text.split(",") if part.strip()))


def _rounded(value: float | None) -> float | None:
    return None if value is None or value != value else round(float(value), 4)


def _interval(row: Row) -> str:
    return "" if row["low"] is None or row["high"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"


def _machine(rows: Any, as_json: bool, as_csv: bool) -> bool:
    """Prints for a machine if that is asked for."""
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
    elif as_csv:
        writer = csv.DictWriter(sys.stdout, list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return as_json or as_csv


def _table(rows: list[Row], columns: dict[str, str]) -> None:
    """Prints a table: column of `rows` -> heading; a distance that is None is unknown, anything else is left empty."""
    table = Table(box=None, pad_edge=False)
    for key, heading in columns.items():
        table.add_column(heading, no_wrap=key not in ("name", "family"))
    for row in rows:
        table.add_row(*(_cell(row[key], key) for key in columns))
    Console().print(table)


def _cell(value: Any, column: str) -> str:
    if value is None:
        return "unknown" if column == "distance" else ""
    if column == "probability":
        return f"{value:.2f}"
    if isinstance(value, float):
        return f"{value:.3f}" if value < 10 else f"{value:.0f}"
    return str(value)
