"""Folders and files that a process writes before they get their name: locked while it lives, so that what a killed one
left is found and removed."""

import fcntl
import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

HOST = re.sub("[^A-Za-z0-9.]", "_", socket.gethostname())[:64]
OLD = 30 * 24 * 3600.0
"""Seconds, longer than any step runs, after which a folder is removed that cannot be shown to be abandoned."""
PART, OLD_PART = re.compile(r"\.[A-Za-z0-9._]+-[0-9a-f]{32}\.part"), 3600.0
"""The names of unfinished files, which no other program gives its own, and the same for them."""


@contextmanager
def temporary_folder(place: Path, name: str) -> Iterator[Path]:
    """A new folder in `place`, itself made if it is missing; removed when the block ends, unless it was moved."""
    place.mkdir(parents=True, exist_ok=True)
    with locked(place, fcntl.LOCK_SH):  # a sweep must not see the folder unlocked
        folder = place / f"{name}-{HOST}-{uuid4().hex[:8]}"
        folder.mkdir()
        held = os.open(folder, os.O_RDONLY)
        try_lock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def part_file(place: Path) -> Iterator[IO[bytes]]:
    """A new file in `place`, itself made if it is missing, to write to; removed when the block ends, unless it was
    moved. Those that killed writers left there are removed first."""
    place.mkdir(parents=True, exist_ok=True)
    with suppress(PermissionError):  # one may write where one may not look
        if any(PART.fullmatch(path.name) for path in place.iterdir()):
            sweep(place, OLD_PART, PART)
    with locked(place, fcntl.LOCK_SH):
        part = place / f".{HOST}-{uuid4().hex}.part"
        stream = part.open("xb")
        try_lock(stream.fileno(), fcntl.LOCK_EX)
    try:
        with stream:
            yield stream
    finally:
        part.unlink(missing_ok=True)


def sweep(place: Path, older_than: float = OLD, names: re.Pattern[str] = re.compile(".*")) -> None:
    """Remove what in `place` has such a name, and a writer on this host that is gone, or none that is known and is
    older than `older_than` seconds.

    A folder that a living process is seen to hold stays, whatever the clock says. Locks of other hosts may not be seen,
    and some file systems have none: there, age alone decides.
    """
    if not place.is_dir():
        return
    with suppress(OSError), locked(place, fcntl.LOCK_EX):
        for path in filter(lambda path: names.fullmatch(path.name), place.iterdir()):
            with suppress(OSError):
                held = is_held(path, f"-{HOST}-" in path.name or path.name.startswith(f".{HOST}-"))
                if held is False or (held is None and time.time() - path.stat().st_mtime > older_than):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def is_held(path: Path, made_here: bool) -> bool | None:
    """Whether a living process holds the lock of a file or folder; None if that cannot be known: it was not made on
    this host, or the file system has no locks."""
    held = os.open(path, os.O_RDONLY)
    try:
        free = try_lock(held, fcntl.LOCK_SH)
        return None if free is None or (free and not made_here) else not free
    finally:
        os.close(held)


@contextmanager
def locked(folder: Path, kind: int) -> Iterator[None]:
    """Wait for the lock of a folder, and hold it meanwhile; no effect on a file system without locks."""
    held = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(held, kind)
        yield
    finally:
        os.close(held)


def try_lock(held: int, kind: int) -> bool | None:
    """Whether an open file or folder could be locked at once; None if its file system has no locks."""
    try:
        fcntl.flock(held, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
