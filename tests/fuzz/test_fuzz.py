"""Random changes of valid inputs: each is read, or refused with an error for the user, in bounded time and memory."""

import os
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from surfaces import SURFACES

from xstilts.errors import XstiltsError

FEW = 20
"""Inputs of each kind in the tests; benchmarks/fuzz.py tries thousands more."""
SECONDS, BYTES = 60, 4 * 2**30
"""What one input may take: time, and memory on top of what the process had."""


@contextmanager
def bounded() -> Iterator[None]:
    """Raise an error in this process if it takes too long or too much memory."""

    def too_long(*_):
        raise TimeoutError(f"over {SECONDS} s")

    before, limits = signal.signal(signal.SIGALRM, too_long), resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, limits[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


def defects(name: str, seeds: range, folder: Path) -> dict[int, str]:
    """The seeds whose input has no value and no XstiltsError as a result, with the traceback."""
    found, home = {}, Path.cwd()
    for seed in seeds:
        place = folder / str(seed)
        place.mkdir()
        os.chdir(place)
        try:
            with bounded():
                SURFACES[name](random.Random(f"{name} {seed}"), place)
        except XstiltsError as error:
            if not (error.what and error.why and error.hint):
                found[seed] = f"an error without a reason or a hint: {error!r}"
        except (Exception, MemoryError):
            found[seed] = traceback.format_exc()
        finally:
            os.chdir(home)
            shutil.rmtree(place, ignore_errors=True)
    return found


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="memory is measured as on Linux")
@pytest.mark.parametrize("name", SURFACES)
def test_an_input_is_read_or_refused(name, tmp_path):
    assert not defects(name, range(FEW), tmp_path)
