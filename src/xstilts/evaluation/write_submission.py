"""The predictions of one cell of a run as a folder in the benchmark's layout."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.evaluation.scoring import targets_of
from xstilts.runs.reader import read_run
from xstilts.runs.run_files import LEFT_OUT, read_json
from xstilts.tasks.xtreme import Target

CORRECT = f"correct these examples ({LEFT_OUT} names them) and run the study again"


def submit(
    folder: Path, out: Path, arm: str, encoder: str = "", replicate: int = 1, version: str = "xtreme-2020"
) -> dict[str, Any]:
    """Write `TASK/test-LANG.tsv` (or .json) for every task of the benchmark that the run in `folder` has predicted.

    If several targets are of one task, the one whose labels are withheld is written. encoder: "" takes the first one.
    Returns `files` (their number), `missing` (languages per task that the run has not predicted) and `filled` (lines
    per file that stand for examples that could not be read, which get the most frequent label). Raises XstiltsError if
    the run has no such cell.
    """
    run = read_run(folder)
    tasks, withheld = run.study["tasks"], run.study["labels_withheld"]
    left_out = read_json(folder, LEFT_OUT, [])
    summary: dict[str, Any] = {"files": 0, "missing": {}, "filled": {}}
    benchmarks = targets_of(version)
    for task, benchmark in benchmarks.items():
        targets = sorted((name for name in tasks if tasks[name] == task), key=lambda name: name not in withheld)
        table = run.predictions(targets[0], arm, encoder, replicate) if targets else None
        for code in benchmark.languages:
            rows = table.filter(pc.field("language") == code).to_pylist() if table else []
            if not rows:
                summary["missing"].setdefault(task, []).append(code)
                continue
            place = task, rows[0]["split"], code
            problems = (part for part in left_out if (part["task"], part["split"], part["language"]) == place)
            count = sum(len(part["problems"]) for part in problems if not part["translator"])
            file = out / task / benchmark.file(code)
            write_atomically(file, _text(rows, benchmark, count))
            summary["files"] += 1
            if count and benchmark.kind in ("labels", "choices"):
                summary["filled"][f"{task}/{benchmark.file(code)}"] = count
    if not summary["files"]:
        what, why = f"{folder} has predicted no task of the benchmark", f"its tasks are {', '.join(tasks.values())}"
        raise XstiltsError("inconsistent", what, why, f"score one of {', '.join(benchmarks)}")
    return summary


def _text(rows: list[dict[str, Any]], benchmark: Target, left_out: int) -> str:
    """The content of the file of one language. In a file of labels, examples that were left out get the most frequent
    one at the place that the other ids leave free. Raises XstiltsError for a missing line that cannot be filled."""
    if benchmark.kind in ("answers", "rankings"):
        return json.dumps({row["example_id"]: row["prediction"] for row in rows}, ensure_ascii=False)
    if benchmark.kind == "pairs":
        pairs = (f"{row['prediction']}\t{row['example_id']}\n" for row in rows if row["prediction"] is not None)
        return "".join(pairs)
    if left_out and benchmark.kind not in ("labels", "choices"):
        what = f"{left_out} examples in '{rows[0]['language']}' were left out as bad"
        why = "the benchmark reads these files line by line, and no line can stand for them"
        raise XstiltsError("bad-row", what, why, CORRECT)
    if benchmark.kind == "tags":
        return "\n".join("\n".join(row["prediction"]) + "\n" for row in rows)
    lines = [str(row["index" if benchmark.kind == "indices" else "prediction"]) for row in rows]
    if left_out:
        places = [int(number) for row in rows for number in re.findall(r"-(\d+)\Z", row["example_id"])]
        total = len(lines) + left_out
        if len(places) < len(lines) or max(places) >= total:
            why = "ids are the data's own and do not number the lines"
            raise XstiltsError("bad-row", "examples were left out as bad, and their lines are unknown", why, CORRECT)
        by_place = dict(zip(places, lines, strict=True))
        most_frequent = Counter(lines).most_common(1)[0][0]
        lines = [by_place.get(place, most_frequent) for place in range(total)]
    if benchmark.kind == "choices":
        lines = [json.dumps({"label": int(line)}) for line in lines]
    return "\n".join(lines) + "\n"
