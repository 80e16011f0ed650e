"""The verbs that deal with folders in the benchmark's layout: score, submit, submit check."""

from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.cli.options import JSON, RUN
from xstilts.cli.root import Group, app, group
from xstilts.errors import did_you_mean
from xstilts.report.console import emit, say

VERSION = Annotated[str, typer.Option("--version", help="The benchmark: xtreme-2020 or xtreme-r-v1.")]


@app.command(
    epilog="Examples:\n\n  xstilts score predictions labels\n\n  xstilts score predictions labels --json > scores.json"
)
def score(
    predictions: Annotated[Path, typer.Argument(help="A folder in the layout of a submission: xnli/test-sw.tsv, …")],
    labels: Annotated[Path, typer.Argument(help="The true labels in the same layout.")],
    version: VERSION = "xtreme-2020",
    as_json: JSON = False,
) -> None:
    """Score predictions on the tasks of XTREME or XTREME-R: per language, task and group, and over all."""
    from xstilts.evaluation.scoring import score

    result = score(predictions, labels, version)
    if emit(result, as_json):
        return
    for task, scores in result["tasks"].items():
        say((f"{task}  {_figure(scores['score'])}", "bold"))
        by_language = scores["languages"]
        for metric in next(iter(by_language.values())):
            values = "  ".join(f"{code} {by_language[code][metric]:.2f}" for code in by_language)
            say(f"  {metric}  {_figure(scores[metric])}    {values}")
    say()
    for name, value in {**result["groups"], "all tasks": result["all_task"]}.items():
        say(f"{name}  {_figure(value)}")
    for part in result["missing"]:
        say(f"missing: {part['task']}: no {part['in']} for {' '.join(part['languages'])}")
    for task, counts in result["unanswered"].items():
        unanswered = ", ".join(f"{code} {count:,}" for code, count in counts.items())
        say(f"note: {task}: questions without an answer score 0: {unanswered}")
    for name in result["ignored"]:
        say(f"not read: {name}")


def _figure(value: float | None) -> str:
    return "incomplete" if value is None else f"{value:.2f}"


class SubmitGroup(Group):
    """`submit RUN …` is short for `submit write RUN …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        word = args[0] if args else "--help"
        typo = did_you_mean(word, self.commands) and not Path(word).exists()
        if word not in {*self.commands, *ctx.help_option_names} and not typo:
            args = ["write", *args]
        return super().parse_args(ctx, args)


_EXAMPLES = (
    "Examples:\n\n  xstilts submit write runs/mine --arm far --out submission\n\n"
    "  xstilts submit runs/mine --arm far --out submission     the same\n\n"
    "  xstilts submit check submission --labels labels"
)
submit = group(
    "submit", "Write a run's predictions as a folder for the benchmark, or check one.", _EXAMPLES, SubmitGroup
)


@submit.command(epilog=_EXAMPLES)
def write(
    run: RUN,
    arm: Annotated[str, typer.Option("--arm", help="The arm whose predictions are submitted.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write.")],
    encoder: Annotated[str, typer.Option("--encoder", help="Which encoder.", show_default="the first")] = "",
    replicate: Annotated[int, typer.Option("--replicate", min=1, help="Which replicate.")] = 1,
    version: VERSION = "xtreme-2020",
) -> None:
    """Write a run's predictions as a folder for the benchmark; `write` may be left out."""
    from xstilts.evaluation.write_submission import submit

    summary = submit(run, out, arm, encoder, replicate, version)
    say(f"{summary['files']} files below {out}")
    for task, codes in summary["missing"].items():
        say(f"missing: {task}: {' '.join(codes)}")
    for file, count in summary["filled"].items():
        say(f"note: {file}: {count:,} bad rows were left out of the data and got the most frequent label")


@submit.command(epilog="Example:\n\n  xstilts submit check submission --labels labels")
def check(
    folder: Annotated[Path, typer.Argument(help="A folder of predictions in the benchmark's layout.")],
    labels: Annotated[Path | None, typer.Option("--labels", help="Labels, to check line counts and ids.")] = None,
    version: VERSION = "xtreme-2020",
) -> None:
    """List every mistake in a folder of predictions."""
    from xstilts.evaluation.scoring import check

    files, compared = check(folder, labels, version)
    say(f"{files} files, no mistake")
    if labels and compared < files:
        say(f"note: {compared} of them were compared with {labels}, which has no file for the others")
