"""The steps that train: pretraining from scratch, and fine-tuning on an intermediate or a target task."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.context import Context
from xstilts.evaluation.encode import encoded_rows, row_folders
from xstilts.evaluation.predict import beside, run_model
from xstilts.models.batching import epochs, mixture
from xstilts.models.encoders import choose_device, load_tokenizer, new_encoder, save, with_head
from xstilts.models.trimming import merge, trim
from xstilts.randomness import derive, generator
from xstilts.tasks import mlm
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.no_answer import fit_threshold, withhold
from xstilts.tasks.task import Task
from xstilts.tasks.types import FINE_TUNED, main_metric
from xstilts.training.budget import choose_rows, join, updates
from xstilts.training.loop import Part, train
from xstilts.training.parallel import rank, shared_out
from xstilts.training.schedule import Recipe, decay, kept_update


@shared_out
def pretrain(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a masked language model trained from random weights on the text of all languages.

    arguments: `config` (a `transformers` configuration), `task`, `languages`, `updates`, `batch_size`, `masked`
    (share of tokens), `exponent` (of a language's size in its share), `max_length`, `recipe`, `seed`, `device`;
    inputs: `vocabulary`, `rows.xx` for each language. With no updates it is the encoder with random weights.
    """
    seed, device = arguments["seed"], choose_device(arguments["device"])
    tokenizer = load_tokenizer(inputs["vocabulary"])
    table, encoded = encoded_rows(
        row_folders(inputs, arguments["languages"]), arguments["task"], tokenizer, arguments["max_length"],
        context.store,
    )  # fmt: skip
    model = new_encoder(arguments["config"], tokenizer, derive(seed, "weights")).to(device)
    groups = np.unique(np.array(table["language"].to_pylist())[encoded.rows], return_inverse=True)[1]
    size, count = arguments["batch_size"], arguments["updates"]
    drawn = mixture(groups, size * count, arguments["exponent"], generator(seed, "order"))
    part = Part(model, mlm, encoded, corrupt=mlm.corruption(tokenizer, arguments["masked"]))
    batches = [{0: sequences} for sequences in drawn.reshape(count, size)]
    history = train([part], batches, Recipe(**arguments["recipe"]), seed, tokenizer.pad_token_id, context)
    save(model, tokenizer, out)
    tokens = int(encoded.lengths[drawn].sum())
    (out / "history.json").write_text(json.dumps({"history": history, "updates": count, "tokens": tokens}))


@shared_out
def fine_tune(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes the encoder with a head trained on a task in the given languages.

    Where questions may have no answer, the configuration gets the `null_threshold` that is best on English dev.

    arguments: `task`, `languages` (sources), `examples` (None for all), `epochs`, `batch_size`, `max_length`,
    `recipe`, `seed`, `keep` ('best' by English dev, or 'last'), `evaluate_every`, `hidden`, `device`;
    inputs: `encoder`, `train.xx` for each language, `dev`.
    """
    task, seed, device = Task(**arguments["task"]), arguments["seed"], choose_device(arguments["device"])
    kind = FINE_TUNED[task.type]
    encoder = inputs["encoder"]
    tokenizer = load_tokenizer(encoder)
    read = partial(
        encoded_rows,
        task=arguments["task"],
        tokenizer=tokenizer,
        max_length=arguments["max_length"],
        store=context.store,
        hidden=arguments["hidden"],
    )
    parts = [read([folder]) for folder in row_folders(inputs, arguments["languages"], "train")]
    chosen = choose_rows([table for table, _ in parts], arguments["examples"], task.parallel, generator(seed, "rows"))
    encoded = join([part for _, part in parts], chosen)
    model = with_head(encoder, kind.AUTO_CLASS, task.labels, derive(seed, "head")).to(device)
    vars(model.config).pop("null_threshold", None)  # an earlier phase's: it goes with the head that is left behind
    recipe = Recipe(**arguments["recipe"])
    table, dev = read([inputs["dev"]])
    trimmed = trim(model, [encoded, dev], tokenizer.pad_token_id, context.scratch / f"process{rank()}")
    encoded, dev = trimmed.encoded(encoded), trimmed.encoded(dev)

    def dev_predictions() -> pa.Table:
        return _predictions(model, task, (table, dev), tokenizer.pad_token_id, recipe)

    def dev_score() -> float:
        return _score(dev_predictions(), task)

    order = epochs(len(chosen), arguments["epochs"], generator(seed, "order"))
    batches = [{0: sequences} for sequences in updates(encoded, order, arguments["batch_size"])]
    history = train(
        [Part(model, kind, encoded)], batches, recipe, seed, tokenizer.pad_token_id, context,
        score=dev_score, evaluate_every=arguments["evaluate_every"], keep_best=arguments["keep"] == "best",
    )  # fmt: skip
    if task.unanswerable:
        model.config.null_threshold = fit_threshold(dev_predictions())
    merge(trimmed, decay(recipe, len(batches), kept_update(history) if arguments["keep"] == "best" else len(batches)))
    save(model, tokenizer, out)
    tokens = arguments["epochs"] * len(encoded.ids)
    summary = {"history": history, "updates": len(batches), "tokens": tokens, "examples": len(chosen)}
    (out / "history.json").write_text(json.dumps(summary))


def _predictions(model: Any, task: Task, dev: tuple[pa.Table, Encoded], pad_id: int, recipe: Recipe) -> pa.Table:
    table, encoded = dev
    kind = FINE_TUNED[task.type]
    device = next(model.parameters()).device
    extracted = run_model(model, kind, encoded, pad_id, device, recipe.precision)
    return beside(table, kind.predict(extracted, encoded, table, task))


def _score(dev: pa.Table, task: Task) -> float:
    """Score of English-dev predictions in points, by the task's first metric, with the threshold that suits them."""
    kind, metric = FINE_TUNED[task.type], main_metric(task)
    chosen = withhold(dev, fit_threshold(dev)) if task.unanswerable else dev
    return float(kind.score(kind.statistics(chosen, metric).sum(0), metric))
