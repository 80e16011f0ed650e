"""How steps share GPUs: the part of a GPU that a step occupies, and the GPUs that it gets."""

import math
import os
import subprocess
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

Resources = Mapping[str, float]

PARTS = 10_000
"""Parts of a GPU that are told apart, as in Ray."""
USABLE = 0.8
"""Share of a GPU's free memory that planned memory may fill: what torch keeps for reuse comes on top, assumed."""
FREE_MEMORY = "import torch; print(min(torch.cuda.mem_get_info(n)[0] for n in range(torch.cuda.device_count())))"


@dataclass(frozen=True)
class Sharing:
    """How steps share GPUs: at most `per_gpu` of them one GPU, whose usable memory is `memory` GB, None if unknown."""

    per_gpu: int = 1
    memory: float | None = None

    def share(self, resources: Resources) -> float:
        """The GPUs that a step occupies: a part of one, or all that it needs.

        Steps whose parts add up to at most 1 are at most `per_gpu`, and their planned `device_memory` fits together. A
        step of several GPUs shares none of them; neither does one whose memory is not planned, if that of the GPU is
        known.

        >>> Sharing(per_gpu=4, memory=40.0).share({"gpus": 1, "device_memory": 2.0})
        0.25
        >>> Sharing(per_gpu=4, memory=40.0).share({"gpus": 1, "device_memory": 16.0})
        0.4
        >>> Sharing(per_gpu=4).share({"gpus": 2})
        2
        """
        gpus = resources.get("gpus", 0)
        if gpus != 1:
            return gpus
        part = math.floor(PARTS / self.per_gpu) / PARTS
        if self.memory is not None:
            needed = resources.get("device_memory", self.memory) / max(self.memory, 1e-9)
            part = max(part, math.ceil(round(PARTS * needed, 6)) / PARTS)
        return min(part, 1.0)

    def notes(self, steps: Iterable[Resources]) -> list[str]:
        """What a person who asked for shared GPUs should know about these steps."""
        using = [resources for resources in steps if resources.get("gpus")]
        if self.per_gpu == 1 or not using:
            return []
        if self.memory is None:
            return [
                f"the memory of the GPUs is not known: up to {self.per_gpu} steps share one, whether they fit or not"
            ]
        large = sum(self.share(resources) > 0.5 for resources in using)
        why = f"several GPUs, or more than half of the {self.memory:.0f} GB that planned memory may fill"
        return (
            [f"{large:,} of {len(using):,} steps on GPUs share none with each other: they need {why}"] if large else []
        )


ALONE = Sharing()
"""No step shares a GPU."""


def place(share: float, devices: Sequence[str], taken: Mapping[str, float]) -> tuple[str, ...] | None:
    """The devices for a step that occupies `share` GPUs, those with most room first; None if too few have room.

    taken: by device the part of it that running steps occupy. A step that needs more GPUs than there are gets all.

    >>> place(0.5, ["5", "7"], {"5": 0.5})
    ('7',)
    >>> place(1.0, ["5", "7"], {"5": 0.5, "7": 0.5})
    """
    count = min(math.ceil(share), len(devices))
    free = [device for device in devices if taken.get(device, 0.0) + min(share, 1.0) < 1 + 0.5 / PARTS]
    free.sort(key=lambda device: taken.get(device, 0.0))
    return tuple(free[:count]) if len(free) >= count else None


def usable_memory(devices: Collection[str] = ()) -> float | None:
    """GB that planned memory may fill of the visible GPU, or of that of `devices`, with least free memory; None if it
    is not known. Another process looks it up, because this one would occupy some of it from then on."""
    visible = {"CUDA_VISIBLE_DEVICES": ",".join(devices)} if devices else {}
    command = [sys.executable, "-c", FREE_MEMORY]
    try:
        found = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=True, env={**os.environ, **visible}
        )
        return USABLE * int(found.stdout) / 1e9
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
