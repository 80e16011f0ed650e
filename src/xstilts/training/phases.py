"""The steps that train: pretraining from scratch, and fine-tuning on intermediate or target tasks."""

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from xstilts.context import Context
from xstilts.models.encoders import load_tokenizer, new_encoder, save, share_encoder, with_head, with_mlm_head
from xstilts.models.hardware import choose_device
from xstilts.models.lora import adapters_merged, add_adapters
from xstilts.models.trimming import merged, trim
from xstilts.randomness import derive, generator
from xstilts.tasks.qa import fit_threshold
from xstilts.training.budget import Update
from xstilts.training.loop import train
from xstilts.training.parallel import distributed, rank
from xstilts.training.schedule import AVERAGE, DEV, ORACLE, Recipe, averaged_updates, between_evaluations, decay
from xstilts.training.task_data import TaskData, draw_text, read_training
from xstilts.training.update import Part


@distributed
def pretrain(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes a masked language model trained from random weights on the text of all languages.

    arguments: `config` (a `transformers` configuration), `task`, `languages`, `updates`, `batch_size`, `masked`
    (share of tokens), `exponent` (of a language's size in its share), `max_length`, `recipe`, `seed`, `device`;
    inputs: `vocabulary`, `rows.xx` for each language. Without updates it is the encoder with random weights.
    """
    seed, size, count = arguments["seed"], arguments["batch_size"], arguments["updates"]
    tokenizer, device = load_tokenizer(inputs["vocabulary"]), choose_device(arguments["device"])
    folders, rng = [inputs[f"rows.{code}"] for code in arguments["languages"]], generator(seed, "order")
    text, drawn = draw_text(arguments, folders, tokenizer, context, size * count, rng)
    model = new_encoder(arguments["config"], tokenizer, derive(seed, "weights")).to(device)
    parts, batches = [replace(text, model=model)], [{0: sequences} for sequences in drawn.reshape(count, size)]
    history = train(parts, batches, Recipe(**arguments["recipe"]), seed, tokenizer.pad_token_id, context).history
    save(model, tokenizer, out)
    tokens = int(text.encoded.lengths[drawn].sum())
    (out / "history.json").write_text(json.dumps({"history": history, "updates": count, "tokens": tokens}))


@distributed
def fine_tune(arguments: dict[str, Any], inputs: dict[str, Path], out: Path, context: Context) -> None:
    """Writes the encoder trained on one or several tasks in the given languages, under the head of the first task.

    If questions may have no answer, the configuration gets the `null_threshold` that is best on English dev. If an
    oracle is asked for, `oracle/` holds the same model with the weights that are best in held-out languages.

    arguments: `tasks`, by name a mapping of `task`, `languages` (sources), `examples` (None for all), `epochs`,
    `max_length`, `weight` (of its loss) and, unless labels count equally, `class_weights` ('balanced'); `sampling` of
    several tasks, a mapping of `how`, `temperature`, `cap` and `examples` (None for as many as all have); `mlm`, masked
    language modelling mixed in, or None: a mapping of `task`, `languages`, `share` (of the updates; 1 leaves the tasks
    out), `masked`, `max_length`; `anchor_share` (of the examples that are in the first language, 0 for equal shares of
    all languages); `batch_size`, `recipe`, `seed`, `checkpoint` ('best' by English dev, 'last', or 'average', see
    `averaged_updates`), `evaluate_every` (updates; 0 is a tenth of all if weights are chosen), `oracle` (languages
    whose dev examples choose weights a second time), `mask_column`, `device`; `shots`, if there are any: languages of
    more examples of the first task, all of which are used; and, unless all weights are trained, `lora`: the `rank`,
    `alpha` and `dropout` of adapters, which are merged into the weights that are written;
    inputs: `encoder`, `train.task.xx` for each task and language, `dev.task`, `text.xx`, `oracle.xx`, `shots.xx`, and
    `longer`: a training whose number of updates is added to this one.
    """
    seed, device, recipe = arguments["seed"], choose_device(arguments["device"]), Recipe(**arguments["recipe"])
    tokenizer, lora, checkpoint = load_tokenizer(inputs["encoder"]), arguments.get("lora"), arguments["checkpoint"]
    pad_id = tokenizer.pad_token_id
    data, text, batches = read_training(arguments, inputs, tokenizer, context)
    models = _with_heads(inputs["encoder"], data, bool(text), lora, seed, device)
    trimmed = None
    if not text:  # masked language modelling needs the softmax over the whole vocabulary
        scratch = context.scratch / f"process{rank()}"
        trimmed = trim(models[0], [encoded for d in data for encoded in d.sequences], pad_id, scratch)
        data = [d.trimmed(trimmed) for d in data]

    def dev_score() -> float:
        pairs = zip(models, data, strict=False)
        return float(np.mean([d.score(model, d.dev, pad_id, recipe.precision) for model, d in pairs]))

    def scores() -> dict[str, float]:
        oracle = [data[0].score(models[0], examples, pad_id, recipe.precision) for examples in data[0].oracle]
        return {DEV: dev_score()} | ({ORACLE: float(np.mean(oracle))} if oracle else {})

    parts = [Part(m, d.kind, d.encoded, d.weight, d.class_weights) for m, d in zip(models, data, strict=False)]
    parts += [replace(part, model=models[-1]) for part in text]
    choose_by = [DEV] * (checkpoint == "best") + [ORACLE] * bool(arguments["oracle"]) if data else []
    averaged = averaged_updates(len(batches)) if checkpoint == "average" else []
    every = between_evaluations(arguments["evaluate_every"], len(batches), bool(choose_by))
    state = train(parts, batches, recipe, seed, pad_id, context, scores if data else None, every, choose_by, averaged)

    used = AVERAGE if averaged else DEV if DEV in choose_by else ""  # the last weights
    dev = state.snapshots[DEV].score if used == DEV else state.history[-1].get(DEV)
    for snapshot, folder in ({used: out} | ({ORACLE: out / ORACLE} if ORACLE in choose_by else {})).items():
        updates = state.restore(snapshot) if snapshot else (len(batches),)
        if snapshot == AVERAGE and data:
            dev = dev_score()
        if len(data) == 1 and data[0].task.unanswerable:
            predictions = data[0].predict(models[0], data[0].dev, pad_id, recipe.precision)
            models[0].config.null_threshold = fit_threshold(predictions)
        shrunk = 1.0 if lora else float(np.mean([decay(recipe, len(batches), update) for update in updates]))
        with (
            merged(trimmed, shrunk) if trimmed else nullcontext(),
            adapters_merged(models[0]) if lora else nullcontext(),
        ):
            save(models[0], tokenizer, folder)
    summary = {"history": state.history, "dev_score": dev, **_budget(parts, batches)}
    (out / "history.json").write_text(json.dumps(summary))


def _budget(parts: list[Part], batches: list[Update]) -> dict[str, int]:
    """Updates, tokens, and different examples, those of masked text left out."""
    drawn = [(p, parts[p], sequences) for batch in batches for p, sequences in batch.items()]
    tokens = sum(int(part.encoded.lengths[sequences].sum()) for _, part, sequences in drawn)
    examples = {(p, e) for p, part, s in drawn if not part.corrupt for e in part.encoded.examples[s].tolist()}
    return {"updates": len(batches), "tokens": tokens, "examples": len(examples)}


def _with_heads(
    encoder: Path, data: list[TaskData], text: bool, lora: dict[str, Any] | None, seed: int, device: torch.device
) -> list[Any]:
    """A model for each task, and one for masked text, whose heads share one encoder, with adapters if `lora` has their
    settings."""
    models: list[Any] = []
    for d in data:
        head, problem = derive(seed, "head", d.task.name), d.kind.PROBLEM_TYPE
        models.append(with_head(encoder, d.kind.AUTO_CLASS, d.task.labels, head, problem_type=problem))
        share_encoder(models)  # at once, so that memory never holds several encoders
    if text:
        models.append(with_mlm_head(encoder))
        share_encoder(models)
    if lora:
        add_adapters(models[0], **lora, seed=derive(seed, "lora"))
    for model in models:
        model.to(device)
        vars(model.config).pop("null_threshold", None)  # it belongs to the head of an earlier phase
    return models
