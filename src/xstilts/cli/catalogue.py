"""The verbs that look things up: tasks, languages."""

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


@app.command(epilog="Examples:\n\n  xstilts languages\n\n  xstilts languages Swahili")
def languages(
    query: Annotated[str, typer.Argument(help="A code, a name or a tag: sw, swh_Latn, Swahili.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List languages with their script, family and distance from English, or look one up."""
    from xstilts.languages import all_languages, distance_matrix, language

    chosen = [language(query)] if query else [one for one in all_languages() if one.glottocode]
    matrix = distance_matrix(["en", *(one.code for one in chosen if one.code != "en")])
    column = {code: i for i, code in enumerate(matrix.codes)}
    rows = []
    for one in chosen:
        value, shared = matrix.values[0, column[one.code]], int(matrix.shared[0, column[one.code]])
        known = None if value != value else round(float(value), 3)
        rows.append({"code": one.code, "name": one.name, "iso639_3": one.iso639_3, "script": one.script,
                     "family": one.family, "distance": known, "shared": shared})  # fmt: skip
    if as_json:
        typer.echo(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    table = Table(
        "code", "name", "ISO 639-3", "script", "family", "from English", "shared features", box=None, pad_edge=False
    )
    for row in rows:
        shown = "unknown" if row["distance"] is None else f"{row['distance']:.3f}"
        cells = [str(row[key]) for key in ("code", "name", "iso639_3", "script", "family")]
        table.add_row(*cells, shown, str(row["shared"]))
    Console().print(table)
