"""The steps that make predictions: by a fine-tuned model, by a trivial baseline."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from xstilts.context import Context
from xstilts.data.prepare import read_examples
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encode_examples
from xstilts.models.batching import sorted_batches
from xstilts.models.encoders import load_model, load_tokenizer, longest_input
from xstilts.models.hardware import PREDICTED_TOKENS, autocast, choose_device, choose_precision, device_class
from xstilts.models.packing import packed
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.qa import withhold
from xstilts.tasks.task import BREAKDOWN, Task
from xstilts.tasks.task_types import FINE_TUNED, TaskType


def predict(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `predictions.parquet`, one row per example of all languages, from one pass sorted by length.

    arguments: `task`, `languages`, `max_length`, `mask_column`, `weights` (the model's folder below that of its step,
    "" for itself), `device`, `precision`; inputs: `model`, `rows.xx`.
    """
    task, device = Task(**arguments["task"]), choose_device(arguments["device"])
    kind, folder = FINE_TUNED[task.type], inputs["model"] / arguments["weights"]
    tokenizer = load_tokenizer(folder)
    folders, precision = [inputs[f"rows.{code}"] for code in arguments["languages"]], arguments["precision"]
    table, encoded = encode_examples(folders, arguments, tokenizer, context.store)
    model = load_model(kind.AUTO_CLASS, folder)[0].to(device)
    extracted = run_model(model, kind, encoded, tokenizer.pad_token_id, device, precision, context.progress)
    predictions = attach_example_ids(table, kind.predict(extracted, encoded, table, task))
    threshold = getattr(model.config, "null_threshold", 0.0)  # absent if all training questions had an answer
    pq.write_table(withhold(predictions, threshold), out / "predictions.parquet")


def predict_examples(
    model: Any, tokenizer: Any, task: Task, table: pa.Table, device: str,
    progress: Callable[[float], None] = lambda share: None,
) -> pa.Table:  # fmt: skip
    """Predictions of a model for examples in the schema of the task type, in their order; device: auto, cpu or cuda."""
    kind, place = FINE_TUNED[task.type], choose_device(device_class(device))
    encoded = kind.encode(table, task, tokenizer, min(task.max_length, longest_input(model, tokenizer)))
    precision = choose_precision(place.type)
    extracted = run_model(model.to(place), kind, encoded, tokenizer.pad_token_id, place, precision, progress)
    predictions = attach_example_ids(table, kind.predict(extracted, encoded, table, task))
    return withhold(predictions, getattr(model.config, "null_threshold", 0.0))


def run_model(
    model: Any, kind: TaskType, encoded: Encoded, pad_id: int, device: torch.device, precision: str,
    progress: Callable[[float], None] = lambda share: None,
) -> list[np.ndarray]:  # fmt: skip
    """What `kind.extract` takes from the logits of each sequence, in the order of the sequences; raises XstiltsError if
    logits are not finite."""
    result: list[np.ndarray] = [np.empty(0)] * len(encoded)
    model.eval()
    with torch.inference_mode(), autocast(device, precision), packed(model, precision) as pack:
        batches = sorted_batches(encoded, pad_id, PREDICTED_TOKENS[device.type], device, pack, progress)
        upcoming = next(batches, None)
        while upcoming:
            indices, tensors = upcoming
            logits = kind.forward(model, tensors)
            upcoming = next(batches, None)  # is padded while a GPU computes
            check_outputs(logits, tensors.get("attention_mask") if logits.ndim == 3 else None)
            for index, value in zip(indices, kind.extract(logits.float(), encoded, indices), strict=True):
                result[index] = value
    return result


def check_outputs(outputs: torch.Tensor, mask: torch.Tensor | None = None) -> None:
    """Raises XstiltsError if an output of a model is NaN or infinite, padding aside if there is a mask."""
    if not (outputs if mask is None else outputs[mask > 0]).isfinite().all():
        what, why = "the outputs of the model are not finite", "predictions from them would be meaningless"
        raise XstiltsError("not-finite", what, why, "lower the learning rate of its training, or use precision fp32")


def baseline(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes the `predictions.parquet` of the task type's trivial baseline.

    arguments: `task`, `languages`; inputs: `train`, `rows.xx` for each language.
    """
    task = Task(**arguments["task"])
    train = read_examples([inputs["train"]])
    table = read_examples([inputs[f"rows.{code}"] for code in arguments["languages"]])
    predictions = attach_example_ids(table, FINE_TUNED[task.type].baseline(train, table, task))
    pq.write_table(predictions, out / "predictions.parquet")


def attach_example_ids(table: pa.Table, columns: dict[str, Any]) -> pa.Table:
    """Columns of predictions with the id, cluster, language and breakdown columns of their examples."""
    ids = {"example_id": table["id"], "cluster_id": table["cluster_id"], "language": table["language"]}
    groups = {name: table[name] for name in table.column_names if name.startswith(BREAKDOWN)}
    return pa.table({**ids, **groups, **columns})
