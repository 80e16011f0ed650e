"""The memory that a step needs at its peak, before it is run: of its worker process, and of a GPU that it uses.

Both are sums of what is held at the same time, in bytes:

- an interpreter with torch (`TORCH`), or without (`LIGHT`);
- rows (`ROW` each) and tokens (`HELD` each, and `ENCODED` each while the text of a call is tokenised);
- a training: weights, gradients and two moments of AdamW, float32, 16 a trained weight. Where the vocabulary is
  trimmed, `REACHED` · √tokens of its rows are trained, in the form of Heaps' law (Manning et al. 2008, §5.1.1); the
  whole matrix comes back at the end. While it is loaded, an encoder is held twice; while it is made, its vocabulary is.
  For each score that chooses weights 4 more a weight, on the host;
- activations of one pass. By a layer and token 9 hidden + 2 intermediate values are kept, which with an intermediate
  size of 4 hidden is the 34 bytes in 16 bits of Korthikanti et al. 2022 (arxiv.org/abs/2205.05198, §4.1), and on a
  processor their 2.5 values for each head and token that is looked at; with gradient checkpointing one hidden state a
  layer, and all of a single layer. Logits over the vocabulary are held three times: themselves, shares and gradients.
  Masked language modelling makes a second gradient of the vocabulary, and on a processor the heap gets `HOLES`;
- for retrieval the vectors, and hidden states of all layers of a batch;
- bf16 on a processor: compiled products, `KERNEL` for each pass of another shape up to `KERNELS`.

On one machine (x86-64, torch 2.13) 18 steps that make an encoder, train or predict, each in a process of its own
(hidden 64 to 768, 2 to 8 layers, 2,000 to 250,002 words, fp32 and bf16), took 0.76 to 1.23 times the estimate; the
constants were fitted to some of them. The `memory` of a run's events is farther off, 0.5 to 2.1 times for those kinds
and up to 5.7 for rows: a worker on a processor gives nothing back that an earlier step took, so that a small step in
it is measured as large; and text that is in the store as tokens is not tokenised again. Nothing was measured on GPUs:
what they need, and what CUDA adds to the host, is computed or assumed.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from xstilts.costs.shapes import Shape
from xstilts.costs.sizes import Size
from xstilts.engine import Step
from xstilts.models.limits import MICRO_TOKENS, PACKED_TOKENS, PREDICTED_TOKENS
from xstilts.tasks.mlm import HEADS

LIGHT, TORCH = 0.2e9, 0.5e9
"""A worker process that has imported what prepares rows, or what trains: measured."""
CUDA_HOST, CUDA_DEVICE = 1.5e9, 0.5e9
"""What CUDA takes of the host and of the device: assumed."""
ROW, HELD, ENCODED = 1500, 16, 160
REACHED = 10
"""Measured: 0.3 to 15, with vocabularies of 2,000 and 16,000."""
KERNEL, KERNELS = 6e6, 0.85e9
HOLES = {"cpu": 4, "cuda": 0}
"""Matrices of the vocabulary that would fit into the holes of the heap, after 20 updates of one pretraining."""
HEAD = 64
"""Width of an attention head, as in BERT."""


class Peak(NamedTuple):
    """GB (1e9 bytes) of the worker process and of one of its devices."""

    memory: float
    device_memory: float = 0.0


def light(rows: float) -> Peak:
    """A step that reads or makes so many rows and needs no model."""
    return Peak((LIGHT + ROW * rows) / 1e9)


def loading(shape: Shape) -> Peak:
    """A step that reads a model and writes it."""
    return Peak((TORCH + 4 * shape.parameters) / 1e9)


def training(
    shape: Shape, step: Step, sizes: list[Size], max_length: int, update: float, updates: int,
    text: Mapping[str, Any] | None,
) -> Peak:  # fmt: skip
    """A step that trains, all processes that share it together.

    Args:
        sizes: of the rows that it reads; `update`: tokens of an update, padding included.
        text: what is masked, with its share `masked`; None where the vocabulary can be trimmed.
    """
    told, ranks = step.arguments, max(1, round(step.resources.get("ranks", 1)))
    device, recipe, fresh = told["device"], told["recipe"], "encoder" not in step.inputs
    limit = recipe["micro_tokens"] or (PACKED_TOKENS if shape.packs(device) else MICRO_TOKENS)[device]
    micro = max(min(update / ranks, limit), min(max_length, update))
    total = _tokens(sizes, max_length)
    words = shape.vocabulary if text else min(shape.vocabulary, REACHED * sum(total) ** 0.5)
    width = shape.embedding or shape.hidden
    weights, whole = 4 * (shape.body + words * width), 4 * shape.parameters
    logits = 0.0
    if text:
        logits = 3 * 4 * shape.vocabulary * micro * (text["masked"] if shape.model in HEADS else 1)
    held = _values(shape, device, max_length, recipe.get("gradient_checkpointing", False))
    active = 4 * micro * held + logits
    best = weights * ((told.get("checkpoint") == "best") + bool(told.get("oracle")))
    matrix = 4 * shape.vocabulary * width
    merged = 0 if text else matrix
    tied = (HOLES[device] + 1) * matrix if text else 0
    trained = (4 * weights + tied + active) if updates else 0
    loaded = whole + matrix if fresh else 2 * whole
    data = _data(sizes, max_length, together=fresh)
    passes = updates * max(1.0, update / limit)
    if device == "cpu":
        host = TORCH + data + max(loaded, trained + best + merged) + _kernels(recipe, passes)
        return Peak(ranks * host / 1e9)
    copied = 3 * weights + best  # a checkpoint goes to the disk by way of the host
    peak = max(whole, trained + _cast(shape, recipe), weights + merged)
    return Peak(ranks * (TORCH + CUDA_HOST + data + max(loaded, copied)) / 1e9, (CUDA_DEVICE + peak) / 1e9)


def prediction(shape: Shape, step: Mapping[str, Any], sizes: list[Size], max_length: int) -> Peak:
    """A step that computes a model's predictions, embeddings or translations."""
    device, layers = step["device"], step.get("layers", [])
    batch = min(PREDICTED_TOKENS[device], max(1.0, sum(_tokens(sizes, max_length))))
    weights = 4 * shape.parameters
    rows = sum(size.rows * size.sequences for size in sizes)
    states = (shape.layers + 1 + 2 * len(layers)) * shape.hidden if layers else 0
    active = 4 * batch * (_values(shape, device, max_length, True) - shape.layers * shape.hidden + states)
    vectors = 1.5 * 4 * len(layers) * rows * shape.hidden
    host = TORCH + _data(sizes, max_length, together=True) + vectors + weights
    if device == "cpu":
        passes = sum(_tokens(sizes, max_length)) / PREDICTED_TOKENS[device]
        return Peak((host + active + _kernels(step, passes)) / 1e9)
    return Peak((host + CUDA_HOST) / 1e9, (CUDA_DEVICE + weights + _cast(shape, step) + active) / 1e9)


def _tokens(sizes: list[Size], max_length: int) -> list[float]:
    return [size.rows * size.sequences * min(size.mean, max_length) for size in sizes]


def _data(sizes: list[Size], max_length: int, together: bool) -> float:
    """Rows and tokens; those of all languages are tokenised together, or language by language."""
    tokens = _tokens(sizes, max_length)
    at_once = sum(tokens) if together else max(tokens, default=0.0)
    return ROW * sum(size.rows for size in sizes) + HELD * sum(tokens) + ENCODED * at_once


def _values(shape: Shape, device: str, longest: int, checkpointed: bool) -> float:
    """Values of activations that are kept for each token of a pass."""
    seen = 2.5 * shape.hidden / HEAD * longest if device == "cpu" else 0.0
    layer = 9 * shape.hidden + 2 * shape.intermediate + seen
    return shape.layers * shape.hidden + layer if checkpointed else shape.layers * layer


def _cast(shape: Shape, recipe: Mapping[str, Any]) -> float:
    return 2 * shape.body if recipe["precision"] == "bf16" else 0.0


def _kernels(recipe: Mapping[str, Any], passes: float) -> float:
    return min(KERNELS, KERNEL * passes) if recipe["precision"] == "bf16" else 0.0
