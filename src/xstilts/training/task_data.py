"""The data of a training: chosen examples of each task, examples that weights are chosen by, masked text, updates."""

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encode_examples
from xstilts.evaluation.predict import attach_example_ids, run_model
from xstilts.models.batching import epochs, mixture
from xstilts.models.trimming import Trimmed
from xstilts.randomness import generator
from xstilts.tasks import mlm
from xstilts.tasks.encoding import IGNORED, Encoded
from xstilts.tasks.qa import fit_threshold, withhold
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, TaskType, main_metric
from xstilts.training.budget import Update, choose_rows, interleave, join, shares, updates
from xstilts.training.update import Part

Examples = tuple[pa.Table, Encoded]
"""Examples that a model is scored on during its training, and their sequences."""


@dataclass(frozen=True)
class TaskData:
    """One task of a training: `encoded` holds its chosen examples, `dev` its English development examples, and `oracle`
    those in the held-out languages, one entry for each; `class_weights` float32 [labels], None for equal ones."""

    task: Task
    kind: TaskType
    encoded: Encoded
    examples: int
    epochs: int
    weight: float
    class_weights: np.ndarray | None
    dev: Examples
    oracle: tuple[Examples, ...]

    @property
    def sequences(self) -> list[Encoded]:
        """All sequences that the model sees."""
        return [self.encoded, *(encoded for _, encoded in (self.dev, *self.oracle))]

    def trimmed(self, vocabulary: Trimmed) -> "TaskData":
        """The same data with the token ids of the trimmed vocabulary."""
        dev, *oracle = ((table, vocabulary.encoded(encoded)) for table, encoded in (self.dev, *self.oracle))
        return replace(self, encoded=vocabulary.encoded(self.encoded), dev=dev, oracle=tuple(oracle))

    def predict(self, model: Any, examples: Examples, pad_id: int, precision: str) -> pa.Table:
        """The model's predictions for examples of the task."""
        table, encoded = examples
        extracted = run_model(model, self.kind, encoded, pad_id, model.device, precision)
        return attach_example_ids(table, self.kind.predict(extracted, encoded, table, self.task))

    def score(self, model: Any, examples: Examples, pad_id: int, precision: str) -> float:
        """Points of the task's first metric, with the threshold for unanswered questions that is best for them."""
        predictions, metric = self.predict(model, examples, pad_id, precision), main_metric(self.task)
        chosen = withhold(predictions, fit_threshold(predictions)) if self.task.unanswerable else predictions
        return float(self.kind.score(self.kind.statistics(chosen, metric).sum(0), metric))


def read_training(
    arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> tuple[list[TaskData], list[Part], list[Update]]:
    """The tasks that are trained, the masked text mixed in (none or one part, without its model), and the updates.

    These are epochs of a single task, lengthened by the updates of the input `longer`, or draws from several tasks by
    their shares. arguments, inputs: see `xstilts.training.phases.fine_tune`. Raises XstiltsError if the share of masked
    text is no update, or leaves none.
    """
    data = [_read_task(name, arguments, inputs, tokenizer, context) for name in arguments["tasks"]]
    size, sampling, text = arguments["batch_size"], arguments["sampling"], arguments["mlm"]
    counts, rng = [d.examples for d in data], generator(arguments["seed"], "order")
    if len(data) == 1:
        longer = json.loads((inputs["longer"] / "history.json").read_text())["updates"] if "longer" in inputs else 0
        total = counts[0] * data[0].epochs + longer * size
        order = epochs(counts[0], math.ceil(total / counts[0]), rng)[:total]
    else:
        total = sampling["examples"] or sum(d.examples * d.epochs for d in data)
        weights = shares(counts, sampling["how"], sampling["temperature"], sampling["cap"])
        order = mixture(np.repeat(np.arange(len(counts)), counts), total, weights, rng)
    batches = updates([d.encoded for d in data], order, size)
    if not text:
        return data, [], batches
    count = round(text["share"] * len(batches))
    if count == 0 or (count == len(batches) and text["share"] < 1):
        what = f"a share of {text['share']:g} of {len(batches)} updates is {count}"
        why = "masked text is mixed into a training by whole updates, and the task needs some too"
        raise XstiltsError("inconsistent", what, why, "give the arm another `share`, or the training more examples")
    data = data if count < len(batches) else []
    folders, rng = [inputs[f"text.{code}"] for code in text["languages"]], generator(arguments["seed"], "text")
    part, drawn = draw_text(text, folders, tokenizer, context, count * size, rng)
    masked = [{len(data): drawn[i : i + size]} for i in range(0, len(drawn), size)]
    return data, [part], interleave(batches[: len(batches) - count], masked)


def _read_task(
    name: str, arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> TaskData:
    settings = arguments["tasks"][name] | {"mask_column": arguments["mask_column"]}
    task = Task(**settings["task"])

    def read(languages: list[str], prefix: str) -> list[Examples]:
        folders = [inputs[f"{prefix}.{code}"] for code in languages]
        return [encode_examples([folder], settings, tokenizer, context.store) for folder in folders]

    languages, shots = settings["languages"], arguments.get("shots", [])
    tables, parts = zip(*read(languages, f"train.{name}"), *read(shots, "shots"), strict=True)
    count, rng = len(languages), generator(arguments["seed"], "rows", name)
    chosen = choose_rows(list(tables[:count]), settings["examples"], task.parallel, rng, arguments["anchor_share"])
    chosen += [(t, row) for t, table in enumerate(tables[count:], count) for row in range(len(table))]
    encoded = join(list(parts), chosen)
    balanced = settings.get("class_weights") == "balanced"
    return TaskData(
        task=task,
        kind=FINE_TUNED[task.type],
        encoded=encoded,
        examples=len(chosen),
        epochs=settings["epochs"],
        weight=settings["weight"],
        class_weights=balanced_weights(encoded.labels, len(task.labels)) if balanced else None,
        dev=encode_examples([inputs[f"dev.{name}"]], settings, tokenizer, context.store),
        oracle=tuple(read(arguments["oracle"], "oracle")),
    )


def balanced_weights(labels: np.ndarray, count: int) -> np.ndarray:
    """The weight n / (k * examples of the label) of each of `count` labels, float32, for the int labels [n] of which k
    occur: those of `class_weight="balanced"` in scikit-learn (King and Zeng 2001). Their mean over the examples is 1. A
    label that does not occur has weight 0.

    >>> balanced_weights(np.array([0, 0, 1, 1, 1, 1]), 2).tolist()
    [1.5, 0.75]
    """
    counts = np.bincount(labels[labels != IGNORED], minlength=count)
    return (counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1)) * (counts > 0)).astype(np.float32)


def draw_text(
    settings: dict[str, Any], text: list[Path], tokenizer: Any, context: Context, draws: int, rng: np.random.Generator
) -> tuple[Part, np.ndarray]:
    """Masked language modelling as a part of a training, without its model, and `draws` numbers of its sequences.

    settings: `task`, `max_length`, `masked` (share of tokens) and, for other than equal shares of all languages,
    `exponent` (of a language's number of sequences in its share).
    """
    table, encoded = encode_examples(text, settings, tokenizer, context.store)
    groups = np.unique(np.array(table["language"].to_pylist())[encoded.examples], return_inverse=True)[1]
    drawn = mixture(groups, draws, np.bincount(groups).astype(float) ** settings.get("exponent", 0.0), rng)
    return Part(None, mlm, encoded, corrupt=mlm.corruption(tokenizer, settings["masked"])), drawn
