"""What running processes need of a store: a file for each process, which it locks while it lives.

A process first writes down which results it needs, and then looks which of them are there. Whoever removes results does
so while no process can register (`nobody_starts`). A file system without locks cannot ensure that: there, the files are
read again after results were moved aside, and what was asked for in between is put back.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from xstilts.engine.temporary import HOST, OLD_PART, PART, is_held, locked, sweep, try_lock
from xstilts.errors import XstiltsError

FOLDER = "in-use"


class Use(NamedTuple):
    """A process that needs results: its file, the host that it runs on, when it began (seconds since 1970), and the
    fingerprints of the results."""

    file: Path
    host: str
    since: float
    steps: frozenset[str]


@contextmanager
def registered(store: Path, steps: Iterable[str]) -> Iterator[Path]:
    """Keep the results of `steps` from being removed meanwhile; yields the file that says so."""
    folder, name = store / FOLDER, f"{HOST}-{uuid4().hex}"
    folder.mkdir(parents=True, exist_ok=True)
    file, part = folder / f"{name}.json", folder / f".{name}.part"
    with locked(folder, fcntl.LOCK_SH):  # a sweep must not see the part unlocked
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
        try_lock(descriptor, fcntl.LOCK_EX)
    try:
        with os.fdopen(os.dup(descriptor), "w", encoding="utf-8") as stream:
            json.dump({"since": round(time.time()), "steps": list(steps)}, stream)
        with _gate(store, fcntl.LOCK_SH):
            part.replace(file)
        yield file
    finally:
        for path in (part, file):
            with suppress(OSError):
                path.unlink()
        os.close(descriptor)


@contextmanager
def nobody_starts(store: Path) -> Iterator[None]:
    """Keep processes from registering meanwhile: they wait. A store that has vanished is not made anew."""
    (store / FOLDER).mkdir(exist_ok=True)
    with _gate(store, fcntl.LOCK_EX):
        yield


@contextmanager
def _gate(store: Path, kind: int) -> Iterator[None]:
    """Hold the lock that registering shares; no effect on a file system without locks."""
    descriptor = os.open(store / FOLDER / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def sweep_uses(store: Path) -> None:
    """Remove what killed processes left; no effect on a read-only store, or on a store that is not there."""
    if (store / FOLDER).is_dir():
        with suppress(OSError, XstiltsError), nobody_starts(store):
            sweep(store / FOLDER, OLD_PART, PART)
            uses(store)


def uses(store: Path, without: Iterable[Path] = ()) -> list[Use]:
    """The processes that need results, except those of the files `without`. A file whose process is gone is removed;
    one of which that cannot be known counts, because it may be of another host.

    Raises XstiltsError for a file that cannot be read.
    """
    found = []
    for file in set((store / FOLDER).glob("*.json")).difference(without):
        host = file.stem.rpartition("-")[0]
        try:
            if is_held(file, host == HOST) is False:
                with suppress(OSError):
                    file.unlink()
                continue
            record = json.loads(file.read_bytes())
            found.append(Use(file, host, record["since"], frozenset(record["steps"])))
        except FileNotFoundError:  # it has just ended
            continue
        except (OSError, ValueError, KeyError, TypeError) as error:
            hint = "if no study runs on this store, delete the file"
            raise XstiltsError("bad-file", f"{file} cannot be read", repr(error), hint) from None
    return found
