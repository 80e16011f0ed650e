"""The verb that looks at data before anything is trained on them."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli.list_tasks import SOURCE, TASKS, known_tasks
from xstilts.cli.root import app
from xstilts.errors import BAD_INPUT, XstiltsError

COLUMNS = {
    "language": "language", "split": "split", "examples": "examples", "bad": "bad", "empty": "empty",
    "duplicates": "repeated", "overlap": "shared", "median": "median", "p95": "95 %", "longest": "longest",
    "per_word": "per word", "per_character": "per char", "balance": "labels",
}  # fmt: skip


@app.command(
    epilog="Examples:\n\n  xstilts data check xnli --data DIR --data-source xtreme --encoder models/xlm-r\n\n"
    "  xstilts data check mine --tasks mine.yaml --data DIR --languages en,sw --against mnli"
)
def data(
    verb: Annotated[str, typer.Argument(help="'check'.", show_default=False)],
    name: Annotated[str, typer.Argument(help="A task of the catalogue or of --tasks.", show_default=False)],
    folder: Annotated[Path | None, typer.Option("--data", help="Folder below which the task's files lie.")] = None,
    tasks: TASKS = None,
    source: SOURCE = "hub",
    split: Annotated[str, typer.Option("--split", help="One split.", show_default="all of them")] = "",
    languages: Annotated[str, typer.Option("--languages", help="Some languages, with commas.")] = "",
    encoder: Annotated[str, typer.Option("--encoder", help="Its tokenizer counts sub-words: folder or hub.")] = "",
    against: Annotated[str, typer.Option("--against", help="Count rows shared with this TASK or TASK:SPLIT.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a task's data per language: sizes, labels, lengths, repetitions, overlap, and every bad row."""
    from xstilts.data.check import check, splits
    from xstilts.data.examples import available
    from xstilts.data.rejected_rows import summarise
    from xstilts.tasks.task import find_task

    if verb != "check":
        raise XstiltsError(
            "bad-argument", f"cannot '{verb}'", "data knows no such word", "use `xstilts data check TASK`"
        )
    known = known_tasks(tasks, source)
    task = find_task(name, known)
    counter = _counter(encoder) if encoder else None
    other = _other(against, folder, known) if against else None
    facts, problems = [], []
    for part in [split] if split else splits(task):
        codes = available(task, part, _asked(languages, task), folder, known)
        for found, bad in check(task, part, codes, folder, known, counter, other):
            facts.append(found)
            problems += bad
    if not facts:
        raise XstiltsError(
            "bad-argument", f"task '{name}' has no data here", "no language has a file", "check --data and --languages"
        )
    if as_json:
        typer.echo(json.dumps({"task": name, "languages": facts, "problems": [p.as_json() for p in problems]}, indent=1,
                              ensure_ascii=False))  # fmt: skip
    else:
        _print(facts, summarise(problems), len(problems))
    unread = any("bad" not in row for row in facts)
    if unread or (problems and task.on_bad_row == "error"):
        raise typer.Exit(BAD_INPUT)


def _asked(languages: str, task: Any) -> tuple[str, ...]:
    from xstilts.languages import all_languages, language

    if languages:
        return tuple(language(part).code for part in languages.split(",") if part.strip())
    own = task.languages or getattr(task.source, "languages", ())
    return own or tuple(known.code for known in all_languages())


def _counter(encoder: str) -> Callable[[list[str]], list[int]]:
    from xstilts.models.encoders import load_tokenizer

    backend = load_tokenizer(encoder).backend_tokenizer

    def count(texts: list[str]) -> list[int]:
        return [len(found.ids) for found in backend.encode_batch_fast(texts, add_special_tokens=False)]

    return count


def _other(against: str, folder: Path | None, known: dict[str, Any]) -> Callable[[str], set[str]]:
    from xstilts.data.check import splits, texts_of
    from xstilts.tasks.task import find_task

    name, _, split = against.partition(":")
    task = find_task(name, known)
    if split and split not in splits(task):
        raise XstiltsError("unknown-name", f"task '{name}' has no split '{split}'", f"it has {', '.join(splits(task))}",
                           "give --against TASK:SPLIT")  # fmt: skip
    return partial(_texts, texts_of, task, [split] if split else list(splits(task)), folder, known)


def _texts(texts_of: Any, task: Any, splits: list[str], folder: Path | None, known: Any, code: str) -> set[str]:
    """The texts of the other task in a language; none where it does not have the language."""
    from xstilts.data.examples import available

    found: set[str] = set()
    for split in splits:
        if available(task, split, (code,), folder, known):
            found |= texts_of(task, split, code, folder, known)
    return found


def _print(facts: list[dict[str, Any]], problems: list[str], count: int) -> None:
    console = Console(soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    shown = {key: title for key, title in COLUMNS.items() if key == "balance" or any(key in row for row in facts)}
    for key, title in shown.items():
        justify = "left" if key in ("language", "split", "balance") else "right"
        table.add_column(title, justify=justify, no_wrap=key != "balance")  # type: ignore[arg-type]
    for row in facts:
        table.add_row(*(_cell(row | {"balance": _balance(row)}, key) for key in shown))
    console.print(table)
    for row in facts:
        if row.get("withheld"):
            console.print(f"note: {row['split']} in {row['language']}: gold labels are withheld", highlight=False)
        if row.get("unlabelled"):
            console.print(f"note: {row['split']} in {row['language']}: {row['unlabelled']:,} examples without a gold label "
                          "by the data's own account are left out", highlight=False)  # fmt: skip
    console.print(f"{count:,} bad row{'s' * (count != 1)}" + ":" * bool(count), highlight=False)
    for line in problems:
        console.print(line, markup=False, highlight=False)


def _balance(row: dict[str, Any]) -> str:
    labels = row.get("labels") or {}
    listed = sorted(labels.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{label} {share:.0%}" for label, share in listed) + (", …" if len(labels) > 4 else "")


def _cell(row: dict[str, Any], key: str) -> str:
    value = row.get(key, "")
    if isinstance(value, float):
        return f"{value:.2f}" if key.startswith("per_") else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
