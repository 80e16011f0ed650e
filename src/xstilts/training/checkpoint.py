"""The state of a training, and the checkpoint from which an interrupted training resumes."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Snapshot:
    """Weights that are set aside: the mean of those after each of `updates`, in float32 on the host.

    score: for which they were chosen; None for an average, which nothing chooses.
    """

    updates: tuple[int, ...]
    weights: dict[str, torch.Tensor]
    score: float | None = None


class State:
    """Trained weights (not frozen ones), optimizer moments, snapshots by name, the history, and the losses and gradient
    norms since its last entry.

    It is read from `file` if that holds a checkpoint that fits the model. Otherwise `discarded` says why not, and
    nothing of the file is used.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.AdamW, file: Path) -> None:
        self.optimizer, self.file = optimizer, file
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.update = 0
        self.history: list[dict[str, float]] = []
        self.snapshots: dict[str, Snapshot] = {}
        self.losses: list[torch.Tensor | float] = []
        self.norms: list[torch.Tensor] = []
        self.discarded = self._load() if os.path.lexists(file) else ""
        if self.discarded and file.is_dir():
            shutil.rmtree(file)  # it would be in the way of the next checkpoint

    def keep_best(self, name: str, score: float) -> None:
        """Keeps the current weights as the snapshot `name` if their score of that name is higher than any before."""
        highest = self.snapshots[name].score if name in self.snapshots else None
        if highest is None or score > highest:
            self.snapshots[name] = Snapshot((self.update,), self._copy(), score)

    def average(self, name: str) -> None:
        """Includes the current weights in the snapshot `name`, a running mean."""
        if name not in self.snapshots:
            self.snapshots[name] = Snapshot((self.update,), self._copy())
            return
        before = self.snapshots[name]
        updates = (*before.updates, self.update)
        for key, parameter in self.parameters.items():
            before.weights[key] += (parameter.detach().cpu() - before.weights[key]) / len(updates)
        self.snapshots[name] = Snapshot(updates, before.weights)

    def _copy(self) -> dict[str, torch.Tensor]:
        return {key: parameter.detach().cpu().clone() for key, parameter in self.parameters.items()}

    def mean_loss(self, latest: torch.Tensor) -> float:
        """The mean of the losses since the last call; without any the last mean, or `latest` if there is none."""
        if not self.losses:
            return self.history[-1]["loss"] if self.history else float(latest)
        losses, self.losses = self.losses, []
        return float(np.mean([float(loss) for loss in losses]))

    def restore(self, name: str) -> tuple[int, ...]:
        """Loads the weights of a snapshot, and returns the updates whose mean they are."""
        snapshot = self.snapshots[name]
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                parameter.copy_(snapshot.weights[key])
        return snapshot.updates

    def save(self) -> None:
        """Writes the checkpoint, atomically."""
        tensors = {f"snapshot.{name}.{key}": t for name, s in self.snapshots.items() for key, t in s.weights.items()}
        for name, parameter in self.parameters.items():
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        snapshots = {name: [snapshot.updates, snapshot.score] for name, snapshot in self.snapshots.items()}
        notes = {"update": self.update, "history": self.history, "snapshots": snapshots}
        notes["losses"] = [float(loss) for loss in self.losses]
        here, text = {name: t.cpu().contiguous() for name, t in tensors.items()}, json.dumps(notes)
        temporary = self.file.with_suffix(".partial")
        save_file(here, temporary, {"notes": text, "checksum": checksum(text, here)})
        temporary.replace(self.file)

    def _load(self) -> str:
        """Loads the checkpoint as a whole; returns why it cannot be used, before anything is changed."""
        parameters = self.parameters
        try:
            with safe_open(self.file, "pt") as file:
                metadata = file.metadata()
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata["checksum"] != checksum(metadata["notes"], tensors):
                return "it does not have its checksum"
            notes = json.loads(metadata["notes"])
            update, history = int(notes["update"]), [{**entry} for entry in notes["history"]]
            losses = [float(loss) for loss in notes["losses"]]
            snapshots = {
                name: (tuple(map(int, updates)), score if score is None else float(score))
                for name, (updates, score) in notes["snapshots"].items()
            }
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"it cannot be read ({type(error).__name__}: {error})"
        kinds = ["model", *(f"snapshot.{name}" for name in snapshots)]
        expected: dict[str, torch.Tensor] = {f"{kind}.{name}": p for kind in kinds for name, p in parameters.items()}
        for name, parameter in parameters.items():  # a weight without gradients has no moments
            if any(f"{key}.{name}" in tensors for key in MOMENTS):
                expected |= {f"{key}.{name}": torch.zeros(()) if key == "step" else parameter for key in MOMENTS}
        forms, required = ({(k, t.shape, t.dtype) for k, t in some.items()} for some in (tensors, expected))
        if wrong := {name for name, _, _ in forms ^ required}:
            return f"{len(wrong)} of its tensors do not fit the model, such as {min(wrong)}"
        self.update, self.history, self.losses = update, history, [*losses]
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(tensors[f"model.{name}"])
                for key in MOMENTS:
                    if f"{key}.{name}" in tensors:
                        self.optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(parameter.device)
        for name, (updates, score) in snapshots.items():
            weights = {key: tensors[f"snapshot.{name}.{key}"] for key in parameters}
            self.snapshots[name] = Snapshot(updates, weights, score)
        return ""


def checksum(notes: str, tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 of the content of a checkpoint, 64 hex digits: it has no manifest that would show damage."""
    digest = hashlib.sha256(notes.encode())
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
