"""`xstilts` with a checkpoint every fifth of a second, not every minute: what kills.py kills.

    [CLOCK_JUMPS=1] python benchmarks/checkpoint_often.py study pocket --quick

Its workers import this file, too, and change the loop when they import it. With CLOCK_JUMPS the clock of each process
jumps by up to ten years in either direction; the times of files are the true ones.
"""

import importlib.util
import os
import random
import sys
import time
from typing import Any

from xstilts.cli import main

LOOP, SECONDS = "xstilts.training.loop", 0.2
HOUR, TEN_YEARS = 3600.0, 315_360_000.0


class JumpingClock:
    """The time, wrong by an amount that changes about every twentieth time that it is asked for."""

    def __init__(self) -> None:
        self.true, self.rng, self.wrong_by = time.time, random.Random(os.getpid()), 0.0

    def __call__(self) -> float:
        if self.rng.random() < 0.05:
            self.wrong_by = self.rng.choice((0.0, HOUR, -HOUR, TEN_YEARS, -TEN_YEARS))
        return self.true() + self.wrong_by


class Finder:
    """Finds the training loop and changes the default of its last argument."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != LOOP:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        load = spec.loader.exec_module

        def exec_module(module: Any) -> None:
            load(module)
            module.train.__defaults__ = (*module.train.__defaults__[:-1], SECONDS)

        spec.loader.exec_module = exec_module
        return spec


sys.meta_path.insert(0, Finder())
if os.environ.get("CLOCK_JUMPS"):
    time.time = JumpingClock()

if __name__ == "__main__":
    main()
