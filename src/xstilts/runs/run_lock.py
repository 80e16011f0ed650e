"""Whether somebody still writes a run's log: a lock on it, which ends with its process, however that ends."""

import fcntl
import socket
from contextlib import suppress
from typing import IO, Any


def claim(log: IO[Any]) -> None:
    """Marks the log as written to until it is closed; several processes may. Without locks it does nothing."""
    with suppress(OSError):
        fcntl.flock(log, fcntl.LOCK_SH)


def abandoned(log: IO[Any], host: str) -> bool:
    """Whether nobody writes to the log any more, whose latest plan was begun on `host`.

    It can be told on that machine alone: on another one the file system may know nothing of the lock.
    """
    if host != socket.gethostname():
        return False
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    fcntl.flock(log, fcntl.LOCK_UN)
    return True
