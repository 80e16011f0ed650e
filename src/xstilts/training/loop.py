"""The training loop: one for pretraining, for a single task and for several.

No random state is carried from one update to the next: dropout and masking of update u are seeded by u. A run that
resumes from a checkpoint therefore equals an uninterrupted one bit by bit, on one kind of machine.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence

import torch

from xstilts.context import Context
from xstilts.errors import XstiltsError
from xstilts.models.packing import cheap_dropout, packed
from xstilts.randomness import derive, generator
from xstilts.training import parallel
from xstilts.training.budget import Update
from xstilts.training.checkpoint import State
from xstilts.training.schedule import AVERAGE, Recipe, linear
from xstilts.training.update import Part, Updater, adamw


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
    optimizer = adamw(models, recipe, parts[0].model.device)
    state = State(models, optimizer, context.scratch / "checkpoint.safetensors")
    if state.discarded:
        context.note(f"the training starts again, because its checkpoint is of no use: {state.discarded}")
    models.train()
    text_alone = all(part.corrupt for part in parts)
    if recipe.gradient_checkpointing:
        parts[0].model.activation_checkpointing_enable({"use_reentrant": False})
    saved, every = time.monotonic(), max(1, len(updates) // 20)
    with packed(models[0], recipe.precision) as pack, cheap_dropout(models):
        updater = Updater(parts, updates, optimizer, recipe, pad_id, pack)
        for number in range(state.update, len(updates)):
            passes = updater.prepare(updates[number], generator(seed, "masking", number))
            rate = recipe.learning_rate * linear(number, len(updates), recipe.warmup)
            loss, norm = updater.take(passes, rate, derive(seed, "dropout", number))
            state.update = number + 1
            state.norms.append(norm)
            if text_alone or not all(parts[each.part].corrupt for each in passes):
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
