"""What is wrong with rows: summarise all at once, with file, line and language, what was found and what was expected."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from xstilts.errors import XstiltsError

SHOWN = 20
"""Different problems that an error lists; the rest are counted."""


@dataclass(frozen=True)
class RejectedRow:
    """One row that cannot be used: `line` counts from 1 (0 where no line can be named), `unit` says what it counts."""

    file: str
    line: int
    language: str
    found: str
    expected: str
    unit: str = "line"

    def __str__(self) -> str:
        place = f"{self.file}, {self.unit} {self.line}" if self.line else self.file
        return f"{place} ({self.language}): {self.found}; expected {self.expected}"

    def as_json(self) -> dict[str, Any]:
        """The problem as a JSON object."""
        return asdict(self)


def summarise(problems: Iterable[RejectedRow]) -> list[str]:
    """A line per different problem of each file, the first of its kind with its place and the number of the others."""
    kinds: dict[tuple[str, str, str], list[RejectedRow]] = {}
    for problem in problems:
        kinds.setdefault((problem.file, problem.found, problem.expected), []).append(problem)
    listed = [f"{same[0]}" + (f" (and {len(same) - 1:,} more such rows)" if len(same) > 1 else "")
              for same in kinds.values()]  # fmt: skip
    return listed[:SHOWN] + ([f"and {len(listed) - SHOWN:,} more kinds of bad rows"] if len(listed) > SHOWN else [])


def rejected_rows_error(task: str, problems: list[RejectedRow]) -> XstiltsError:
    """The error that tells all of them."""
    return XstiltsError(
        "bad-row",
        f"task '{task}': {len(problems):,} bad row{'s' * (len(problems) != 1)}",
        "\n".join(summarise(problems)),
        "mend the rows, or set `on_bad_row: skip` in the task's entry to leave them out",
    )
