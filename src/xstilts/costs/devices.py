"""How fast devices are: the package's table, the user's measurements, and what earlier runs took."""

import json
import os
from contextlib import suppress
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveFloat

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.hashing import digest

PRIOR = 60.0
"""Seconds at the estimate that count with what earlier runs took: steps of seconds say little about steps of hours."""
START = 4.0
"""Seconds until a worker process has imported what steps need: measured on one core."""
Precision = Literal["fp32", "bf16"]


class Rates(BaseModel, frozen=True):
    """A device's speed.

    kind: `cpu` (one core) or `cuda`. fp32, bf16: FLOP/s of matrix products; efficiency: the share of them that a wide
    model reaches; narrow: the hidden size of a model that reaches half of that. layer_seconds, step_seconds: what each
    layer of a model takes in addition per update, and a step. ground: the origin of these numbers. memory: GB of the
    cards of that name, the smallest first. ratios: by kind of step, measured over estimated seconds of earlier runs on
    this device, see `PRIOR`.
    """

    name: str
    kind: Literal["cpu", "cuda"] = Field(alias="class")
    fp32: PositiveFloat
    bf16: PositiveFloat
    efficiency: Annotated[dict[Precision, PositiveFloat], Field(min_length=2)]
    narrow: Annotated[dict[Precision, NonNegativeFloat], Field(min_length=2)]
    layer_seconds: Annotated[dict[Precision, NonNegativeFloat], Field(min_length=2)]
    step_seconds: NonNegativeFloat
    ground: str
    memory: tuple[PositiveFloat, ...] = ()
    ratios: dict[str, float] = {}

    def flops_per_second(self, precision: Precision, hidden: int) -> float:
        """FLOP/s that a step reaches with a model of that hidden size: a narrow one moves more data per FLOP."""
        reached = self.efficiency[precision] * hidden / (hidden + self.narrow[precision])
        return float(getattr(self, precision) * reached)

    @property
    def key(self) -> str:
        """Names these rates among those that runs were compared with; other numbers have another key."""
        return digest(self.model_dump(exclude={"ratios", "ground"}))


@cache
def package_table(name: str) -> dict[str, Any]:
    """A table of the package: `devices`, `encoders` or `sizes`."""
    return dict(yaml.safe_load(files("xstilts.costs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")))


def user_file(name: str = "devices.yaml") -> Path:
    """A file in the user's configuration folder: `devices.yaml`, or `measured.json` with the steps of earlier runs."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "xstilts" / name


def rates(name: str) -> Rates:
    """The rates of a device by its name or class (`cpu`, `cuda`): the user's before the package's, with the ratios that
    earlier runs measured. Raises XstiltsError if the device is unknown, or the user's file malformed."""
    file = user_file()
    try:
        measured = (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
        known = {name: Rates(name=name, **entry) for name, entry in (package_table("devices") | measured).items()}
    except (yaml.YAMLError, TypeError, ValueError) as error:
        what, why = f"cannot read the device rates in {file}", f"{type(error).__name__}: {error}"
        hint = "delete the file, or measure again with `xstilts bench device`"
        raise XstiltsError("bad-setting", what, why, hint) from None
    if name not in known:
        hint = did_you_mean(name, known) or "measure yours with `xstilts bench device`"
        raise XstiltsError("unknown-name", f"unknown device '{name}'", f"known devices: {', '.join(known)}", hint)
    device = known[name]
    sums = measured_steps().get(device.key)
    if not sums:
        return device
    ratios = {kind: (measured + PRIOR) / (estimated + PRIOR) for kind, (_, estimated, measured) in sums.items()}
    steps = sum(int(row[0]) for row in sums.values())
    factors = ", ".join(f"{kind} × {ratio:.2f}" for kind, ratio in ratios.items())
    ground = f"calibrated on {steps:,} steps of earlier runs ({factors}); uncorrected rates: {device.ground}"
    return device.model_copy(update={"ratios": ratios, "ground": ground})


def measured_steps() -> dict[str, dict[str, list[float]]]:
    """By `Rates.key` and kind: steps of earlier runs, their estimated seconds (not corrected), and measured seconds."""
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(user_file("measured.json").read_bytes()))
    return {}
