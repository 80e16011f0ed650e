"""Which run folders need the results of a store."""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from xstilts.engine import Store, read_steps, write_atomically
from xstilts.engine.garbage import models_to_read
from xstilts.engine.inventory import fingerprints
from xstilts.errors import XstiltsError
from xstilts.hashing import digest
from xstilts.runs.run_files import PLAN, STEPS

RECORDS = "runs"
"""The folder of a store with a file for each run folder that was filled from it, which holds its path."""
_LINE = re.compile(rb'^\{"fingerprint": "([0-9a-f]{32})"', re.M)


class StoreRun(NamedTuple):
    """A run folder and the fingerprints of the steps in its plan."""

    folder: Path
    steps: frozenset[str]


def record_run(store: Store, run: Path) -> None:
    """Note in a store that a run is filled from it; no effect on a read-only store."""
    path = str(run.absolute())
    with suppress(OSError):
        write_atomically(store.root / RECORDS / digest(path)[:16], path)


def recorded_runs(store: Store) -> list[Path]:
    """The run folders that are recorded in a store, on this machine or another."""
    files = sorted((store.root / RECORDS).glob("[0-9a-f]*"))
    return sorted({Path(file.read_text(encoding="utf-8", errors="replace")) for file in files})


def store_runs(store: Store, named: Iterable[Path] = ()) -> list[StoreRun]:
    """The runs that need a store: those that are named; else those that are recorded and here, next to it, or in a
    folder `runs` next to it, if it holds any of their steps.

    Raises XstiltsError for a named folder without a plan, or a plan that cannot be read.
    """
    folders = list(dict.fromkeys(run.absolute() for run in named))
    for folder in folders:
        if not _has_plan(folder):
            hint = "name a run folder, such as runs/pocket"
            raise XstiltsError("not-a-run", f"{folder} is not a run folder", f"it has no {PLAN}", hint)
    if not folders:
        parent, present = store.root.parent, {*fingerprints(store)}
        nearby = [*sorted(parent.glob("*/")), *sorted(parent.glob("runs/*/"))]
        folders = [folder for folder in dict.fromkeys([*recorded_runs(store), *nearby]) if _has_plan(folder)]
        return [run for run in map(_read, folders) if not present.isdisjoint(run.steps)]
    return [_read(folder) for folder in folders]


def _read(folder: Path) -> StoreRun:
    return StoreRun(folder, planned_steps(folder))


def planned_steps(run: Path) -> frozenset[str]:
    """The fingerprints of all steps in the plan of a run, second tries among them; earlier plans do not count."""
    found: set[str] = set()
    if (run / STEPS).is_file():
        found |= {match.decode() for match in _LINE.findall((run / STEPS).read_bytes())}
    try:
        found.update(json.loads((run / PLAN).read_bytes())["steps"] if (run / PLAN).is_file() else ())
    except (ValueError, KeyError, TypeError) as error:
        hint = "move the folder away, or name the run folders that count with --run"
        raise XstiltsError("not-a-run", f"{run / PLAN} cannot be read", repr(error), hint) from None
    return frozenset(found)


def steps_of(runs: Iterable[StoreRun]) -> frozenset[str]:
    """The fingerprints of the steps in the plans of all these runs."""
    return frozenset[str]().union(*(run.steps for run in runs))


def models_needed(store: Store, runs: Iterable[StoreRun]) -> set[str]:
    """The fingerprints of models that steps of the runs still have to read; all models of a run without `steps.jsonl`,
    because nothing says what its steps read."""
    needed: set[str] = set()
    for run in runs:
        if (run.folder / STEPS).is_file():
            needed |= models_to_read(*read_steps(run.folder / STEPS), store)
        else:
            needed |= run.steps
    return needed


def _has_plan(folder: Path) -> bool:
    return (folder / PLAN).is_file() or (folder / STEPS).is_file()
