"""The verbs that check runs against published claims, and that learn from runs: claims, predict-transfer."""

from pathlib import Path
from typing import Annotated

import typer

from xstilts.cli.options import JSON, RUN, Row, codes
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import Part, emit, interval, number, print_table, say, signed

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
    """Check a run against nine published claims about English intermediate training, and the leading question."""
    from xstilts.claims import NINE, judge_claims, published_table
    from xstilts.runs.reader import read_run

    results = read_run(run)
    table = published_table(results, published) if published else []
    judged = judge_claims(results)
    if emit({"claims": judged, "published": table}, as_json):
        return
    seen: set[str] = set()
    for entry in judged:
        _print_claim(entry, published, [note for note in entry["notes"] if note not in seen])
        seen.update(entry["notes"])
    say(f"The nine intermediate tasks are {', '.join(NINE)}.", wrap=True)
    if published:
        _print_published(table, published)


def _print_claim(entry: Row, published: str, notes: list[str]) -> None:
    result = entry["result"]
    say((f"{entry['claim']}  ", "bold"), (result, STYLES[result]), f"  {entry['says']}", wrap=True)
    lines = [_comparison(row) for row in entry["comparisons"]]
    if published in ("v1", "v2"):
        lines.insert(0, f"{published}: {entry[published] or 'nothing found'}")
    if entry["reference"] == "unconfirmed":
        lines.insert(0, "reference: unconfirmed (not found in the paper at hand)")
    if entry["missing"]:
        lines.append(f"missing: {'; '.join(entry['missing'])}")
    for line in [*lines, *notes]:
        say(line, indent=2, wrap=True)
    say()


def _comparison(row: Row) -> str:
    numbers = f"{signed(row['estimate'], 1)} points {interval(row, 1)} at {row['level']:.1%}"
    where = ", ".join(row["targets"]) + (f" minus the same on {row['over']}" if row["over"] else "")
    figure = f" (claimed {row['figure']:+.1f})" if row["figure"] else ""
    verdict = "for information" if row["for_information"] else f"'{row['relation']}' {HOLDS[row['holds']]}"
    return f"{row['left']} - {row['right']} on {where}: {numbers}{figure}: {verdict}"


def _print_published(rows: list[Row], version: str) -> None:
    name = Path(version).stem
    cells = []
    for row in rows:
        mark = "*" if row["scores"] and not row["whole"] else ""
        scores = ", ".join(f"{arm} {score:.1f}{mark}" for arm, score in row["scores"].items())
        published = ", ".join(f"{arm} {value:.1f}" for arm, value in row["published"].items() if value is not None)
        cells.append((row["task"], row["metric"], scores, published))
    print_table(
        ("task", "metric", "this run", name), cells, title=f"Means over all languages of a task, next to {name}"
    )
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
    wanted: Annotated[str, typer.Option("--for", help="Languages to rank sources for, with commas.")] = "",
    candidates: Annotated[str, typer.Option("--candidates", help="Sources to rank; by default the runs' pools.")] = "",
    target: Annotated[str, typer.Option("--target", help="Learn from one target task only.")] = "",
    store: Annotated[str | None, typer.Option("--store", help="The runs' store, for features of texts.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Sources to print for each language.")] = 5,
    out: Annotated[Path | None, typer.Option("--out", help="Write the scores for `--strategy predicted`.")] = None,
    as_json: JSON = False,
) -> None:
    """Learn from runs which sources help which language, show how well that predicts, and rank sources for new ones."""
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
    if result["rows"]:
        say(f"{result['rows']} gains in {len(result['languages'])} languages of {len(result['families'])} families, "
            f"{result['units']} trainings of an encoder", wrap=True)  # fmt: skip
        weights = ", ".join(f"{name} {value:+.3f}" for name, value in list(result["weights"].items())[:6])
        say(f"weights of standardised features, largest first: {weights}", wrap=True)
        for need in dict.fromkeys(result["absent"].values()):
            say(
                f"absent: {', '.join(name for name, why in result['absent'].items() if why == need)} ({need})",
                wrap=True,
            )
    for check in result["validation"]:
        _print_check(check)
    for warning in result["warnings"]:
        say(f"warning: {warning}", wrap=True)
    for code, ranking in result["rankings"].items():
        _print_ranking(code, ranking[:top], bool(result["rows"]))
    if result["rankings"] and result["rows"]:
        say("score: predicted rank, 0 in the middle, ±0.5 the ends of the training data; beyond them it is "
            "extrapolated. Interval and shares: languages and trainings are resampled together", wrap=True)  # fmt: skip


def _print_check(check: Row) -> None:
    title = (
        f"Left out: one of {check['blocks']} {'languages' if check['by'] == 'language' else 'families'} and of "
        f"{check['units']} trainings at a time; {check['candidates']:.1f} candidates each"
    )
    methods = {**check["methods"], "ridge - nearest language": check["over_nearest"]}
    rows = [
        (name, *(_estimate(result[metric]) for metric in ("spearman", "ndcg@3"))) for name, result in methods.items()
    ]
    print_table(("ranking by", ">Spearman [95 %]", ">NDCG@3 [95 %]"), rows, title=title)


def _estimate(row: Row) -> str:
    if row["mean"] is None:
        return ""
    return signed(row["mean"]) + ("" if row["low"] is None else f" {interval(row)}")


def _print_ranking(code: str, ranking: list[Row], learnt: bool) -> None:
    from xstilts.languages import language

    several = len({row["intermediate"] for row in ranking}) > 1
    cells: list[list[Part]] = []
    for row in ranking:
        distance = "unknown" if row["distance"] is None else number(row["distance"], 3)
        task = [row["intermediate"]] if several else []
        shares = [number(row["top"], 2), number(row["best"], 2)] if learnt else []
        ends = "" if row["low"] is None else interval(row)
        name = language(row["source"]).name
        cells.append([row["source"], name, *task, signed(row["score"], 3), ends, distance, *shares])
    headings = ["source", "", *(["intermediate"] if several else []), ">score", ">95 %", ">distance"]
    headings += [">top 3", ">best"] if learnt else []
    print_table(headings, cells, title=f"Sources for {language(code).name} ({code})")
