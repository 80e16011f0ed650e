"""Write the table of docs/reliability.md from the results of kills.py, disk_full.py and ray_faults.py.

Run `.venv/bin/python scripts/reliability_table.py`.
"""

import json
from collections import Counter
from collections.abc import Iterator
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
ON_RAY = "equal predictions, no step finished twice, nothing hangs"


def rows(kills: dict[str, Any], disk: dict[str, Any], ray: dict[str, Any]) -> Iterator[tuple[str, str, int, int]]:
    """Promise, fault, number of trials and of failures; a study that ended differently counts for all its signals."""
    wrong = Counter(failure["fault"] for failure in kills["failures"])
    for fault, count in sorted(kills["by_signal"].items()):
        yield KILLED, fault, count, wrong[fault]
    yield KILLED, "all of these, compared after the last", kills["comparisons"], wrong["at the end"]
    wrong = Counter(f"{failure['command']}, {failure['fault']}" for failure in disk["failures"])
    for fault, count in sorted(disk["by_command"].items()):
        yield FULL, fault, count, wrong[fault]
    for fault, found in ray["faults"].items():
        wrong_here = found["hangs"] or not found["equal_predictions"] or found["steps_finished_twice"] > 0
        yield ON_RAY, f"Ray: {fault}", 1, int(wrong_here)


def table() -> str:
    """The table in Markdown."""
    results = [json.loads((RESULTS / f"{name}.json").read_text()) for name in ("kills", "disk-full", "ray-faults")]
    lines, before = [HEADER], ""
    for promise, fault, trials, failures in rows(*results):
        lines.append(f"| {promise if promise != before else ''} | {fault} | {trials:,} | {failures:,} |\n")
        before = promise
    return "".join(lines)


def page(text: str) -> str:
    """The page with the table of the current results."""
    head, _, rest = text.partition(BEGIN)
    return head + BEGIN + table() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
