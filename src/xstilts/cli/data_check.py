"""The verb that checks data before anything is trained on them: data check."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.cli.list_tasks import known_tasks
from xstilts.cli.options import DATA, JSON, SOURCE, TASKS, Row, codes
from xstilts.cli.root import group
from xstilts.errors import BAD_INPUT, XstiltsError
from xstilts.report.console import emit, print_table, say

COLUMNS = {
    "language": "language", "split": "split", "examples": ">examples", "bad": ">bad", "empty": ">empty",
    "duplicates": ">repeated", "overlap": ">shared", "median": ">median", "p95": ">95 %", "longest": ">longest",
    "per_word": ">per word", "per_character": ">per char", "balance": "labels",
}  # fmt: skip
_EXAMPLES = (
    "Examples:\n\n  xstilts data check xnli --data DIR --data-source xtreme --encoder models/xlm-r\n\n"
    "  xstilts data check mine --tasks mine.yaml --data DIR --languages en,sw --against mnli"
)
data = group("data", "Look at data before training.", _EXAMPLES)


@data.command(epilog=_EXAMPLES)
def check(
    name: Annotated[str, typer.Argument(help="A task of the catalogue or of --tasks.", show_default=False)],
    folder: DATA = None,
    tasks: TASKS = None,
    source: SOURCE = None,
    split: Annotated[str, typer.Option("--split", help="One split.", show_default="all of them")] = "",
    languages: Annotated[str, typer.Option("--languages", help="Some languages, with commas.")] = "",
    encoder: Annotated[str, typer.Option("--encoder", help="Its tokenizer counts sub-words: folder or hub.")] = "",
    against: Annotated[str, typer.Option("--against", help="Count examples shared with TASK or TASK:SPLIT.")] = "",
    as_json: JSON = False,
) -> None:
    """Check a task's data per language: sizes, labels, lengths, repetitions, overlap, and every bad row."""
    from xstilts.data.check import check, splits
    from xstilts.data.examples import available
    from xstilts.tasks.task import find_task

    known = known_tasks(tasks, source)
    task = find_task(name, known)
    counter = _sub_word_counter(encoder) if encoder else None
    other_texts = _texts_of(against, folder, known) if against else None
    facts, problems = [], []
    for part in [split] if split else splits(task):
        languages_with_data = available(task, part, _asked(languages, task), folder, known)
        for fact, bad in check(task, part, languages_with_data, folder, known, counter, other_texts):
            facts.append(fact)
            problems += bad
    if not facts:
        hint = "check --data and --languages"
        raise XstiltsError("missing-data", f"task '{name}' has no data here", "no language has a file", hint)
    if not emit({"task": name, "languages": facts, "problems": [p.as_json() for p in problems]}, as_json):
        _print(facts, problems)
    unread = any("bad" not in row for row in facts)
    if unread or (problems and task.on_bad_row == "error"):
        raise typer.Exit(BAD_INPUT)


def _asked(languages: str, task: Any) -> tuple[str, ...]:
    from xstilts.languages import all_languages

    if languages:
        return tuple(codes(languages))
    named = task.languages or getattr(task.source, "languages", ())
    return named or tuple(known.code for known in all_languages())


def _sub_word_counter(encoder: str) -> Callable[[list[str]], list[int]]:
    from xstilts.models.encoders import load_tokenizer

    backend = load_tokenizer(encoder).backend_tokenizer
    return lambda texts: [len(each.ids) for each in backend.encode_batch_fast(texts, add_special_tokens=False)]


def _texts_of(against: str, folder: Path | None, known: dict[str, Any]) -> Callable[[str], set[str]]:
    """The texts of another task by language; none if it does not have the language."""
    from xstilts.data.check import splits, texts_of
    from xstilts.data.examples import available
    from xstilts.tasks.task import find_task

    name, _, split = against.partition(":")
    task = find_task(name, known)
    if split and split not in splits(task):
        what, why = f"task '{name}' has no split '{split}'", f"it has {', '.join(splits(task))}"
        raise XstiltsError("unknown-name", what, why, "give --against TASK:SPLIT")
    parts = [split] if split else splits(task)

    def texts(code: str) -> set[str]:
        there = [part for part in parts if available(task, part, (code,), folder, known)]
        return set().union(*(texts_of(task, part, code, folder, known) for part in there))

    return texts


def _print(facts: list[Row], problems: list[Any]) -> None:
    from xstilts.data.rejected_rows import summarise

    shown = {key: title for key, title in COLUMNS.items() if key == "balance" or any(key in row for row in facts)}
    rows = [row | {"balance": _balance(row)} for row in facts]
    print_table(list(shown.values()), [[_cell(row, key) for key in shown] for row in rows])
    for row in facts:
        if row.get("withheld"):
            say(f"note: {row['split']} in {row['language']}: gold labels are withheld")
        if row.get("unlabelled"):
            say(f"note: {row['split']} in {row['language']}: {row['unlabelled']:,} examples that the data mark as "
                "having no gold label are left out")  # fmt: skip
    say(f"{len(problems):,} bad row{'s' * (len(problems) != 1)}" + ":" * bool(problems))
    for line in summarise(problems):
        say(line)


def _balance(row: Row) -> str:
    labels = row.get("labels") or {}
    most = sorted(labels.items(), key=lambda item: -item[1])[:4]
    return ", ".join(f"{label} {share:.0%}" for label, share in most) + (", …" if len(labels) > 4 else "")


def _cell(row: Row, key: str) -> str:
    value = row.get(key, "")
    if isinstance(value, float):
        return f"{value:.2f}" if key.startswith("per_") else f"{value:.0f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
