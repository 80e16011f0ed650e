"""What each step of a plan costs before it is run: tokens, operations, seconds and bytes."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xstilts.costs import peak_memory
from xstilts.costs.batches import mean_pass, mean_update
from xstilts.costs.devices import Rates
from xstilts.costs.shapes import ENCODER, TRANSLATOR, Shape, configured, shape_of
from xstilts.costs.sizes import Size, Sizes
from xstilts.engine import Plan, Step
from xstilts.models.limits import MICRO_TOKENS, TRANSLATED_TOKENS
from xstilts.training.budget import shares
from xstilts.training.schedule import between_evaluations

BACKWARD = 3
"""Forward and backward together cost three times the forward pass."""
WORDS_BYTES, ROW_BYTES, TOKEN_BYTES, WEIGHT_BYTES = 70, 30, 4, 4
"""Bytes in the store of a vocabulary's entry, a prediction, a prepared token and a weight, as measured."""
DISK = 5e8
"""Bytes a second to read, check and write a model: assumed."""
DECODING = {"cpu": 0.75, "cuda": 0.25}
"""The share of a training's rate of products that writing token by token reaches. On a processor 0.7 and 0.9 were
measured (six layers of 512, 32,000 words, four beams, 6 and 51 sentences), on a GPU it is assumed."""
RIDGE = {"cpu": 16, "cuda": 256}
"""Rows of a batch below which reading a weight takes longer than the products with it: the rate of products of the
table's devices over about 10 GB/s a core, and over the bandwidth of an A100 or H100 in NVIDIA's data sheets."""
ROWS_PER_SECOND = 50_000
"""Rows that are read and checked a second."""


@dataclass(frozen=True)
class Estimate:
    """The price of a step: tokens that it computes on (padding not counted), FLOPs (padding counted), seconds on one
    device, bytes that it leaves in the store; `assumed` where a size or shape behind it is not known; `memory` and
    `device_memory`, the GB that its worker process and each of its GPUs hold at their peak."""

    tokens: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    size: float = 0.0
    assumed: bool = False
    memory: float = 0.0
    device_memory: float = 0.0


def estimates(plan: Plan, rates: Rates, sizes: Sizes | None = None, padded: bool = False) -> dict[str, Estimate]:
    """The price of every step of a plan on one device, by fingerprint.

    Args:
        sizes: looks up rows and lengths; by default from local files and the catalogue.
        padded: prices every sequence at the maximum length, as fixed padding would have it.
    """
    pricing = _Pricing(plan, rates, sizes or Sizes(), padded)
    return {fingerprint: pricing.price(step) for fingerprint, step in plan.steps.items()}


def price(plan: Plan, rates: Rates) -> dict[str, Estimate]:
    """As `estimates`, and puts the seconds into the steps, where they decide the order of work, and the memory, which
    decides what runs beside what."""
    found = estimates(plan, rates)
    plan.steps = {
        f: replace(step, cost=found[f].seconds, resources={**step.resources, "memory": round(found[f].memory, 3)})
        for f, step in plan.steps.items()
    }
    return found


@dataclass
class _Pricing:
    plan: Plan
    rates: Rates
    sizes: Sizes
    padded: bool
    shapes: dict[str, Shape] = field(default_factory=dict)
    """The encoder behind each step that leaves a model."""
    updates: dict[str, int] = field(default_factory=dict)
    """How many a fine-tuning has."""

    def price(self, step: Step) -> Estimate:
        """A step that is not known here costs what any step costs."""
        pricer = PRICERS.get(step.function.rpartition(":")[2])
        return (
            pricer(self, step) if pricer else Estimate(seconds=self.rates.step_seconds, memory=peak_memory.TORCH / 1e9)
        )

    def seconds(self, step: Step, flops: float, updates: float, moved: float) -> float:
        """Products, updates, and reading and writing `moved` bytes."""
        recipe = step.arguments.get("recipe", step.arguments)
        precision = recipe.get("precision", "fp32")
        products = flops / self.rates.flops_per_second(precision)
        return self.rates.step_seconds + products + updates * self.rates.update_seconds[precision] + moved / DISK

    def read(self, step: Step, prefix: str, exact: bool = False) -> list[Size]:
        """The sizes of the rows that a step takes under names that begin so."""
        found = [self.plan.steps[f] for name, f in step.inputs.items() if name.startswith(prefix)]
        return [self.sizes.of(self.original(one), exact) for one in found]

    def original(self, step: Step) -> Step:
        """The rows that a translation was made from, which are as many and about as long; other rows themselves."""
        return self.plan.steps[step.inputs["rows"]] if "rows" in step.inputs else step

    def forward(self, shape: Shape, sizes: list[Size], max_length: int) -> tuple[float, float]:
        """Tokens and FLOPs of one pass over all rows, sorted by length: hardly any padding."""
        tokens = flops = 0.0
        for size in sizes:
            mean, count = mean_pass(size, max_length, self.padded), size.rows * size.sequences
            tokens += count * mean.tokens
            flops += shape.forward(count * mean.computed, count * mean.squares)
        return tokens, flops


def _prepare(pricing: _Pricing, step: Step) -> Estimate:
    size = pricing.sizes.of(step)
    tokens = size.rows * size.sequences * size.mean
    seconds = 0.1 + size.rows / ROWS_PER_SECOND
    return Estimate(0, 0, seconds, tokens * TOKEN_BYTES, size.ground == "assumed", *peak_memory.light(size.rows))


def _vocabulary(pricing: _Pricing, step: Step) -> Estimate:
    rows = sum(size.rows for size in pricing.read(step, "rows."))
    seconds = 0.5 + rows / ROWS_PER_SECOND
    return Estimate(0, 0, seconds, step.arguments["size"] * WORDS_BYTES, False, *peak_memory.light(rows))


def _model(shape: Shape) -> float:
    return shape.parameters * WEIGHT_BYTES + shape.vocabulary * WORDS_BYTES


def _fetch(pricing: _Pricing, step: Step) -> Estimate:
    stand_in = TRANSLATOR if "translation" in step.function else ENCODER
    shape = pricing.shapes[step.fingerprint] = shape_of(step.arguments["load"], stand_in)
    size = _model(shape)
    held = peak_memory.loading(shape)
    return Estimate(0, 0, pricing.rates.step_seconds + 2 * size / DISK, size, not shape.known, *held)


def _pretrain(pricing: _Pricing, step: Step) -> Estimate:
    arguments = step.arguments
    words = pricing.plan.steps[step.inputs["vocabulary"]].arguments["size"]
    shape = pricing.shapes[step.fingerprint] = configured(arguments["config"], words)
    sizes = tuple(pricing.read(step, "rows."))
    batch = mean_update(sizes, arguments["batch_size"], arguments["max_length"], _budget(step, shape), pricing.padded)
    masked = arguments["masked"] * batch.tokens
    flops = BACKWARD * arguments["updates"] * (shape.forward(batch.computed, batch.squares) + shape.word_head(masked))
    size = _model(shape)
    seconds = pricing.seconds(step, flops, arguments["updates"], 2 * size)
    assumed = any(size.ground == "assumed" for size in sizes)
    longest, updates = arguments["max_length"], arguments["updates"]
    held = peak_memory.training(shape, step, list(sizes), longest, batch.computed, updates, arguments)
    return Estimate(arguments["updates"] * batch.tokens, flops, seconds, size, assumed, *held)


def _fine_tune(pricing: _Pricing, step: Step) -> Estimate:
    arguments, size = step.arguments, step.arguments["batch_size"]
    shape = pricing.shapes[step.fingerprint] = pricing.shapes[step.inputs["encoder"]]
    parts = [_part(pricing, step, name, told) for name, told in arguments["tasks"].items()]
    drawn = [part.examples for part in parts]
    sampling = arguments["sampling"]
    total = sampling.get("examples") or sum(drawn)
    share = np.ones(1)
    if len(parts) > 1:
        share = shares([part.rows for part in parts], sampling["how"], sampling["temperature"], sampling["cap"])
    updates = math.ceil(total / size) + pricing.updates.get(step.inputs.get("longer", ""), 0)
    pricing.updates[step.fingerprint], mlm = updates, arguments["mlm"]
    own = updates - round(mlm["share"] * updates if mlm else 0)
    tokens = flops = dev = dev_flops = largest = 0.0
    sizes: list[Size] = []
    for part, told, own_share in zip(parts, arguments["tasks"].values(), share, strict=True):
        sequences = max(1, round(size * float(np.mean([one.sequences for one in part.sizes]))))
        batch = mean_update(part.sizes, sequences, told["max_length"], _budget(step, shape), pricing.padded)
        count = own * own_share
        tokens += count * batch.tokens
        flops += BACKWARD * count * shape.forward(batch.computed, batch.squares)
        largest = max(largest, batch.computed)
        more = pricing.forward(shape, part.dev, told["max_length"])
        dev, dev_flops = dev + more[0], dev_flops + more[1]
        sizes += (*part.sizes, *part.dev)
    if mlm:
        text = tuple(pricing.read(step, "text."))
        batch = mean_update(text, size, mlm["max_length"], _budget(step, shape), pricing.padded)
        forward = shape.forward(batch.computed, batch.squares) + shape.word_head(mlm["masked"] * batch.tokens)
        tokens, flops = tokens + (updates - own) * batch.tokens, flops + BACKWARD * (updates - own) * forward
        sizes += text
        largest = max(largest, batch.computed)
    choosing = arguments["checkpoint"] == "best" or bool(arguments["oracle"])
    scored = math.ceil(updates / between_evaluations(arguments["evaluate_every"], updates, choosing)) if own else 0
    models = (1 + bool(arguments["oracle"])) * _model(shape)
    seconds = pricing.seconds(step, flops + scored * dev_flops, updates, _model(shape) + models)
    assumed = not shape.known or any(one.ground == "assumed" for one in sizes)
    longest = max(told["max_length"] for told in [*arguments["tasks"].values(), *([mlm] if mlm else [])])
    held = peak_memory.training(shape, step, sizes, longest, largest, updates, mlm)
    return Estimate(tokens + scored * dev, flops + scored * dev_flops, seconds, models, assumed, *held)


@dataclass(frozen=True)
class _Part:
    """One task of a training: the sizes of its rows by language and of those that weights are chosen by, its rows that
    are trained on, and its examples, epochs counted."""

    sizes: tuple[Size, ...]
    dev: list[Size]
    rows: int
    examples: int


def _part(pricing: _Pricing, step: Step, name: str, told: Mapping[str, Any]) -> _Part:
    sizes = tuple(pricing.read(step, f"train.{name}.", exact=told["examples"] is None))
    counts = [size.rows for size in sizes]
    present = min(counts) if told["task"].get("parallel") else sum(counts)
    rows = told["examples"] or round(present)
    chosen_by = pricing.read(step, f"dev.{name}") + pricing.read(step, "oracle.")
    return _Part(sizes, chosen_by, rows, rows * told["epochs"])


def _translate(pricing: _Pricing, step: Step) -> Estimate:
    """A text is read once by the encoder, and each beam writes about as many tokens. All of a batch write their next
    token together, which starts as many kernels as an update does and reads every weight of the decoder."""
    told, shape = step.arguments, pricing.shapes[step.inputs["model"]]
    size = pricing.sizes.of(pricing.original(step))
    tokens, ways = size.rows * size.sequences * size.mean, 2 if told["roundtrip"] else 1
    batches = max(1.0, tokens / (told["batch_tokens"] or TRANSLATED_TOKENS[told["device"]]))
    rows = told["beams"] * tokens / max(1.0, size.mean) / batches
    reading, writing = ways * shape.forward(tokens, 0), ways * shape.write(told["beams"] * tokens)
    slowly = writing / DECODING[told["device"]] * max(1.0, RIDGE[told["device"]] / max(1.0, rows))
    seconds = pricing.seconds(step, reading + slowly, ways * batches * size.mean, _model(shape))
    held = peak_memory.prediction(shape, told, [size], told["max_length"])
    computed = ways * (1 + told["beams"]) * tokens
    return Estimate(computed, reading + writing, seconds, tokens * TOKEN_BYTES, True, *held)


def _predict(pricing: _Pricing, step: Step) -> Estimate:
    shape = pricing.shapes[step.inputs["model"]]
    sizes = [size for prefix in ("rows.", "dev.") for size in pricing.read(step, prefix)]
    tokens, flops = pricing.forward(shape, sizes, step.arguments["max_length"])
    if "pooling" in step.arguments:  # every sentence of one side against every one of the other, both ways
        flops += sum(2 * 2 * (size.rows / 2) ** 2 * shape.hidden for size in sizes)
    rows = sum(size.rows for size in sizes)
    seconds = pricing.seconds(step, flops, 0, _model(shape))
    assumed = not shape.known or any(size.ground == "assumed" for size in sizes)
    held = peak_memory.prediction(shape, step.arguments, sizes, step.arguments["max_length"])
    return Estimate(tokens, flops, seconds, rows * ROW_BYTES, assumed, *held)


def _baseline(pricing: _Pricing, step: Step) -> Estimate:
    rows = sum(size.rows for size in pricing.read(step, "rows."))
    held = peak_memory.TORCH / 1e9 + peak_memory.light(rows).memory
    return Estimate(seconds=0.1 + rows / ROWS_PER_SECOND, size=rows * ROW_BYTES, memory=held)


PRICERS: dict[str, Callable[[_Pricing, Step], Estimate]] = {
    "prepare": _prepare,
    "train_vocabulary": _vocabulary,
    "fetch": _fetch,
    "pretrain": _pretrain,
    "fine_tune": _fine_tune,
    "translate": _translate,
    "predict": _predict,
    "retrieve": _predict,
    "baseline": _baseline,
}
"""What a step's function costs, by its name."""


def _budget(step: Step, shape: Shape) -> int:
    """Tokens of a padded forward pass of a training step, 0 where nothing is padded."""
    device = step.arguments["device"]
    return 0 if shape.packs(device) else step.arguments["recipe"]["micro_tokens"] or MICRO_TOKENS[device]
