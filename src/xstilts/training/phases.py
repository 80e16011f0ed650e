"""The steps that train: pretraining from scratch, and fine-tuning on an intermediate or a target task."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encoded_rows, row_folders
from xstilts.models.batching import mixture
from xstilts.models.encoders import (
    load_tokenizer,
    new_encoder,
    save,
    share_encoder,
    with_head,
    with_mlm_head,
)
from xstilts.models.hardware import choose_device
from xstilts.models.trimming import merged, trim
from xstilts.randomness import derive, generator
from xstilts.tasks import mlm
from xstilts.tasks.no_answer import fit_threshold
from xstilts.training.budget import interleave
from xstilts.training.loop import Part, Update, train
from xstilts.training.parallel import distributed, rank
from xstilts.training.schedule import DEV, ORACLE, Recipe, between_evaluations, decay
from xstilts.training.task_data import Rows, TaskData, dev_predictions, dev_score, draw_updates, raw_text, read_material


@distributed
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
    groups = np.unique(np.array(table["language"].to_pylist())[encoded.examples], return_inverse=True)[1]
    size, count = arguments["batch_size"], arguments["updates"]
    weights = np.bincount(groups).astype(float) ** arguments["exponent"]
    drawn = mixture(groups, size * count, weights, generator(seed, "order"))
    part = Part(model, mlm, encoded, corrupt=mlm.corruption(tokenizer, arguments["masked"]))
    batches = [{0: sequences} for sequences in drawn.reshape(count, size)]
    history = train([part], batches, Recipe(**arguments["recipe"]), seed, tokenizer.pad_token_id, context).history
    save(model, tokenizer, out)
    tokens = int(encoded.lengths[drawn].sum())
    (out / "history.json").write_text(json.dumps({"history": history, "updates": count, "tokens": tokens}))


@distributed
def fine_tune(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes the encoder trained on one task or several, in the given languages, under the head of the first.

    Where questions may have no answer, the configuration gets the `null_threshold` that is best on English dev. In
    `oracle/` is the same model with the weights that are best in languages that are evaluated, if it is asked for.

    arguments: `tasks`, by name a mapping of `task`, `languages` (sources), `examples` (None for all), `epochs`,
    `max_length` and `weight` (of its loss); `sampling` of several tasks, a mapping of `how`, `temperature`, `cap` and
    `examples` (None for as many as all have); `mlm`, masked language modelling mixed in, or None: a mapping of `task`,
    `languages`, `share` (of the updates, 1 leaves the tasks out), `masked`, `max_length`; `anchor_share` (of the
    examples that are in the first language, 0 where all languages have equal shares); `batch_size`, `recipe`, `seed`,
    `checkpoint` ('best' by English dev, or 'last'), `evaluate_every` (updates; 0 is a tenth of all where weights are chosen),
    `oracle` (languages by whose dev rows weights are chosen a second time), `mask_column`, `device`;
    inputs: `encoder`, `train.task.xx` for each task and language, `dev.task`, `text.xx`, `oracle.xx`, and `longer`: a
    training by whose updates this one is lengthened.
    """
    seed, device, recipe = arguments["seed"], choose_device(arguments["device"]), Recipe(**arguments["recipe"])
    tokenizer = load_tokenizer(inputs["encoder"])
    pad_id = tokenizer.pad_token_id
    materials, text, batches = _drawn(arguments, inputs, tokenizer, context)
    models = _heads(inputs["encoder"], materials, bool(text), seed, device)
    trimmed = None
    if not text:  # with a smaller vocabulary the softmax over it would be another one
        sequences = [encoded for material in materials for encoded in material.sequences]
        trimmed = trim(models[0], sequences, pad_id, context.scratch / f"process{rank()}")
        materials = [material.trimmed(trimmed) for material in materials]

    def predicted(number: int, rows: Rows) -> pa.Table:
        return dev_predictions(models[number], materials[number], rows, pad_id, recipe.precision, device)

    def scores() -> dict[str, float]:
        dev = [dev_score(predicted(i, m.dev), m) for i, m in enumerate(materials)]
        oracle = [dev_score(predicted(0, rows), materials[0]) for rows in materials[0].oracle]
        return {DEV: float(np.mean(dev))} | ({ORACLE: float(np.mean(oracle))} if oracle else {})

    parts = [Part(model, m.kind, m.encoded, m.weight) for model, m in zip(models, materials, strict=False)]
    parts += [replace(part, model=models[-1]) for part in text]
    choose_by = [DEV] * (arguments["checkpoint"] == "best") + [ORACLE] * bool(arguments["oracle"]) if materials else []
    every = between_evaluations(arguments["evaluate_every"], len(batches), bool(choose_by))
    state = train(parts, batches, recipe, seed, pad_id, context, scores if materials else None, every, choose_by)

    def leave(folder: Path, chosen_by: str = "") -> None:
        """Saves the weights that a score has chosen, or the last ones."""
        updates = state.restore(chosen_by) if chosen_by else len(batches)
        if len(materials) == 1 and materials[0].task.unanswerable:
            models[0].config.null_threshold = fit_threshold(predicted(0, materials[0].dev))
        with merged(trimmed, decay(recipe, len(batches), updates)) if trimmed else nullcontext():
            save(models[0], tokenizer, folder)

    leave(out, DEV if DEV in choose_by else "")
    if ORACLE in choose_by:
        leave(out / ORACLE, ORACLE)
    dev = state.best[DEV].score if DEV in state.best else state.history[-1].get(DEV)
    told = {"history": state.history, "dev_score": dev, **_budget(parts, batches)}
    (out / "history.json").write_text(json.dumps(told))


def _drawn(
    arguments: dict[str, Any], inputs: dict[str, Path], tokenizer: Any, context: Context
) -> tuple[list[TaskData], list[Part], list[Update]]:
    """The tasks that are trained, the masked text mixed in (none or one part, without its model), and the updates."""
    materials = [read_material(name, arguments, inputs, tokenizer, context) for name in arguments["tasks"]]
    longer = json.loads((inputs["longer"] / "history.json").read_text())["updates"] if "longer" in inputs else 0
    batches = draw_updates(materials, arguments, longer)
    if not arguments["mlm"]:
        return materials, [], batches
    share = arguments["mlm"]["share"]
    count = round(share * len(batches))
    if count == 0 or (count == len(batches) and share < 1):
        raise XstiltsError("inconsistent", f"a share of {share:g} of {len(batches)} updates is {count}",
                           "masked text is mixed into a training by whole updates, and the task needs some too",
                           "give the arm another `share`, or the training more examples")  # fmt: skip
    kept = materials if count < len(batches) else []
    part, masked = raw_text(arguments, inputs, tokenizer, context, count, len(kept))
    return kept, [part], interleave(batches[: len(batches) - count], masked)


def _heads(encoder: Path, materials: list[TaskData], text: bool, seed: int, device: torch.device) -> list[Any]:
    """A model for each task, and one for masked text, with a head each on one encoder."""
    models: list[Any] = []
    for m in materials:
        models.append(with_head(encoder, m.kind.AUTO_CLASS, m.task.labels, derive(seed, "head", m.task.name)))
        share_encoder(models)  # at once, so that memory never holds an encoder for each
    if text:
        models.append(with_mlm_head(encoder))
        share_encoder(models)
    for model in models:
        model.to(device)
        vars(model.config).pop("null_threshold", None)  # an earlier phase's: it goes with the head that is left behind
    return models


def _budget(parts: list[Part], batches: list[Update]) -> dict[str, Any]:
    """What was trained on: updates, tokens, and different examples, masked text left out."""
    tokens = sum(int(parts[p].encoded.lengths[drawn].sum()) for batch in batches for p, drawn in batch.items())
    seen = {(p, row) for batch in batches for p, drawn in batch.items() for row in parts[p].encoded.examples[drawn].tolist()
            if not parts[p].corrupt}  # fmt: skip
    return {"updates": len(batches), "tokens": tokens, "examples": len(seen)}
