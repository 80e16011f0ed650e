"""The training loop, top to bottom; pretraining and fine-tuning differ only in what they hand to it.

Nothing random is carried from one update to the next: dropout and masking of update u are seeded by u, so that a
run that continues from a checkpoint equals one that was never interrupted, bit for bit on one kind of machine.
"""

import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from xstilts.context import Context
from xstilts.errors import STEP_FAILED, XstiltsError
from xstilts.evaluation.predict import autocast
from xstilts.models.batching import micro_batches, to_tensors
from xstilts.randomness import derive, generator
from xstilts.tasks.encoding import IGNORED, Encoded, pad
from xstilts.tasks.types import Trained
from xstilts.training.schedule import Recipe, linear

MICRO_TOKENS = {"cpu": 1024, "cuda": 32768}
"""Tokens of a forward pass: on a processor small groups of similar length waste little on padding and still fill it."""

Corrupt = Callable[[dict[str, np.ndarray], np.random.Generator], None]


def train(
    model: Any, kind: Trained, encoded: Encoded, updates: list[np.ndarray], recipe: Recipe, seed: int, pad_id: int,
    context: Context, corrupt: Corrupt | None = None, score: Callable[[], float] | None = None,
    evaluate_every: int = 0, keep_best: bool = False, checkpoint_seconds: float = 60.0,
) -> list[dict[str, float]]:  # fmt: skip
    """Trains `model` in place on the sequences named by each of `updates` and returns its history.

    The loss of an update is the sum over its examples (or labelled tokens) divided by their number, however the
    update is cut into micro-batches.

    Args:
        corrupt: hides tokens of a batch in place and makes them its labels (masked language modelling).
        score: English-dev score of the model as it is, called every `evaluate_every` updates and at the end.
        keep_best: leaves the weights of the best call of `score` (the earliest of equals), else the last ones.

    Returns one entry per twentieth of the run: update, loss, learning_rate, gradient_norm, padding (its share of what
    was computed) and, where asked for, score.
    """
    device = next(model.parameters()).device
    optimizer = _optimizer(model, recipe)
    state = _State(model, optimizer, context.scratch / "checkpoint.safetensors")
    model.train()
    saved, every = time.monotonic(), max(1, len(updates) // 20)
    budget = recipe.micro_tokens or MICRO_TOKENS[device.type]
    for number in range(state.update, len(updates)):
        batches = _batches(encoded, updates[number], budget, pad_id, corrupt, seed, number)
        rate = recipe.learning_rate * linear(number, len(updates), recipe.warmup)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, norm = _update(model, kind, batches, optimizer, recipe, derive(seed, "dropout", number), device)
        state.update = number + 1
        last = state.update == len(updates)
        measured = score is not None and (last or (evaluate_every and state.update % evaluate_every == 0))
        if state.update % every == 0 or last or measured:
            entry = {"update": state.update, "loss": float(loss), "gradient_norm": float(norm), "learning_rate": rate,
                     "padding": 1 - float(encoded.lengths[updates[number]].sum()) / _size(batches)}  # fmt: skip
            if not math.isfinite(entry["loss"]):
                raise XstiltsError(f"the loss is not finite at update {number + 1}", "training diverged",
                                   "lower the learning rate or warm up for longer", STEP_FAILED)  # fmt: skip
            if measured and score:
                entry["score"] = score()
                model.train()
                if keep_best:
                    state.consider(entry["score"])
            state.history.append(entry)
        context.progress(state.update / len(updates))
        if time.monotonic() - saved > checkpoint_seconds and not last:
            state.save()
            saved = time.monotonic()
    state.restore_best()
    return state.history


def _optimizer(model: Any, recipe: Recipe) -> torch.optim.AdamW:
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, recipe.beta2), eps=1e-8, fused=True)


def _size(batches: list[dict[str, np.ndarray]]) -> int:
    return sum(batch["input_ids"].size for batch in batches)


def _batches(
    encoded: Encoded, indices: np.ndarray, budget: int, pad_id: int, corrupt: Corrupt | None, seed: int, number: int
) -> list[dict[str, np.ndarray]]:
    batches = [pad(encoded, group, pad_id) for group in micro_batches(encoded, indices, budget)]
    if corrupt:
        rng = generator(seed, "masking", number)
        for batch in batches:
            corrupt(batch, rng)
    return batches


def _update(
    model: Any, kind: Trained, batches: list[dict[str, np.ndarray]], optimizer: torch.optim.AdamW, recipe: Recipe,
    seed: int, device: torch.device,
) -> tuple[torch.Tensor, torch.Tensor]:  # fmt: skip
    _seed(seed, device)
    labelled = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
    total = torch.zeros((), device=device)
    for batch in batches:
        tensors = to_tensors(batch, device)
        with autocast(device, recipe.precision):
            logits = kind.forward(model, tensors)
        loss = kind.loss_sum(logits, tensors["labels"]) / max(1, labelled)
        loss.backward()
        total += loss.detach()
    weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = torch.nn.utils.clip_grad_norm_(weights, recipe.clip)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total, norm


def _seed(seed: int, device: torch.device) -> None:
    """As `torch.manual_seed`, without its cost: where no GPU is in use, that notes a stack trace at every call."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


class _State:
    """What a killed run needs to go on: weights, optimiser moments, the best weights so far, and the history."""

    def __init__(self, model: Any, optimizer: torch.optim.AdamW, file: Path) -> None:
        self.model, self.optimizer, self.file = model, optimizer, file
        self.update, self.history, self.best_score = 0, [], -math.inf  # type: tuple[int, list[dict[str, float]], float]
        self.best: dict[str, torch.Tensor] = {}
        if file.is_file():
            with suppress(SafetensorError):  # cut short by a power failure: the run starts again
                self._load()

    def consider(self, score: float) -> None:
        """Keeps the present weights if their score is better than any before."""
        if score > self.best_score:
            self.best_score = score
            self.best = {name: p.detach().cpu().clone() for name, p in self.model.named_parameters()}

    def restore_best(self) -> None:
        """Puts the best weights back, where a score chose them."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in self.best:
                    parameter.copy_(self.best[name])

    def save(self) -> None:
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        notes = json.dumps({"update": self.update, "history": self.history, "best_score": self.best_score})
        temporary = self.file.with_suffix(".partial")
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, {"notes": notes})
        temporary.replace(self.file)

    def _load(self) -> None:
        with safe_open(self.file, "pt") as file:
            notes = json.loads(file.metadata()["notes"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.update, self.history, self.best_score = notes["update"], notes["history"], notes["best_score"]
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                for key in ("step", "exp_avg", "exp_avg_sq"):
                    if f"{key}.{name}" in tensors:
                        place = parameter.device
                        self.optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(place)
        self.best = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("best.")}
