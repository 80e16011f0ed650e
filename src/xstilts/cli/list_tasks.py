"""The verbs that look up tasks: tasks, tasks show."""

from pathlib import Path
from typing import Annotated, Any

import typer

from xstilts.cli.options import JSON, TASKS, Row
from xstilts.cli.root import group
from xstilts.errors import XstiltsError
from xstilts.report.console import emit, print_table, say

_EXAMPLES = "Examples:\n\n  xstilts tasks\n\n  xstilts tasks --tasks mine.yaml\n\n  xstilts tasks show xnli"
tasks = group("tasks", "List the catalogue of tasks, or show one.", _EXAMPLES, no_args_is_help=False)


@tasks.callback(invoke_without_command=True, epilog=_EXAMPLES)
def list_tasks(context: typer.Context, file: TASKS = None, as_json: JSON = False) -> None:
    """List the catalogue of tasks, or show everything about one."""
    if context.invoked_subcommand:
        return
    entries = list(known_tasks(file, "hub").values())
    if emit([task.model_dump(mode="json") for task in entries], as_json):
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
    from xstilts.tasks.task import find_task

    entry = find_task(name, known_tasks(file, "hub")).model_dump(mode="json")
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


def known_tasks(file: Path | None, source: str | None) -> Row:
    """All tasks by name: the catalogue's, XTREME's from its folder if `source` is `xtreme`, and those of a file."""
    from xstilts.tasks.task import catalogue, from_xtreme_folder

    if source not in (None, "hub", "xtreme"):
        hint = "leave --data-source out for the hub"
        raise XstiltsError("unknown-name", f"unknown source '{source}'", "it is 'hub' or 'xtreme'", hint)
    known = dict(catalogue())
    if source == "xtreme":
        known = {name: from_xtreme_folder(task) for name, task in known.items()}
    if file:
        from xstilts.config.custom_tasks import read_task_file

        known |= read_task_file(file)
    return known


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} → {_words(content)}" for key, content in value.items())
    return str(value)
