"""The task types by name. Each is one module with the functions of `TaskType`; no other code asks for the type."""

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from xstilts.tasks import classification, mlm, multilabel, multiple_choice, qa, retrieval, tagging
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Record, Task

if TYPE_CHECKING:
    import torch


class Read(Protocol):
    """What every type has: examples made of records, and token sequences made of examples.

    `MASKABLE` names the text columns that an arm may mask in training and prediction: what is left must still be a
    task. `GOLD` names the column of gold labels, "" if there is none; `SPARSE_GOLD` says that some examples may lack
    one while others have it.
    """

    SCHEMA: pa.Schema
    TEXT_COLUMNS: tuple[str, ...]
    MASKABLE: tuple[str, ...]
    GOLD: str
    SPARSE_GOLD: bool

    def complete(self, record: Record, task: Task) -> list[Record]: ...
    def encode(self, table: pa.Table, task: Task, tokenizer: Any, max_length: int) -> Encoded: ...


class Scored(Read, Protocol):
    """A type whose predictions have a score: additive statistics per example, and a function of their sum."""

    METRICS: tuple[str, ...]
    BASELINE: str

    def statistics(self, predictions: pa.Table, metric: str) -> np.ndarray: ...
    def score(self, sums: np.ndarray, metric: str) -> np.ndarray: ...


class Trained(Read, Protocol):
    """A type with a head that is trained."""

    AUTO_CLASS: str

    def forward(self, model: Any, batch: dict[str, "torch.Tensor"]) -> "torch.Tensor": ...
    def loss_sum(self, logits: "torch.Tensor", labels: "torch.Tensor") -> "torch.Tensor": ...


class TaskType(Scored, Trained, Protocol):
    """A type that can be intermediate and target; `PROBLEM_TYPE` is the setting of that name in the configuration of
    its models, by which `transformers` tells what its labels mean; None leaves it out."""

    PROBLEM_TYPE: str | None

    def extract(self, logits: "torch.Tensor", encoded: Encoded, indices: np.ndarray) -> list[np.ndarray]: ...
    def predict(self, extracted: list[np.ndarray], encoded: Encoded, table: pa.Table, task: Task) -> dict[str, Any]: ...
    def baseline(self, train: pa.Table, table: pa.Table, task: Task) -> dict[str, Any]: ...


FINE_TUNED: dict[str, TaskType] = {
    "classification": classification,
    "multilabel": multilabel,
    "tagging": tagging,
    "qa": qa,
    "multiple_choice": multiple_choice,
}
TRAINED: dict[str, Trained] = {**FINE_TUNED, "mlm": mlm}
SCORED: dict[str, Scored] = {**FINE_TUNED, "retrieval": retrieval}
READ: dict[str, Read] = {**FINE_TUNED, "mlm": mlm, "retrieval": retrieval}
SCHEMAS: dict[str, pa.Schema] = {name: kind.SCHEMA for name, kind in READ.items()}


def main_metric(task: Task) -> str:
    """The metric that judges a task: the first that it names, else the first of its type."""
    return task.metrics[0] if task.metrics else SCORED[task.type].METRICS[0]
