"""Fitted models as a JSON file: what `transfer fit` writes, and what the package ships."""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.transfer.relations import Votes
from xstilts.transfer.results_table import ResultsTable
from xstilts.transfer.transfer_model import TransferModel

VERSION = 1
SHIPPED = "sumeval.json"


def save_models(file: Path, models: Sequence[TransferModel], provenance: str = "") -> None:
    """Write models with their tables, so that the file alone predicts and ranks."""
    names = [model.results.name for model in models]
    if len(set(names)) < len(names):
        why, hint = f"they are {', '.join(names)}", "name them apart with --task or --encoder"
        raise XstiltsError("bad-argument", "two tables have the same encoder and task", why, hint)
    lines = [json.dumps(_as_json(model), ensure_ascii=False, allow_nan=False) for model in models]
    head = f'{{"version": {VERSION}, "provenance": {json.dumps(provenance)}, "models": [\n'
    write_atomically(file, head + ",\n".join(lines) + "\n]}\n")


def load_models(file: str | Path = "") -> list[TransferModel]:
    """The models of a file, by default those that the package ships; raises XstiltsError if it is no such file."""
    place = Path(file) if file else files("xstilts.transfer").joinpath(SHIPPED)
    if not place.is_file():
        hint = "write it with `xstilts transfer fit TABLE -o FILE`"
        raise XstiltsError("missing-file", f"there is no file {place}", "a transfer model is read from it", hint)
    try:
        data = json.loads(place.read_text(encoding="utf-8"))
        if data["version"] != VERSION:
            raise ValueError(f"it has version {data['version']}, and this xstilts reads {VERSION}")
        models = [_model(entry) for entry in data["models"]]
        if not models or len({model.results.name for model in models}) < len(models):
            raise ValueError("it has no models, or two of one name")
        return models
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        why = f"{type(error).__name__}: {error}"
        hint = "write one with `xstilts transfer fit TABLE -o model.json`"
        raise XstiltsError("bad-file", f"{place} is not a transfer model", why, hint) from None


def _as_json(model: TransferModel) -> dict[str, Any]:
    table = model.results
    return {
        "encoder": table.encoder, "task": table.task, "sources": table.sources, "targets": table.targets,
        "examples": table.examples.round(3).tolist(), "scores": _rounded(table.scores, 3),
        "parameters": [values.round(4).tolist() for values in model.parameters], "trees": model.trees,
        "size": model.size, "effects": _rounded(model.effects, 4), "error": round(model.error, 4),
        "votes": table.votes and {"languages": table.votes.languages, "shares": _rounded(table.votes.shares, 6)},
    }  # fmt: skip


def _model(entry: dict[str, Any]) -> TransferModel:
    sources, targets = tuple(entry["sources"]), tuple(entry["targets"])
    arrays = {name: np.array(entry[name], dtype=float) for name in ("examples", "scores", "effects")}
    shapes = {"scores": (len(arrays["examples"]), len(targets)), "effects": (len(sources), len(targets))}
    shapes["examples"] = (len(arrays["examples"]), len(sources))
    parameters = tuple(np.array(values, dtype=float) for values in entry["parameters"])
    if any(arrays[name].shape != shape for name, shape in shapes.items()) or len(parameters) != len(targets):
        raise ValueError("its tables do not fit together")
    if any(values.shape != (2 * len(sources) + 6,) or not np.isfinite(values).all() for values in parameters):
        raise ValueError("its parameters do not fit the sources")
    known, inner = ~np.isnan(arrays["effects"]), np.isfinite(arrays["examples"]).all()
    if not inner or min(known.sum(0).min(), known.sum(1).min()) < 1 or np.isinf(arrays["effects"]).any():
        raise ValueError("it has no effects, or impossible numbers")
    if any(len(set(codes)) < len(codes) or not all(isinstance(c, str) for c in codes) for codes in (sources, targets)):
        raise ValueError("a language is there twice, or has no code")
    votes = _votes(entry["votes"]) if entry.get("votes") else None
    names = str(entry["encoder"]), str(entry["task"])
    table = ResultsTable(*names, sources, arrays["examples"], targets, arrays["scores"], votes)
    numbers = (float(entry[name]) for name in ("trees", "size", "error"))
    trees, size, error = numbers
    return TransferModel(table, parameters, trees, size, arrays["effects"], error)


def _votes(entry: dict[str, Any]) -> Votes:
    votes = Votes(tuple(entry["languages"]), np.array(entry["shares"], dtype=float))
    shares = votes.shares[~np.isnan(votes.shares)]
    if votes.shares.shape != (len(votes.languages),) * 2 or not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("its votes are not shares")
    return votes


def _rounded(values: np.ndarray, digits: int) -> list[list[float | None]]:
    return [[None if np.isnan(value) else round(float(value), digits) for value in row] for row in values]
