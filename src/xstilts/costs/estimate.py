"""What each step of a plan costs before it runs (tokens, FLOPs, seconds, bytes, memory), and what it took."""

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from xstilts.costs.devices import Rates, measured_steps, rates, user_file
from xstilts.costs.shapes import EXAMPLE, TORCH, Shape, configured, peak, shape_of
from xstilts.costs.sizes import Size, size_of, total
from xstilts.engine import Plan, Step, Store, write_atomically
from xstilts.errors import XstiltsError
from xstilts.models.hardware import TRANSLATED_TOKENS
from xstilts.training.budget import shares
from xstilts.training.schedule import between_evaluations

PADDING = 1.5
"""Tokens computed per real token of a padded update: median 1.4 in simulation, see docs/planning.md."""
PREDICTION_BYTES, TOKEN_BYTES = 30, 4
"""Bytes in the store of a prediction and of a prepared token: measured."""
DISK, EXAMPLES_PER_SECOND = 5e8, 50_000
"""Bytes of a model that are read, checked and written per second: assumed; examples that are made or tokenized per
second: measured on one core."""


@dataclass(frozen=True)
class Estimate:
    """The cost of a step: tokens it computes on (without padding), FLOPs (with padding), seconds on one device, bytes
    it leaves in the store; `assumed` if a size or shape behind it is not known; `memory` and `device_memory`, the GB
    that its worker process and each of its GPUs hold at their peak; `examples` that it trains on or predicts, each as
    often as it does, 0 if their number is assumed or the step has no model."""

    tokens: float = 0.0
    flops: float = 0.0
    seconds: float = 0.0
    size: float = 0.0
    assumed: bool = False
    memory: float = 0.0
    device_memory: float = 0.0
    examples: float = 0.0


def estimates(plan: Plan, rates: Rates, store: Store | None = None, padded: bool = False) -> dict[str, Estimate]:
    """The cost of every step of a plan on one device, by fingerprint. Examples that `store` has are counted; `padded`
    prices every sequence at the maximum length, as fixed padding would have it."""
    pricing, result = _Pricing(plan, rates, store, padded), {}
    for fingerprint, step in plan.steps.items():
        estimate = pricing.price(step)
        result[fingerprint] = replace(estimate, seconds=estimate.seconds * rates.ratios.get(step.kind, 1.0))
    return result


def price(plan: Plan, rates: Rates) -> dict[str, Estimate]:
    """`estimates`, also written into the steps: seconds decide the order of work, memory what runs at the same time,
    and examples tell the speed of a step from the share of it that is done."""
    result = estimates(plan, rates)
    for f, step in plan.steps.items():
        memory = {"memory": round(result[f].memory, 3), "device_memory": round(result[f].device_memory, 3)}
        resources = {**step.resources, **{name: amount for name, amount in memory.items() if amount}}
        plan.steps[f] = replace(step, cost=result[f].seconds, resources=resources, examples=result[f].examples)
    return result


class _Pass(NamedTuple):
    """A model computes examples of these sizes `times` times: updates of `batch` examples, forward and backward; if
    that is 0, all examples, forward. It predicts the share `masked` of the tokens, and writes `beams` times as many."""

    sizes: list[Size]
    max_length: int
    times: float = 1.0
    batch: int = 0
    masked: float = 0.0
    beams: int = 0

    @property
    def read_examples(self) -> float:
        """Examples that are read and tokenized: a training does not read those that it does not draw."""
        examples = total(self.sizes).examples
        return min(examples, self.times * self.batch) if self.batch else examples


@dataclass
class _Pricing:
    plan: Plan
    rates: Rates
    store: Store | None
    padded: bool
    sizes: dict[Any, Size] = field(default_factory=dict)
    """Of each step that makes examples; by task, split and whether the language is English: one stands for the rest."""
    shapes: dict[str, Shape] = field(default_factory=dict)
    """The model behind each step that leaves one."""
    updates: dict[str, int] = field(default_factory=dict)
    """Updates of each training."""

    def read(self, step: Step, prefix: str) -> list[Size]:
        """Sizes of the input of that name, or of all `prefix.*`."""
        return [self.sizes[f] for name, f in step.inputs.items() if f"{name}.".startswith(f"{prefix}.")]

    def price(self, step: Step) -> Estimate:
        """The cost of a step, whose inputs have been priced."""
        arguments, rows, function = step.arguments, self.read(step, "rows"), step.function.rpartition(":")[2]
        match function:
            case "prepare":
                key = arguments["task"]["name"], arguments["split"], arguments["language"] == "en"
                if key not in self.sizes:
                    self.sizes[key] = size_of(step, self.store)
                rows = [self.sizes.setdefault(step.fingerprint, self.sizes[key])]
            case "fetch":
                shape = self.shapes[step.fingerprint] = shape_of(arguments["load"], "translation" in step.function)
                stored = 4.0 * shape.parameters
                seconds = self.rates.step_seconds + 6 * stored / DISK  # 7.4 s of a core measured for 471 MB
                return Estimate(0, 0, seconds, stored, not shape.known, (TORCH + stored) / 1e9)
            case "pretrain":
                words = self.plan.steps[step.inputs["vocabulary"]].arguments["size"]
                shape = self.shapes[step.fingerprint] = configured(arguments["config"], words)
                batch, updates, masked = (arguments[name] for name in ("batch_size", "updates", "masked"))
                part = _Pass(rows, arguments["max_length"], updates, batch, masked)
                return self.compute(step, shape, [part], 4 * shape.parameters, updates)
            case "fine_tune":
                return self.fine_tune(step)
            case "translate":  # the texts of a batch write a token at a time, which takes as long as an update
                size = self.sizes[step.fingerprint] = total(rows)  # a text is as long as its original
                ways, shape = 1 + bool(arguments["roundtrip"]), self.shapes[step.inputs["model"]]
                limit = arguments["batch_tokens"] or TRANSLATED_TOKENS[arguments["device"]]
                positions = ways * max(1.0, size.tokens / limit) * size.tokens / size.sequences
                part = _Pass(rows, arguments["max_length"], ways, beams=arguments["beams"])
                return self.compute(step, shape, [part], TOKEN_BYTES * size.tokens, positions)
            case "predict" | "retrieve":
                part = _Pass(rows + self.read(step, "dev"), arguments["max_length"])
                stored = PREDICTION_BYTES * total(part.sizes).examples
                return self.compute(step, self.shapes[step.inputs["model"]], [part], stored)
        size = total(rows)  # no model: examples, a vocabulary, or the most frequent class
        stored = TOKEN_BYTES * size.tokens if function == "prepare" else 70 * arguments.get("size", 0)  # of an entry
        seconds = 0.1 + size.examples / EXAMPLES_PER_SECOND
        return Estimate(0, 0, seconds, stored, size.assumed > 0, (TORCH + EXAMPLE * size.examples) / 1e9)

    def fine_tune(self, step: Step) -> Estimate:
        """A training on one or several tasks, with its evaluations."""
        arguments, batch, mlm = step.arguments, step.arguments["batch_size"], step.arguments["mlm"]
        shape = self.shapes[step.fingerprint] = self.shapes[step.inputs["encoder"]]
        tasks, sampling, oracle = arguments["tasks"], arguments["sampling"], self.read(step, "oracle")
        examples, budget = [], 0.0
        for name, task in tasks.items():
            counts = [size.examples for size in self.read(step, f"train.{name}")]
            examples.append(task["examples"] or round((min if task["task"].get("parallel") else sum)(counts)))
            examples[-1] += round(sum(size.examples for size in self.read(step, "shots")))
            budget += examples[-1] * task["epochs"]
        weights = shares(examples, *(sampling.get(name, 1) for name in ("how", "temperature", "cap"))).tolist()
        updates = math.ceil((sampling.get("examples") or budget) / batch)
        updates += self.updates.get(step.inputs.get("longer", ""), 0)
        self.updates[step.fingerprint] = updates
        text_updates = round(mlm["share"] * updates) if mlm else 0
        choosing = arguments["checkpoint"] == "best" or bool(oracle)
        evaluations = math.ceil(updates / between_evaluations(arguments["evaluate_every"], updates, choosing))
        evaluations += arguments["checkpoint"] == "average"  # that of the average
        passes = []
        for (name, task), weight in zip(tasks.items(), weights, strict=True):
            train, dev = self.read(step, f"train.{name}"), self.read(step, f"dev.{name}") + oracle
            passes.append(_Pass(train, task["max_length"], weight * (updates - text_updates), batch))
            passes.append(_Pass(dev, task["max_length"], evaluations))
        if mlm:
            passes.append(_Pass(self.read(step, "text"), mlm["max_length"], text_updates, batch, mlm["masked"]))
        return self.compute(step, shape, passes, 4 * shape.parameters * (1 + bool(oracle)), updates)

    def compute(self, step: Step, shape: Shape, passes: list[_Pass], stored: float, updates: float = 0) -> Estimate:
        """A step that computes with a model: its passes and updates."""
        device, precision = step.arguments["device"], step.arguments.get("recipe", step.arguments)["precision"]
        padding = 1.0 if self.padded or shape.packs(device) else PADDING
        sizes, tokens, flops, update = [size for part in passes for size in part.sizes], 0.0, 0.0, 0.0
        read_examples = sum(part.read_examples for part in passes)
        # the backward pass costs a forward pass for the gradients of activations, and one for those of weights
        trained = 2 if "lora" in step.arguments else 3
        for part in (part for part in passes if part.times and total(part.sizes).examples):
            size = total(part.sizes)
            length = part.max_length if self.padded else min(size.tokens / size.sequences, part.max_length)
            read = part.times * (part.batch or size.examples) * size.sequences / size.examples * length
            computed = read * (padding if part.batch else 1)
            forward = shape.forward(computed, computed * length, part.masked * read, part.beams * read)
            tokens += read * (1 + part.beams)
            flops += forward * (trained if part.batch else 1)
            update = max(update, computed / part.times if part.batch else 0)
        decoding = {"cpu": 0.75, "cuda": 0.25}[device]  # measured on one core, assumed on a GPU
        rate = self.rates.flops_per_second(precision, shape.hidden) * (decoding if step.kind == "translate" else 1)
        layers = 1 + (shape.decoder_layers or shape.layers)  # the embeddings and the head count as one
        seconds = self.rates.step_seconds + flops / rate + updates * layers * self.rates.layer_seconds[precision]
        seconds += read_examples / EXAMPLES_PER_SECOND + (stored + 4 * shape.parameters) / DISK
        assumed = not shape.known or total(sizes).assumed > 0 or step.kind == "translate"
        memory = peak(shape, step, sizes, update, max(part.masked for part in passes))
        batch = max(part.batch for part in passes)  # a training reports the share of its updates that is done
        examples = updates * batch if batch else total(sizes).examples
        return Estimate(tokens, flops, seconds, stored, assumed, *memory, 0.0 if total(sizes).assumed else examples)


def compared(plan: Plan, measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """Rows of `kind`, `steps`, `estimated_seconds` and `measured_seconds`, from the seconds of steps by fingerprint."""
    rows: dict[str, dict[str, Any]] = {}
    for fingerprint, step in plan.steps.items():
        if fingerprint in measured:
            row = rows.setdefault(step.kind, {"kind": step.kind})
            added = {"steps": 1, "estimated_seconds": step.cost, "measured_seconds": measured[fingerprint]}
            row |= {name: row.get(name, 0) + value for name, value in added.items()}
    return list(rows.values())


def record(plan: Plan, device: str, measured: Mapping[str, float]) -> list[dict[str, Any]]:
    """The rows of `compared`; what the steps took is added to the user's file, for later plans on this device.
    A study does not fail because that file, or the user's rates, cannot be read or written."""
    if not measured:
        return []
    with suppress(OSError, XstiltsError):
        base, uncorrected = rates(device).model_copy(update={"ratios": {}}), Plan({**plan.steps})
        table = measured_steps()
        price(uncorrected, base)
        kinds = table.setdefault(base.key, {})
        for kind, *added in (row.values() for row in compared(uncorrected, measured)):
            kinds[kind] = [old + more for old, more in zip(kinds.get(kind, (0, 0, 0)), added, strict=True)]
        write_atomically(user_file("measured.json"), json.dumps(table, indent=1))
    return compared(plan, measured)


def comparison(rows: list[dict[str, Any]]) -> str:
    """The rows in a sentence, "" if nothing ran."""
    names = "steps", "estimated_seconds", "measured_seconds"
    steps, estimated, measured = (sum(row[name] for row in rows) for name in names)
    took = f"{steps:,} steps took {measured:,.0f} s of compute"
    return f"{took}, {measured / estimated:.2f} times the estimate" if estimated else ""
