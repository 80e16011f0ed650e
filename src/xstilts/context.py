"""What every step is given besides its arguments and inputs."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Context:
    """A folder that outlives a killed step, and a way to say which share of the work is done (0 to 1)."""

    scratch: Path
    progress: Callable[[float], None] = field(default=lambda share: None)
