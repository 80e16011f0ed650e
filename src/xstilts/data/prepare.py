"""The step that turns a task's source into an Arrow table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.sources import rows
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task


def prepare(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `rows.parquet`: one split of a task in one language.

    arguments: `task` (its entry), `tasks` (entries of the tasks that it takes text of), `split`, `language`,
    `content` (checksum of the source files), `data` (their folder).
    """
    task = Task(**arguments["task"])
    tasks = {name: Task(**entry) for name, entry in arguments["tasks"].items()}
    data = Path(arguments["data"]) if arguments.get("data") else None
    table = rows(task, arguments["split"], arguments["language"], data, tasks)
    if not len(table):
        raise XstiltsError(
            f"no rows for '{arguments['language']}' in the {arguments['split']} split of '{task.name}'",
            "its file is empty",
            "leave the language out",
        )
    pq.write_table(table, out / "rows.parquet")


def read_rows(folders: Sequence[Path]) -> pa.Table:
    """The rows of several `prepare` steps, one after the other."""
    return pa.concat_tables([pq.read_table(folder / "rows.parquet") for folder in folders])
