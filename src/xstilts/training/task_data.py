"""What a training is made of: for each task its chosen rows, the rows that weights are chosen by, and its head."""

import math
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
from xstilts.tasks.task_types import FINE_TUNED, TaskType, main_metric
from xstilts.training.budget import choose_rows, join, shares, updates
from xstilts.training.loop import Part, Update


@dataclass(frozen=True)
class Rows:
    """Rows that a model is scored on as it is trained, as they are and as sequences."""

    table: pa.Table
    encoded: Encoded


@dataclass(frozen=True)
class TaskData:
    """One task of a training: `encoded` holds its chosen examples, `dev` its English-dev rows, and `oracle` dev rows in
    the held-out languages, one entry for each."""

    task: Task
    kind: TaskType
    encoded: Encoded
    examples: int
    epochs: int
    weight: float
    dev: Rows
    oracle: tuple[Rows, ...]

    @property
    def sequences(self) -> list[Encoded]:
        """All that the model comes to see."""
        return [self.encoded, self.dev.encoded, *(rows.encoded for rows in self.oracle)]

    def trimmed(self, vocabulary: Trimmed) -> "TaskData":
        """The same with the numbers of the rows of the vocabulary that are left."""
        dev, *oracle = (replace(r, encoded=vocabulary.encoded(r.encoded)) for r in (self.dev, *self.oracle))
        return replace(self, encoded=vocabulary.encoded(self.encoded), dev=dev, oracle=tuple(oracle))


def read_material(
    name: str, arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> TaskData:
    """The material of one of `arguments["tasks"]`, see `xstilts.training.phases.fine_tune`."""
    told = arguments["tasks"][name]
    task = Task(**told["task"])

    def read(folder: Path) -> Rows:
        return Rows(*encoded_rows(
            [folder], told["task"], tokenizer, told["max_length"], context.store, arguments["mask_column"]
        ))  # fmt: skip

    parts = [read(folder) for folder in row_folders(inputs, told["languages"], f"train.{name}")]
    chosen = choose_rows(
        [part.table for part in parts], told["examples"], task.parallel, generator(arguments["seed"], "rows", name),
        arguments["anchor_share"],
    )  # fmt: skip
    encoded = join([part.encoded for part in parts], chosen)
    oracle = tuple(read(folder) for folder in row_folders(inputs, arguments["oracle"], "oracle"))
    return TaskData(task, FINE_TUNED[task.type], encoded, len(chosen), told["epochs"], told["weight"],
                    read(inputs[f"dev.{name}"]), oracle)  # fmt: skip


def draw_updates(materials: list[TaskData], arguments: dict[str, Any], more: int) -> list[Update]:
    """The updates of a training on the materials: epochs of one task, lengthened by `more` updates, or draws from
    several by their shares."""
    rng, size, sampling = generator(arguments["seed"], "order"), arguments["batch_size"], arguments["sampling"]
    if len(materials) == 1:
        count = materials[0].examples
        total = count * materials[0].epochs + more * size
        order = epochs(count, math.ceil(total / count), rng)[:total]
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
    languages = np.array(table["language"].to_pylist())[encoded.examples]
    names, groups = np.unique(languages, return_inverse=True)
    size = arguments["batch_size"]
    drawn = mixture(groups, count * size, np.ones(len(names)), generator(seed, "text"))
    part = Part(None, mlm, encoded, corrupt=mlm.corruption(tokenizer, told["masked"]))
    return part, [{number: drawn[i : i + size]} for i in range(0, len(drawn), size)]


def dev_predictions(
    model: Any, material: TaskData, rows: Rows, pad_id: int, precision: str, device: torch.device
) -> pa.Table:
    """What a model predicts for rows of the material's task."""
    extracted = run_model(model, material.kind, rows.encoded, pad_id, device, precision)
    return beside(rows.table, material.kind.predict(extracted, rows.encoded, rows.table, material.task))


def dev_score(predictions: pa.Table, material: TaskData) -> float:
    """Score of predictions in points, by the task's first metric, with the threshold that suits them."""
    metric = main_metric(material.task)
    chosen = withhold(predictions, fit_threshold(predictions)) if material.task.unanswerable else predictions
    return float(material.kind.score(material.kind.statistics(chosen, metric).sum(0), metric))
