"""How many rows a step reads and how long they are: from the data where it is at hand, else from a table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from xstilts.data.examples import load_examples
from xstilts.engine import Step, Store
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.task import Task

Ground = Literal["data", "catalogue", "assumed"]
QUANTILES = np.array([*np.arange(10) / 10, 0.95, 0.99, 1.0])
TRAINING_ROWS, OTHER_ROWS = 10_000, 1_000
"""What is assumed of data that nobody has counted."""
LIKE = {
    "classification": "xnli",
    "tagging": "panx",
    "qa": "xquad",
    "multiple_choice": "hellaswag",
    "retrieval": "tatoeba",
}
"""Whose lengths are assumed for a task of that type. Text for pretraining fills four fifths of its maximum."""
READ_OF_A_SPLIT = 3
"""Files of a split that are read to count rows where every language has its own; the others are taken to be alike."""


@dataclass(frozen=True)
class Size:
    """Rows, sequences per row, and the `QUANTILES` of the tokens of a sequence, special ones included."""

    rows: float
    sequences: float
    tokens: tuple[float, ...]
    ground: Ground

    @property
    def mean(self) -> float:
        """Tokens of a sequence, before any is cut."""
        return float(np.trapezoid(self.tokens, QUANTILES))

    def lengths(self, count: int, max_length: int, rng: np.random.Generator) -> np.ndarray:
        """`count` lengths drawn from the quantiles, cut at `max_length`."""
        return np.minimum(np.interp(rng.random(count), QUANTILES, self.tokens), max_length)


@cache
def known_sizes() -> dict[str, Any]:
    """`sizes.yaml`: rows and lengths of the tasks of the catalogue."""
    text = files("xstilts.costs").joinpath("sizes.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


@dataclass
class Sizes:
    """Looks sizes up, each once. `store`: prepared rows in it are counted; local files are read where there are any."""

    store: Store | None = None
    _known: dict[tuple[str, bool], Size] = field(default_factory=dict)
    _read: dict[tuple[str, str], list[Size]] = field(default_factory=dict)

    def of(self, step: Step, exact: bool = False) -> Size:
        """The size of a `rows` step; `exact` reads its own file, where others of the split may stand for it."""
        key = step.fingerprint, exact
        if key not in self._known:
            self._known[key] = self._find(step, exact)
        return self._known[key]

    def _find(self, step: Step, exact: bool) -> Size:
        arguments, entry = step.arguments, step.arguments["task"]
        if self.store and "world" not in entry["source"] and self.store.has(step.fingerprint):
            table = pq.read_table(self.store.find(step.fingerprint, "examples.parquet"))
            return _counted(table, entry, arguments["language"])
        if _local(entry) and step.location.get("data") and entry["type"] != "mlm":
            return self._from_files(step, exact)
        return _from_catalogue(entry, arguments["tasks"], arguments["split"], arguments["language"])

    def _from_files(self, step: Step, exact: bool) -> Size:
        arguments = step.arguments
        read = self._read.setdefault((arguments["task"]["name"], arguments["split"]), [])
        if len(read) >= READ_OF_A_SPLIT and not exact:
            return _mean(read)
        found = _read_file(json.dumps(arguments), Path(step.location["data"]))
        if not found:
            return _from_catalogue(arguments["task"], arguments["tasks"], arguments["split"], arguments["language"])
        read.append(found)
        return found


@cache
def _read_file(arguments: str, data: Path) -> Size | None:
    """The size of a split and language in local files, None where they cannot be read: the study will tell, and a price
    can do without."""
    wanted = json.loads(arguments)
    tasks = {name: Task(**entry) for name, entry in wanted["tasks"].items()}
    try:
        table = load_examples(Task(**wanted["task"]), wanted["split"], wanted["language"], data, tasks).table
    except XstiltsError:
        return None
    return _counted(table, wanted["task"], wanted["language"])


def _local(entry: Mapping[str, Any]) -> bool:
    return "files" in entry["source"] and not entry["source"].get("hub")


def _mean(sizes: list[Size]) -> Size:
    tokens = tuple(float(q) for q in np.mean([size.tokens for size in sizes], axis=0))
    mean = [float(np.mean([getattr(size, name) for size in sizes])) for name in ("rows", "sequences")]
    return Size(mean[0], mean[1], tokens, "data")


def _counted(table: pa.Table, entry: Mapping[str, Any], code: str) -> Size:
    """The size of rows at hand: their characters, at as many to a token as were measured in that script."""
    per_token = known_sizes()["characters_per_token"]
    pair = 2 if {"text_b", "context", "choices"} & {*table.column_names} else 1
    counts, sequences = characters(table)
    scale = per_token.get(language(code).script, per_token["other"])
    tokens = np.quantile(counts / scale + 2 * pair, QUANTILES) if len(table) else np.zeros(len(QUANTILES))
    windows = _windows(tokens, entry["max_length"]) if entry["type"] == "qa" else 1.0
    return Size(len(table), sequences * windows, tuple(map(float, tokens)), "data")


def _windows(tokens: np.ndarray, max_length: int) -> float:
    """Mean number of windows that contexts of these lengths are read in, each with a third of overlap."""
    windows = 1 + np.ceil(np.maximum(0, tokens - max_length) / (max_length * 2 / 3))
    return float(np.trapezoid(windows, QUANTILES))


def characters(table: pa.Table) -> tuple[np.ndarray, float]:
    """Characters of a sequence of each row, int64 [rows], and sequences of a row: a choice is one, with its context."""
    counts, choices = np.zeros(len(table), np.int64), 1.0
    for name in ("text", "text_a", "text_b", "question", "context"):
        if name in table.column_names:
            counts += np.array([len(text or "") for text in table[name].to_pylist()], np.int64)
    if "tokens" in table.column_names:
        counts += np.array([sum(map(len, words)) + len(words) for words in table["tokens"].to_pylist()], np.int64)
    if "choices" in table.column_names:
        lists = table["choices"].to_pylist()
        counts += np.array([sum(map(len, texts)) // len(texts) for texts in lists], np.int64)
        choices = float(np.mean([len(texts) for texts in lists])) if lists else 1.0
    return counts, choices


def _from_catalogue(entry: Mapping[str, Any], others: Mapping[str, Any], split: str, code: str) -> Size:
    """What the table says of a task's rows; a union has those of its parts together."""
    if "union" in entry["source"]:
        parts = [_from_catalogue(others[name], others, split, code) for name in entry["source"]["union"]]
        share = np.array([part.rows for part in parts]) / sum(part.rows for part in parts)
        tokens = share @ np.array([part.tokens for part in parts])
        return Size(sum(part.rows for part in parts), 1.0, tuple(map(float, tokens)), parts[0].ground)
    known = known_sizes()["tasks"].get(entry["name"], {})
    counted = entry["source"]["rows"] if "world" in entry["source"] else known.get("rows", {})
    number = counted.get(split, TRAINING_ROWS if split == "train" else OTHER_ROWS)
    if lengths := _lengths(known, code):
        ground: Ground = "catalogue" if split in counted else "assumed"
        return Size(number, lengths["sequences"], tuple(map(float, lengths["tokens"])), ground)
    if entry["type"] not in LIKE:
        longest = entry.get("max_length", 128)
        return Size(number, 1.0, tuple(longest * float(0.6 + 0.4 * q) for q in QUANTILES), "assumed")
    lengths = _lengths(known_sizes()["tasks"][LIKE[entry["type"]]], code)
    return Size(number, lengths["sequences"], tuple(map(float, lengths["tokens"])), "assumed")


def _lengths(known: Mapping[str, Any], code: str) -> Any:
    """A task's lengths in a language: those in English, or in the others, or the ones that are known."""
    return known.get(code) or known.get("other") or known.get("en") or {}
