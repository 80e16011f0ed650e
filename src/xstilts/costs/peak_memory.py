"""Peak memory of a step before it runs: a sum of what its worker process and its GPU hold at the same time.

docs/planning.md lists the terms and says how far the sum is off.
"""

from collections.abc import Sequence
from typing import NamedTuple

from xstilts.costs.shapes import Shape
from xstilts.costs.sizes import Size
from xstilts.engine import Step
from xstilts.models.hardware import MICRO_TOKENS, PACKED_TOKENS, PREDICTED_TOKENS
from xstilts.tasks.mlm import HEADS

LIGHT, TORCH = 0.2e9, 0.5e9
"""A worker process that has imported what prepares examples, or what trains: measured."""
CUDA_HOST, CUDA_DEVICE = 1.5e9, 0.5e9
"""What CUDA takes of the host and of the device: assumed."""
EXAMPLE, TOKEN, TOKENIZED = 1500, 16, 160
"""Bytes of an example, of a token, and of a token while its text is tokenized: measured."""
REACHED = 10
"""A trimmed vocabulary has this × √tokens entries (Heaps' law): 0.3 to 15 measured."""
KERNEL, KERNELS = 6e6, 0.85e9
"""bf16 on a processor compiles a product for each pass, up to a limit: measured."""
MASKED = {"cpu": 5, "cuda": 1}
"""Matrices of the vocabulary that masked language modelling needs in addition: a second gradient, and on a processor
holes of the heap (after 20 updates of one pretraining)."""


class Peak(NamedTuple):
    """GB (1e9 bytes) of the worker process and of one of its devices."""

    memory: float
    device_memory: float = 0.0


def peak(
    shape: Shape,
    step: Step,
    sizes: Sequence[Size],
    max_length: int,
    update: float = 0,
    updates: float = 0,
    masked: float = 0,
) -> Peak:
    """The peak of a step that trains or predicts; of all processes that share it on the host.

    Args:
        sizes: what it reads. update: tokens of an update with padding, 0 for predictions.
        masked: share of the tokens that are masked; 0 if the vocabulary can be trimmed.
    """
    arguments, ranks, training = step.arguments, max(1, round(step.resources.get("ranks", 1))), update > 0
    device, recipe = arguments["device"], arguments.get("recipe", arguments)
    tokens = [size.examples * size.sequences * min(size.mean, max_length) for size in sizes]
    by_language = training and "encoder" in step.inputs
    data = EXAMPLE * sum(size.examples for size in sizes) + TOKEN * sum(tokens)
    data += TOKENIZED * (max(tokens, default=0) if by_language else sum(tokens))
    whole, matrix = 4 * shape.parameters, 4 * shape.vocabulary * shape.width
    layer = 9.0 * shape.hidden + 2 * shape.intermediate  # Korthikanti et al. 2022, arxiv.org/abs/2205.05198, §4.1
    layer += 2.5 * shape.hidden / 64 * max_length if device == "cpu" else 0
    best = merged = 0.0
    if training:
        limit = recipe["micro_tokens"] or (PACKED_TOKENS if shape.packs(device) else MICRO_TOKENS)[device]
        batch, passes = max(min(update / ranks, limit), min(max_length, update)), updates * max(1.0, update / limit)
        words = shape.vocabulary if masked else min(shape.vocabulary, REACHED * sum(tokens) ** 0.5)
        weights = 4 * (shape.body + words * shape.width)
        best = weights * ((arguments.get("checkpoint") == "best") + bool(arguments.get("oracle")))
        values = shape.layers * shape.hidden + layer if recipe.get("gradient_checkpointing") else shape.layers * layer
        values += 3 * shape.vocabulary * (masked if shape.model in HEADS else masked > 0)
        held = (4 * weights + MASKED[device] * matrix * (masked > 0)) if updates else 0.0
        loaded, merged = 2 * whole, 0.0 if masked else float(matrix)
    else:
        limit, layers = PREDICTED_TOKENS[device], len(arguments.get("layers", []))
        batch, passes = min(limit, max(1.0, sum(tokens))), sum(tokens) / limit
        values = layer + bool(layers) * (shape.layers + 1 + 2 * layers) * shape.hidden
        held, loaded = float(whole), whole
        data += 6 * layers * shape.hidden * sum(size.examples * size.sequences for size in sizes)
    held += 4 * batch * values
    bf16 = recipe["precision"] == "bf16"
    if device == "cpu":
        kernels = min(KERNELS, KERNEL * passes) if bf16 else 0.0
        return Peak(ranks * (TORCH + data + max(loaded, held + best + merged) + kernels) / 1e9)
    device_memory = CUDA_DEVICE + max(whole, held + 2 * shape.body * bf16)
    return Peak(ranks * (TORCH + CUDA_HOST + data + loaded + best) / 1e9, device_memory / 1e9)
