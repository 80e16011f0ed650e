"""How fast devices are: a small table, and what was measured on this machine."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any

import yaml

from xstilts.errors import XstiltsError, did_you_mean

STAND_IN = {"cuda": "h100"}
"""Whose rates are taken for a class of device that has not been measured."""


@dataclass(frozen=True)
class Rates:
    """A device's speed.

    kind: `cpu` (one core) or `cuda`. By precision: products, FLOP/s of matrix products; efficiency, the share of them
    that a step reaches; update_seconds, what an update takes beside its products. step_seconds: what a step takes in
    addition to its updates. ground: where the numbers come from. memory: GB of the cards of that name, the smallest
    first; none of a processor, and where it is not known.
    """

    name: str
    kind: str
    products: Mapping[str, float]
    efficiency: Mapping[str, float]
    update_seconds: Mapping[str, float]
    step_seconds: float
    ground: str
    memory: tuple[float, ...] = ()

    def flops_per_second(self, precision: str) -> float:
        """What a step reaches, in FLOP/s."""
        return self.products[precision] * self.efficiency[precision]


def user_file() -> Path:
    """Where measured rates are kept: `xstilts/devices.yaml` in the user's configuration folder."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "xstilts" / "devices.yaml"


def known_devices() -> dict[str, Rates]:
    """All devices by name, those of the user's file over those of the package; raises XstiltsError where it is bad."""
    table = yaml.safe_load(files("xstilts.costs").joinpath("devices.yaml").read_text(encoding="utf-8"))
    own = user_file()
    if own.is_file():
        try:
            table |= yaml.safe_load(own.read_text(encoding="utf-8")) or {}
            return {name: _rates(name, entry) for name, entry in table.items()}
        except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
            raise XstiltsError("bad-setting", f"cannot read the device rates in {own}", f"{type(error).__name__}: {error}",
                               "delete the file, or measure again with `xstilts bench device`") from None  # fmt: skip
    return {name: _rates(name, entry) for name, entry in table.items()}


def rates(name: str) -> Rates:
    """The rates of a device by its name or class (`cpu`, `cuda`); raises XstiltsError where it is unknown."""
    known = known_devices()
    found = name if name in known else STAND_IN.get(name, "")
    if not found:
        raise XstiltsError("unknown-name", f"unknown device '{name}'", f"rates are known of {', '.join([*known, 'cuda'])}",
                           did_you_mean(name, known) or "measure it with `xstilts bench device`")  # fmt: skip
    return known[found]


def _rates(name: str, entry: Mapping[str, Any]) -> Rates:
    precisions = ("fp32", "bf16")
    products = {precision: float(entry[precision]) for precision in precisions}
    efficiency, update = ({p: float(entry[key][p]) for p in precisions} for key in ("efficiency", "update_seconds"))
    kind, start, ground = str(entry["class"]), float(entry["step_seconds"]), str(entry["ground"])
    if not all(0 < rate < inf for rate in (*products.values(), *efficiency.values())):
        raise ValueError(f"a rate of '{name}' is not above zero")
    if not all(0 <= seconds < inf for seconds in (start, *update.values())):
        raise ValueError(f"seconds of '{name}' are below zero, or no number")
    if kind not in ("cpu", "cuda"):
        raise ValueError(f"the class of '{name}' is '{kind}', and not cpu or cuda")
    cards = tuple(sorted(float(size) for size in entry.get("memory", ())))
    if not all(0 < size < inf for size in cards):
        raise ValueError(f"a memory of '{name}' is not above zero")
    return Rates(name, kind, products, efficiency, update, start, ground, cards)
