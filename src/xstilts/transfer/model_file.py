"""Fitted models as a JSON file: what `transfer fit` writes, and what the package ships."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import TransferModel

VERSION = 1
SHIPPED = "sumeval.json"


def save_models(file: Path, models: Sequence[TransferModel], provenance: str = "") -> None:
    """Write models with their tables, so that the file alone predicts and ranks."""
    lines = [json.dumps(_as_json(model), ensure_ascii=False) for model in models]
    head = f'{{"version": {VERSION}, "provenance": {json.dumps(provenance)}, "models": [\n'
    write_atomically(file, head + ",\n".join(lines) + "\n]}\n")


def load_models(file: str | Path = "") -> list[TransferModel]:
    """The models of a file, by default those that the package ships; raises XstiltsError if it is no such file."""
    place = Path(file) if file else files("xstilts.transfer").joinpath(SHIPPED)
    try:
        data = json.loads(place.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"it has version {data['version']}, and this xstilts reads {VERSION}")
        return [_model(entry) for entry in data["models"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        why = f"{type(error).__name__}: {error}"
        hint = "write one with `xstilts transfer fit TABLE -o model.json`"
        raise XstiltsError("bad-file", f"{place} is no model of transfer", why, hint) from None


def _as_json(model: TransferModel) -> dict[str, Any]:
    table = model.results
    return {
        "encoder": table.encoder, "task": table.task, "sources": table.sources, "targets": table.targets,
        "examples": table.examples.round(3).tolist(), "scores": _rounded(table.scores, 3),
        "parameters": [values.round(4).tolist() for values in model.parameters], "trees": model.trees,
        "size": model.size, "effects": _rounded(model.effects, 4), "error": round(model.error, 4),
    }  # fmt: skip


def _model(entry: dict[str, Any]) -> TransferModel:
    sources, targets = tuple(entry["sources"]), tuple(entry["targets"])
    arrays = {name: np.array(entry[name], dtype=float) for name in ("examples", "scores", "effects")}
    shapes = {"scores": (len(arrays["examples"]), len(targets)), "effects": (len(sources), len(targets))}
    shapes["examples"] = (len(arrays["examples"]), len(sources))
    parameters = tuple(np.array(values, dtype=float) for values in entry["parameters"])
    if any(arrays[name].shape != shape for name, shape in shapes.items()) or len(parameters) != len(targets):
        raise ValueError("its tables do not fit together")
    if any(values.shape != (2 * len(sources) + 6,) for values in parameters):
        raise ValueError("its parameters do not fit the sources")
    table = ResultsTable(entry["encoder"], entry["task"], sources, arrays["examples"], targets, arrays["scores"])
    numbers = (float(entry[name]) for name in ("trees", "size", "error"))
    trees, size, error = numbers
    return TransferModel(table, parameters, trees, size, arrays["effects"], error)


def _rounded(values: np.ndarray, digits: int) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), digits) for value in row] for row in values]
