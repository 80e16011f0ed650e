"""What every step is given besides its arguments and inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

Progress = Callable[[float], None]


@dataclass(frozen=True)
class Context:
    """The surroundings of a step.

    scratch: a folder that outlives an interrupted step; progress: takes the share of the work that is done, 0 to 1;
    ranks: how many processes (and GPUs) may share a training; store: the store's folder; note: takes a sentence for the
    run's log of events.
    """

    scratch: Path
    progress: Progress = field(default=lambda share: None)
    ranks: int = 1
    store: Path | None = None
    note: Callable[[str], None] = field(default=lambda text: None)
