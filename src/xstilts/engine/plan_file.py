"""A frozen plan as a file, from which any scheduler can run single steps."""

import json
from collections.abc import Iterable
from pathlib import Path

from xstilts.engine.result import write_atomically
from xstilts.engine.step import Plan, Step
from xstilts.errors import XstiltsError


def write_steps(file: Path, plan: Plan, wanted: Iterable[str]) -> None:
    """Writes a plan as JSON lines, each step after its inputs and with its fingerprint and whether it is wanted."""
    chosen = set(wanted)
    lines = (
        json.dumps({"fingerprint": f, "wanted": f in chosen, **step.to_json()}, ensure_ascii=False)
        for f, step in plan.steps.items()
    )
    write_atomically(file, "".join(line + "\n" for line in lines))


def read_steps(file: Path) -> tuple[Plan, list[str]]:
    """The plan that `write_steps` wrote, and the fingerprints that are wanted.

    Raises XstiltsError if the file is missing, or if a line is not the step that its fingerprint names.
    """
    if not file.is_file():
        hint = "name a run folder, or make one with `xstilts plan STUDY --freeze RUN`"
        raise XstiltsError("missing-file", "no frozen plan", f"{file} does not exist", hint)
    plan, wanted = Plan(), []
    with file.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            try:
                record = json.loads(line)
                fingerprint, is_wanted = record.pop("fingerprint"), record.pop("wanted")
                same = plan.add(Step(**record)) == fingerprint
            except (ValueError, KeyError, TypeError, AttributeError):
                same = False
            if not same:
                why = "it does not hold the step that its fingerprint names"
                raise XstiltsError("bad-file", f"line {number} of {file} cannot be used", why, "freeze the plan again")
            if is_wanted:
                wanted.append(fingerprint)
    return plan, wanted


def find(plan: Plan, name: str) -> Step:
    """The step with a fingerprint, or with a unique prefix of one; raises XstiltsError."""
    matches = [name] if name in plan.steps else [f for f in plan.steps if name and f.startswith(name)]
    if len(matches) != 1:
        why = f"{len(matches)} fingerprints begin with it" if matches else "no step of the plan has that fingerprint"
        raise XstiltsError(
            "unknown-name",
            f"'{name}' does not name one step",
            why,
            "`xstilts step --list --run RUN` prints the fingerprints",
        )
    return plan.steps[matches[0]]
