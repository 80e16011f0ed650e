"""Free what no plan in use needs, also while studies run on the same store."""

import errno
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from xstilts.engine.in_use import nobody_starts, uses
from xstilts.engine.inventory import TOKENS, Leftover, Result, leftovers, needed_results, results
from xstilts.engine.plan import RECORD, Plan
from xstilts.engine.store import FINGERPRINT, Store, disk_errors
from xstilts.engine.temporary import is_held, temporary_folder

DAY = 24 * 3600.0
"""Seconds."""


class Garbage(NamedTuple):
    """What can be freed: whole results, models of trainings whose records stay, and folders that hold no result."""

    results: list[Result]
    models: list[Result]
    folders: list[Leftover]

    @property
    def size(self) -> int:
        """The bytes that are freed."""
        results, models = sum(result.size for result in self.results), sum(result.model for result in self.models)
        return results + models + sum(leftover.size for leftover in self.folders)


def unneeded(store: Store, needed: Collection[str], days: float = 0.0) -> Garbage:
    """The results that neither the steps `needed` nor a running process needs, damaged results, and checkpoints of
    other steps; nothing that was used in the last `days`. Token caches stay with the examples that they are made from,
    and as long as a process runs."""
    present, running = results(store), _running(store)
    keep = running.union(needed)
    stays, before = needed_results(present, keep), time.time() - days * DAY
    unused = [
        result for result in present
        if result.fingerprint not in stays and not (running and result.kind == TOKENS)
        and (not days or result.used < before)
    ]  # fmt: skip
    folders = [
        part
        for part in leftovers(store, "scratch")
        if FINGERPRINT.fullmatch(part.folder.name) and part.folder.name not in keep and not _is_locked(part.folder)
    ] + leftovers(store, "damaged")
    return Garbage(unused, [], [part for part in folders if not days or _changed(part.folder) < before])


def unneeded_models(store: Store, needed: Collection[str], days: float = 0.0) -> Garbage:
    """The models of finished trainings that neither a step still to run (`needed`: what those steps read) nor a running
    process needs, and that were not used in the last `days`."""
    keep, before = _running(store).union(needed), time.time() - days * DAY
    models = [result for result in results(store) if result.model and result.fingerprint not in keep]
    return Garbage([], [result for result in models if not days or result.used < before], [])


def models_to_read(plan: Plan, wanted: Iterable[str], store: Store) -> set[str]:
    """The fingerprints of the models that the steps of a plan still to run for `wanted` read."""
    finished = store.finished(plan.steps)
    discarded = store.discarded(f for f in finished if plan.steps[f].kind == "train")
    inputs = (pair for f in plan.needed(finished, wanted, discarded) for pair in plan.steps[f].inputs.items())
    return {source for name, source in inputs if name != RECORD}


def remove(store: Store, garbage: Garbage) -> int:
    """Frees what was chosen and returns how many bytes; what a running process has come to need since then stays.

    Everything is first moved aside, while no process can start, and then deleted. Raises XstiltsError for a read-only
    store.
    """
    with disk_errors(store.root):
        freed = sum(result.model for result in garbage.models if store.discard_model(result.fingerprint))
        chosen = [(store.path(result.fingerprint), result.kind, result.size) for result in garbage.results]
        chosen += [(leftover.folder, leftover.folder.parent.name, leftover.size) for leftover in garbage.folders]
        with temporary_folder(store.root / "temporary", "gc") as aside:
            with nobody_starts(store.root):
                running = _running(store)
                moved = {
                    aside / f"{kind}-{place.name}": (place, kind, size)
                    for place, kind, size in chosen
                    if not _is_needed(place, kind, running) and _move(place, aside / f"{kind}-{place.name}")
                }
                running = _running(store)  # without locks, one may have started all the same
                for target, (place, kind, _) in moved.items():
                    if _is_needed(place, kind, running):
                        _move(target, place)
            for target, (_, _, size) in moved.items():
                if target.is_dir():
                    freed += size
                    shutil.rmtree(target, ignore_errors=True)
    return freed


def _is_needed(place: Path, kind: str, running: Collection[str]) -> bool:
    """Whether a running process needs a folder of the store: any process may read a cache of tokens."""
    return bool(running) if kind == TOKENS else place.name in running and kind != "damaged"


def _running(store: Store) -> frozenset[str]:
    """The steps in the plans of all processes that run now."""
    return frozenset[str]().union(*(use.steps for use in uses(store.root)))


def _is_locked(scratch: Path) -> bool:
    """Whether a step is seen to write its checkpoints there, or has just ended."""
    try:
        return (scratch / "lock").is_file() and is_held(scratch / "lock", made_here=True) is True
    except FileNotFoundError:
        return True


def _changed(folder: Path) -> float:
    """When a folder was changed, in seconds since 1970; now, if it has just gone."""
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _move(folder: Path, target: Path) -> bool:
    """Whether a folder could be moved: another process may have moved it, or made the target, first."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True
