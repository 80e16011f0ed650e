"""How many examples a step reads and how long they are: from the data if they are at hand, else from `sizes.yaml`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml

from xstilts.data.examples import load_examples
from xstilts.engine import Step, Store
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.task import Task

Ground = Literal["data", "catalogue", "assumed"]
ASSUMED_EXAMPLES = {"train": 10_000}
"""Examples of a split that is not counted: 1,000 if not named here."""
SIMILAR = {"tagging": "panx", "qa": "xquad", "multiple_choice": "hellaswag", "retrieval": "tatoeba"}
"""The task whose lengths are assumed for uncounted tasks of a type: XNLI if not named here."""


@dataclass(frozen=True)
class Size:
    """Number of examples, sequences per example, mean and standard deviation of a sequence's tokens (special tokens
    included, before truncation), and where these numbers come from."""

    examples: float
    sequences: float
    mean: float
    deviation: float
    ground: Ground


@cache
def known_sizes() -> dict[str, Any]:
    """The content of `sizes.yaml`: examples and lengths of the catalogue's tasks."""
    return dict(yaml.safe_load(files("xstilts.costs").joinpath("sizes.yaml").read_text(encoding="utf-8")))


@dataclass
class Sizes:
    """Looks sizes up, each once: in the prepared examples of `store`, in local files, else in the catalogue."""

    store: Store | None = None
    _known: dict[tuple[Any, ...], Size] = field(default_factory=dict)

    def of(self, step: Step, exact: bool = False) -> Size:
        """The size of a `rows` step. Unless `exact`, one language stands for all of a split, and English for itself."""
        arguments, entry = step.arguments, step.arguments["task"]
        split, code, source = arguments["split"], arguments["language"], entry["source"]
        key = (step.fingerprint,) if exact else (entry["name"], split, code == "en")
        if key not in self._known:
            size, local = None, "files" in source and not source.get("hub") and entry["type"] != "mlm"
            if self.store and "world" not in source and self.store.has(step.fingerprint):
                size = _counted(pq.read_table(self.store.find(step.fingerprint, "examples.parquet")), entry, code)
            elif local and "data" in step.location:
                size = _from_files(json.dumps(arguments), step.location["data"])
            self._known[key] = size or _from_catalogue(entry, arguments["tasks"], split, code)
        return self._known[key]


@cache
def _from_files(arguments: str, data: str) -> Size | None:
    """The size of a split and language in local files; None if they cannot be read: the study itself reports that."""
    step = json.loads(arguments)
    tasks = {name: Task(**entry) for name, entry in step["tasks"].items()}
    try:
        table = load_examples(Task(**step["task"]), step["split"], step["language"], Path(data), tasks).table
    except XstiltsError:
        return None
    return _counted(table, step["task"], step["language"])


def _counted(table: pa.Table, entry: Mapping[str, Any], code: str) -> Size:
    """The size of examples at hand, from their characters and the characters per token measured for their script."""
    per_token = known_sizes()["characters_per_token"]
    pair = 2 if {"text_b", "context", "choices"} & {*table.column_names} else 1
    counts, sequences = characters(table)
    tokens = counts / per_token.get(language(code).script, per_token["other"]) + 2 * pair if len(table) else np.ones(1)
    if entry["type"] == "qa":  # windows of a long context overlap by a third
        sequences *= np.mean(1 + np.ceil(np.maximum(0, tokens - entry["max_length"]) / (entry["max_length"] * 2 / 3)))
    return Size(len(table), float(sequences), float(tokens.mean()), float(tokens.std()), "data")


def characters(table: pa.Table) -> tuple[np.ndarray, float]:
    """Characters of a sequence of each example, float [examples], and sequences per example: one for each choice."""
    counts, sequences = np.zeros(len(table)), 1.0
    for name in {"text", "text_a", "text_b", "question", "context", "tokens", "choices"} & {*table.column_names}:
        column = table[name].combine_chunks()
        texts = pc.binary_join(column, " ") if name in ("tokens", "choices") else column
        lengths = pc.fill_null(pc.utf8_length(texts), 0).to_numpy(zero_copy_only=False)
        number = pc.list_value_length(column).to_numpy(zero_copy_only=False) if name == "choices" else np.ones(1)
        counts += lengths / number
        sequences *= float(number.mean()) if len(table) else 1.0
    return counts, sequences


def _from_catalogue(entry: Mapping[str, Any], others: Mapping[str, Any], split: str, code: str) -> Size:
    """The size that `sizes.yaml` gives for a task; a union has the examples of its parts."""
    if "union" in entry["source"]:
        parts = [_from_catalogue(others[name], others, split, code) for name in entry["source"]["union"]]
        counts = [part.examples for part in parts]
        mean, deviation = np.average([(part.mean, part.deviation) for part in parts], axis=0, weights=counts)
        return Size(sum(counts), 1.0, float(mean), float(deviation), parts[0].ground)
    tasks = known_sizes()["tasks"]
    known = tasks.get(entry["name"], {})
    counted = entry["source"]["rows"] if "world" in entry["source"] else known.get("examples", {})
    number = counted.get(split, ASSUMED_EXAMPLES.get(split, 1_000))
    if entry["type"] == "mlm" and "other" not in known:  # evenly spread from three fifths of the maximum on
        longest = entry.get("max_length", 128)
        return Size(number, 1.0, 0.8 * longest, 0.115 * longest, "assumed")
    measured = "other" in known or "en" in known
    lengths = known if measured else tasks[SIMILAR.get(entry["type"], "xnli")]
    length = lengths.get(code) or lengths.get("other") or lengths["en"]
    ground: Ground = "catalogue" if measured and split in counted else "assumed"
    return Size(number, length.get("sequences", 1.0), length["mean"], length["deviation"], ground)
