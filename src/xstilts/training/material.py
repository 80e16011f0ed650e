"""What a training is made of: for each task its chosen rows, its English-dev rows, and its head."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from xstilts.context import Context
from xstilts.evaluation.encode import encoded_rows, row_folders
from xstilts.evaluation.predict import beside, run_model
from xstilts.models.batching import epochs, mixture
from xstilts.models.trimming import Trimmed
from xstilts.randomness import generator
from xstilts.tasks import mlm
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.no_answer import fit_threshold, withhold
from xstilts.tasks.task import Task
from xstilts.tasks.types import FINE_TUNED, TaskType, main_metric
from xstilts.training.budget import choose_rows, join, shares, updates
from xstilts.training.loop import Part, Update


@dataclass(frozen=True)
class Material:
    """One task of a training: `encoded` holds its chosen examples, `table` and `dev` its English-dev rows."""

    task: Task
    kind: TaskType
    encoded: Encoded
    examples: int
    epochs: int
    weight: float
    table: pa.Table
    dev: Encoded

    def trimmed(self, vocabulary: Trimmed) -> "Material":
        """The same with the numbers of the rows of the vocabulary that are left."""
        return replace(self, encoded=vocabulary.encoded(self.encoded), dev=vocabulary.encoded(self.dev))


def read_material(
    name: str, arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> Material:
    """The material of one of `arguments["tasks"]`, see `xstilts.training.phases.fine_tune`."""
    told = arguments["tasks"][name]
    task = Task(**told["task"])

    def read(folder: Path) -> tuple[pa.Table, Encoded]:
        return encoded_rows([folder], told["task"], tokenizer, told["max_length"], context.store, arguments["hidden"])

    parts = [read(folder) for folder in row_folders(inputs, told["languages"], f"train.{name}")]
    chosen = choose_rows(
        [table for table, _ in parts], told["examples"], task.parallel, generator(arguments["seed"], "rows", name),
        arguments["anchor_share"],
    )  # fmt: skip
    encoded = join([part for _, part in parts], chosen)
    table, dev = read(inputs[f"dev.{name}"])
    return Material(task, FINE_TUNED[task.type], encoded, len(chosen), told["epochs"], told["weight"], table, dev)


def draw_updates(materials: list[Material], arguments: dict[str, Any]) -> list[Update]:
    """The updates of a training on the materials: epochs of one task, or draws from several by their shares."""
    rng, size, sampling = generator(arguments["seed"], "order"), arguments["batch_size"], arguments["sampling"]
    if len(materials) == 1:
        order = epochs(materials[0].examples, materials[0].epochs, rng)
    else:
        counts = [material.examples for material in materials]
        total = sampling["examples"] or sum(m.examples * m.epochs for m in materials)
        weights = shares(counts, sampling["how"], sampling["temperature"], sampling["cap"])
        order = mixture(np.repeat(np.arange(len(counts)), counts), total, weights, rng)
    return updates([material.encoded for material in materials], order, size)


def raw_text(
    arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context, count: int, number: int
) -> tuple[Part, list[Update]]:
    """Masked language modelling as a part of a training, without its model, and `count` updates of it; all its
    languages have equal shares.

    number: the part's number among those of the training.
    """
    told, seed = arguments["mlm"], arguments["seed"]
    table, encoded = encoded_rows(
        row_folders(inputs, told["languages"], "text"), told["task"], tokenizer, told["max_length"], context.store
    )
    languages = np.array(table["language"].to_pylist())[encoded.rows]
    names, groups = np.unique(languages, return_inverse=True)
    size = arguments["batch_size"]
    drawn = mixture(groups, count * size, np.ones(len(names)), generator(seed, "text"))
    part = Part(None, mlm, encoded, corrupt=mlm.corruption(tokenizer, told["masked"]))
    return part, [{number: drawn[i : i + size]} for i in range(0, len(drawn), size)]


def dev_predictions(model: Any, material: Material, pad_id: int, precision: str, device: torch.device) -> pa.Table:
    """What a model predicts for the English-dev rows."""
    extracted = run_model(model, material.kind, material.dev, pad_id, device, precision)
    return beside(material.table, material.kind.predict(extracted, material.dev, material.table, material.task))


def dev_score(predictions: pa.Table, material: Material) -> float:
    """Score of English-dev predictions in points, by the task's first metric, with the threshold that suits them."""
    metric = main_metric(material.task)
    chosen = withhold(predictions, fit_threshold(predictions)) if material.task.unanswerable else predictions
    return float(material.kind.score(material.kind.statistics(chosen, metric).sum(0), metric))
