"""The verbs that deal with folders in the benchmark's layout: score, submit."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from xstilts.cli.root import app
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


@app.command(
    epilog="Examples:\n\n  xstilts submit runs/mine --arm far --out submission\n\n"
    "  xstilts submit check submission --labels labels"
)
def submit(
    run: Annotated[str, typer.Argument(help="A run folder, or 'check'.", show_default=False)],
    folder: Annotated[Path | None, typer.Argument(help="After 'check': a folder of predictions.")] = None,
    arm: Annotated[str, typer.Option("--arm", help="The arm whose predictions are handed in.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="The folder to write.")] = None,
    encoder: Annotated[str, typer.Option("--encoder", help="Which encoder.", show_default="the first")] = "",
    replicate: Annotated[int, typer.Option("--replicate", min=1, help="Which replicate.")] = 1,
    labels: LABELS = None,
) -> None:
    """Write a run's predictions as a folder for the benchmark, or list every mistake in such a folder."""
    from xstilts.evaluation.check_submission import check
    from xstilts.evaluation.write_submission import submit

    if run == "check" and folder:
        typer.echo(f"{check(folder, labels)} files, no mistake")
        return
    if not arm or not out or folder:
        raise XstiltsError("bad-argument", "it is not clear what to do", "a submission needs a run, an arm and a folder to write",
                           "xstilts submit RUN --arm A --out DIR, or xstilts submit check DIR")  # fmt: skip
    told = submit(Path(run), out, arm, encoder, replicate)
    typer.echo(f"{told['files']} files below {out}")
    for task, codes in told["missing"].items():
        typer.echo(f"missing: {task}: {' '.join(codes)}")
    for file, count in told["filled"].items():
        typer.echo(f"note: {file}: {count:,} rows were left out as bad and got the most frequent label")


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
