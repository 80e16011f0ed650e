"""The verb that looks tasks up."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli.root import app
from xstilts.errors import XstiltsError

TASKS = Annotated[Path | None, typer.Option("--tasks", help="A YAML file with tasks of your own.")]
SOURCE = Annotated[
    str, typer.Option("--data-source", help="XTREME's tasks from the 'hub' or its own folder ('xtreme').")
]


@app.command(epilog="Examples:\n\n  xstilts tasks\n\n  xstilts tasks show xnli\n\n  xstilts tasks --tasks mine.yaml")
def tasks(
    verb: Annotated[str, typer.Argument(help="'show' for one task.", show_default=False)] = "",
    name: Annotated[str, typer.Argument(help="The task to show.", show_default=False)] = "",
    own: TASKS = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the catalogue of tasks, or show everything about one."""
    from xstilts.tasks.task import find_task

    known = known_tasks(own, "hub")
    if verb == "show" and name:
        found = find_task(name, known)
        _show(found.model_dump(mode="json"), as_json)
        return
    if verb:
        raise XstiltsError(
            "bad-argument", f"cannot '{verb}'", "tasks knows no such word", "use `xstilts tasks show NAME`"
        )
    listed = list(known.values())
    if as_json:
        typer.echo(json.dumps([task.model_dump(mode="json") for task in listed], indent=1, ensure_ascii=False))
        return
    table = Table("task", "type", "languages", "what it is", box=None, pad_edge=False)
    for column in table.columns[:3]:
        column.no_wrap = True
    for task in listed:
        languages = " ".join(task.languages) if len(task.languages) < 4 else f"{len(task.languages)} languages"
        table.add_row(task.name, task.type, languages, task.title)
    console = Console()
    console.print(table)
    console.print("\n`xstilts tasks show NAME` says where its rows come from, and under which licence.")


def known_tasks(own: Path | None, source: str) -> dict[str, Any]:
    """All tasks by name: the catalogue's, XTREME's from its folder where that is meant, and those of a user's file."""
    from xstilts.tasks.task import catalogue, from_xtreme_folder

    if source not in ("hub", "xtreme"):
        raise XstiltsError(
            "unknown-name",
            f"unknown source '{source}'",
            "it is 'hub' or 'xtreme'",
            "leave --data-source out for the hub",
        )
    known = dict(catalogue())
    if source == "xtreme":
        known = {name: from_xtreme_folder(task) for name, task in known.items()}
    if own:
        from xstilts.config.custom_tasks import read_task_file

        known |= read_task_file(own)
    return known


def _show(entry: dict[str, Any], as_json: bool) -> None:
    """Prints everything that an entry says, a setting a line; what it leaves alone is left out."""
    if as_json:
        typer.echo(json.dumps(entry, indent=1, ensure_ascii=False))
        return
    console = Console(soft_wrap=True)
    for key, value in entry.items():
        if isinstance(value, dict):
            console.print(f"[bold]{key}[/]")
            for inner, setting in value.items():
                if setting not in ("", None, [], {}):
                    console.print(f"  {inner}: {_plain(setting)}", markup=False, highlight=False)
        elif value not in ("", None, []):
            console.print(f"[bold]{key}[/]: ", end="")
            console.print(_plain(value), markup=False, highlight=False)


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} → {_plain(inner)}" for key, inner in value.items())
    return str(value)
