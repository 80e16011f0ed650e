"""A study's steps as plain data, and what they are made of: examples, encoders, translators."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.config.trainings import Encoder, Translator
from xstilts.costs.estimate import Estimate
from xstilts.data.examples import content_digest, required_tasks
from xstilts.engine import Plan, Step
from xstilts.hashing import folder_digest
from xstilts.randomness import derive
from xstilts.study.freeze import Frozen, on_hub
from xstilts.tasks.task import Task

VERSIONS = {
    "xstilts.data.prepare:prepare": 3,
    "xstilts.models.vocabulary:train_vocabulary": 2,
    "xstilts.models.encoders:fetch": 3,
    "xstilts.translation.models:fetch": 1,
    "xstilts.translation.translate:translate": 2,
    "xstilts.training.phases:pretrain": 2,
    "xstilts.training.phases:fine_tune": 4,
    "xstilts.evaluation.predict:predict": 4,
    "xstilts.evaluation.predict:baseline": 1,
    "xstilts.evaluation.retrieve:retrieve": 2,
}
"""Versions of step functions: increment one if a change of code alters its results, so that old ones are not reused."""


@dataclass(frozen=True)
class Cell:
    """One scored combination and the fingerprints of its steps; "" for those that it does not have.

    oracle: the predictions by weights that were chosen on held-out languages.
    """

    target: str
    arm: str
    encoder: str
    replicate: int
    predictions: str
    intermediate: str = ""
    training: str = ""
    oracle: str = ""

    @property
    def trainings(self) -> dict[str, str]:
        """The fingerprints of its trainings by phase."""
        phases = {"intermediate": self.intermediate, "training": self.training}
        return {phase: fingerprint for phase, fingerprint in phases.items() if fingerprint}

    @property
    def steps(self) -> list[str]:
        """The fingerprints of all steps that it has."""
        return [f for f in (self.predictions, self.oracle, self.intermediate, self.training) if f]


@dataclass
class StudyPlan:
    """The graph of a study's steps and the cells that its analysis reads.

    encoders, translators: the fingerprint of the step that fetches or pretrains each; examples: of the step that
    prepares them, by task, split, language and whether labels are withheld.
    """

    frozen: Frozen
    plan: Plan = field(default_factory=Plan)
    cells: list[Cell] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    retried: frozenset[str] = frozenset()
    ranks: int = 1
    encoders: dict[str, str] = field(default_factory=dict)
    translators: dict[str, str] = field(default_factory=dict)
    examples: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)

    @property
    def wanted(self) -> list[str]:
        """Every step that a cell reads: predictions, and trainings for their budgets."""
        return list(dict.fromkeys(fingerprint for cell in self.cells for fingerprint in cell.steps))

    def add(self, kind: str, function: str, label: str, arguments: dict[str, Any], inputs: dict[str, str]) -> str:
        """Add a step to the plan and return its fingerprint."""
        data, ranks = self.frozen.data, self.ranks if kind in ("train", "pretrain") else 1
        location = {"data": str(data)} if kind == "rows" and data else {}
        resources = {"ranks": ranks} if ranks > 1 else {}
        resources |= {"gpus": ranks} if arguments.get("device") == "cuda" else {}
        step = Step(kind, function, VERSIONS[function], arguments, inputs, location, label, resources=resources)
        return self.plan.add(step)

    def examples_step(self, task: Task, split: str, code: str, withheld: bool = False) -> str:
        """The step that prepares a split of a task in one language; most are asked for often and made once."""
        key, frozen = (task.name, split, code, withheld), self.frozen
        if key in self.examples:
            self.plan.requested += 1
            return self.examples[key]
        tasks = {name: frozen.tasks[name] for name in required_tasks(task)}
        arguments = {
            "task": entry_of(task),
            "tasks": {name: {**entry_of(other), "languages": other.languages} for name, other in tasks.items()},
            "split": split,
            "language": code,
            "content": content_digest(task, split, code, frozen.data, frozen.tasks),
            **({"labels_withheld": True} if withheld else {}),
        }
        label = f"{task.name} {split} in {code}"
        self.examples[key] = self.add("rows", "xstilts.data.prepare:prepare", label, arguments, {})
        return self.examples[key]

    def examples_steps(self, task: Task, split: str, codes: Iterable[str], withheld: bool = False) -> dict[str, str]:
        """The inputs `rows.xx` of a step that reads a split in several languages."""
        return {f"rows.{code}": self.examples_step(task, split, code, withheld) for code in codes}

    def encoder_step(self, name: str, random_weights: bool = False) -> str:
        """The step that fetches or pretrains an encoder, or gives it random weights; seeds share a vocabulary."""
        frozen, study = self.frozen, self.frozen.study
        kind = name if name in study.encoders else name.rpartition("-")[0]
        entry, pretraining = study.encoders[kind], study.encoders[kind].pretrain
        arguments: dict[str, Any]
        if not pretraining:
            step_kind, function, inputs = "fetch", "xstilts.models.encoders:fetch", {}
            seed = derive(study.seed, name, "random weights")
            arguments = {**model_of(entry), "random_weights": random_weights, "seed": seed}
            arguments |= {"config": entry.config} if entry.config else {}
        else:
            step_kind, function = "pretrain", "xstilts.training.phases:pretrain"
            corpus = frozen.tasks[pretraining.corpus]
            languages = sorted((study.languages.anchor, *frozen.pool, *frozen.held_out))
            texts = self.examples_steps(corpus, "train", languages)
            words, train_vocabulary = pretraining.vocabulary.model_dump(), "xstilts.models.vocabulary:train_vocabulary"
            inputs = {"vocabulary": self.add("vocabulary", train_vocabulary, f"vocabulary of {kind}", words, texts)}
            inputs |= texts
            arguments = {
                **some(pretraining, "config", "updates", "batch_size", "masked", "exponent", "max_length"),
                **({"updates": 0} if random_weights else {}),
                "task": entry_of(corpus),
                "languages": languages,
                "recipe": {**pretraining.recipe.model_dump(), "precision": frozen.precision},
                "seed": derive(study.seed, name, "pretraining"),
                "device": frozen.device,
            }
        if random_weights:
            return self.add("random", function, f"{name} with random weights", arguments, inputs)
        self.encoders[name] = self.add(step_kind, function, f"{step_kind} {name}", arguments, inputs)
        return self.encoders[name]

    def translator_step(self, name: str) -> str:
        """The step that fetches a translator."""
        arguments, function = model_of(self.frozen.study.translators[name]), "xstilts.translation.models:fetch"
        self.translators[name] = self.add("fetch", function, f"fetch translator {name}", arguments, {})
        return self.translators[name]


def entry_of(task: Task) -> dict[str, Any]:
    """What identifies a task for a step.

    Left out are what only describes it (licence, access, citation, title), its list of languages, so that another
    language needs only its own steps, metrics that it is not judged by, and settings left at their defaults.
    """
    described = {"licence", "access", "citation", "title", "defaults", "verified", "languages"}
    entry = task.model_dump(mode="json", exclude=described, exclude_defaults=True)
    return {**entry, "metrics": entry["metrics"][:1]} if "metrics" in entry else entry


def some(settings: Any, *names: str) -> dict[str, Any]:
    """The values of the named attributes, as arguments of a step."""
    return {name: getattr(settings, name) for name in names}


def model_of(entry: Encoder | Translator) -> dict[str, str]:
    """What identifies a model's files: repository and revision, or the checksums of those in a folder, card aside."""
    if on_hub(entry.load):
        return {"load": entry.load, "revision": entry.revision, "content": ""}
    return {"load": str(Path(entry.load)), "revision": entry.revision, "content": folder_digest(Path(entry.load))}
