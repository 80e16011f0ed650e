"""One update: its forward passes are prepared in numpy, their gradients summed, and the optimizer takes a step."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from xstilts.models.batching import micro_batches, to_tensors
from xstilts.models.filling import fill, frame_of
from xstilts.models.hardware import MICRO_TOKENS, PACKED_TOKENS, autocast
from xstilts.models.packing import Batch
from xstilts.randomness import derive
from xstilts.tasks.encoding import IGNORED, Encoded, cross_entropy_sum, pad, places
from xstilts.tasks.task_types import Trained
from xstilts.training import parallel
from xstilts.training.budget import Update
from xstilts.training.replay import Replay
from xstilts.training.schedule import Recipe

Corrupt = Callable[[dict[str, np.ndarray], np.random.Generator], None]

REPLAYED = frozenset({"cuda"})
"""The devices on which starting the operations of an update takes longer than computing them."""


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


class Pass(NamedTuple):
    """One forward pass: the number of its part, its batch (arrays, or tensors on the device), and the factor of its
    summed loss, float32."""

    part: int
    batch: Batch
    scale: Any


def adamw(models: torch.nn.Module, recipe: Recipe, device: torch.device) -> torch.optim.AdamW:
    """The optimizer of the weights that are trained; vectors (biases, norms) do not decay."""
    trained = [p for p in models.parameters() if p.requires_grad]
    decayed, others = ([p for p in trained if (p.ndim > 1) == matrix] for matrix in (True, False))
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    rate = torch.tensor(recipe.learning_rate, device=device) if device.type in REPLAYED else recipe.learning_rate
    return torch.optim.AdamW(groups, rate, (0.9, recipe.beta2), eps=1e-8, fused=True, capturable=device.type == "cuda")


class Updater:
    """Prepares and takes the updates of a training.

    On a GPU, updates of a single bf16 forward pass are filled to few shapes (`frame`) and replayed as a whole.
    """

    def __init__(
        self, parts: Sequence[Part], updates: Sequence[Update], optimizer: torch.optim.AdamW, recipe: Recipe,
        pad_id: int, pack: Callable[[Batch], Batch] | None,
    ) -> None:  # fmt: skip
        """pack: adds the packing to a batch; None for an encoder that runs on padded batches."""
        self.parts, self.optimizer, self.recipe, self.pad_id, self.pack = parts, optimizer, recipe, pad_id, pack
        self.device = parts[0].model.device
        self.budget = recipe.micro_tokens or (PACKED_TOKENS if pack else MICRO_TOKENS)[self.device.type]
        self.weights = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        given = [part.class_weights for part in parts]
        self.factors = [None if each is None else torch.from_numpy(each).to(self.device) for each in given]
        self.frame = frame_of(parts[0].encoded.lengths, [u[0] for u in updates]) if self._may_replay() else None
        if self.frame and self.frame.capacities[-1] > self.budget:
            self.frame = None
        self.replay = Replay(self._take) if self.frame else None

    def _may_replay(self) -> bool:
        part, recipe = self.parts[0], self.recipe
        fits = self.device.type in REPLAYED and recipe.precision == "bf16" and not recipe.gradient_checkpointing
        alone = len(self.parts) == 1 and parallel.ranks() == 1
        return fits and alone and self.pack is not None and not part.corrupt and not part.encoded.together

    def prepare(self, update: Update, rng: np.random.Generator) -> list[Pass]:
        """The forward passes of an update; those of each part are scaled so that the parts add up to its loss."""
        examples = {p: len(np.unique(self.parts[p].encoded.examples[indices])) for p, indices in update.items()}
        result = []
        for p, indices in update.items():
            part, encoded, numbers = self.parts[p], self.parts[p].encoded, np.arange(len(indices))
            if part.corrupt:  # before the update is cut, so that masks depend neither on the cut nor on the processes
                where = places(encoded, indices)
                tokens = {"input_ids": encoded.ids[where]}
                part.corrupt(tokens, rng)
                segments = None if encoded.segments is None else encoded.segments[where]
                offsets = np.concatenate([[0], encoded.lengths[indices].cumsum()])
                encoded = Encoded(tokens["input_ids"], offsets, numbers, tokens["labels"], segments)
                indices = numbers
            groups = micro_batches(encoded, indices, self.budget, not self.pack, parallel.ranks())
            batches = [pad(encoded, group, self.pad_id) for group in groups]
            labelled = sum(int((batch["labels"] != IGNORED).sum()) for batch in batches)
            scale = np.array(part.weight * examples[p] / sum(examples.values()) / max(1, labelled), np.float32)
            if self.frame:
                batches = [fill(batch, self.frame, self.pad_id, encoded.labelled_per_token) for batch in batches]
            result += [Pass(p, self.pack(batch) if self.pack else batch, scale) for batch in batches]
        return result

    def take(self, passes: Sequence[Pass], rate: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Takes the optimizer's step with dropout seeded by `seed`; returns the loss and the gradient norm before it is
        clipped."""
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], torch.Tensor):  # a number would be recorded with the update
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
        seed = derive(seed, parallel.rank()) if parallel.rank() else seed
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would record a stack trace if no GPU is in use
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)
        if self.replay:
            loss, norm = self.replay(to_tensors(tuple(passes), self.device))
            return loss, norm
        local = parallel.local_shard(passes, [each.batch["input_ids"].size for each in passes])
        return self._take(to_tensors(each, self.device) for each in local)

    def _take(self, passes: Iterable[Pass]) -> tuple[torch.Tensor, torch.Tensor]:
        """What is replayed: it reads nothing but tensors on the device, and does not wait for them."""
        total = torch.zeros((), device=self.device)
        try:
            for p, batch, scale in passes:
                part, factors = self.parts[p], self.factors[p]
                with autocast(self.device, self.recipe.precision):
                    logits = part.kind.forward(part.model, batch)
                if factors is None:
                    loss = part.kind.loss_sum(logits, batch["labels"]) * scale
                else:
                    loss = cross_entropy_sum(logits, batch["labels"], factors) * scale
                loss.backward()
                total += loss.detach()
            parallel.all_reduce(total, self.weights)
            norm = torch.nn.utils.clip_grad_norm_(self.weights, self.recipe.clip)
            self.optimizer.step()
        finally:
            self.optimizer.zero_grad(set_to_none=True)
        return total, norm
