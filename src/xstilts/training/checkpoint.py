"""The state of a training, and the checkpoint from which an interrupted training resumes."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class Best:
    """The weights with the highest value of a score so far, and the update that they are from."""

    score: float
    update: int
    weights: dict[str, torch.Tensor]


class State:
    """Weights, optimizer moments, the best weights by each score that chooses, the history, and the losses and gradient
    norms since its last entry.

    It is read from `file` if that holds a checkpoint that fits the model. Otherwise `discarded` says why not, and
    nothing of the file is used.
    """

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.AdamW, file: Path) -> None:
        self.model, self.optimizer, self.file = model, optimizer, file
        self.update = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Best] = {}
        self.losses: list[torch.Tensor | float] = []
        self.norms: list[torch.Tensor] = []
        self.discarded = self._load() if file.is_file() else ""

    def keep_best(self, name: str, score: float) -> None:
        """Keeps the current weights if their score of that name is higher than any before."""
        if name not in self.best or score > self.best[name].score:
            weights = {key: p.detach().cpu().clone() for key, p in self.model.named_parameters()}
            self.best[name] = Best(score, self.update, weights)

    def mean_loss(self, latest: torch.Tensor) -> float:
        """The mean of the losses since the last call; without any the last mean, or `latest` if there is none."""
        if not self.losses:
            return self.history[-1]["loss"] if self.history else float(latest)
        losses, self.losses = self.losses, []
        return float(np.mean([float(loss) for loss in losses]))

    def restore(self, name: str) -> int:
        """Loads the weights that the score of that name chose, and returns the update that they are from."""
        best = self.best[name]
        with torch.no_grad():
            for key, parameter in self.model.named_parameters():
                parameter.copy_(best.weights[key])
        return best.update

    def save(self) -> None:
        """Writes the checkpoint, atomically."""
        tensors = {f"best.{name}.{key}": t for name, best in self.best.items() for key, t in best.weights.items()}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        best, losses = {k: [b.score, b.update] for k, b in self.best.items()}, [float(loss) for loss in self.losses]
        notes = {"update": self.update, "history": self.history, "best": best, "losses": losses}
        temporary = self.file.with_suffix(".partial")
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, {"notes": json.dumps(notes)})
        temporary.replace(self.file)

    def _load(self) -> str:
        """Loads the checkpoint as a whole; returns why it cannot be used, before anything is changed."""
        parameters = dict(self.model.named_parameters())
        try:
            with safe_open(self.file, "pt") as file:
                notes = json.loads(file.metadata()["notes"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            update, history = int(notes["update"]), [{**entry} for entry in notes["history"]]
            losses = [float(loss) for loss in notes["losses"]]
            best = {name: (float(score), int(chosen)) for name, (score, chosen) in notes["best"].items()}
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            return f"it cannot be read ({type(error).__name__}: {error})"
        kinds = ["model", *(f"best.{name}" for name in best)]
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
        for name, (score, chosen) in best.items():
            self.best[name] = Best(score, chosen, {key: tensors[f"best.{name}.{key}"] for key in parameters})
        return ""
