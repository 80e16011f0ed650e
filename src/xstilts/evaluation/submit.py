"""The predictions of one cell of a run as a folder in the benchmark's layout."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.errors import MISSING, XstiltsError, did_you_mean
from xstilts.tasks.xtreme import TARGETS, Target

Row = dict[str, Any]


def submit(run: Path, out: Path, arm: str, encoder: str = "", replicate: int = 1) -> dict[str, Any]:
    """Writes `TASK/test-LANG.tsv` (or .json) for every task of the benchmark that the run has predicted.

    encoder: "" takes the first one. Returns `files` (their number), `missing` (languages per task that the run has
    not predicted) and `filled` (lines per file that stand for rows left out as bad, which get the most frequent
    label). Raises XstiltsError where the run has no such cell.
    """
    names = _tasks(run / "study.json")
    told: dict[str, Any] = {"files": 0, "missing": {}, "filled": {}}
    for task, target in TARGETS.items():
        tables = [_cell(run, name, arm, encoder, replicate) for name, own in names.items() if own == task]
        present = set(tables[0]["language"].to_pylist()) if tables else set()
        for code in target.languages:
            if code not in present:
                told["missing"].setdefault(task, []).append(code)
                continue
            rows = tables[0].filter(pc.equal(tables[0]["language"], code)).to_pylist()
            text, filled = _text(rows, target)
            file = out / task / target.file(code)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            told["files"] += 1
            if filled:
                told["filled"][f"{task}/{target.file(code)}"] = filled
    if not told["files"]:
        listed = ", ".join(names.values())
        raise XstiltsError(f"{run} has predicted no task of the benchmark", f"its tasks are {listed}",
                           "a target must be one of " + ", ".join(TARGETS))  # fmt: skip
    return told


def _tasks(file: Path) -> dict[str, str]:
    """The task of each target of a run."""
    if not file.is_file():
        raise XstiltsError(f"{file.parent} holds no run", f"{file.name} is missing",
                           "give the folder that `study` wrote to", MISSING)  # fmt: skip
    try:
        names: dict[str, str] = dict(json.loads(file.read_text(encoding="utf-8"))["tasks"])
    except (ValueError, KeyError, TypeError) as error:
        raise XstiltsError(f"{file} is not what a study writes", repr(error), "run the study again") from None
    return names


def _cell(run: Path, target: str, arm: str, encoder: str, replicate: int) -> pa.Table:
    """The predictions of one cell, with codes and names as plain text."""
    file = run / "predictions" / f"{target}.parquet"
    if not file.is_file():
        raise XstiltsError(f"no predictions at {file}", "the run has not got so far", "run the study", MISSING)
    try:
        table = pq.read_table(file)
    except pa.ArrowException as error:
        raise XstiltsError(f"{file} is not Parquet", str(error), "run the study again") from None
    for name in ("arm", "encoder", "language"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    arms = sorted(set(table["arm"].to_pylist()))
    if arm not in arms:
        hint = did_you_mean(arm, arms) or "give one of these with --arm"
        raise XstiltsError(f"the run has no arm '{arm}' for target '{target}'", f"it has {', '.join(arms)}", hint)
    own = table.filter(pc.equal(table["arm"], arm))
    encoders = sorted(set(own["encoder"].to_pylist()))
    chosen = own.filter(
        pc.and_(pc.equal(own["encoder"], encoder or encoders[0]), pc.equal(own["replicate"], replicate))
    )
    if not len(chosen):
        numbers = sorted(set(own["replicate"].to_pylist()))
        raise XstiltsError(f"target '{target}' has no replicate {replicate} of encoder '{encoder or encoders[0]}'",
                           f"it has {', '.join(encoders)}, replicates {', '.join(map(str, numbers))}",
                           "give --encoder and --replicate")  # fmt: skip
    return chosen


def _text(rows: list[Row], target: Target) -> tuple[str, int]:
    """What stands in the file of one language, and how many of its lines were filled."""
    if target.kind == "answers":
        return json.dumps({row["example_id"]: row["prediction"] for row in rows}, ensure_ascii=False), 0
    if target.kind == "pairs":
        found = [f"{row['prediction']}\t{row['example_id']}" for row in rows if row["prediction"] is not None]
        return "\n".join(found) + "\n" * bool(found), 0
    if target.kind == "tags":
        return "\n".join("\n".join(row["prediction"]) + "\n" for row in rows), 0
    lines = [str(row["index"] if target.kind == "indices" else row["prediction"]) for row in rows]
    placed = _placed([row["example_id"] for row in rows], lines)
    return "\n".join(placed) + "\n", len(placed) - len(lines)


def _placed(ids: list[str], lines: list[str]) -> list[str]:
    """A line for each row of the file that was predicted, those left out included: ids made here end in the row's
    number. Ids of the data's own say nothing of places, and their lines stay as they are."""
    numbers = [re.fullmatch(r"(?:.*-)?test-(\d+)", name) for name in ids]
    if not all(numbers):
        return lines
    places = [int(found.group(1)) for found in numbers if found]
    result = [Counter(lines).most_common(1)[0][0]] * (max(places) + 1)
    for place, line in zip(places, lines, strict=True):
        result[place] = line
    return result
