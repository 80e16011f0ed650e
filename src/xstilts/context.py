"""What every step is given besides its arguments and inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """A folder that outlives a killed step, a way to say which share of the work is done (0 to 1), how many processes
    (and GPUs) may share a training, and the store's folder."""

    scratch: Path
    progress: Callable[[float], None] = field(default=lambda share: None)
    ranks: int = 1
    store: Path | None = None
