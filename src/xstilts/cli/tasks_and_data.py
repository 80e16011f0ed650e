"""The verbs that look up tasks and check their data: tasks, tasks show, data check."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.cli.options import DATA, JSON, SOURCE, TASKS, Row, codes
from xstilts.cli.root import group
from xstilts.errors import BAD_INPUT, XstiltsError
from xstilts.report.console import emit, print_table, say

COUNTS = {"examples": ">examples", "bad": ">bad", "empty": ">empty", "duplicates": ">repeated", "overlap": ">shared"}
LENGTHS = {"median": ">median", "p95": ">95%", "longest": ">longest"}
RATIOS = {"per_word": ">per word", "per_character": ">per char"}
HEADINGS = {"language": "language", "split": "split"} | COUNTS | LENGTHS | RATIOS | {"balance": "labels"}
FORMATS = dict.fromkeys(COUNTS, ",") | dict.fromkeys(LENGTHS, ".0f") | dict.fromkeys(RATIOS, ".2f")
_TASKS_EXAMPLES = "Examples:\n\n  xstilts tasks\n\n  xstilts tasks --tasks mine.yaml\n\n  xstilts tasks show xnli"
tasks = group("tasks", "List the catalogue of tasks, or show one.", _TASKS_EXAMPLES, no_args_is_help=False)


@tasks.callback(invoke_without_command=True, epilog=_TASKS_EXAMPLES)
def list_tasks(context: typer.Context, file: TASKS = None, as_json: JSON = False) -> None:
    """List the catalogue of tasks, or show everything about one."""
    from xstilts.config.load import known_tasks

    if context.invoked_subcommand:
        return
    entries = list(known_tasks(file, "hub").values())
    if emit([_facts(task) for task in entries], as_json):
        return
    rows = []
    for task in entries:
        languages = " ".join(task.languages) if len(task.languages) < 4 else f"{len(task.languages)} languages"
        rows.append((task.name, task.type, languages, task.title))
    print_table(("task", "type", "languages", "about"), rows)
    say("\n`xstilts tasks show NAME` shows where a task's examples come from, and under which licence.")


@tasks.command(epilog="Examples:\n\n  xstilts tasks show xnli\n\n  xstilts tasks show mine --tasks mine.yaml --json")
def show(
    name: Annotated[str, typer.Argument(help="A task of the catalogue or of --tasks.", show_default=False)],
    file: TASKS = None,
    as_json: JSON = False,
) -> None:
    """Show everything about a task: its type, columns, labels, source and licence."""
    from xstilts.config.load import known_tasks
    from xstilts.tasks.task import find_task

    entry = _facts(find_task(name, known_tasks(file, "hub")))
    if emit(entry, as_json):
        return
    for key, value in entry.items():
        if isinstance(value, dict):
            say((key, "bold"))
            for setting, content in value.items():
                if content not in ("", None, [], {}):
                    say(f"{setting}: {_words(content)}", indent=2)
        elif value not in ("", None, []):
            say((key, "bold"), f": {_words(value)}")


def _facts(task: Any) -> Row:
    from xstilts.tasks.task import access_of

    facts = dict(task.model_dump(mode="json")) | {"access": access_of(task)}
    fallback = getattr(task.source, "fallback", None)
    if origin := getattr(fallback or task.source, "origin", ""):
        facts["source"] = facts["source"] | {"origin": origin}
    return facts


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} → {_words(content)}" for key, content in value.items())
    return str(value)


_DATA_EXAMPLES = (
    "Examples:\n\n  xstilts data check xnli --data DIR --data-source xtreme --encoder models/xlm-r\n\n"
    "  xstilts data check mine --tasks mine.yaml --data DIR --languages en,sw --against mnli\n\n"
    "  xstilts data check my-file.conll     infers an entry for a file that no task names\n\n"
    "  xstilts data check --data DIR        lists the tasks that have data there"
)
data = group("data", "Look at data before training.", _DATA_EXAMPLES)


@data.command(epilog=_DATA_EXAMPLES)
def check(
    name: Annotated[
        str, typer.Argument(help="A task of the catalogue or of --tasks, or a file.", show_default="list the tasks")
    ] = "",
    folder: DATA = None,
    tasks: TASKS = None,
    source: SOURCE = None,
    split: Annotated[str, typer.Option("--split", help="Split to check.", show_default="all of them")] = "",
    languages: Annotated[str, typer.Option("--languages", help="Some languages, comma-separated.")] = "",
    encoder: Annotated[str, typer.Option("--encoder", help="Encoder whose tokenizer counts sub-words.")] = "",
    against: Annotated[str, typer.Option("--against", help="Count examples shared with TASK or TASK:SPLIT.")] = "",
    as_json: JSON = False,
) -> None:
    """Check a task's data per language: sizes, labels, lengths, repetitions, overlap, odd texts, and every bad row.

    With a file, infer its format and columns, and print the entry that reads it. Without a name, list the tasks that
    have data.
    """
    from xstilts.config.load import known_tasks
    from xstilts.data.check import check, splits
    from xstilts.data.examples import available
    from xstilts.languages import all_languages
    from xstilts.tasks.task import find_task

    known, text = known_tasks(tasks, source), ""
    if not name:
        _list_data(known, folder, as_json)
        return
    if name not in known and (Path(name).is_file() or Path(name).suffix):
        known, text = _inferred(Path(name), languages, as_json)
        name, folder, languages = next(iter(known)), Path(name).parent, ""
    task = find_task(name, known)
    counter = _sub_word_counter(encoder) if encoder else None
    other_texts = _texts_of(against, folder, known_tasks(tasks, source)) if against else None
    parts = [split] if split else list(splits(task))
    named = tuple(codes(languages)) if languages else task.languages or getattr(task.source, "languages", ())
    wanted = named or tuple(language.code for language in all_languages())
    with_data = {part: available(task, part, wanted, folder, known) for part in parts}
    if any(with_data.values()):  # a language that is named and has no data anywhere is listed once
        searched = with_data if languages else splits(task)
        anywhere = {code for part in searched for code in available(task, part, named, folder, known)}
        with_data[parts[0]] += [code for code in named if code not in anywhere]
    facts, problems = [], []
    for part, present in with_data.items():
        for fact, bad in check(task, part, present, folder, known, counter, other_texts):
            facts.append(fact)
            problems += bad
    if not facts:
        hint = "check --data and --languages"
        raise XstiltsError("missing-data", f"task '{name}' has no data here", "no language has a file", hint)
    result = {"task": name, "languages": facts, "problems": [p.as_json() for p in problems]}
    if not emit(result | ({"entry": text} if text else {}), as_json):
        _print(facts, problems)
    unread = any("bad" not in row or not row["examples"] + row["unlabelled"] for row in facts)
    if unread or (problems and task.on_bad_row == "error"):
        raise typer.Exit(BAD_INPUT)


def _inferred(path: Path, language: str, quiet: bool) -> tuple[dict[str, Any], str]:
    """The task that reads a file, by its name, and its entry as YAML, which is printed unless it should be `quiet`."""
    import yaml

    from xstilts.tasks.task import Task
    from xstilts.workflows.user_data.entry import NAME, infer_entry

    entry, notes = infer_entry(path, language)
    text = yaml.safe_dump({NAME: entry}, allow_unicode=True, sort_keys=False, default_flow_style=None, width=110)
    if not quiet:
        for line in [*notes, "", f"# an entry for --tasks, with --data {path.parent}", text]:
            say(line)
    return {NAME: Task(name=NAME, **entry)}, text


def _list_data(known: dict[str, Any], folder: Path | None, as_json: bool) -> None:
    """Print the tasks that `data check` can check: where their data come from, and what of these is in the folder."""
    from xstilts.data.check import splits
    from xstilts.data.examples import available
    from xstilts.languages import all_languages
    from xstilts.tasks.data_source import FileSource
    from xstilts.tasks.task import access_of

    facts = []
    for task in known.values():
        here: dict[str, list[str]] = {}
        if isinstance(task.source, FileSource) and access_of(task) == "files" and folder:
            wanted = task.languages or tuple(language.code for language in all_languages())
            with suppress(XstiltsError):  # a pattern that does not say its language
                here = {split: available(task, split, wanted, folder, known) for split in splits(task)}
        here = {split: present for split, present in here.items() if present}
        facts.append({"task": task.name, "type": task.type, "access": access_of(task), "splits": here})
    if emit(facts, as_json):
        return
    places = {"open": "open", "gated": "for accounts with access", "files": "files: give --data"}
    if folder:
        places["files"] = f"no file below {folder}"
    rows = []
    for fact in facts:
        counts = [f"{split} ({len(present)})" for split, present in fact["splits"].items()]
        rows.append((fact["task"], fact["type"], ", ".join(counts) or places[fact["access"]]))
    print_table(("task", "type", "splits (languages)"), rows)
    say("\n`xstilts data check TASK` checks one of these, `xstilts data check FILE` a file that no task names.")


def _sub_word_counter(encoder: str) -> Callable[[list[str]], list[int]]:
    from xstilts.models.encoders import load_tokenizer

    backend = load_tokenizer(encoder).backend_tokenizer
    return lambda texts: [len(each.ids) for each in backend.encode_batch_fast(texts, add_special_tokens=False)]


def _texts_of(against: str, folder: Path | None, known: dict[str, Any]) -> Callable[[str], set[str]]:
    """The texts of another task by language; none if it does not have the language."""
    from xstilts.data.check import splits, texts_of
    from xstilts.tasks.task import find_task

    name, _, split = against.partition(":")
    task = find_task(name, known)
    if split and split not in splits(task):
        what, why = f"task '{name}' has no split '{split}'", f"it has {', '.join(splits(task))}"
        raise XstiltsError("unknown-name", what, why, "give --against TASK:SPLIT")
    return lambda code: texts_of(task, [split] if split else splits(task), code, folder, known)


def _print(facts: list[Row], problems: list[Any]) -> None:
    from xstilts.data.build_examples import summarise

    columns = [name for name in HEADINGS if name == "balance" or any(name in row for row in facts)]
    rows, notes = [], []
    for row in facts:
        labels = Counter(row.get("labels") or {})
        shares = [f"{label} {share:.0%}" for label, share in labels.most_common(4)] + ["…"] * (len(labels) > 4)
        row = row | {"balance": ", ".join(shares)}
        rows.append([format(row[name], FORMATS.get(name, "")) if name in row else "" for name in columns])
        place = f"note: {row['split']} in {row['language']}"
        if row.get("withheld"):
            notes.append(f"{place}: gold labels are withheld")
        if row.get("unlabelled"):
            without = f"{row['unlabelled']:,} examples that the data mark as having no gold label"
            notes.append(f"{place}: {without} are left out")
        notes += [f"{place}: {note}" for note in row.get("notes", ())]
    print_table([HEADINGS[name] for name in columns], rows)
    bad = f"{len(problems):,} bad row{'s' * (len(problems) != 1)}" + ":" * bool(problems)
    for line in [*notes, bad, *summarise(problems)]:
        say(line)
