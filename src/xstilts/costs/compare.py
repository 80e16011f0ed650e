"""What the steps of a run were estimated to take, beside what they took."""

from collections.abc import Mapping
from typing import Any

from xstilts.engine import Plan


def compared(plan: Plan, measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows of `kind`, `steps`, `estimated_seconds` and `measured_seconds`, for the steps that a run carried out.

    measured: seconds by fingerprint. What was in the store already has none, and is not counted.
    """
    rows: dict[str, dict[str, Any]] = {}
    for fingerprint, step in plan.steps.items():
        if fingerprint in measured:
            new = {"kind": step.kind, "steps": 0, "estimated_seconds": 0.0, "measured_seconds": 0.0}
            row = rows.setdefault(step.kind, new)
            row["steps"] += 1
            row["estimated_seconds"] += step.cost
            row["measured_seconds"] += measured[fingerprint]
    return list(rows.values())


def comparison(rows: list[dict[str, Any]]) -> str:
    """The rows in a sentence, "" where nothing was run."""
    estimated, measured = (sum(row[name] for row in rows) for name in ("estimated_seconds", "measured_seconds"))
    if not estimated:
        return ""
    steps = sum(row["steps"] for row in rows)
    return f"{steps:,} steps took {measured:,.0f} s of work, {measured / estimated:.2f} times the estimate"
