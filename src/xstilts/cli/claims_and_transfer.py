"""The verbs that check runs against published claims, and that learn from runs: claims, predict-transfer."""

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.options import JSON, RUN, Row, codes
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, interval, number, print_table, say, signed

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


@app.command(
    epilog="Examples:\n\n  xstilts predict-transfer runs/pocket\n\n"
    "  xstilts predict-transfer runs/a runs/b --for sw,th --out scores.csv\n\n"
    "  xstilts predict-transfer --for sw,th --candidates de,es,hi,tr,zh\n\n"
    "  xstilts sources --strategy predicted --scores scores.csv --held-out sw,th --candidates de,es,hi,tr,zh"
)
def predict_transfer(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders to learn from.")] = None,
    wanted: Annotated[str, typer.Option("--for", help="Languages to rank sources for, comma-separated.")] = "",
    candidates: Annotated[str, typer.Option("--candidates", help="Sources to rank; by default the runs' pools.")] = "",
    target: Annotated[str, typer.Option("--target", help="Learn from one target task only.")] = "",
    store: Annotated[str | None, typer.Option("--store", help="The runs' store: adds LogME and H-score.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Sources to print for each language.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write the scores for `--strategy predicted`.")] = None,
    as_json: JSON = False,
) -> None:
    """Predict from finished runs which source languages help a target language, and show how well that works."""
    from xstilts.engine import Store
    from xstilts.runs.reader import read_run
    from xstilts.transfer import measure, predict_by_distance, predict_transfer, write_scores

    if not runs and (target or store):
        why, hint = "--target and --store only apply to runs", "give run folders, or leave both out"
        raise XstiltsError("bad-argument", "there are no runs to learn from", why, hint)
    results = [read_run(run) for run in dict.fromkeys(run.resolve() for run in runs or ())]
    if store:
        for result in results:
            measure(result, Store(store))
    languages, among = codes(wanted), codes(candidates)
    if results:
        prediction = predict_transfer(results, languages, among, target)
    else:
        prediction = predict_by_distance(languages, among)
    if out:
        write_scores(out, prediction["rankings"], prediction["languages"])
    if emit(prediction, as_json):
        return
    _print_prediction(prediction, top)
    if out:
        say(f"scores: {out}")


def _print_prediction(result: Row, top: int) -> None:
    from xstilts.languages import language

    learnt = bool(result["rows"])
    if learnt:
        size = f"{result['rows']} gains in {len(result['languages'])} languages of {len(result['families'])} families"
        say(f"{size}, {result['units']} trainings of an encoder", wrap=True)
        weights = ", ".join(f"{name} {value:+.3f}" for name, value in list(result["weights"].items())[:6])
        say(f"weights of standardised features, largest first: {weights}", wrap=True)
        for need in dict.fromkeys(result["absent"].values()):
            names = ", ".join(name for name, why in result["absent"].items() if why == need)
            say(f"absent: {names} ({need})", wrap=True)
    for check in result["validation"]:
        blocks = f"{check['blocks']} {'languages' if check['by'] == 'language' else 'families'}"
        title = f"Left out: one of {blocks} and of {check['units']} trainings at a time; "
        title += f"{check['candidates']:.1f} candidates each"
        methods = {**check["methods"], "ridge - nearest language": check["over_nearest"]}
        cells = [(name, _estimate(method["spearman"]), _estimate(method["ndcg@3"])) for name, method in methods.items()]
        print_table(("ranking by", ">Spearman [95 %]", ">NDCG@3 [95 %]"), cells, title)
    for warning in result["warnings"]:
        say(f"warning: {warning}", wrap=True)
    for code, ranking in result["rankings"].items():
        tasks = ["intermediate"] if len({row["intermediate"] for row in ranking[:top]}) > 1 else []
        shares = {"top": ">top 3", "best": ">best"} if learnt else {}
        headings = ("source", "", *tasks, ">score", ">95 %", ">distance", *shares.values())
        rows = []
        for row in ranking[:top]:
            ends = "" if row["low"] is None else interval(row)
            distance = "unknown" if row["distance"] is None else number(row["distance"], 3)
            first = (row["source"], language(row["source"]).name, *(row[name] for name in tasks))
            rows.append((*first, signed(row["score"], 3), ends, distance, *(number(row[name], 2) for name in shares)))
        print_table(headings, rows, f"Sources for {language(code).name} ({code})")
    if learnt and result["rankings"]:
        range_of_scores = "0 in the middle, ±0.5 the ends of the training data; beyond them it is extrapolated"
        resampling = "languages and trainings are resampled together"
        say(f"score: predicted rank, {range_of_scores}. Interval and shares: {resampling}", wrap=True)


def _estimate(row: Row) -> str:
    if row["mean"] is None:
        return ""
    return signed(row["mean"]) + ("" if row["low"] is None else f" {interval(row)}")
