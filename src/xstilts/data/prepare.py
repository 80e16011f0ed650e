"""The step that turns a task's source into an Arrow table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from xstilts.context import Context
from xstilts.data.build_examples import Examples, summarise
from xstilts.data.examples import content_digest, load_examples
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task


def prepare(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Write `examples.parquet`, one split of a task in one language, and `left-out.json`, the rows that are not in it.

    arguments: `task` (its entry), `tasks` (entries of the tasks that it takes examples or text of), `split`,
    `language`, `content` (checksum of the source files), `data` (their folder), `labels_withheld` (whether examples
    may lack gold labels).
    """
    task = Task(**arguments["task"])
    tasks = {name: Task(**entry) for name, entry in arguments["tasks"].items()}
    data = Path(arguments["data"]) if arguments.get("data") else None
    examples = load_examples(task, arguments["split"], arguments["language"], data, tasks)
    content = arguments.get("content")
    if content and content != content_digest(task, arguments["split"], arguments["language"], data, tasks):
        what, why = f"the files of task '{task.name}' have changed", "the plan was made from other content"
        raise XstiltsError("inconsistent", what, why, "run the same command again: it makes a new plan")
    accept(task, arguments["split"], arguments["language"], examples, arguments.get("labels_withheld", False))
    pq.write_table(examples.table, out / "examples.parquet")
    left_out = {"unlabelled": examples.unlabelled, "problems": [row.as_json() for row in examples.rejected]}
    (out / "left-out.json").write_text(json.dumps(left_out, ensure_ascii=False), "utf-8")


def accept(task: Task, split: str, code: str, examples: Examples, withheld: bool) -> None:
    """Raise XstiltsError if there are no examples, rejected rows that are not to be skipped, or no gold labels although
    `withheld` does not say that predictions alone are wanted."""
    if examples.rejected and task.on_bad_row == "error":
        what = f"task '{task.name}': {len(examples.rejected):,} bad row{'s' * (len(examples.rejected) != 1)}"
        hint = "fix these rows, or set `on_bad_row: skip` in the task's entry to leave them out"
        raise XstiltsError("bad-row", what, "\n".join(summarise(examples.rejected)), hint)
    if examples.withheld and not withheld:
        what = f"the {split} split of '{task.name}' has no gold labels in '{code}'"
        why = examples.note or "they are withheld, as in the benchmark's test sets: nothing can be scored against them"
        hint = "score a split that has labels, or set `labels_withheld: true` for the target to predict only"
        raise XstiltsError("inconsistent", what, why, hint)
    if not len(examples.table):
        what = f"no examples for '{code}' in the {split} split of '{task.name}'"
        why = "the data are empty, or all rows were left out"
        raise XstiltsError("missing-data", what, why, "leave the language out")


def read_examples(folders: Sequence[Path]) -> pa.Table:
    """The examples of several `prepare` steps, one after the other."""
    return pa.concat_tables([pq.read_table(folder / "examples.parquet") for folder in folders])
