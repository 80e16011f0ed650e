"""The step that turns a task's source into Arrow tables, one file per language."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.sources import rows
from xstilts.errors import MISSING, XstiltsError
from xstilts.tasks.task import Task


def prepare(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `{language}.parquet` for each language.

    arguments: `task` (its entry), `tasks` (entries of the tasks that it takes text of), `split`, `languages`,
    `content` (checksums of the source files), `data` (their folder).
    """
    task = Task(**arguments["task"])
    tasks = {name: Task(**entry) for name, entry in arguments["tasks"].items()}
    data = Path(arguments["data"]) if arguments.get("data") else None
    for done, code in enumerate(arguments["languages"], 1):
        table = rows(task, arguments["split"], code, data, tasks)
        if not len(table):
            raise XstiltsError(
                f"no rows for '{code}' in the {arguments['split']} split of '{task.name}'",
                "its file is empty",
                "leave the language out",
            )
        pq.write_table(table, out / f"{code}.parquet")
        context.progress(done / len(arguments["languages"]))


def read_rows(folder: Path, languages: Sequence[str]) -> pa.Table:
    """The rows of the given languages, in that order; raises XstiltsError where a language is not there."""
    for code in languages:
        if not (folder / f"{code}.parquet").is_file():
            raise XstiltsError(
                f"no rows for '{code}' in {folder}", "the step that made it did not cover it", "plan again", MISSING
            )
    return pa.concat_tables([pq.read_table(folder / f"{code}.parquet") for code in languages])
