"""What each step of a plan costs before it runs: tokens, FLOPs, seconds, bytes in the store, memory."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from xstilts.costs.devices import Rates
from xstilts.costs.peak_memory import EXAMPLE, LIGHT, TORCH, peak
from xstilts.costs.shapes import ENCODER, TRANSLATOR, Shape, configured, shape_of
from xstilts.costs.sizes import Size, Sizes
from xstilts.engine import Plan, Step
from xstilts.models.hardware import MICRO_TOKENS, TRANSLATED_TOKENS
from xstilts.training.budget import shares
from xstilts.training.schedule import between_evaluations

BACKWARD = 3
"""Forward and backward together cost three times the forward pass."""
PADDING = 1.75
"""A padded update computes 1 + this × (deviation ÷ mean of its lengths) ÷ (its number of passes) times its tokens."""
WORDS_BYTES, PREDICTION_BYTES, TOKEN_BYTES, WEIGHT_BYTES = 70, 30, 4, 4
"""Bytes in the store of a vocabulary's entry, a prediction, a prepared token and a weight, as measured."""
DISK, EXAMPLES_PER_SECOND = 5e8, 50_000
"""Bytes of a model, and examples, that are read, checked and written per second: assumed."""
DECODING = {"cpu": 0.75, "cuda": 0.25}
"""Share of the training rate of products that translation reaches: measured on one core, assumed on a GPU."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a step: tokens it computes on (without padding), FLOPs (with padding), seconds on one device, bytes
    it leaves in the store; `assumed` if a size or shape behind it is not known; `memory` and `device_memory`, the GB
    that its worker process and each of its GPUs hold at their peak."""

    tokens: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    size: float = 0.0
    assumed: bool = False
    memory: float = 0.0
    device_memory: float = 0.0


def estimates(plan: Plan, rates: Rates, sizes: Sizes | None = None, padded: bool = False) -> dict[str, Estimate]:
    """The cost of every step of a plan on one device, by fingerprint.

    Args:
        sizes: looks up examples and lengths; by default in local files and the catalogue.
        padded: prices every sequence at the maximum length, as fixed padding would have it.
    """
    pricing = _Pricing(plan, rates, sizes or Sizes(), padded)
    return {fingerprint: pricing.price(step) for fingerprint, step in plan.steps.items()}


def price(plan: Plan, rates: Rates) -> dict[str, Estimate]:
    """`estimates`, also written into the steps: seconds decide the order of work, memory what runs at the same time."""
    result = estimates(plan, rates)
    for f, step in plan.steps.items():
        resources = {**step.resources, "memory": round(result[f].memory, 3)}
        plan.steps[f] = replace(step, cost=result[f].seconds, resources=resources)
    return result


class _Pass(NamedTuple):
    """A model computes sequences of these sizes `times` times: updates of `batch` examples, forward and backward; if
    that is 0, all examples, forward. It predicts the share `masked` of the tokens, and writes `beams` times as many."""

    sizes: Sequence[Size]
    max_length: int
    times: float = 1.0
    batch: int = 0
    masked: float = 0.0
    beams: int = 0


@dataclass
class _Pricing:
    plan: Plan
    rates: Rates
    sizes: Sizes
    padded: bool
    shapes: dict[str, Shape] = field(default_factory=dict)
    """The model behind each step that leaves one."""
    updates: dict[str, int] = field(default_factory=dict)
    """Updates of each training."""

    def price(self, step: Step) -> Estimate:
        """A step of an unknown function costs what any step costs."""
        pricer = PRICERS.get(step.function.rpartition(":")[2])
        result = pricer(self, step) if pricer else Estimate(seconds=self.rates.step_seconds, memory=TORCH / 1e9)
        return replace(result, seconds=result.seconds * self.rates.ratios.get(step.kind, 1.0))

    def read(self, step: Step, prefix: str, exact: bool = False) -> list[Size]:
        """Sizes of the input of that name, or of all `prefix.*`; a translation is as long as its original."""
        steps = [self.plan.steps[f] for name, f in step.inputs.items() if f"{name}.".startswith(f"{prefix}.")]
        return [self.sizes.of(self.plan.steps[s.inputs["rows"]] if "rows" in s.inputs else s, exact) for s in steps]

    def compute(
        self, step: Step, shape: Shape, passes: Sequence[_Pass], stored: float, updates: float = 0, flops: float = 0
    ) -> Estimate:
        """A step that computes with a model: its passes, updates and further FLOPs."""
        recipe = step.arguments.get("recipe", step.arguments)
        device, precision = step.arguments["device"], recipe["precision"]
        limit = 0 if shape.packs(device) else recipe.get("micro_tokens") or MICRO_TOKENS[device]
        tokens = update = 0.0
        for part in passes:
            read, computed, operations = self.one_pass(shape, part, limit if part.batch else 0)
            tokens += part.times * read * (1 + part.beams)
            flops += part.times * operations * (BACKWARD if part.batch else 1)
            update = max(update, computed if part.batch else 0)
        products = flops / self.rates.flops_per_second(precision) / (DECODING[device] if passes[0].beams else 1)
        seconds = self.rates.step_seconds + products + updates * self.rates.update_seconds[precision]
        sizes, longest = [size for part in passes for size in part.sizes], max(part.max_length for part in passes)
        assumed = not shape.known or any(size.ground == "assumed" for size in sizes) or passes[0].beams > 0
        held = peak(shape, step, sizes, longest, update, updates, max(part.masked for part in passes))
        return Estimate(tokens, flops, seconds + (stored + _model(shape)) / DISK, stored, assumed, *held)

    def one_pass(self, shape: Shape, part: _Pass, limit: float) -> tuple[float, float, float]:
        """Tokens, tokens with padding and FLOPs of a forward pass, in groups of at most `limit` tokens with padding;
        0 stands for hardly any padding: packed, or sorted by length."""
        weights = [size.sequences * (1 if part.batch else size.examples) for size in part.sizes]
        number = part.batch * sum(weights) / len(weights) if part.batch else sum(weights)
        if not number:
            return 0.0, 0.0, 0.0
        moments = [(size.mean, size.mean**2 + size.deviation**2) for size in part.sizes]
        mean, square = np.average(moments, axis=0, weights=weights).tolist()
        longest, padding = part.max_length, 1.0
        mean, square = (longest, longest**2) if self.padded else (min(mean, longest), min(square, longest**2))
        if limit:
            padding += PADDING * math.sqrt(max(0.0, square / mean**2 - 1)) / max(1.0, number * mean / limit)
        tokens = number * mean
        squares, masked, written = (
            number * max(square, (padding * mean) ** 2),
            part.masked * tokens,
            part.beams * tokens,
        )
        return tokens, padding * tokens, shape.forward(padding * tokens, squares, masked, written)


def _data(pricing: _Pricing, step: Step) -> Estimate:
    """Preparing examples, training a vocabulary on them, and predicting the most frequent class."""
    sizes = pricing.read(step, "rows") or [pricing.sizes.of(step)]
    function, examples = step.function.rpartition(":")[2], sum(size.examples for size in sizes)
    stored = {
        "prepare": TOKEN_BYTES * sum(size.examples * size.sequences * size.mean for size in sizes),
        "train_vocabulary": WORDS_BYTES * step.arguments.get("size", 0),
        "baseline": PREDICTION_BYTES * examples,
    }[function]
    base = TORCH if function == "baseline" else LIGHT
    assumed = any(size.ground == "assumed" for size in sizes)
    return Estimate(0, 0, 0.1 + examples / EXAMPLES_PER_SECOND, stored, assumed, (base + EXAMPLE * examples) / 1e9)


def _fetch(pricing: _Pricing, step: Step) -> Estimate:
    stand_in = TRANSLATOR if "translation" in step.function else ENCODER
    shape = pricing.shapes[step.fingerprint] = shape_of(step.arguments["load"], stand_in)
    seconds, memory = pricing.rates.step_seconds + 2 * _model(shape) / DISK, (TORCH + 4 * shape.parameters) / 1e9
    return Estimate(0, 0, seconds, _model(shape), not shape.known, memory)


def _pretrain(pricing: _Pricing, step: Step) -> Estimate:
    arguments, updates = step.arguments, step.arguments["updates"]
    words = pricing.plan.steps[step.inputs["vocabulary"]].arguments["size"]
    shape = pricing.shapes[step.fingerprint] = configured(arguments["config"], words)
    texts, batch = pricing.read(step, "rows"), arguments["batch_size"]
    passes = [_Pass(texts, arguments["max_length"], updates, batch, arguments["masked"])]
    return pricing.compute(step, shape, passes, _model(shape), updates)


def _fine_tune(pricing: _Pricing, step: Step) -> Estimate:
    arguments, batch, mlm = step.arguments, step.arguments["batch_size"], step.arguments["mlm"]
    shape = pricing.shapes[step.fingerprint] = pricing.shapes[step.inputs["encoder"]]
    tasks, sampling = arguments["tasks"], arguments["sampling"]
    sizes = {name: pricing.read(step, f"train.{name}", task["examples"] is None) for name, task in tasks.items()}
    examples, weights = [], [1.0]
    for name, task in tasks.items():
        counts = [size.examples for size in sizes[name]]
        examples.append(task["examples"] or round(min(counts) if task["task"].get("parallel") else sum(counts)))
    if len(tasks) > 1:
        weights = shares(examples, sampling["how"], sampling["temperature"], sampling["cap"]).tolist()
    budget = sum(number * task["epochs"] for number, task in zip(examples, tasks.values(), strict=True))
    updates = math.ceil((sampling.get("examples") or budget) / batch)
    updates += pricing.updates.get(step.inputs.get("longer", ""), 0)
    pricing.updates[step.fingerprint] = updates
    text_updates = round(mlm["share"] * updates) if mlm else 0
    choosing = arguments["checkpoint"] == "best" or bool(arguments["oracle"])
    every = between_evaluations(arguments["evaluate_every"], updates, choosing)
    evaluations = math.ceil(updates / every) if updates > text_updates else 0
    passes = []
    for (name, task), weight in zip(tasks.items(), weights, strict=True):
        passes.append(_Pass(sizes[name], task["max_length"], weight * (updates - text_updates), batch))
        dev = pricing.read(step, f"dev.{name}") + pricing.read(step, "oracle")
        passes.append(_Pass(dev, task["max_length"], evaluations))
    if mlm:
        texts = pricing.read(step, "text")
        passes.append(_Pass(texts, mlm["max_length"], text_updates, batch, mlm["masked"]))
    return pricing.compute(step, shape, passes, (1 + bool(arguments["oracle"])) * _model(shape), updates)


def _translate(pricing: _Pricing, step: Step) -> Estimate:
    """The encoder reads a text once, and each beam writes about as many tokens. The texts of a batch are written
    together, and a position of a batch takes as long as an update in addition to its products."""
    arguments, sizes, shape = step.arguments, pricing.read(step, "rows"), pricing.shapes[step.inputs["model"]]
    tokens, ways = sum(size.examples * size.sequences * size.mean for size in sizes), 1 + bool(arguments["roundtrip"])
    batches = max(1.0, tokens / (arguments["batch_tokens"] or TRANSLATED_TOKENS[arguments["device"]]))
    passes = [_Pass(sizes, arguments["max_length"], ways, beams=arguments["beams"])]
    return pricing.compute(step, shape, passes, tokens * TOKEN_BYTES, ways * batches * sizes[0].mean)


def _predict(pricing: _Pricing, step: Step) -> Estimate:
    shape, sizes = pricing.shapes[step.inputs["model"]], pricing.read(step, "rows") + pricing.read(step, "dev")
    similarities = 0.0
    if "pooling" in step.arguments:  # retrieval compares all sentences of one side with all of the other, both ways
        similarities = sum(2 * 2 * (size.examples / 2) ** 2 * shape.hidden for size in sizes)
    passes, stored = (
        [_Pass(sizes, step.arguments["max_length"])],
        PREDICTION_BYTES * sum(size.examples for size in sizes),
    )
    return pricing.compute(step, shape, passes, stored, flops=similarities)


def _model(shape: Shape) -> float:
    """Bytes of a model and its vocabulary in the store."""
    return shape.parameters * WEIGHT_BYTES + shape.vocabulary * WORDS_BYTES


PRICERS: dict[str, Callable[[_Pricing, Step], Estimate]] = {
    "prepare": _data,
    "train_vocabulary": _data,
    "baseline": _data,
    "fetch": _fetch,
    "pretrain": _pretrain,
    "fine_tune": _fine_tune,
    "translate": _translate,
    "predict": _predict,
    "retrieve": _predict,
}
"""What a step costs, by the name of its function."""
