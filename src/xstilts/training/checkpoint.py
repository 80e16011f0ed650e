"""What a killed training needs to go on."""

import json
from contextlib import suppress
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
    """Weights, optimiser moments, the best weights so far by each score that chooses, the history, and the losses since
    its last entry; read from `file` where that is whole."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.AdamW, file: Path) -> None:
        self.model, self.optimizer, self.file = model, optimizer, file
        self.update = 0
        self.history: list[dict[str, float]] = []
        self.best: dict[str, Best] = {}
        self.losses: list[torch.Tensor | float] = []
        if file.is_file():
            with suppress(SafetensorError, KeyError):  # cut short, or of another form: the run starts again
                self._load()

    def consider(self, name: str, score: float) -> None:
        """Keeps the present weights if this score of theirs is better than any before."""
        if name not in self.best or score > self.best[name].score:
            weights = {key: p.detach().cpu().clone() for key, p in self.model.named_parameters()}
            self.best[name] = Best(score, self.update, weights)

    def mean_loss(self, latest: torch.Tensor) -> float:
        """The mean of the losses since it was asked for last; where there was none, what it was then, or `latest`."""
        values = [float(loss) for loss in self.losses]
        self.losses = []
        if values:
            return float(np.mean(values))
        return self.history[-1]["loss"] if self.history else float(latest)

    def restore(self, name: str) -> int:
        """Puts the weights back that the score of that name chose, and returns the update that they are from."""
        best = self.best[name]
        with torch.no_grad():
            for key, parameter in self.model.named_parameters():
                parameter.copy_(best.weights[key])
        return best.update

    def save(self) -> None:
        """Writes all to the file in one move."""
        tensors = {f"best.{name}.{key}": t for name, best in self.best.items() for key, t in best.weights.items()}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        notes = json.dumps({"update": self.update, "history": self.history,
                            "best": {name: [best.score, best.update] for name, best in self.best.items()},
                            "losses": [float(loss) for loss in self.losses]})  # fmt: skip
        temporary = self.file.with_suffix(".partial")
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, {"notes": notes})
        temporary.replace(self.file)

    def _load(self) -> None:
        with safe_open(self.file, "pt") as file:
            notes = json.loads(file.metadata()["notes"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        best = notes["best"]
        self.update, self.history, self.losses = notes["update"], notes["history"], notes["losses"]
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                for key in MOMENTS:
                    if f"{key}.{name}" in tensors:
                        self.optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(parameter.device)
        for name, (score, update) in best.items():
            start = f"best.{name}."
            weights = {key.removeprefix(start): t for key, t in tensors.items() if key.startswith(start)}
            self.best[name] = Best(score, update, weights)
