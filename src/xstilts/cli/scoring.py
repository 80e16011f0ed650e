"""The verbs that deal with folders in the benchmark's layout: score, submit."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xstilts.cli import app
from xstilts.errors import XstiltsError

LABELS = Annotated[Path | None, typer.Option("--labels", help="Labels in the same layout: counts and ids too.")]


@app.command(
    epilog="Examples:\n\n  xstilts score predictions labels\n\n  xstilts score predictions labels --json > scores.json"
)
def score(
    predictions: Annotated[Path, typer.Argument(help="A folder such as a submission: xnli/test-sw.tsv, …")],
    labels: Annotated[Path, typer.Argument(help="The true labels in the same layout.")],
    version: Annotated[str, typer.Option("--version", help="Whose rules the official metrics follow.")] = "xtreme-2020",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Score predictions on XTREME's tasks as the benchmark does: per language, task and group, and over all."""
    from xstilts.evaluation.scoring import score

    result = score(predictions, labels, version)
    if as_json:
        typer.echo(json.dumps(result, indent=1, ensure_ascii=False))
        return
    _print(result, Console(soft_wrap=True, highlight=False, markup=False))


@app.command(epilog="Example:\n\n  xstilts submit check predictions --labels labels")
def submit(
    verb: Annotated[str, typer.Argument(help="'check'.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="A folder in the benchmark's layout.", show_default=False)],
    labels: LABELS = None,
) -> None:
    """Check a folder of predictions for the benchmark: every mistake in it is listed."""
    from xstilts.evaluation.submission import check

    if verb != "check":
        raise XstiltsError(f"cannot '{verb}'", "submit knows no such word", "use `xstilts submit check FOLDER`")
    typer.echo(f"{check(folder, labels)} files, no mistake")


def _print(result: dict[str, Any], console: Console) -> None:
    for task, scores in result["tasks"].items():
        console.print(f"{task}  {_figure(scores['score'])}", style="bold")
        by_language = scores["languages"]
        for metric in next(iter(by_language.values())):
            values = "  ".join(f"{code} {by_language[code][metric]:.2f}" for code in by_language)
            console.print(f"  {metric}  {_figure(scores[metric])}    {values}")
    console.print()
    for name, value in {**result["groups"], "all tasks": result["all_task"]}.items():
        console.print(f"{name}  {_figure(value)}")
    for part in result["missing"]:
        console.print(f"missing: {part['task']}: no {part['in']} for {' '.join(part['languages'])}")
    for task, counts in result["unanswered"].items():
        told = ", ".join(f"{code} {count:,}" for code, count in counts.items())
        console.print(f"note: {task}: questions without an answer score 0: {told}")
    for name in result["ignored"]:
        console.print(f"not read: {name}")


def _figure(value: float | None) -> str:
    return "incomplete" if value is None else f"{value:.2f}"
