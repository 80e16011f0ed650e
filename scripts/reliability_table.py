"""Write the table of docs/reliability.md from the results of the scripts in benchmarks/ that do damage.

Run `.venv/bin/python scripts/reliability_table.py`.
"""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE, RESULTS = ROOT / "docs/reliability.md", ROOT / "benchmarks/results"
BEGIN, END = "<!-- table: scripts/reliability_table.py -->\n", "<!-- end of the table -->\n"
HEADER = "| promise | fault | trials | failures |\n|---|---|---|---|\n"
KILLED = (
    "a study that is interrupted and run again has the results of one that was not, byte for byte, and leaves nothing"
)
FULL = "one message, nothing half-written, and with room the same command has equal results"
DAMAGED = "a damaged file is made anew, refused with a reason, or shown as changed: no other result without a word"
RANDOM = "an input is read, or refused with what, why and how to fix it, within a minute and 4 GiB"
ON_RAY = "equal predictions, no step finished twice, nothing hangs"
SURFACES = {
    "study_file": "studies", "task_file": "tasks", "data_file": "data files", "user_file": "tables of `train`",
    "prediction_files": "predictions to compare", "submission": "submissions", "result_tables": "result tables",
    "run_folder": "run folders", "event_file": "logs", "command_line": "command lines",
}  # fmt: skip
"""What the surfaces of tests/fuzz/surfaces.py are called."""
Row = tuple[str, str, int, int]


def killed(result: dict[str, Any], clock: dict[str, Any]) -> Iterator[Row]:
    """A study that ended differently counts for all its signals."""
    wrong = Counter(failure["fault"] for failure in result["failures"])
    for fault, count in sorted(result["by_signal"].items()):
        yield KILLED, fault, count, wrong[fault]
    yield KILLED, "all of these, compared after the last", result["comparisons"], wrong["at the end"]
    yield KILLED, "all of these while the clock jumps by up to ten years", clock["kills"], len(clock["failures"])


def full(result: dict[str, Any]) -> Iterator[Row]:
    wrong = Counter(f"{failure['command']}, {failure['fault']}" for failure in result["failures"])
    for fault, count in sorted(result["by_command"].items()):
        yield FULL, fault, count, wrong[fault]


def damaged(result: dict[str, Any]) -> Iterator[Row]:
    for damage, outcomes in result["by_damage"].items():
        yield DAMAGED, damage, sum(outcomes.values()), outcomes.get("silent", 0) + outcomes.get("crashed", 0)


def fuzzed(result: dict[str, Any]) -> Iterator[Row]:
    for surface, found in result["by_surface"].items():
        yield RANDOM, f"changed {SURFACES[surface]}", found["inputs"], found["defects"]


def on_ray(result: dict[str, Any]) -> Iterator[Row]:
    for fault, found in result["faults"].items():
        wrong = found["hangs"] or not found["equal_predictions"] or found["steps_finished_twice"] > 0
        yield ON_RAY, f"Ray: {fault}", 1, int(wrong)


def read(name: str) -> dict[str, Any]:
    return json.loads((RESULTS / f"{name}.json").read_text())  # type: ignore[no-any-return]


def table() -> str:
    """The table in Markdown: promise, fault, number of trials and of failures."""
    rows = chain(
        killed(read("kills"), read("kills-clock")), full(read("disk-full")), damaged(read("corruption")),
        fuzzed(read("fuzz")), on_ray(read("ray-faults")),
    )  # fmt: skip
    lines, before = [HEADER], ""
    for promise, fault, trials, failures in rows:
        lines.append(f"| {promise if promise != before else ''} | {fault} | {trials:,} | {failures:,} |\n")
        before = promise
    return "".join(lines)


def page(text: str) -> str:
    """The page with the table of the current results."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
