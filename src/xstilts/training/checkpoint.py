"""What a killed training needs to go on."""

import json
import math
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

MOMENTS = ("step", "exp_avg", "exp_avg_sq")


class State:
    """Weights, optimiser moments, the best weights so far, the history, and the losses since its last entry; read from
    `file` where that is whole."""

    def __init__(self, model: torch.nn.Module, optimizer: torch.optim.AdamW, file: Path) -> None:
        self.model, self.optimizer, self.file = model, optimizer, file
        self.update, self.history, self.best_score = 0, [], -math.inf  # type: tuple[int, list[dict[str, float]], float]
        self.best: dict[str, torch.Tensor] = {}
        self.losses: list[torch.Tensor | float] = []
        if file.is_file():
            with suppress(SafetensorError):  # cut short by a power failure: the run starts again
                self._load()

    def consider(self, score: float) -> None:
        """Keeps the present weights if their score is better than any before."""
        if score > self.best_score:
            self.best_score = score
            self.best = {name: p.detach().cpu().clone() for name, p in self.model.named_parameters()}

    def mean_loss(self, latest: torch.Tensor) -> float:
        """The mean of the losses since it was asked for last; where there was none, what it was then, or `latest`."""
        values = [float(loss) for loss in self.losses]
        self.losses = []
        if values:
            return float(np.mean(values))
        return self.history[-1]["loss"] if self.history else float(latest)

    def restore_best(self) -> None:
        """Puts the best weights back, where a score chose them."""
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if name in self.best:
                    parameter.copy_(self.best[name])

    def save(self) -> None:
        """Writes all to the file in one move."""
        tensors = {f"best.{name}": tensor for name, tensor in self.best.items()}
        for name, parameter in self.model.named_parameters():
            tensors[f"model.{name}"] = parameter.detach()
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"{key}.{name}"] = value
        notes = json.dumps({"update": self.update, "history": self.history, "best_score": self.best_score,
                            "losses": [float(loss) for loss in self.losses]})  # fmt: skip
        temporary = self.file.with_suffix(".partial")
        save_file({name: t.contiguous() for name, t in tensors.items()}, temporary, {"notes": notes})
        temporary.replace(self.file)

    def _load(self) -> None:
        with safe_open(self.file, "pt") as file:
            notes = json.loads(file.metadata()["notes"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        self.update, self.history, self.best_score = notes["update"], notes["history"], notes["best_score"]
        self.losses = notes["losses"]
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                for key in MOMENTS:
                    if f"{key}.{name}" in tensors:
                        self.optimizer.state[parameter][key] = tensors[f"{key}.{name}"].to(parameter.device)
        self.best = {name[5:]: tensor for name, tensor in tensors.items() if name.startswith("best.")}
