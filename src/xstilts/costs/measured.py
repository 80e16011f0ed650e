"""What the steps of a run took, compared with their estimates, and kept so that later plans start from it."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from xstilts.costs.devices import measured_steps, rates, user_file
from xstilts.costs.estimate import estimates
from xstilts.engine import Plan, write_atomically
from xstilts.errors import XstiltsError


def compared(
    plan: Plan, measured: Mapping[str, float], estimated: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Rows of `kind`, `steps`, `estimated_seconds` and `measured_seconds`, for the steps of a plan that ran.

    measured, estimated: seconds by fingerprint, of the steps that ran and (by default as the plan has it) of all.
    """
    rows: dict[str, dict[str, Any]] = {}
    for fingerprint, step in plan.steps.items():
        if fingerprint in measured:
            new = {"kind": step.kind, "steps": 0, "estimated_seconds": 0.0, "measured_seconds": 0.0}
            row = rows.setdefault(step.kind, new)
            row["steps"] += 1
            row["estimated_seconds"] += estimated[fingerprint] if estimated else step.cost
            row["measured_seconds"] += measured[fingerprint]
    return list(rows.values())


def record(plan: Plan, device: str, measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of `compared`; what the steps took is added to the user's file, for later plans on this device.

    A study does not fail because that file, or the user's rates, cannot be read or written.
    """
    with suppress(OSError, XstiltsError):
        base, table = rates(device, corrected=False), measured_steps()
        prices = {fingerprint: price.seconds for fingerprint, price in estimates(plan, base).items()}
        kinds = table.setdefault(base.key, {})
        for row in compared(plan, measured, prices):
            new = row["steps"], row["estimated_seconds"], row["measured_seconds"]
            kinds[row["kind"]] = [old + more for old, more in zip(kinds.get(row["kind"], (0, 0, 0)), new, strict=True)]
        write_atomically(user_file("measured.json"), json.dumps(table, indent=1))
    return compared(plan, measured)


def comparison(rows: list[dict[str, Any]]) -> str:
    """The rows in a sentence, "" if nothing ran."""
    estimated, measured = (sum(row[name] for row in rows) for name in ("estimated_seconds", "measured_seconds"))
    if not estimated:
        return ""
    steps = sum(row["steps"] for row in rows)
    return f"{steps:,} steps took {measured:,.0f} s of work, {measured / estimated:.2f} times the estimate"
