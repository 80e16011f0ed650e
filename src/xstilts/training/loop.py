"""The training loop: one for pretraining, for a single task and for several.

No random state is carried from one update to the next: dropout and masking of update u are seeded by u. A run that
resumes from a checkpoint therefore equals an uninterrupted one bit by bit, on one kind of machine.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.models.batching import micro_batches, to_tensors
from xstilts.models.hardware import MICRO_TOKENS, PACKED_TOKENS, autocast
from xstilts.models.packing import cheap_dropout, packed
from xstilts.randomness import derive, generator
from xstilts.tasks.encoding import IGNORED, Encoded, cross_entropy_sum, pad
from xstilts.tasks.task_types import Trained
from xstilts.training import parallel
from xstilts.training.budget import Update, take
from xstilts.training.checkpoint import State
from xstilts.training.schedule import AVERAGE, Recipe, linear

Corrupt = Callable[[dict[str, np.ndarray], np.random.Generator], None]


@dataclass(frozen=True)
class Part:
    """One task of a training: `model` is its head on the encoder that all parts share.

    weight: factor of its loss; class_weights: of a classification, factors of the loss by label, float32 [labels];
    corrupt: for masked language modelling, masks tokens of a batch in place and makes them its labels.
    """

    model: Any
    kind: Trained
    encoded: Encoded
    weight: float = 1.0
    class_weights: np.ndarray | None = None
    corrupt: Corrupt | None = None


MicroBatch = tuple[Part, dict[str, np.ndarray], float]
"""One forward pass: its part, padded arrays, and the factor of its summed loss."""


def train(
    parts: list[Part], updates: list[Update], recipe: Recipe, seed: int, pad_id: int, context: Context,
    scores: Callable[[], dict[str, float]] | None = None, evaluate_every: int = 0, choose_by: Sequence[str] = (),
    averaged: Collection[int] = (), checkpoint_seconds: float = 60.0,
) -> State:  # fmt: skip
    """Trains the models of all parts in place on the sequences of each of `updates`.

    The loss of an update is the sum over its examples (or labelled tokens) divided by their number, independent of how
    it is cut into micro-batches. If an update has examples of several parts, each part counts by its share of the
    examples, times its weight.

    scores: returns scores of the current model by name; called every `evaluate_every` updates and at the end.
    choose_by: names of scores; for each, the weights of its best call (the earliest of equals) are kept.
    averaged: the updates, counted from 1, whose mean weights are kept as the snapshot `AVERAGE`.

    The models end with the last weights; `State.restore` loads those that a score chose, or their average. The returned
    `history` has an entry for every twentieth of the run: update, loss (the mean since the last entry; of masked text
    only if there is nothing else), learning_rate, gradient_norm and the scores, if they were called. Raises
    XstiltsError if a loss or a gradient norm is not finite.
    """
    models = torch.nn.ModuleList([part.model for part in parts])
    trained = [p for p in models.parameters() if p.requires_grad]
    decayed, others = ([p for p in trained if (p.ndim > 1) == matrix] for matrix in (True, False))
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), eps=1e-8, fused=True)
    state = State(models, optimizer, context.scratch / "checkpoint.safetensors")
    if state.discarded:
        context.note(f"the training starts again, because its checkpoint is of no use: {state.discarded}")
    models.train()
    text_alone = all(part.corrupt for part in parts)
    if recipe.gradient_checkpointing:
        parts[0].model.activation_checkpointing_enable({"use_reentrant": False})
    saved, every = time.monotonic(), max(1, len(updates) // 20)
    with packed(models[0]) as unpadded, cheap_dropout(models):
        for number in range(state.update, len(updates)):
            micro = _micro_batches(parts, updates[number], recipe, unpadded, pad_id, generator(seed, "masking", number))
            rate = recipe.learning_rate * linear(number, len(updates), recipe.warmup)
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss, norm = _update(micro, optimizer, recipe, derive(seed, "dropout", number))
            state.update = number + 1
            state.norms.append(norm)
            if text_alone or not all(part.corrupt for part, _, _ in micro):
                state.losses.append(loss)
            last = state.update == len(updates)
            measured = scores is not None and (last or (evaluate_every and state.update % evaluate_every == 0))
            if state.update % every == 0 or last or measured:
                mean = state.mean_loss(loss)
                _check_finite(state, mean)
                entry = {"update": state.update, "loss": mean, "gradient_norm": float(norm), "learning_rate": rate}
                if measured and scores:
                    entry |= scores()
                    models.train()
                    for name in choose_by:
                        state.keep_best(name, entry[name])
                state.history.append(entry)
            if state.update in averaged:
                state.average(AVERAGE)
            context.progress(state.update / len(updates))
            if time.monotonic() - saved > checkpoint_seconds and not last and parallel.rank() == 0:
                _check_finite(state)
                state.save()
                saved = time.monotonic()
    if recipe.gradient_checkpointing:
        parts[0].model.activation_checkpointing_disable()
    return state


def _check_finite(state: State, loss: float = 0.0) -> None:
    """Raises XstiltsError if the loss or a gradient norm since the last call is not finite: not at every update, which
    would make the processor wait for the GPU."""
    norms = torch.stack(state.norms).tolist() if state.norms else []
    broken = [state.update - len(norms) + 1 + i for i, norm in enumerate(norms) if not math.isfinite(norm)]
    if broken or not math.isfinite(loss):
        what = f"the gradient norm is not finite at update {broken[0]}" if broken else "the loss is not finite"
        hint = "lower the learning rate or warm up for longer"
        raise XstiltsError("not-finite", what, f"the training has diverged by update {state.update}", hint)
    state.norms = []


def _micro_batches(
    parts: list[Part], update: Update, recipe: Recipe, unpadded: bool, pad_id: int, rng: np.random.Generator
) -> list[MicroBatch]:
    """The forward passes of an update; those of each part are scaled so that the parts add up to the update's loss."""
    budgets = PACKED_TOKENS if unpadded else MICRO_TOKENS
    budget = recipe.micro_tokens or budgets[parts[0].model.device.type]
    examples = {p: len(np.unique(parts[p].encoded.examples[indices])) for p, indices in update.items()}
    result = []
    for p, indices in update.items():
        part, encoded, numbers = parts[p], parts[p].encoded, np.arange(len(indices))
        if part.corrupt:  # before the update is cut, so that masks depend neither on the cut nor on the processes
            encoded = take([(encoded, i) for i in indices], numbers)
            tokens = {"input_ids": encoded.ids}
            part.corrupt(tokens, rng)
            encoded, indices = replace(encoded, ids=tokens["input_ids"], labels=tokens["labels"]), numbers
        groups = micro_batches(encoded, indices, budget, not unpadded, parallel.ranks())
        batches = [pad(encoded, group, pad_id) for group in groups]
        labelled = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
        scale = part.weight * examples[p] / sum(examples.values()) / max(1, labelled)
        result += [(part, batch, scale) for batch in batches]
    return result


def _update(
    micro: list[MicroBatch], optimizer: torch.optim.AdamW, recipe: Recipe, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Takes an optimizer step; returns the loss and the gradient norm before clipping."""
    device = micro[0][0].model.device
    seed = derive(seed, parallel.rank()) if parallel.rank() else seed
    torch.default_generator.manual_seed(seed)  # torch.manual_seed would record a stack trace if no GPU is in use
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    total = torch.zeros((), device=device)
    for part, arrays, scale in parallel.local_shard(micro, [arrays["input_ids"].size for _, arrays, _ in micro]):
        tensors = to_tensors(arrays, device)
        with autocast(device, recipe.precision):
            logits = part.kind.forward(part.model, tensors)
        if part.class_weights is None:
            loss = part.kind.loss_sum(logits, tensors["labels"]) * scale
        else:
            factors = torch.from_numpy(part.class_weights).to(device)
            loss = cross_entropy_sum(logits, tensors["labels"], factors) * scale
        loss.backward()
        total += loss.detach()
    weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    parallel.all_reduce(total, weights)
    norm = torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total, norm
