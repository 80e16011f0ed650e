"""The step that retrieves by embeddings: all layers in one pass, choices made on development examples."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encode_examples
from xstilts.evaluation.predict import attach_example_ids, check_outputs
from xstilts.models.batching import sorted_batches
from xstilts.models.encoders import load_base, load_tokenizer
from xstilts.models.hardware import PREDICTED_TOKENS, autocast, choose_device
from xstilts.models.packing import packed
from xstilts.tasks import retrieval
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import main_metric


@dataclass(frozen=True)
class Embedded:
    """Examples of several languages and their vectors, float32 [layers, examples, h]."""

    table: pa.Table
    vectors: np.ndarray

    def language(self, code: str) -> "Embedded":
        """The examples of one language."""
        chosen = np.flatnonzero(np.array(self.table["language"].to_pylist()) == code)
        return Embedded(self.table.take(chosen), self.vectors[:, chosen])

    def predict(self, task: Task, layer: int) -> pa.Table:
        """The predictions for the queries by the layer at this position."""
        queries = self.table.filter(pa.array(retrieval.queries(self.table)))
        return attach_example_ids(queries, retrieval.predict(self.vectors[layer], self.table, task))

    def predictions(self, task: Task, layer: int, codes: list[str]) -> Iterator[tuple[str, pa.Table]]:
        """Yield each language with the predictions for its queries: among its own candidates or, if the task is pooled,
        among those of all languages."""
        whole = self.predict(task, layer) if task.pooled else None
        for code in codes:
            if whole is None:
                yield code, self.language(code).predict(task, layer)
            else:
                yield code, whole.filter(pc.equal(whole["language"], code))


def retrieve(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes `predictions.parquet`, and `retrieval.json`: the layer, the pooling, and the scores that chose them.

    arguments: `task`, `languages`, `max_length`, `layers` (0 is the embedding layer), `pooling` ('mean' or 'cls'),
    `dev_languages`, `device`, `precision`, possibly `prefixes` of the texts of each side; inputs: `model`, `rows.xx`
    for each language, `dev.xx` for each dev language. Of several layers, the one with the best mean dev score in the
    `layer_languages` is used. If pairs are mined, the threshold of each language is fitted on its dev examples.
    """
    task, layers = Task(**arguments["task"]), arguments["layers"]
    model = load_base(inputs["model"]).to(choose_device(arguments["device"]))
    tokenizer, pooling = load_tokenizer(inputs["model"]), arguments["pooling"]

    total = len(arguments["languages"]) + len(arguments["dev_languages"])

    def embedded(languages: list[str], prefix: str, done: int = 0) -> Embedded:
        def progress(share: float) -> None:
            context.progress((done + share * len(languages)) / total)

        folders = [inputs[f"{prefix}.{code}"] for code in languages]
        table, encoded = encode_examples(folders, arguments, tokenizer, context.store)
        pad_id, device = tokenizer.pad_token_id, model.device
        with autocast(device, arguments["precision"]):
            return Embedded(table, embed(model, encoded, pad_id, device, layers, pooling, progress))

    test = embedded(arguments["languages"], "rows")
    position, thresholds, choice = 0, dict[str, float](), dict[str, Any]()
    if arguments["dev_languages"]:
        dev = embedded(arguments["dev_languages"], "dev", len(arguments["languages"]))
        position, thresholds, choice = _choose(dev, task, arguments)
    parts = []
    for code, table in test.predictions(task, position, arguments["languages"]):
        if task.mining and code not in thresholds:
            what = f"task '{task.name}' has no development examples in '{code}'"
            why = "the threshold of mined pairs is fitted on them, language by language"
            raise XstiltsError("missing-data", what, why, "give the target a `dev` split that has the language")
        if task.mining:
            mined = pa.array(table["score"].to_numpy() >= thresholds[code])
            kept = pc.if_else(mined, table["prediction"].cast(pa.string()), None)
            table = table.set_column(table.column_names.index("prediction"), "prediction", kept)
        parts.append(table)
    pq.write_table(pa.concat_tables(parts), out / "predictions.parquet")
    summary = {"layer": layers[position], "pooling": pooling, **choice}
    (out / "retrieval.json").write_text(json.dumps(summary))


def _choose(dev: Embedded, task: Task, arguments: dict[str, Any]) -> tuple[int, dict[str, float], dict[str, Any]]:
    """The best layer's position, its thresholds by language, and a summary with mean dev scores in points by layer."""
    means, judges, metric = [], arguments.get("layer_languages") or arguments["dev_languages"], main_metric(task)
    thresholds: list[dict[str, float]] = []
    for layer in range(len(arguments["layers"])):
        scores = {}
        thresholds.append({})
        for code, table in dev.predictions(task, layer, arguments["dev_languages"]):
            if task.mining:
                gold, predicted = (np.array(table[name].to_pylist(), object) for name in ("gold", "prediction"))
                paired, pairs = np.array([p is not None for p in predicted]), sum(g is not None for g in gold)
                margins = table["score"].to_numpy()[paired]
                fitted = retrieval.fit_threshold(margins, (gold == predicted)[paired], pairs)
                thresholds[layer][code], scores[code] = fitted
            else:
                statistics = retrieval.statistics(table, metric)
                scores[code] = float(retrieval.score(statistics.sum(0), metric))
        means.append(float(np.mean([scores[code] for code in judges])))
    best = int(np.argmax(means))
    summary = {
        "dev_languages": judges,
        "dev_scores": dict(zip(map(str, arguments["layers"]), means, strict=True)),
        "thresholds": {code: round(threshold, 6) for code, threshold in thresholds[best].items()},
    }
    return best, thresholds[best], summary


def embed(
    model: Any, encoded: Encoded, pad_id: int, device: torch.device, layers: list[int], pooling: str = "mean",
    progress: Callable[[float], None] = lambda share: None,
) -> np.ndarray:  # fmt: skip
    """Hidden states of several layers from one pass, float32 [layers, n, h]: the mean over a sequence's tokens, or its
    first token ('cls'). Raises XstiltsError for a layer that the encoder lacks or vectors that are not finite."""
    deepest = model.config.num_hidden_layers
    if max(layers) > deepest:
        what, why = f"there is no layer {max(layers)}", f"the encoder has {deepest} layers, counted from 1"
        raise XstiltsError("bad-setting", what, why, "lower `layers` of the target")
    vectors = np.empty((len(layers), len(encoded), model.config.hidden_size), np.float32)
    model.eval()
    with torch.inference_mode(), packed(model) as pack:
        budget = PREDICTED_TOKENS[device.type]
        for indices, tensors in sorted_batches(encoded, pad_id, budget, device, pack, progress):
            tensors.pop("labels")
            states = model(**tensors, output_hidden_states=True).hidden_states
            hidden = torch.stack([states[layer] for layer in layers]).float()
            mask = tensors.get("attention_mask", torch.ones_like(tensors["input_ids"]))[..., None]
            pooled = hidden[:, :, 0] if pooling == "cls" else (hidden * mask).sum(2) / mask.sum(1)
            check_outputs(pooled)
            vectors[:, indices] = pooled.cpu().numpy()
    return vectors
