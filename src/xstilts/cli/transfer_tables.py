"""What the verbs of `transfer` print."""

from pathlib import Path
from typing import Any

from xstilts.cli.options import Row
from xstilts.report.console import emit, interval, number, print_table, say, signed


def rank_by_own_runs(
    runs: list[Path], languages: list[str], among: list[str], task: str, store: str | None, top: int, out: Path | None,
    as_json: bool,
) -> None:  # fmt: skip
    """Rank sources by finished runs, and print how well that works."""
    from xstilts.engine import Store
    from xstilts.runs.reader import read_run
    from xstilts.transfer.from_runs.rankings import rank_by_runs
    from xstilts.transfer.from_runs.transferability import measure
    from xstilts.transfer.rank_sources import write_scores

    results = [read_run(run) for run in dict.fromkeys(run.resolve() for run in runs)]
    for result in results if store else ():
        measure(result, Store(str(store)))
    prediction = rank_by_runs(results, languages, among, task)
    if out:
        write_scores(out, prediction["rankings"], prediction["languages"])
    if emit(prediction, as_json):
        return
    _print_prediction(prediction, top)
    if out:
        say(f"scores: {out}")


def print_ranking(code: str, ranking: list[Row], models: list[Any]) -> None:
    """Print the sources of one language, best first."""
    from xstilts.transfer.relations import known_language

    entry = known_language(code)
    headings = ("source", "", ">score", ">90%", *(f">{_heading(model, models)}" for model in models), ">distance")
    rows = []
    for row in ranking:
        source, points = known_language(row["source"]), []
        for model in models:
            name = model.results.name
            text = number(row["points"][name]) if model.results.one_source_each else signed(row["points"][name])
            points.append(text + "*" * (name in row["unseen"]))
        distance = "unknown" if row["distance"] is None else number(row["distance"], 3)
        first = (row["source"], source.name if source else "", signed(row["score"]), interval(row))
        rows.append((*first, *points, distance))
    scored = [_heading(model, models) for model in models if code in model.results.targets]
    measured = f"; measured in {', '.join(scored)}" if scored else ""
    print_table(headings, rows, f"Sources for {entry.name if entry else 'an unknown language'} ({code}){measured}")


def print_meaning(models: list[Any], unseen: bool) -> None:
    """Print what the numbers of rankings mean, and what they were learned from."""
    sizes = ", ".join(f"{model.size:,.0f} in {_heading(model, models)}" for model in models)
    alone = any(model.results.one_source_each for model in models)
    say("score: what a source adds, in standard deviations over sources, with a 90% interval from errors in left-out "
        "languages", wrap=True)  # fmt: skip
    say(f"points: what its examples add ({sizes})" + (", or the score after it alone" if alone else ""), wrap=True)
    if unseen:
        say("*: the table does not have this source; a weighted mean of similar ones", wrap=True)
    say(f"learned from: {', '.join(model.results.name for model in models)}", wrap=True)


def _heading(model: Any, models: list[Any]) -> str:
    """The task of a table, or its whole name if several have the task."""
    alike = [other for other in models if other.results.task == model.results.task]
    return str(model.results.task if len(alike) == 1 else model.results.name)


def print_validation(row: Row) -> None:
    """Print one table of `transfer validate`."""
    if "by" not in row:
        title = f"{row['table']}: {row['trainings']} trainings, a fifth left out at a time; "
        title += f"90% intervals cover {row['coverage']:.1%}"
        print_table(
            ("method", ">mean absolute error [95%]"), [(n, _estimate(v, 3)) for n, v in row["mae"].items()], title
        )
        return
    title = (
        f"{row['table']}: one of {row['left_out']} {'families' if row['by'] == 'family' else 'languages'} left out; "
    )
    title += f"90% intervals cover {row['coverage']:.1%}"
    names = list(dict.fromkeys(name for key in ("mae", "mixtures", "spearman") for name in row[key]))
    columns = ("mae", "mixtures", "spearman", "ndcg@3")
    cells = [(name, *(_estimate(row[key][name]) if name in row[key] else "" for key in columns)) for name in names]
    headings = ("method", ">error of scores", ">Spearman of mixtures", ">Spearman of sources", ">NDCG@3 of sources")
    print_table(headings, cells, title)


def _print_prediction(result: Row, top: int) -> None:
    """Print what was learned, how well it predicts, and the rankings."""
    from xstilts.languages import language

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
        print_table(("ranking by", ">Spearman [95%]", ">NDCG@3 [95%]"), cells, title)
    for warning in result["warnings"]:
        say(f"warning: {warning}", wrap=True)
    for code, ranking in result["rankings"].items():
        tasks = ["intermediate"] if len({row["intermediate"] for row in ranking[:top]}) > 1 else []
        shares = {"top": ">top 3", "best": ">best"}
        headings = ("source", "", *tasks, ">score", ">95%", ">distance", *shares.values())
        rows = []
        for row in ranking[:top]:
            distance = "unknown" if row["distance"] is None else number(row["distance"], 3)
            first = (row["source"], language(row["source"]).name, *(row[name] for name in tasks))
            rows.append(
                (*first, signed(row["score"], 3), interval(row), distance, *(number(row[name], 2) for name in shares))
            )
        print_table(headings, rows, f"Sources for {language(code).name} ({code})")
    if result["rankings"]:
        range_of_scores = "0 in the middle, ±0.5 the ends of the training data; beyond them it is extrapolated"
        resampling = "languages and trainings are resampled together"
        say(f"score: predicted rank, {range_of_scores}. Interval and shares: {resampling}", wrap=True)


def _estimate(row: Row, digits: int = 2) -> str:
    if row["mean"] is None:
        return ""
    return signed(row["mean"], digits) + ("" if row["low"] is None else f" {interval(row, digits)}")
