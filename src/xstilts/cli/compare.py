"""The verb that compares the predictions of two systems, whatever tool made them: compare."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xstilts.cli.options import JSON
from xstilts.cli.root import app
from xstilts.errors import XstiltsError
from xstilts.report.console import VERDICT_STYLES, Part, emit, interval, number, print_table, say, signed

if TYPE_CHECKING:
    from xstilts.workflows.compare_files import FileComparison


@app.command(
    epilog="Examples:\n\n  xstilts compare 'A/*.txt' 'B/*.txt' --gold gold\n\n"
    "  xstilts compare a.jsonl b.jsonl --gold gold.jsonl --task-type classification\n\n"
    "  xstilts compare predictions-a predictions-b --gold labels     folders in XTREME's layout"
)
def compare(
    predictions: Annotated[list[str], typer.Argument(help="Two systems: each a file, folder or quoted pattern.")],
    gold: Annotated[
        str, typer.Option("--gold", help="Gold labels: a file, folder or pattern, one file per language.")
    ] = "",
    names: Annotated[str, typer.Option("--names", help="Names of both systems, comma-separated.")] = "",
    task_type: Annotated[
        str,
        typer.Option("--task-type", help="classification, multilabel, tagging or qa, if the format does not tell it."),
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", help="A metric of the task type.", show_default="the first of the type")
    ] = "",
    columns: Annotated[
        str, typer.Option("--columns", help="Names of columns, as id=NAME,prediction=NAME (gold, language, seed).")
    ] = "",
    clusters: Annotated[
        str, typer.Option("--clusters", help="A column of what items share, such as their document.")
    ] = "",
    pattern: Annotated[
        str, typer.Option("--pattern", help="How file names end, if not recognised: '{lang}.{seed}.txt'.")
    ] = "",
    parallel: Annotated[
        bool, typer.Option("--parallel", help="Items with the same number are translations of each other.")
    ] = False,
    skip_mismatched: Annotated[
        bool, typer.Option("--skip-mismatched", help="Leave out sentences whose gold and predictions differ.")
    ] = False,
    level: Annotated[float, typer.Option("--level", help="Coverage of the intervals, 0 to 1.")] = 0.95,
    equivalence: Annotated[
        float, typer.Option("--equivalence", help="The margin in points within which a difference does not matter.")
    ] = 0.5,
    as_json: JSON = False,
) -> None:
    """Compare predictions of two systems, from any tool: scores, intervals and verdicts per language and overall."""
    from xstilts.workflows.compare_files import compare_files
    from xstilts.workflows.predictions.prediction_files import split_arguments

    left, right = split_arguments(predictions)
    mapping = _pairs(columns) | ({"cluster": clusters} if clusters else {})
    result = compare_files(
        left, right, gold or None, names=_two_names(names), task_type=task_type, metric=metric, columns=mapping,
        pattern=pattern, parallel=parallel, skip_mismatched=skip_mismatched, level=level, equivalence=equivalence,
    )  # fmt: skip
    if not emit(result.as_json(), as_json):
        _print(result)


def _pairs(text: str) -> dict[str, str]:
    """The columns of a list `id=NAME,prediction=NAME`."""
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := next((part for part in parts if not part[0].strip() or not part[2].strip()), None):
        what, why = f"cannot read --columns {text}", f"'{''.join(wrong)}' is not a column, = and a name"
        raise XstiltsError("bad-argument", what, why, "give for example --columns id=guid,prediction=label")
    return {column.strip(): name.strip() for column, _, name in parts}


def _two_names(text: str) -> tuple[str, str] | None:
    parts = [part.strip() for part in text.split(",")]
    if text and (len(parts) != 2 or not all(parts)):
        what, why = f"cannot read --names {text}", "two systems are compared, so there are two names"
        raise XstiltsError("bad-argument", what, why, "give for example --names ours,baseline")
    return (parts[0], parts[1]) if text else None


def _print(result: "FileComparison") -> None:
    """Print what was recognised, then scores and verdicts."""
    for side, name in zip(("left", "right"), result.names, strict=True):
        files = [file for file in result.files if file.system == name]
        formats, first = ", ".join(dict.fromkeys(file.format for file in files)), files[0]
        read = [f"language {first.language}"] * bool(first.language) + [f"seed {first.seed}"] * bool(first.seed)
        count = f"{len(files)} file{'s' * (len(files) > 1)}"
        recognised = f", {Path(first.path).name} is {', '.join(read)}" if read else ""
        say(f"{side}: {name}, {count} ({formats}){recognised}")
    languages = " ".join(dict.fromkeys(row.language for row in result.languages)) or "one, without a name"
    seeds = " ".join(left if left == right else f"{left}/{right}" for left, right in result.seeds)
    say(f"languages: {languages}; seeds: {seeds or 'one'}")
    for task, metric in result.metrics.items():
        say(f"{f'{task}: ' * bool(task)}{result.task_types[task]}, {metric}")
    whole, several = result.difference, len(result.metrics) > 1
    rows = [(row.task, row.language or "all", row.left, row.right, row.difference) for row in result.languages]
    if len(rows) > 1:
        rows.append(("mean" * several, "" if several else "mean", result.left, result.right, whole))
    names, start = result.names, 1 - several
    level = f">interval ({100 * whole.level:.4g}%)"
    headings = ("task", "language", f">{names[0]}", f">{names[1]}", ">difference", level, "verdict")
    cells: list[tuple[Part, ...]] = []
    for task, code, left_score, right_score, each in rows:
        numbers = number(left_score), number(right_score), signed(each.estimate), interval(vars(each))
        cells.append((task, code, *numbers, (each.verdict, VERDICT_STYLES[each.verdict])))
    say()
    print_table(headings[start:], [row[start:] for row in cells])
    say()
    say((whole.sentence, "bold"), wrap=True)
    if result.remark:
        say(result.remark, wrap=True)
    if len(result.languages) > 1:
        say("Intervals of single languages are not adjusted for multiple comparisons.", wrap=True)
    if counts := [
        " ".join(filter(None, (row.task, row.language, f"{row.left_out:,} of {row.items + row.left_out:,}")))
        for row in result.languages
        if row.left_out
    ]:
        say(f"left out, because gold and predictions differ: {', '.join(counts)}", wrap=True)
    for note in result.notes:
        say(f"warning: {note}", wrap=True)
