"""Memory that is freed and asked for again in every update should not go back to the system in between."""

import ctypes
from contextlib import suppress
from functools import cache

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


@cache
def keep_memory() -> None:
    """Lets this process keep what it frees, once and for all, where its C library is glibc.

    By default blocks of some megabytes (weights, gradients, activations) are mapped anew each time, and the
    kernel clears every page of them: tens of thousands of page faults an update.
    """
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(MMAP_THRESHOLD, 2**30)
        library.mallopt(TRIM_THRESHOLD, 2**31 - 1)
