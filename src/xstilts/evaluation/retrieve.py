"""The step that finds translations: embeddings of several layers in one pass, choices made on development rows."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encoded_rows, row_folders
from xstilts.evaluation.predict import beside, check_outputs
from xstilts.models.batching import sorted_batches, to_tensors
from xstilts.models.encoders import load_base, load_tokenizer
from xstilts.models.hardware import autocast, choose_device
from xstilts.models.limits import PREDICTED_TOKENS
from xstilts.models.packing import packed
from xstilts.tasks import retrieval
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.mining import fit_threshold
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import main_metric


@dataclass(frozen=True)
class Embedded:
    """Rows of several languages and their vectors, float32 [layers, rows, h]."""

    table: pa.Table
    vectors: np.ndarray

    def language(self, code: str) -> "Embedded":
        """The rows of one language."""
        rows = np.flatnonzero(np.array(self.table["language"].to_pylist()) == code)
        return Embedded(self.table.take(rows), self.vectors[:, rows])


def retrieve(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `predictions.parquet`, and `retrieval.json`: the layer, the pooling, and what was chosen on what.

    arguments: `task`, `languages`, `max_length`, `layers` (0 is the embedding layer), `pooling` ('mean' or 'cls'),
    `dev_languages`, `device`, `precision`; inputs: `model`, `rows.xx` for each language, `dev.xx` for each dev
    language. Of several layers the one with the best mean dev score in the `layer_languages` is taken; where pairs are
    mined, each language's threshold is fitted on its own dev rows.
    """
    task = Task(**arguments["task"])
    model = load_base(inputs["model"]).to(choose_device(arguments["device"]))
    rows = _embedded(model, arguments, inputs, "rows", context)
    chosen: dict[str, Any] = {"layer": arguments["layers"][0], "pooling": arguments["pooling"]}
    thresholds: dict[str, float] = {}
    if arguments["dev_languages"]:
        dev = _embedded(model, arguments, inputs, "dev", context)
        best, thresholds, told = _choose(dev, task, arguments)
        chosen |= {"layer": arguments["layers"][best], **told}
    layer = arguments["layers"].index(chosen["layer"])
    parts = [_found(rows.language(code), task, layer, code, thresholds) for code in arguments["languages"]]
    pq.write_table(pa.concat_tables(parts), out / "predictions.parquet")
    (out / "retrieval.json").write_text(json.dumps(chosen))


def _found(rows: Embedded, task: Task, layer: int, code: str, thresholds: dict[str, float]) -> pa.Table:
    """The predictions for the queries of one language."""
    columns = retrieval.predict(rows.vectors[layer], rows.table, task)
    if task.mining:
        if code not in thresholds:
            raise XstiltsError("bad-file", f"no development rows of '{task.name}' in '{code}'",
                               "the margin from which on pairs are taken is fitted on them, language by language",
                               "give the target a `dev` split that has the language")  # fmt: skip
        kept = columns["score"] >= thresholds[code]
        columns["prediction"] = [p if keep else None for p, keep in zip(columns["prediction"], kept, strict=True)]
    asked = rows.table.filter(pa.array(retrieval.queries(rows.table)))
    return beside(asked, columns)


def _choose(dev: Embedded, task: Task, arguments: dict[str, Any]) -> tuple[int, dict[str, float], dict[str, Any]]:
    """The best layer's position, its thresholds by language, and dev scores in points by layer."""
    means, thresholds, judges = [], [], arguments.get("layer_languages") or arguments["dev_languages"]
    for layer in range(len(arguments["layers"])):
        found = {code: _dev_score(dev.language(code), task, layer) for code in arguments["dev_languages"]}
        means.append(float(np.mean([found[code][0] for code in judges])))
        thresholds.append({code: threshold for code, (_, threshold) in found.items()})
    best = int(np.argmax(means))
    told = {"dev_languages": judges,
            "dev_scores": dict(zip(map(str, arguments["layers"]), means, strict=True)),
            "thresholds": {code: round(t, 6) for code, t in thresholds[best].items() if task.mining}}  # fmt: skip
    return best, thresholds[best], told


def _dev_score(rows: Embedded, task: Task, layer: int) -> tuple[float, float]:
    """Score in points of one language's dev rows at a layer, and the threshold that gives it where pairs are mined."""
    columns = retrieval.predict(rows.vectors[layer], rows.table, task)
    if task.mining:
        gold, predicted = np.array(columns["gold"], object), np.array(columns["prediction"], object)
        paired = np.array([p is not None for p in predicted])
        threshold, f1 = fit_threshold(
            columns["score"][paired], (gold == predicted)[paired], sum(g is not None for g in gold)
        )
        return f1, threshold
    metric = main_metric(task)
    asked = rows.table.filter(pa.array(retrieval.queries(rows.table)))
    return float(retrieval.score(retrieval.statistics(beside(asked, columns), metric).sum(0), metric)), 0.0


def _embedded(model: Any, arguments: dict[str, Any], inputs: dict[str, Path], name: str, context: Context) -> Embedded:
    """The rows of the step's languages ('rows'), or its development rows ('dev'), and their vectors."""
    languages = arguments["languages" if name == "rows" else "dev_languages"]
    tokenizer = load_tokenizer(inputs["model"])
    table, encoded = encoded_rows(
        row_folders(inputs, languages, name), arguments["task"], tokenizer, arguments["max_length"], context.store
    )
    with autocast(model.device, arguments["precision"]):
        vectors = embed(
            model, encoded, tokenizer.pad_token_id, model.device, arguments["layers"], arguments["pooling"], context
        )
    return Embedded(table, vectors)


def embed(
    model: Any, encoded: Encoded, pad_id: int, device: torch.device, layers: list[int], pooling: str = "mean",
    context: Context | None = None,
) -> np.ndarray:  # fmt: skip
    """Hidden states of several layers from one pass, float32 [layers, n, h]: the mean over a sequence's tokens, or its
    first token ('cls')."""
    deepest = model.config.num_hidden_layers
    if max(layers) > deepest:
        raise XstiltsError("unknown-name", f"there is no layer {max(layers)}", f"the encoder has {deepest} layers, counted from 1",
                           "lower `layers` of the target")  # fmt: skip
    vectors = np.empty((len(layers), len(encoded), model.config.hidden_size), np.float32)
    done = 0
    model.eval()
    with torch.inference_mode(), packed(model):
        for indices, batch in sorted_batches(encoded, pad_id, PREDICTED_TOKENS[device.type]):
            tensors = to_tensors(batch, device)
            tensors.pop("labels")
            states = model(**tensors, output_hidden_states=True).hidden_states
            hidden = torch.stack([states[layer] for layer in layers]).float()
            mask = tensors.get("attention_mask", torch.ones_like(tensors["input_ids"]))[..., None]
            pooled = hidden[:, :, 0] if pooling == "cls" else (hidden * mask).sum(2) / mask.sum(1)
            check_outputs(pooled)
            vectors[:, indices] = pooled.cpu().numpy()
            done += len(indices)
            if context:
                context.progress(done / len(encoded))
    return vectors
