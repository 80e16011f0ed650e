"""The predictions of one cell of a run as a folder in the benchmark's layout."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.xtreme import TARGETS, Target

Row = dict[str, Any]


def submit(run: Path, out: Path, arm: str, encoder: str = "", replicate: int = 1) -> dict[str, Any]:
    """Writes `TASK/test-LANG.tsv` (or .json) for every task of the benchmark that the run has predicted.

    Of several targets on one task, the one whose labels are withheld is meant. encoder: "" takes the first one.
    Returns `files` (their number), `missing` (languages per task that the run has not predicted) and `filled` (lines
    per file that stand for rows left out as bad, which get the most frequent label). Raises XstiltsError where the run
    has no such cell.
    """
    facts = _read(run / "study.json", "tasks", "labels_withheld")
    names: dict[str, str] = facts["tasks"]
    told: dict[str, Any] = {"files": 0, "missing": {}, "filled": {}}
    for task, target in TARGETS.items():
        own = sorted(
            (name for name in names if names[name] == task), key=lambda name: name not in facts["labels_withheld"]
        )
        table = _cell(run, own[0], arm, encoder, replicate) if own else pa.table({"language": []})
        present = set(table["language"].to_pylist())
        for code in target.languages:
            if code not in present:
                told["missing"].setdefault(task, []).append(code)
                continue
            rows = table.filter(pc.equal(table["language"], code)).to_pylist()
            text, filled = _text(rows, target, _left_out(run, task, rows[0]["split"], code))
            file = out / task / target.file(code)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            told["files"] += 1
            if filled:
                told["filled"][f"{task}/{target.file(code)}"] = filled
    if not told["files"]:
        listed = ", ".join(names.values())
        raise XstiltsError("bad-file", f"{run} has predicted no task of the benchmark", f"its tasks are {listed}",
                           "a target must be one of " + ", ".join(TARGETS))  # fmt: skip
    return told


def _read(file: Path, *keys: str) -> Any:
    """The content of one of the JSON files of a run; raises XstiltsError where it is absent or lacks a key."""
    if not file.is_file():
        raise XstiltsError("missing-file", f"{file.parent} holds no run", f"{file.name} is missing",
                           "give the folder that `study` wrote to")  # fmt: skip
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        for key in keys:
            content[key]
    except (ValueError, KeyError, TypeError) as error:
        raise XstiltsError(
            "bad-file", f"{file} is not what a study writes", repr(error), "run the study again"
        ) from None
    return content


def _cell(run: Path, target: str, arm: str, encoder: str, replicate: int) -> pa.Table:
    """The predictions of one cell, with codes and names as plain text."""
    file = run / "predictions" / f"{target}.parquet"
    if not file.is_file():
        raise XstiltsError("missing-file", f"no predictions at {file}", "the run has not got so far", "run the study")
    try:
        table = pq.read_table(file)
    except pa.ArrowException as error:
        raise XstiltsError("bad-file", f"{file} is not Parquet", str(error), "run the study again") from None
    for name in ("arm", "encoder", "language"):
        table = table.set_column(table.column_names.index(name), name, table[name].cast(pa.string()))
    arms = sorted(set(table["arm"].to_pylist()))
    if arm not in arms:
        hint = did_you_mean(arm, arms) or "give one of these with --arm"
        raise XstiltsError(
            "unknown-name", f"the run has no arm '{arm}' for target '{target}'", f"it has {', '.join(arms)}", hint
        )
    own = table.filter(pc.equal(table["arm"], arm))
    encoders = sorted(set(own["encoder"].to_pylist()))
    chosen = own.filter(
        pc.and_(pc.equal(own["encoder"], encoder or encoders[0]), pc.equal(own["replicate"], replicate))
    )
    if not len(chosen):
        numbers = sorted(set(own["replicate"].to_pylist()))
        raise XstiltsError("too-few", f"target '{target}' has no replicate {replicate} of encoder '{encoder or encoders[0]}'",
                           f"it has {', '.join(encoders)}, replicates {', '.join(map(str, numbers))}",
                           "give --encoder and --replicate")  # fmt: skip
    return chosen


def _left_out(run: Path, task: str, split: str, code: str) -> int:
    """How many rows of a task's split in a language were left out as bad."""
    listed = _read(run / "left-out.json")
    return sum(len(part["problems"]) for part in listed if part["rows"] == f"{task} {split} in {code}")


def _text(rows: list[Row], target: Target, left_out: int) -> tuple[str, int]:
    """What stands in the file of one language, and how many of its lines were filled.

    Raises XstiltsError where a line is missing that nothing can stand for: the benchmark reads files line by line.
    """
    if target.kind == "answers":
        return json.dumps({row["example_id"]: row["prediction"] for row in rows}, ensure_ascii=False), 0
    if target.kind == "pairs":
        found = [f"{row['prediction']}\t{row['example_id']}" for row in rows if row["prediction"] is not None]
        return "\n".join(found) + "\n" * bool(found), 0
    if left_out and target.kind != "labels":
        raise XstiltsError("bad-file", f"{left_out} rows in '{rows[0]['language']}' were left out as bad",
                           "the benchmark reads these files line by line, and nothing can stand for them",
                           "mend these rows (left-out.json names them) and run the study again")  # fmt: skip
    if target.kind == "tags":
        return "\n".join("\n".join(row["prediction"]) + "\n" for row in rows), 0
    lines = [str(row["index"] if target.kind == "indices" else row["prediction"]) for row in rows]
    placed = _placed([row["example_id"] for row in rows], lines, len(lines) + left_out) if left_out else lines
    return "\n".join(placed) + "\n", left_out


def _placed(ids: list[str], lines: list[str], total: int) -> list[str]:
    """A line for each of `total` rows: that of its row, whose id ends in its number, or else the most frequent one.

    Raises XstiltsError where ids are the data's own and say nothing of places.
    """
    numbers = [re.fullmatch(r".*-(\d+)", name) for name in ids]
    places = [int(found.group(1)) for found in numbers if found]
    if len(places) < len(lines) or max(places) >= total:
        raise XstiltsError("unknown-name", "rows were left out as bad, and their places are unknown", "ids are the data's own",
                           "mend these rows (left-out.json names them) and run the study again")  # fmt: skip
    result = [Counter(lines).most_common(1)[0][0]] * total
    for place, line in zip(places, lines, strict=True):
        result[place] = line
    return result
