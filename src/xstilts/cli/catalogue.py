"""The verb that looks tasks up."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from xstilts.cli import app
from xstilts.errors import XstiltsError


@app.command(epilog="Examples:\n\n  xstilts tasks\n\n  xstilts tasks show pocket-nli")
def tasks(
    verb: Annotated[str, typer.Argument(help="'show' for one task.", show_default=False)] = "",
    name: Annotated[str, typer.Argument(help="The task to show.", show_default=False)] = "",
) -> None:
    """List the catalogue of tasks, or show everything about one."""
    from xstilts.tasks.task import catalogue, find_task

    if verb == "show" and name:
        typer.echo(json.dumps(find_task(name).model_dump(mode="json"), indent=1, ensure_ascii=False))
        return
    if verb:
        raise XstiltsError(f"cannot '{verb}'", "tasks knows no such word", "use `xstilts tasks show NAME`")
    table = Table("task", "type", "labels", "what it is", box=None, pad_edge=False)
    for task in catalogue().values():
        table.add_row(task.name, task.type, " ".join(task.labels), task.title)
    Console().print(table)
