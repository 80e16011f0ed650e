"""A study's steps as plain data, and what they are made of: rows, encoders, translators."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.config.schema import Encoder, Recipe
from xstilts.costs.estimate import Estimate
from xstilts.data.examples import content_digest, required_tasks
from xstilts.engine import Plan, Step, checksum, digest
from xstilts.randomness import derive
from xstilts.study.freeze import Frozen
from xstilts.study.revisions import on_hub
from xstilts.tasks.task import Task

VERSIONS = {
    "xstilts.data.prepare:prepare": 3,
    "xstilts.models.vocabulary:train_vocabulary": 1,
    "xstilts.models.encoders:fetch": 2,
    "xstilts.translation.models:fetch": 1,
    "xstilts.translation.translate:translate": 2,
    "xstilts.training.phases:pretrain": 2,
    "xstilts.training.phases:fine_tune": 4,
    "xstilts.evaluation.predict:predict": 4,
    "xstilts.evaluation.predict:baseline": 1,
    "xstilts.evaluation.retrieve:retrieve": 2,
}
"""Raised when a change of code moves a step's results, so that old results are not taken for new ones."""


@dataclass(frozen=True)
class Cell:
    """One scored combination, and the steps that made it: `intermediate` and `training` are "" where there is none, and
    so is `oracle`, the predictions by weights that the held-out languages chose."""

    target: str
    arm: str
    encoder: str
    replicate: int
    predictions: str
    intermediate: str = ""
    training: str = ""
    oracle: str = ""


@dataclass
class StudyPlan:
    """The graph of a study's steps and the cells that its analysis reads."""

    frozen: Frozen
    plan: Plan = field(default_factory=Plan)
    cells: list[Cell] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)
    retried: frozenset[str] = frozenset()
    ranks: int = 1
    rows: dict[tuple[str, str, str, bool], str] = field(default_factory=dict)
    """Steps that prepare rows, by task, split, language and whether labels are withheld: most are asked for often."""

    @property
    def wanted(self) -> list[str]:
        """Every step that a cell reads: predictions, and trainings for their budgets."""
        names = [n for c in self.cells for n in (c.predictions, c.oracle, c.intermediate, c.training) if n]
        return list(dict.fromkeys(names))


def add(result: StudyPlan, kind: str, function: str, label: str, arguments: dict[str, Any], inputs: dict[str, str],
         location: dict[str, str] | None = None) -> str:  # fmt: skip
    ranks = result.ranks if kind in ("train", "pretrain") else 1
    resources = ({"gpus": ranks} if arguments.get("device") == "cuda" else {}) | ({"ranks": ranks} if ranks > 1 else {})
    step = Step(kind, function, VERSIONS[function], arguments, inputs, location or {}, label, resources=resources)
    return result.plan.add(step)


def entry_of(task: Task) -> dict[str, Any]:
    """What identifies a task for a step. Not what only describes it (licence, citation, title), nor its list of
    languages, so that a language added to an entry costs only itself, nor metrics that judge nothing, nor settings
    left alone."""
    told = {"licence", "citation", "title", "defaults", "verified", "languages"}
    entry = task.model_dump(mode="json", exclude=told, exclude_defaults=True)
    return {**entry, "metrics": entry["metrics"][:1]} if "metrics" in entry else entry


def rows_step(result: StudyPlan, task: Task, split: str, code: str, withheld: bool = False) -> str:
    """The step that prepares a split of a task in one language."""
    key = task.name, split, code, withheld
    if key in result.rows:
        result.plan.requested += 1
        return result.rows[key]
    frozen = result.frozen
    arguments = {
        "task": entry_of(task),
        "tasks": {
            name: {**entry_of(frozen.tasks[name]), "languages": frozen.tasks[name].languages}
            for name in required_tasks(task)
        },
        "split": split,
        "language": code,
        "content": content_digest(task, split, code, frozen.data, frozen.tasks),
        **({"labels_withheld": True} if withheld else {}),
    }
    location = {"data": str(frozen.data)} if frozen.data else {}
    label = f"{task.name} {split} in {code}"
    result.rows[key] = add(result, "rows", "xstilts.data.prepare:prepare", label, arguments, {}, location)
    return result.rows[key]


def all_rows(
    result: StudyPlan, task: Task, split: str, languages: tuple[str, ...], withheld: bool = False
) -> dict[str, str]:
    return {f"rows.{code}": rows_step(result, task, split, code, withheld) for code in languages}


def recipe_of(recipe: Recipe, precision: str) -> dict[str, Any]:
    return {**recipe.model_dump(mode="json"), "precision": precision}


def encoder_step(result: StudyPlan, name: str, random_weights: bool = False) -> str:
    """The step that fetches or makes an encoder."""
    study = result.frozen.study
    own, entry = entry_of_encoder(study.encoders, name)
    if entry.pretrain is None:
        arguments = {
            "load": entry.load,
            "revision": entry.revision,
            "content": folder_content(entry.load),
            "random_weights": random_weights,
            "seed": derive(study.seed, name, "random weights"),
        }
        kind, label = ("random", f"{name} with random weights") if random_weights else ("fetch", f"fetch {name}")
        return add(result, kind, "xstilts.models.encoders:fetch", label, arguments, {})
    pretraining = entry.pretrain
    corpus = result.frozen.tasks[pretraining.corpus]
    frozen = result.frozen
    languages = tuple(sorted((study.languages.anchor, *frozen.pool, *frozen.held_out)))
    rows = all_rows(result, corpus, "train", languages)
    words = pretraining.vocabulary.model_dump(mode="json")
    vocabulary = add(result, "vocabulary", "xstilts.models.vocabulary:train_vocabulary", f"vocabulary of {own}",
                      words, rows)  # fmt: skip
    updates = 0 if random_weights else pretraining.updates
    arguments = {
        "config": pretraining.config,
        "task": entry_of(corpus),
        "languages": list(languages),
        "updates": updates,
        "batch_size": pretraining.batch_size,
        "masked": pretraining.masked,
        "exponent": pretraining.exponent,
        "max_length": pretraining.max_length,
        "recipe": recipe_of(pretraining.recipe, frozen.precision),
        "seed": derive(study.seed, name, "pretraining"),
        "device": frozen.device,
    }
    kind, label = ("pretrain", f"pretrain {name}") if updates else ("random", f"{name} with random weights")
    inputs = {"vocabulary": vocabulary, **rows}
    return add(result, kind, "xstilts.training.phases:pretrain", label, arguments, inputs)


def folder_content(load: str) -> str:
    """What identifies a model in a local folder: its files' checksums; "" for a hub repository.

    Raises XstiltsError for a path where there is no folder.
    """
    if on_hub(load):
        return ""
    files = sorted(path for path in Path(load).iterdir() if path.is_file())
    return digest([[path.name, checksum(path)] for path in files])


def entry_of_encoder(encoders: dict[str, Encoder], name: str) -> tuple[str, Encoder]:
    own = name if name in encoders else name.rpartition("-")[0]
    return own, encoders[own]
