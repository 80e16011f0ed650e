"""The data of a training: for each task its chosen examples and those that weights are chosen by; masked text."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.context import Context
from xstilts.evaluation.encode import encode_examples, example_folders
from xstilts.evaluation.predict import attach_example_ids, run_model
from xstilts.models.batching import epochs, mixture
from xstilts.models.trimming import Trimmed
from xstilts.randomness import generator
from xstilts.tasks import mlm
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.qa import fit_threshold, withhold
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, TaskType, main_metric
from xstilts.training.budget import choose_rows, join, shares, updates
from xstilts.training.loop import Part, Update


@dataclass(frozen=True)
class Examples:
    """Examples that a model is scored on during its training, as a table and as sequences."""

    table: pa.Table
    encoded: Encoded


@dataclass(frozen=True)
class TaskData:
    """One task of a training: `encoded` holds its chosen examples, `dev` its English development examples, and `oracle`
    those in the held-out languages, one entry for each."""

    task: Task
    kind: TaskType
    encoded: Encoded
    examples: int
    epochs: int
    weight: float
    dev: Examples
    oracle: tuple[Examples, ...]

    @property
    def sequences(self) -> list[Encoded]:
        """All sequences that the model sees."""
        return [self.encoded, self.dev.encoded, *(examples.encoded for examples in self.oracle)]

    def trimmed(self, vocabulary: Trimmed) -> "TaskData":
        """The same data with the token ids of the trimmed vocabulary."""
        dev, *oracle = (replace(e, encoded=vocabulary.encoded(e.encoded)) for e in (self.dev, *self.oracle))
        return replace(self, encoded=vocabulary.encoded(self.encoded), dev=dev, oracle=tuple(oracle))

    def predict(self, model: Any, examples: Examples, pad_id: int, precision: str) -> pa.Table:
        """The model's predictions for examples of the task."""
        extracted = run_model(model, self.kind, examples.encoded, pad_id, model.device, precision)
        columns = self.kind.predict(extracted, examples.encoded, examples.table, self.task)
        return attach_example_ids(examples.table, columns)

    def score(self, predictions: pa.Table) -> float:
        """Points of the task's first metric, with the threshold for unanswered questions that suits the predictions."""
        metric = main_metric(self.task)
        chosen = withhold(predictions, fit_threshold(predictions)) if self.task.unanswerable else predictions
        return float(self.kind.score(self.kind.statistics(chosen, metric).sum(0), metric))


def read_task_data(
    name: str, arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> TaskData:
    """The data of one of `arguments["tasks"]`, see `xstilts.training.phases.fine_tune`."""
    settings = arguments["tasks"][name] | {"mask_column": arguments["mask_column"]}
    task = Task(**settings["task"])

    def read(folder: Path) -> Examples:
        return Examples(*encode_examples([folder], settings, tokenizer, context.store))

    parts = [read(folder) for folder in example_folders(inputs, settings["languages"], f"train.{name}")]
    tables, rng = [part.table for part in parts], generator(arguments["seed"], "rows", name)
    chosen = choose_rows(tables, settings["examples"], task.parallel, rng, arguments["anchor_share"])
    return TaskData(
        task=task,
        kind=FINE_TUNED[task.type],
        encoded=join([part.encoded for part in parts], chosen),
        examples=len(chosen),
        epochs=settings["epochs"],
        weight=settings["weight"],
        dev=read(inputs[f"dev.{name}"]),
        oracle=tuple(read(folder) for folder in example_folders(inputs, arguments["oracle"], "oracle")),
    )


def draw_updates(data: list[TaskData], arguments: dict[str, Any], more: int) -> list[Update]:
    """The updates of a training: epochs of a single task, lengthened by `more` updates, or draws from several tasks by
    their shares."""
    rng, size, sampling = generator(arguments["seed"], "order"), arguments["batch_size"], arguments["sampling"]
    counts = [d.examples for d in data]
    if len(data) == 1:
        total = counts[0] * data[0].epochs + more * size
        order = epochs(counts[0], math.ceil(total / counts[0]), rng)[:total]
    else:
        total = sampling["examples"] or sum(d.examples * d.epochs for d in data)
        weights = shares(counts, sampling["how"], sampling["temperature"], sampling["cap"])
        order = mixture(np.repeat(np.arange(len(counts)), counts), total, weights, rng)
    return updates([d.encoded for d in data], order, size)


def draw_text(
    settings: dict[str, Any], inputs: dict[str, Path], name: str, tokenizer: Any, context: Context, examples: int,
    exponent: float, rng: np.random.Generator,
) -> tuple[Part, np.ndarray]:  # fmt: skip
    """Masked language modelling as a part of a training, without its model, and the sequences that it draws.

    Args:
        settings: `task`, `languages`, `max_length` and `masked` (share of tokens); `name`: of the inputs.
        examples: number of draws.
        exponent: of a language's number of sequences in its share; 0 gives equal shares.
    """
    folders = example_folders(inputs, settings["languages"], name)
    table, encoded = encode_examples(folders, settings, tokenizer, context.store)
    groups = np.unique(np.array(table["language"].to_pylist())[encoded.examples], return_inverse=True)[1]
    drawn = mixture(groups, examples, np.bincount(groups).astype(float) ** exponent, rng)
    return Part(None, mlm, encoded, corrupt=mlm.corruption(tokenizer, settings["masked"])), drawn
