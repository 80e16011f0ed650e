"""How many examples a step reads and how long they are: from the data if they are at hand, else from `sizes.yaml`."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.costs.devices import package_table
from xstilts.data.examples import load_examples
from xstilts.engine import Step, Store
from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.tasks.task import Task

BYTES_PER_CHARACTER = {"Latn": 1, "Arab": 2, "Cyrl": 2, "Grek": 2, "Hebr": 2}
"""In UTF-8, by script; 3 in others."""


class Size(NamedTuple):
    """Examples, sequences, tokens (special tokens included, before truncation); assumed: above 0 if any of them is."""

    examples: float = 0
    sequences: float = 0
    tokens: float = 0
    assumed: float = 0


def total(sizes: list[Size]) -> Size:
    """The sum of sizes."""
    return Size(*map(sum, zip(*sizes, strict=True)))


def size_of(step: Step, store: Store | None = None) -> Size:
    """The size of a `rows` step: from its examples in the store, from local files, else from the catalogue."""
    split, code, entry, entries = (step.arguments[name] for name in ("split", "language", "task", "tasks"))
    if store and "world" not in entry["source"] and store.has(step.fingerprint):
        return _counted(pq.read_table(store.find(step.fingerprint, "examples.parquet")), entry, code)
    if (
        "data" in step.location
        and "files" in entry["source"]
        and not entry["source"].get("hub")
        and entry["type"] != "mlm"
    ):
        with suppress(XstiltsError):  # the study itself reports files that cannot be read
            tasks = {name: Task(**other) for name, other in entries.items()}
            table = load_examples(Task(**entry), split, code, Path(step.location["data"]), tasks).table
            return _counted(table, entry, code)
    return _from_catalogue(entry, entries, split, code)


def _counted(table: pa.Table, task: Mapping[str, Any], code: str) -> Size:
    """The size of examples at hand, from their characters and the characters per token measured for their script."""
    per_token, examples = package_table("sizes")["characters_per_token"], max(1, len(table))
    count, sequences = characters(table)
    length = 3 + count / per_token.get(language(code).script, per_token["other"]) / (sequences * examples)
    if task["type"] == "qa":  # windows of a long context overlap by a third
        longest = task.get("max_length", Task.model_fields["max_length"].default)  # an entry leaves out its defaults
        sequences *= 1 + max(0.0, 1.5 * (length / longest - 1))
    return Size(len(table), len(table) * sequences, len(table) * sequences * length)


def characters(table: pa.Table) -> tuple[float, float]:
    """Characters of all sequences, and sequences per example: one for each choice."""
    names = {"text", "text_a", "text_b", "question", "context", "tokens", "choices"} & {*table.column_names}
    counts = {}
    for name in names:
        texts = pc.list_flatten(table[name]) if name in ("tokens", "choices") else table[name]
        counts[name] = len(texts) + (pc.sum(pc.utf8_length(texts)).as_py() or 0)  # a space after each
    sequences = len(pc.list_flatten(table["choices"])) / max(1, len(table)) if "choices" in names else 1.0
    return counts.pop("choices", 0) + sequences * sum(counts.values()), sequences


def text_bytes(task: Task, split: str, code: str) -> float:
    """About how many bytes of UTF-8 the texts of a split have in a language; 0 if the catalogue does not count it."""
    if split not in package_table("sizes")["tasks"].get(task.name, {}).get("examples", {}):
        return 0.0
    size = _from_catalogue(task.model_dump(mode="json"), {}, split, code)
    script, per_token = language(code).script, package_table("sizes")["characters_per_token"]
    return size.tokens * per_token.get(script, per_token["other"]) * BYTES_PER_CHARACTER.get(script, 3)


def _from_catalogue(task: Mapping[str, Any], others: Mapping[str, Any], split: str, code: str) -> Size:
    """The size that `sizes.yaml` gives for a task; a union has the examples of its parts."""
    source = task["source"]
    if "union" in source:
        return total([_from_catalogue(others[name], others, split, code) for name in source["union"]])
    tasks, stand_ins = package_table("sizes")["tasks"], package_table("sizes")["stand_ins"]
    known = tasks.get(task["name"], {})
    counted = source["rows"] if "world" in source else known.get("examples", {})
    examples = counted.get(split, 10_000 if split == "train" else 1_000)
    if task["type"] == "mlm" and "other" not in known:
        return Size(examples, examples, 0.8 * examples * task.get("max_length", 128), True)
    lengths = known if {"en", "other"} & {*known} else tasks[stand_ins.get(task["type"], "xnli")]
    length = lengths.get(code) or lengths.get("other") or lengths["en"]
    sequences = examples * length.get("sequences", 1.0)
    return Size(examples, sequences, sequences * length["mean"], lengths is not known or split not in counted)
