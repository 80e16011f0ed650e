"""The verbs that need no training: languages, distances, sources."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.cli.options import CSV, JSON, Row, codes
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, print_table, say

_MEASURES = "syntax, syntax-knn, phonology, inventory, genetic, geographic, lang2vec, or a table FILE.csv."
_STRATEGIES = "near, far, diverse, random, stratified, same-script, other-script, predicted."
MEASURE = Annotated[str, typer.Option("--measure", help=_MEASURES)]
PICTURE = Annotated[Path | None, typer.Option("--picture", help="Write FILE.svg or FILE.png, or all to FILE.html.")]
SHOWN_PROBABILITY = 0.05
"""How probable it must be that a candidate that was not chosen belongs to the set, for it to be printed."""


@app.command(epilog="Examples:\n\n  xstilts languages\n\n  xstilts languages Swahili\n\n  xstilts languages swh --json")
def languages(
    query: Annotated[str, typer.Argument(help="A code, a name or a tag: sw, swh_Latn, Swahili.")] = "",
    as_json: JSON = False,
    as_csv: CSV = False,
) -> None:
    """List languages with their script, family and distance from English, or look one up."""
    from xstilts.languages import BENCHMARK_LANGUAGES, all_languages, distance_matrix, language

    chosen = [language(query)] if query else list(all_languages()[:BENCHMARK_LANGUAGES])
    matrix = distance_matrix(["en", *(each.code for each in chosen if each.code != "en")])
    rows = []
    for each in chosen:
        pair = matrix.pair(0, matrix.codes.index(each.code))
        rows.append(asdict(each) | _rounded(distance=pair.value, shared=pair.shared))
    if not emit(rows, as_json, as_csv):
        headings = {name: name for name in ("code", "name", "iso639_3", "script", "family")}
        _print(rows, headings | {"iso639_3": "ISO 639-3", "distance": ">from English", "shared": ">shared"})


@app.command(
    epilog="Examples:\n\n  xstilts distances en --to de,tr,sw\n\n"
    "  xstilts distances en --to de,tr,sw --measure geographic --csv\n\n"
    "  xstilts distances en --to de,tr,sw,hi,zh --matrix --picture distances.svg"
)
def distances(
    origin: Annotated[str, typer.Argument(help="The language to measure from.", metavar="LANGUAGE")] = "en",
    to: Annotated[str, typer.Option("--to", help="Languages, comma-separated.", show_default="all")] = "",
    measure: MEASURE = "syntax",
    matrix: Annotated[bool, typer.Option("--matrix", help="All distances among the languages.")] = False,
    as_json: JSON = False,
    as_csv: CSV = False,
    picture: PICTURE = None,
) -> None:
    """Show distances from one language, nearest first, with 95% intervals; 'unknown' if few features are known."""
    from xstilts.languages import BENCHMARK_LANGUAGES, all_languages, distance_matrix, language

    start = language(origin).code
    others = codes(to) or [each.code for each in all_languages()[:BENCHMARK_LANGUAGES]]
    result = distance_matrix([start, *(code for code in others if code != start)], measure=measure, intervals=True)
    if matrix:
        columns = {"language": "", **{code: f">{code}" for code in result.codes}}
        table = zip(result.codes, result.values.tolist(), strict=True)
        rows = [_rounded(language=code, **dict(zip(result.codes, values, strict=True))) for code, values in table]
    else:
        heading = ">km" if measure == "geographic" else ">distance"
        columns = {"language": "", "name": "", "distance": heading, "interval": ">95% interval", "shared": ">shared"}
        pairs = [result.pair(0, place) for place in range(1, len(result.codes))]
        pairs.sort(key=lambda pair: (pair.value != pair.value, pair.value))
        rows = [_rounded(language=p.b, distance=p.value, shared=p.shared, low=p.low, high=p.high) for p in pairs]
    if not emit(rows, as_json, as_csv):
        _print([row | {"name": language(row["language"]).name} for row in rows], columns)
    if picture:
        from xstilts.report.pictures import draw_distances

        draw_distances(result, picture, matrix)


@app.command(
    epilog="Examples:\n\n  xstilts sources --candidates ar,bg,de,es,hi,sw,tr --from en -k 3 --strategy far\n\n"
    "  xstilts sources --candidates ar,bg,de,es,hi,sw,tr --strategy random --draws 5 --json\n\n"
    "  xstilts sources --candidates de,fi,hu,id,tr,vi --strategy near --exclude family --picture map.svg"
)
def sources(
    task: Annotated[str, typer.Option("--task", help="Choose among the languages of a task of the catalogue.")] = "",
    candidates: Annotated[str, typer.Option("--candidates", help="Choose among these, comma-separated.")] = "",
    origin: Annotated[str, typer.Option("--from", help="The language to measure from.")] = "en",
    k: Annotated[int, typer.Option("-k", help="Number of languages to choose.")] = 3,
    strategy: Annotated[str, typer.Option("--strategy", help=_STRATEGIES)] = "far",
    measure: MEASURE = "syntax",
    match: Annotated[
        list[str] | None, typer.Option("--match", help="Keep only the anchor's 'script' or 'family'.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", help="Leave out the anchor's 'script' or 'family'.")
    ] = None,
    draws: Annotated[int, typer.Option("--draws", min=0, help="Seeded draws, instead of the one exact set.")] = 0,
    seed: Annotated[int, typer.Option("--seed", help="The seed of the first draw.")] = 0,
    scores: Annotated[Path | None, typer.Option("--scores", help="For 'predicted': source,target,score.")] = None,
    held_out: Annotated[str, typer.Option("--held-out", help="Scores learned from these are refused.")] = "",
    as_json: JSON = False,
    as_csv: CSV = False,
    picture: PICTURE = None,
) -> None:
    """Choose source languages for training, and show how stable the choice is."""
    from xstilts.languages import read_scores, select

    among = _candidates(task, candidates)
    predicted = read_scores(scores, codes(held_out)) if scores else None
    if strategy == "predicted" and predicted is None:
        why = "it chooses by the scores of other runs"
        raise XstiltsError("bad-argument", "'predicted' needs scores", why, "give --scores FILE")
    conditions: Row = {"measure": measure, "match": match or (), "exclude": exclude or (), "scores": predicted}
    chosen = [
        select(strategy, among, k, anchor=origin, exact=draws == 0, seed=seed + draw, **conditions)
        for draw in range(max(draws, 1))
    ]
    first = chosen[0]  # of several draws, the candidates as the first saw them
    facts: Row = {"strategy": strategy, "from": first.anchor, "measure": first.measure, "exact": first.exact}
    facts |= {"method": first.method, "sets": [each.languages for each in chosen]}
    facts |= {"candidates": [_rounded(**asdict(each)) for each in first.evidence], "left_out": first.excluded}
    flat = [row | {"agree": " ".join(row["agree"] or ())} for row in facts["candidates"]]
    if not emit(facts, as_json, as_csv, rows=flat):
        _print_sources(facts)
    if picture:
        from xstilts.report.pictures import draw_selection

        draw_selection(first, picture)


def _candidates(task: str, given: str) -> list[str]:
    """The languages to choose from: those given, or those of a task."""
    if bool(task) == bool(given):
        what = "--task and --candidates are both given" if task else "there is nothing to choose from"
        why = "sources are chosen among the languages of a task or among those that you name"
        hint = "give --candidates de,tr,sw or --task NAME (one of XTREME, or of `xstilts tasks`)"
        raise XstiltsError("bad-argument", what, why, hint)
    if given:
        return codes(given)
    from xstilts.tasks.task import find_task
    from xstilts.tasks.xtreme import TARGETS

    languages = TARGETS[task].languages if task in TARGETS else find_task(task).languages
    if not languages:
        why = "its languages are those of the data or of the study that uses it"
        raise XstiltsError("bad-argument", f"task '{task}' names no languages", why, "give --candidates de,tr,sw")
    return list(languages)


def _print_sources(facts: Row) -> None:
    several = len(facts["sets"]) > 1
    for languages in facts["sets"]:
        say((facts["strategy"], "bold"), f" from {facts['from']} by {facts['measure']}: {' '.join(languages)}")
    rows = [
        row | {"mark": "*" if row["chosen"] else "", "agree": None if row["agree"] is None else len(row["agree"])}
        for row in facts["candidates"]
        if row["chosen"] or several or (row["probability"] or 0) >= SHOWN_PROBABILITY
    ]
    columns = {} if several else {"mark": ""}
    columns |= {"language": "", "name": "", "distance": ">distance", "interval": ">95% interval", "shared": ">shared"}
    _print(rows, columns | {"probability": ">P", "agree": ">agree", "script": "script", "family": "family"})
    if rows and not several:
        say("*: chosen")
    if rows and rows[0]["probability"] is not None:
        say("P: share of bootstrap resamples in which the language is selected")
    if rows and rows[0]["agree"] is not None:
        say("agree: number of the seven measures that also select it")
    if facts["method"]:
        say(f"how: {facts['method']}")
    for code, why in facts["left_out"].items():
        say(f"left out: {code} ({why})")


def _rounded(**values: Any) -> Row:
    """The values with four digits; what is not known (NaN) is None."""
    return {
        name: (None if value != value else round(value, 4)) if isinstance(value, float) else value
        for name, value in values.items()
    }


def _print(rows: list[Row], columns: dict[str, str]) -> None:
    """Print columns of `rows` under their headings; a distance that is None is unknown."""

    def cell(row: Row, column: str) -> str:
        if column == "interval":
            return "" if row["low"] is None or row["high"] is None else f"[{row['low']:.2f}, {row['high']:.2f}]"
        value = row[column]
        if value is None:
            return "unknown" if column == "distance" else ""
        digits = 2 if column == "probability" else 3 if isinstance(value, float) and value < 10 else 0
        return f"{value:.{digits}f}" if isinstance(value, float) else str(value)

    print_table(list(columns.values()), [[cell(row, column) for column in columns] for row in rows])
