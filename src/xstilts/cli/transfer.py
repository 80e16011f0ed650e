"""The verbs that learn which source languages help: transfer fit, rank, predict, validate, evidence."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xstilts.cli.options import JSON, codes
from xstilts.cli.root import group
from xstilts.cli.transfer_tables import print_meaning, print_ranking, print_validation, rank_by_own_runs
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, interval, number, print_table, say, signed

_EXAMPLES = (
    "Examples:\n\n  xstilts transfer rank --for sw,th               from the published results in the package\n\n"
    "  xstilts transfer rank runs/pocket --for sw      from runs of your own\n\n"
    "  xstilts transfer fit results.csv -o model.json\n\n  xstilts transfer evidence results.json"
)
transfer = group("transfer", "Learn from results which source languages help.", _EXAMPLES)
TABLES = Annotated[
    list[Path], typer.Argument(help="Results: CSV, a matrix, SumEval's JSON, or runs of studies.", show_default=False)
]
COLUMN = Annotated[
    list[str] | None, typer.Option("--column", help="NAME=COLUMN of a CSV, such as source=train_language; repeatable.")
]
ENCODER = Annotated[str, typer.Option("--encoder", help="The encoder of a table that does not name it.")]
TASK = Annotated[str, typer.Option("--task", help="The task of a table that does not name it.")]
EXAMPLES = Annotated[float, typer.Option("--examples", help="Examples of each training, if the table has none.")]
VOTES = Annotated[
    Path | None, typer.Option("--votes", help="How close languages are to an encoder: a file of `transfer votes`.")
]
MODEL = Annotated[str, typer.Option("--model", help="A file of `transfer fit`.", show_default="the package's own")]


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer fit UDPOS_XLMR.json -o pos.json\n\n"
    "  xstilts transfer fit scores.csv --column source=train_language --column target=test_language "
    "--column score=accuracy --examples 10000 -o model.json"
)
def fit(
    tables: TABLES,
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of the model.")],
    column: COLUMN = None,
    encoder: ENCODER = "",
    task: TASK = "",
    examples: EXAMPLES = 0,
    votes: VOTES = None,
) -> None:
    """Fit models of scores to tables of published results, one for each encoder and task."""
    from xstilts.transfer.left_out import with_error
    from xstilts.transfer.model_file import save_models
    from xstilts.transfer.transfer_model import fit_model

    models = []
    for results in _read(tables, column, encoder, task, examples, votes):
        say(f"{results.name}: {len(results.examples)} trainings, {len(results.targets)} target languages")
        models.append(with_error(fit_model(results)))
    save_models(out, models)
    say(f"Model: {out}; next: xstilts transfer rank --model {out} --for CODES")


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer rank --for sw,th\n\n  xstilts transfer rank --for sw --task panx\n\n"
    "  xstilts transfer rank runs/a runs/b --for sw,th --out scores.csv\n\n"
    "  xstilts sources --strategy predicted --scores scores.csv --held-out sw,th --candidates de,es,hi,tr,zh"
)
def rank(
    runs: Annotated[list[Path] | None, typer.Argument(help="Run folders to learn from instead.")] = None,
    wanted: Annotated[str, typer.Option("--for", help="Languages to rank sources for, comma-separated.")] = "",
    candidates: Annotated[str, typer.Option("--candidates", help="Sources to rank.", show_default="all")] = "",
    task: Annotated[str, typer.Option("--task", help="Results of one task only.", show_default="mean of all")] = "",
    encoder: Annotated[str, typer.Option("--encoder", help="Results of one encoder only.")] = "",
    model: MODEL = "",
    store: Annotated[str | None, typer.Option("--store", help="The runs' store: adds LogME and H-score.")] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="Sources to print for each language.")] = 5,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Write scores for `--strategy predicted`; results in --for are not used."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Rank source languages for target languages, by published results or by runs of your own."""
    if runs:
        if model or encoder:
            why, hint = "runs are learned from in their place", "leave out the runs, or --model and --encoder"
            raise XstiltsError("bad-argument", "--model and --encoder are for tables", why, hint)
        rank_by_own_runs(runs, codes(wanted), codes(candidates), task, store, top, out, as_json)
        return
    if not wanted:
        raise XstiltsError("bad-argument", "there is nothing to rank for", "no languages are given", "name them: --for")
    if store:
        raise XstiltsError("bad-argument", "--store is for runs", "no run folders are given", "leave it out")
    from xstilts.transfer.model_file import load_models
    from xstilts.transfer.rank_sources import rank_sources, write_scores

    models = _chosen(load_models(model), task, encoder)
    languages, among = _codes(wanted, models), _codes(candidates, models)
    held_out = languages if out else []
    rankings = {code: rank_sources(models, code, among, held_out) for code in languages}
    if out:
        seen = {code for each in models for code in each.results.targets}
        write_scores(out, rankings, sorted(seen - set(held_out)))
    if emit({"models": [each.results.name for each in models], "rankings": rankings}, as_json):
        return
    for code, ranking in rankings.items():
        print_ranking(code, ranking[:top], models)
    print_meaning(models, any(row["unseen"] for ranking in rankings.values() for row in ranking[:top]))
    if out:
        say(f"scores: {out}")


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer predict test.json --task panx -o predictions.json\n\n"
    "  xstilts transfer predict test.json --model model.json -o predictions.json"
)
def predict(
    file: Annotated[Path, typer.Argument(help="Trainings in SumEval's JSON; their scores are replaced.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The same with predicted scores.")],
    task: Annotated[str, typer.Option("--task", help="Of several models the one of this task.")] = "",
    encoder: Annotated[str, typer.Option("--encoder", help="Of several models the one of this encoder.")] = "",
    model: MODEL = "",
) -> None:
    """Predict the scores of trainings that were not run, with 90% intervals."""
    from xstilts.engine import write_atomically
    from xstilts.transfer.check_tables import refuse_two_codes
    from xstilts.transfer.model_file import load_models
    from xstilts.transfer.predict_scores import as_sumeval, predict_scores
    from xstilts.transfer.read_tables import sumeval_configurations
    from xstilts.transfer.relations import canonical

    models = load_models(model)
    chosen = _chosen(models, task, encoder)
    if len(chosen) > 1:
        names = ", ".join(each.results.name for each in chosen)
        raise XstiltsError("bad-argument", "several models match", names, "choose one with --task and --encoder")
    rows = sumeval_configurations(file)
    for key in ("train_config", "eval_results"):
        refuse_two_codes(list(dict.fromkeys(code for row in rows for code in row[key])), file)
    trainings = [{canonical(code): float(n) for code, n in row["train_config"].items()} for row in rows]
    targets = list(dict.fromkeys(canonical(code) for row in rows for code in row["eval_results"]))
    others = [each for each in models if each is not chosen[0]]
    predicted = predict_scores(chosen[0], trainings, targets, others)
    write_atomically(out, json.dumps(as_sumeval(rows, predicted, targets), separators=(",", ":")) + "\n")
    say(f"{len(rows)} trainings × {len(targets)} languages, with 90% intervals: {out}")
    for note in predicted.notes:
        say(f"extrapolated: {note}", wrap=True)


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer validate XNLI_XLMR.json\n\n  xstilts transfer validate scores.csv --json"
)
def validate(
    tables: TABLES,
    column: COLUMN = None,
    encoder: ENCODER = "",
    task: TASK = "",
    examples: EXAMPLES = 0,
    votes: VOTES = None,
    as_json: JSON = False,
) -> None:
    """Show how well mixtures, languages and families that are left out are predicted, next to simpler methods."""
    from xstilts.transfer.cross_validation import validate_languages, validate_mixtures
    from xstilts.transfer.transfer_model import fit_model

    rows = []
    for results in _read(tables, column, encoder, task, examples, votes):
        model = fit_model(results)
        rows.append(validate_mixtures(results))
        rows += [validate_languages(model, by) for by in ("language", "family")]
    if emit(rows, as_json):
        return
    for row in rows:
        print_validation(row)


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer evidence XNLI.json\n\n  xstilts transfer evidence T.csv --measure genetic"
)
def evidence(
    tables: TABLES,
    measure: Annotated[
        str,
        typer.Option("--measure", help="Of distance: syntax, syntax-knn, phonology, inventory, genetic, geographic."),
    ] = "syntax",
    column: COLUMN = None,
    encoder: ENCODER = "",
    task: TASK = "",
    examples: EXAMPLES = 0,
    as_json: JSON = False,
) -> None:
    """Estimate the effect of the sources' distances on zero-shot scores in published results."""
    from xstilts.languages import MEASURES
    from xstilts.transfer.evidence import distance_evidence

    if measure not in MEASURES:
        raise XstiltsError(
            "unknown-name", f"unknown measure '{measure}'", f"there are {', '.join(MEASURES)}", "choose one"
        )
    rows = [
        row for results in _read(tables, column, encoder, task, examples) for row in distance_evidence(results, measure)
    ]
    if emit(rows, as_json):
        return
    step = "1,000 km" if measure == "geographic" else "0.1"
    cells = [
        (row["table"], row["summary"], row["form"], signed(row["effect"]), interval(row), number(row["p"], 3))
        for row in rows
    ]
    title = f"Points for each {step} of {measure} distance of the sources from a target without examples of its own"
    print_table(("table", "distance", "", ">effect", ">95%", ">p"), cells, title)
    say("What targets and trainings have in common is removed: a slope says whether a mixture helps more the languages "
        "that it is close to. These are mixtures of the target task, each trained once, and no intermediate phase.",
        wrap=True)  # fmt: skip


def _read(
    tables: list[Path], column: list[str] | None, encoder: str, task: str, examples: float, votes: Path | None = None
) -> list[Any]:
    """The results of all files, with what was read as other codes said."""
    from xstilts.transfer.read_tables import COLUMNS, read_tables

    names = dict(entry.partition("=")[::2] for entry in column or ())
    if wrong := [name for name in names if name not in COLUMNS]:
        raise XstiltsError(
            "unknown-name", f"--column {wrong[0]}: no such name", f"there are {', '.join(COLUMNS)}", "write NAME=COLUMN"
        )
    results, runs = [], [place for place in tables if place.is_dir()]
    if runs:
        from xstilts.runs.reader import read_run
        from xstilts.transfer.from_runs.as_tables import tables_of_runs

        results += tables_of_runs([read_run(run) for run in runs])
    for file in [place for place in tables if place not in runs]:
        found, notes = read_tables(file, names, encoder, task, examples)
        results += found
        for note in notes:
            say(f"{file}: {note}", wrap=True, console=Console(stderr=True))
    if votes:
        from xstilts.transfer.votes import read_votes

        measured = read_votes(votes)
        results = [replace(table, votes=measured) for table in results]
    return results


@transfer.command(
    epilog="Examples:\n\n  xstilts transfer votes xlm-roberta-base 'texts/{lang}.txt' -o votes.csv\n\n"
    "  xstilts transfer fit scores.csv --votes votes.csv -o model.json"
)
def votes(
    encoder: Annotated[str, typer.Argument(help="An encoder: a folder, or a repository of the hub.")],
    texts: Annotated[str, typer.Argument(help="Unlabelled texts, 50 of each language: files with {lang} in the name.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The file of votes.")],
) -> None:
    """Measure how close languages are to an encoder, on texts that need neither labels nor translations."""
    from xstilts.transfer.votes import write_votes
    from xstilts.workflows.measure_votes import measure_votes

    def progress(code: str, left: int) -> None:
        say(f"{code} read, {left} languages left", console=Console(stderr=True))

    measured = measure_votes(encoder, texts, progress)
    write_votes(out, measured)
    say(f"votes of {len(measured.languages)} languages: {out}; next: xstilts transfer fit TABLE --votes {out} -o FILE")


def _chosen(models: list[Any], task: str, encoder: str) -> list[Any]:
    """The models of a task and an encoder, if they are named; raises XstiltsError if there are none."""
    tasks = [model for model in models if task in ("", model.results.task)]
    chosen = [model for model in tasks if encoder in ("", model.results.encoder)]
    if not chosen:
        names = ", ".join(model.results.name for model in models)
        raise XstiltsError(
            "unknown-name", f"no model of '{f'{task} {encoder}'.strip()}'", f"available: {names}", "choose one of them"
        )
    return chosen


def _codes(text: str, models: list[Any]) -> list[str]:
    """The codes of a list with commas: of known languages, or of any that a model has."""
    from xstilts.transfer.relations import canonical

    have = {code for model in models for code in (*model.results.sources, *model.results.targets)}
    names = [name.strip() for name in text.split(",") if name.strip()]
    return list(dict.fromkeys(canonical(name) if canonical(name) in have else codes(name)[0] for name in names))
