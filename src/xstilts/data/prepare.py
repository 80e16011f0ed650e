"""The step that turns a task's source into an Arrow table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.build_examples import Examples
from xstilts.data.examples import load_examples
from xstilts.data.rejected_rows import rejected_rows_error
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task


def prepare(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `examples.parquet`, one split of a task in one language, and `left-out.json`, the rows that are not in it.

    arguments: `task` (its entry), `tasks` (entries of the tasks that it takes rows or text of), `split`, `language`,
    `content` (checksum of the source files), `data` (their folder), `labels_withheld` (whether rows may lack gold labels).
    """
    task = Task(**arguments["task"])
    tasks = {name: Task(**entry) for name, entry in arguments["tasks"].items()}
    data = Path(arguments["data"]) if arguments.get("data") else None
    found = load_examples(task, arguments["split"], arguments["language"], data, tasks)
    accept(task, arguments["split"], arguments["language"], found, arguments.get("labels_withheld", False))
    pq.write_table(found.table, out / "examples.parquet")
    left_out = {"unlabelled": found.unlabelled, "problems": [problem.as_json() for problem in found.problems]}
    (out / "left-out.json").write_text(json.dumps(left_out, ensure_ascii=False))


def accept(task: Task, split: str, code: str, found: Examples, withheld: bool) -> None:
    """Raises XstiltsError where rows may not be used: bad ones that are not to be skipped, no gold labels, none at all.

    A score against labels that are withheld would be a score against nothing, so that they are accepted only where
    `labels_withheld` says that predictions alone are wanted.
    """
    if found.problems and task.on_bad_row == "error":
        raise rejected_rows_error(task.name, found.problems)
    if found.withheld and not withheld:
        raise XstiltsError(
            "bad-row",
            f"the {split} split of '{task.name}' has no gold labels in '{code}'",
            "they are withheld there, as in the benchmark's test sets: nothing can be scored against them",
            "score a split that has labels, or set `labels_withheld: true` for the target to predict only",
        )
    if not len(found.table):
        raise XstiltsError(
            "bad-row",
            f"no rows for '{code}' in the {split} split of '{task.name}'",
            "its file is empty, or all of its rows were left out",
            "leave the language out",
        )


def read_examples(folders: Sequence[Path]) -> pa.Table:
    """The rows of several `prepare` steps, one after the other."""
    return pa.concat_tables([pq.read_table(folder / "examples.parquet") for folder in folders])
