"""Rows of data that cannot be used: where each one is, what was found there and what was expected."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from xstilts.errors import XstiltsError

SHOWN = 20
"""How many different reasons an error lists; the rest are counted."""


@dataclass(frozen=True)
class RejectedRow:
    """One row that cannot be used: `line` counts `unit`s from 1 and is 0 if the place is unknown; `expected` is "" if
    `found` says it all."""

    file: str
    line: int
    language: str
    found: str
    expected: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f"{self.file}, {self.unit} {self.line}" if self.line else self.file
        return f"{place} ({self.language}): {self.found}" + (f"; expected {self.expected}" if self.expected else "")

    def as_json(self) -> dict[str, Any]:
        """The row's place and reason as a JSON object."""
        return asdict(self)


def summarise(rejected: Iterable[RejectedRow]) -> list[str]:
    """A line per file and reason: the first such row, and how many more there are."""
    reasons: dict[tuple[str, str, str], list[RejectedRow]] = {}
    for row in rejected:
        reasons.setdefault((row.file, row.found, row.expected), []).append(row)
    listed = []
    for rows in reasons.values():
        more = f" (and {len(rows) - 1:,} more such rows)" if len(rows) > 1 else ""
        listed.append(f"{rows[0]}{more}")
    hidden = len(listed) - SHOWN
    return listed[:SHOWN] + ([f"and {hidden:,} more kinds of bad rows"] if hidden > 0 else [])


def rejected_rows_error(task: str, rejected: list[RejectedRow]) -> XstiltsError:
    """The error that lists rejected rows."""
    return XstiltsError(
        "bad-row",
        f"task '{task}': {len(rejected):,} bad row{'s' * (len(rejected) != 1)}",
        "\n".join(summarise(rejected)),
        "fix these rows, or set `on_bad_row: skip` in the task's entry to leave them out",
    )
