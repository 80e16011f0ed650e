"""How fast devices are: the package's table, the user's measurements, and what earlier runs took."""

import json
import os
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, Field

from xstilts.engine import digest
from xstilts.errors import XstiltsError, did_you_mean

STAND_IN = {"cuda": "h100"}
"""Whose rates are assumed for a class of device that was not measured."""
PRIOR = 60.0
"""Seconds at the estimate that count with what earlier runs took: steps of seconds say little about steps of hours."""
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Precision = Literal["fp32", "bf16"]


class Rates(BaseModel, frozen=True):
    """A device's speed.

    kind: `cpu` (one core) or `cuda`. fp32, bf16: FLOP/s of matrix products; efficiency: the share of them that a step
    reaches. update_seconds, step_seconds: what an update and a step take in addition. ground: the origin of these
    numbers. memory: GB of the cards of that name, the smallest first. ratios: by kind of step, measured over estimated
    seconds of earlier runs on this device, see `PRIOR`.
    """

    name: str
    kind: Literal["cpu", "cuda"] = Field(alias="class")
    fp32: Above0
    bf16: Above0
    efficiency: Annotated[dict[Precision, Above0], Field(min_length=2)]
    update_seconds: Annotated[dict[Precision, Seconds], Field(min_length=2)]
    step_seconds: Seconds
    ground: str
    memory: tuple[Above0, ...] = ()
    ratios: dict[str, float] = {}

    def flops_per_second(self, precision: Precision) -> float:
        """FLOP/s that a step reaches."""
        return float(getattr(self, precision) * self.efficiency[precision])

    @property
    def key(self) -> str:
        """Names these rates among those that runs were compared with; other numbers have another key."""
        return digest(self.model_dump(exclude={"ratios", "ground"}))


def user_file(name: str = "devices.yaml") -> Path:
    """A file in the user's configuration folder: `devices.yaml`, or `measured.json` with the steps of earlier runs."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "xstilts" / name


def known_devices() -> dict[str, Rates]:
    """All devices by name, the user's before the package's; raises XstiltsError if the user's file is malformed."""
    table = yaml.safe_load(files("xstilts.costs").joinpath("devices.yaml").read_text(encoding="utf-8"))
    file = user_file()
    try:
        table |= (yaml.safe_load(file.read_text(encoding="utf-8")) or {}) if file.is_file() else {}
        return {name: Rates(name=name, **entry) for name, entry in table.items()}
    except (yaml.YAMLError, TypeError, ValueError) as error:
        raise XstiltsError(
            "bad-setting",
            f"cannot read the device rates in {file}",
            f"{type(error).__name__}: {error}",
            "delete the file, or measure again with `xstilts bench device`",
        ) from None


def rates(name: str, corrected: bool = True) -> Rates:
    """The rates of a device by its name or class (`cpu`, `cuda`); raises XstiltsError for an unknown one.

    Unless `corrected` is False, they carry the ratios that earlier runs on the device measured.
    """
    known = known_devices()
    if name not in known and name not in STAND_IN:
        raise XstiltsError(
            "unknown-name",
            f"unknown device '{name}'",
            f"known devices: {', '.join([*known, *STAND_IN])}",
            did_you_mean(name, known) or "measure yours with `xstilts bench device`",
        )
    device = known[name if name in known else STAND_IN[name]]
    if name not in known:
        ground = f"assumed: this {name} device was not measured, {device.name} stands in; {device.ground}"
        device = device.model_copy(update={"name": name, "ground": ground})
    return _corrected(device) if corrected else device


def _corrected(device: Rates) -> Rates:
    """The rates with the ratios of measured to estimated seconds of earlier runs on the device, if there are any."""
    sums = measured_steps().get(device.key, {})
    ratios = {kind: (measured + PRIOR) / (estimated + PRIOR) for kind, (_, estimated, measured) in sums.items()}
    if not ratios:
        return device
    steps = sum(int(row[0]) for row in sums.values())
    factors = ", ".join(f"{kind} × {ratio:.2f}" for kind, ratio in ratios.items())
    ground = f"measured by {steps:,} steps of earlier runs on this device ({factors}); without them: {device.ground}"
    return device.model_copy(update={"ratios": ratios, "ground": ground})


def measured_steps() -> dict[str, dict[str, list[float]]]:
    """By `Rates.key` and kind: steps of earlier runs, their estimated seconds (not corrected), and measured seconds."""
    with suppress(OSError, ValueError, TypeError):
        return dict(json.loads(user_file("measured.json").read_bytes()))
    return {}
