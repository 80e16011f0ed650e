"""The predictions of one cell of a run as a folder in the benchmark's layout."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run
from xstilts.runs.run_files import LEFT_OUT, read_json
from xstilts.tasks.xtreme import TARGETS, Target

Row = dict[str, Any]
CORRECT = f"correct these examples ({LEFT_OUT} names them) and run the study again"


def submit(folder: Path, out: Path, arm: str, encoder: str = "", replicate: int = 1) -> dict[str, Any]:
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
    for task, benchmark in TARGETS.items():
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
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(_text(rows, benchmark, count), encoding="utf-8")
            summary["files"] += 1
            if count and benchmark.kind == "labels":
                summary["filled"][f"{task}/{benchmark.file(code)}"] = count
    if not summary["files"]:
        raise XstiltsError("inconsistent", f"{folder} has predicted no task of the benchmark",
                           f"its tasks are {', '.join(tasks.values())}",
                           "score one of " + ", ".join(TARGETS))  # fmt: skip
    return summary


def _text(rows: list[Row], benchmark: Target, left_out: int) -> str:
    """The content of the file of one language.

    Raises XstiltsError if a line is missing that cannot be filled: the benchmark reads files line by line.
    """
    if benchmark.kind == "answers":
        return json.dumps({row["example_id"]: row["prediction"] for row in rows}, ensure_ascii=False)
    if benchmark.kind == "pairs":
        pairs = (f"{row['prediction']}\t{row['example_id']}\n" for row in rows if row["prediction"] is not None)
        return "".join(pairs)
    if left_out and benchmark.kind != "labels":
        raise XstiltsError("bad-row", f"{left_out} examples in '{rows[0]['language']}' were left out as bad",
                           "the benchmark reads these files line by line, and no line can stand for them",
                           CORRECT)  # fmt: skip
    if benchmark.kind == "tags":
        return "\n".join("\n".join(row["prediction"]) + "\n" for row in rows)
    lines = [str(row["index" if benchmark.kind == "indices" else "prediction"]) for row in rows]
    if left_out:
        lines = _filled([row["example_id"] for row in rows], lines, len(lines) + left_out)
    return "\n".join(lines) + "\n"


def _filled(ids: list[str], lines: list[str], total: int) -> list[str]:
    """A line for each of `total` examples: its own, placed by the number at the end of its id, or the most frequent.

    Raises XstiltsError if ids are the data's own and do not end in the number of their line.
    """
    places = [int(match.group(1)) for name in ids if (match := re.fullmatch(r".*-(\d+)", name))]
    if len(places) < len(lines) or max(places) >= total:
        raise XstiltsError("bad-row", "examples were left out as bad, and their lines are unknown",
                           "ids are the data's own and do not number the lines", CORRECT)  # fmt: skip
    result = [Counter(lines).most_common(1)[0][0]] * total
    for place, line in zip(places, lines, strict=True):
        result[place] = line
    return result
