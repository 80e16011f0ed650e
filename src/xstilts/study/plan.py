"""Expands a frozen study into a plan: shared steps once, and the cells of the experiment that they serve."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xstilts.data.sources import available, content, others
from xstilts.engine import Plan, Step, checksum, digest
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.study.cost import Estimate, price
from xstilts.study.devices import rates
from xstilts.study.freeze import Frozen, encoder_names, replicate_names
from xstilts.study.schema import Arm, Encoder, Recipe, Target, Training
from xstilts.tasks.task import Task
from xstilts.tasks.types import FINE_TUNED

BASELINE = "baseline"
VERSIONS = {
    "xstilts.data.prepare:prepare": 2,
    "xstilts.models.vocabulary:train_vocabulary": 1,
    "xstilts.models.encoders:fetch": 1,
    "xstilts.training.phases:pretrain": 2,
    "xstilts.training.phases:fine_tune": 3,
    "xstilts.evaluation.predict:predict": 3,
    "xstilts.evaluation.predict:baseline": 1,
    "xstilts.evaluation.retrieve:retrieve": 2,
}
"""Raised when a change of code moves a step's results, so that old results are not taken for new ones."""


@dataclass(frozen=True)
class Cell:
    """One scored combination, and the steps that made it: `intermediate` and `training` are "" where there is none."""

    target: str
    arm: str
    encoder: str
    replicate: int
    predictions: str
    intermediate: str = ""
    training: str = ""


@dataclass
class StudyPlan:
    """The graph of a study's steps and the cells that its analysis reads."""

    frozen: Frozen
    plan: Plan = field(default_factory=Plan)
    cells: list[Cell] = field(default_factory=list)
    estimates: dict[str, Estimate] = field(default_factory=dict)

    @property
    def wanted(self) -> list[str]:
        """Every step that a cell reads: predictions, and trainings for their budgets."""
        names = [n for c in self.cells for n in (c.predictions, c.intermediate, c.training) if n]
        return list(dict.fromkeys(names))


def build_plan(frozen: Frozen) -> StudyPlan:
    """The steps for every arm, target and replicate of the study."""
    result = StudyPlan(frozen)
    study = frozen.study
    for number, encoder in enumerate(encoder_names(study)):
        base = _encoder(result, encoder)
        for name, arm in study.arms.items():
            for owner, replicate, randomness in replicate_names(study, arm):
                if owner == encoder:
                    _replicate(result, (name, arm), encoder, base, replicate, randomness)
        for target, entry in study.targets.items():
            _baseline(result, target, entry, encoder, first=number == 0)
    result.estimates = price(result.plan, rates(frozen.device))
    return result


def _add(result: StudyPlan, kind: str, function: str, label: str, arguments: dict[str, Any], inputs: dict[str, str],
         location: dict[str, str] | None = None) -> str:  # fmt: skip
    needs = {"gpus": 1} if arguments.get("device") == "cuda" else {}
    step = Step(kind, function, VERSIONS[function], arguments, inputs, location or {}, label, needs=needs)
    return result.plan.add(step)


def _entry(task: Task) -> dict[str, Any]:
    """What identifies a task for a step. Not what only describes it (licence, citation, title), nor its list of
    languages, so that a language added to an entry costs only itself, nor metrics that judge nothing, nor settings
    left alone."""
    told = {"licence", "citation", "title", "defaults", "verified", "languages"}
    entry = task.model_dump(mode="json", exclude=told, exclude_defaults=True)
    return {**entry, "metrics": entry["metrics"][:1]} if "metrics" in entry else entry


def _rows(result: StudyPlan, task: Task, split: str, code: str, withheld: bool = False) -> str:
    frozen = result.frozen
    arguments = {
        "task": _entry(task),
        "tasks": {
            name: {**_entry(frozen.tasks[name]), "languages": frozen.tasks[name].languages} for name in others(task)
        },
        "split": split,
        "language": code,
        "content": content(task, split, code, frozen.data, frozen.tasks),
        **({"withheld": True} if withheld else {}),
    }
    location = {"data": str(frozen.data)} if frozen.data else {}
    label = f"{task.name} {split} in {code}"
    return _add(result, "rows", "xstilts.data.prepare:prepare", label, arguments, {}, location)


def _all_rows(
    result: StudyPlan, task: Task, split: str, languages: tuple[str, ...], withheld: bool = False
) -> dict[str, str]:
    return {f"rows.{code}": _rows(result, task, split, code, withheld) for code in languages}


def _recipe(recipe: Recipe, precision: str) -> dict[str, Any]:
    return {**recipe.model_dump(mode="json"), "precision": precision}


def _encoder(result: StudyPlan, name: str, random_weights: bool = False) -> str:
    """The step that fetches or makes an encoder."""
    study = result.frozen.study
    own, entry = _entry_of_encoder(study.encoders, name)
    if entry.pretrain is None:
        arguments = {
            "load": entry.load,
            "revision": entry.revision,
            "content": folder_content(entry.load),
            "random_weights": random_weights,
            "seed": derive(study.seed, name, "random weights"),
        }
        kind, label = ("random", f"{name} with random weights") if random_weights else ("fetch", f"fetch {name}")
        return _add(result, kind, "xstilts.models.encoders:fetch", label, arguments, {})
    pretraining = entry.pretrain
    corpus = result.frozen.tasks[pretraining.corpus]
    frozen = result.frozen
    languages = tuple(sorted((study.languages.anchor, *frozen.pool, *frozen.held_out)))
    rows = _all_rows(result, corpus, "train", languages)
    words = pretraining.vocabulary.model_dump(mode="json")
    vocabulary = _add(result, "vocabulary", "xstilts.models.vocabulary:train_vocabulary", f"vocabulary of {own}",
                      words, rows)  # fmt: skip
    updates = 0 if random_weights else pretraining.updates
    arguments = {
        "config": pretraining.config,
        "task": _entry(corpus),
        "languages": list(languages),
        "updates": updates,
        "batch_size": pretraining.batch_size,
        "masked": pretraining.masked,
        "exponent": pretraining.exponent,
        "max_length": pretraining.max_length,
        "recipe": _recipe(pretraining.recipe, frozen.precision),
        "seed": derive(study.seed, name, "pretraining"),
        "device": frozen.device,
    }
    kind, label = ("pretrain", f"pretrain {name}") if updates else ("random", f"{name} with random weights")
    inputs = {"vocabulary": vocabulary, **rows}
    return _add(result, kind, "xstilts.training.phases:pretrain", label, arguments, inputs)


def folder_content(load: str) -> str:
    """What identifies an encoder in a local folder: its files' checksums; "" for a hub repository."""
    folder = Path(load)
    if not folder.is_dir():
        return ""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return digest([[path.name, checksum(path)] for path in files])


def _entry_of_encoder(encoders: dict[str, Encoder], name: str) -> tuple[str, Encoder]:
    own = name if name in encoders else name.rpartition("-")[0]
    return own, encoders[own]


def _replicate(
    result: StudyPlan, named: tuple[str, Arm], encoder: str, base: str, replicate: int, randomness: str
) -> None:
    """All cells of one arm in one replicate."""
    name, arm = named
    frozen = result.frozen
    study = frozen.study
    model = base
    intermediate = ""
    if arm.intermediate:
        sources = frozen.sources[name][randomness]
        intermediate = model = _training(
            result, study.intermediate[arm.intermediate], arm.intermediate, encoder, base, sources,
            derive(study.seed, randomness, arm.intermediate, "intermediate"),
            f"{arm.intermediate} in {', '.join(sources)} · {encoder} {replicate}",
        )  # fmt: skip
    for target, entry in study.targets.items():
        task = frozen.tasks[entry.task or target]
        if arm.hide and (task.type not in FINE_TUNED or arm.hide not in FINE_TUNED[task.type].TEXT_COLUMNS):
            continue
        where = f"{target} after {name} · {encoder} {replicate}"
        if task.type in FINE_TUNED and entry.training:
            seed = derive(study.seed, randomness, target, "target")
            tuned = _training(result, entry.training, entry.task or target, encoder, model,
                              (study.languages.anchor,), seed, where, arm.hide)  # fmt: skip
            scored = _prediction(result, target, tuned, encoder, f"score {where}", arm.hide)
            result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate, tuned))
        else:
            scored = _prediction(result, target, model, encoder, f"score {where}")
            result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate))


def _training(
    result: StudyPlan, training: Training, name: str, encoder: str, model: str, languages: tuple[str, ...],
    seed: int, label: str, hide: str = "",
) -> str:  # fmt: skip
    frozen = result.frozen
    task, anchor = frozen.tasks[training.task or name], frozen.study.languages.anchor
    inputs = {f"train.{code}": _rows(result, task, training.train, code) for code in languages}
    inputs["dev"] = _rows(result, task, training.dev, anchor)
    inputs["encoder"] = model
    arguments = {
        "task": _entry(task),
        "languages": list(languages),
        "examples": training.examples,
        "epochs": training.epochs,
        "batch_size": training.batch_size,
        "max_length": task.max_length,
        "recipe": _recipe(training.recipe, frozen.precision),
        "seed": seed,
        "keep": training.keep,
        "evaluate_every": training.evaluate_every,
        "hidden": hide,
        "device": frozen.device,
    }
    return _add(result, "train", "xstilts.training.phases:fine_tune", label, arguments, inputs)


def _prediction(result: StudyPlan, target: str, model: str, encoder: str, label: str, hide: str | None = None) -> str:
    """The step that scores a model on a target; `hide` names a text column that is withheld, "" for none, and None
    means retrieval."""
    frozen = result.frozen
    entry, languages = frozen.study.targets[target], frozen.evaluated[target]
    task = frozen.tasks[entry.task or target]
    inputs = _all_rows(result, task, entry.test, languages, entry.withheld)
    arguments = {
        "task": _entry(task),
        "languages": list(languages),
        "max_length": task.max_length,
        "device": frozen.device,
        "precision": frozen.precision,
    }
    function = "xstilts.evaluation.predict:predict"
    if hide is None:
        function = "xstilts.evaluation.retrieve:retrieve"
        dev = _dev_languages(frozen, entry, task, languages)
        arguments |= {"layers": list(entry.layers), "pooling": entry.pooling, "dev_languages": dev}
        if len(entry.layers) > 1:
            arguments["layer_languages"] = _layer_languages(frozen, target, dev)
        inputs |= {f"dev.{code}": _rows(result, task, entry.dev, code) for code in dev}
    else:
        arguments["hidden"] = hide
    inputs["model"] = model
    return _add(result, "predict", function, label, arguments, inputs)


def _dev_languages(frozen: Frozen, entry: Target, task: Task, languages: tuple[str, ...]) -> list[str]:
    """Where layer and margin are chosen: the margin in every language, a layer never in held-out ones."""
    if not entry.dev:
        return []
    known = available(task, entry.dev, languages, frozen.data, frozen.tasks)
    return [code for code in known if task.mining or code not in frozen.held_out]


def _layer_languages(frozen: Frozen, target: str, dev: list[str]) -> list[str]:
    """Where a layer is chosen; raises XstiltsError where only held-out languages have dev rows."""
    found = [code for code in dev if code not in frozen.held_out]
    if not found:
        raise XstiltsError(f"target '{target}' has no language to choose its layer in",
                           "all with `dev` rows are held out", "give it one layer, or hold out fewer")  # fmt: skip
    return found


def _baseline(result: StudyPlan, target: str, entry: Target, encoder: str, first: bool) -> None:
    """The baseline beside every score: trivial predictions, or for retrieval the encoder with random weights."""
    frozen = result.frozen
    task = frozen.tasks[entry.task or target]
    if task.type not in FINE_TUNED:
        model = _encoder(result, encoder, random_weights=True)
        label = f"score {target} with random weights · {encoder}"
        scored = _prediction(result, target, model, encoder, label)
        result.cells.append(Cell(target, BASELINE, encoder, 0, scored))
        return
    if not first or not entry.training or entry.withheld:
        return
    anchor = frozen.study.languages.anchor
    languages = frozen.evaluated[target]
    trained = frozen.tasks[entry.training.task] if entry.training.task else task
    inputs = {
        "train": _rows(result, trained, entry.training.train, anchor),
        **_all_rows(result, task, entry.test, languages),
    }
    arguments = {"task": _entry(task), "languages": list(languages)}
    label = f"score {target} by {FINE_TUNED[task.type].BASELINE}"
    scored = _add(result, "predict", "xstilts.evaluation.predict:baseline", label, arguments, inputs)
    result.cells.append(Cell(target, BASELINE, "", 0, scored))
