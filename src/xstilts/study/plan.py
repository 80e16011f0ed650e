"""Expands a frozen study into a plan: shared steps once, and the cells of the experiment that they serve."""

from dataclasses import replace
from typing import Any

from xstilts.config.schema import Arm
from xstilts.config.trainings import Training
from xstilts.costs.devices import rates
from xstilts.costs.estimate import price
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.runs.reader import BASELINE
from xstilts.study.freeze import Frozen
from xstilts.study.source_languages import encoder_names, parts_of, replicate_names, translated_targets
from xstilts.study.steps import Cell, StudyPlan, entry_of, some
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.training.schedule import ORACLE


def build_plan(frozen: Frozen, retried: frozenset[str] = frozenset(), ranks: int = 1) -> StudyPlan:
    """The steps for every arm, target and replicate of the study.

    retried: fingerprints of trainings that get another seed; ranks: processes (GPUs) that share each training.
    """
    result, study = StudyPlan(frozen, retried=retried, ranks=ranks), frozen.study
    for number, encoder in enumerate(encoder_names(study)):
        base = result.encoder_step(encoder)
        for name, arm in study.arms.items():
            for owner, replicate, randomness in replicate_names(study, arm):
                if owner == encoder:
                    _replicate(result, name, encoder, base, replicate, randomness)
        for target in study.targets:
            _baseline(result, target, encoder, first=number == 0)
    result.estimates = price(result.plan, rates(frozen.device))
    return result


def _replicate(result: StudyPlan, name: str, encoder: str, base: str, replicate: int, randomness: str) -> None:
    """All cells of one arm in one replicate."""
    frozen, study, arm = result.frozen, result.frozen.study, result.frozen.study.arms[name]
    intermediate = _intermediate(result, name, base, randomness, f"{encoder} {replicate}")
    longer = ""
    if arm.match_updates_of:
        first_tries = replace(result, retried=frozenset())  # a second try has as many updates
        longer = _intermediate(first_tries, arm.match_updates_of, base, randomness, f"{encoder} {replicate}")
    model = intermediate or base
    targets = study.targets_of(name)
    labels = {target: f"{target} after {name} · {encoder} {replicate}" for target in targets}
    trained: dict[str, str] = {}
    for target, entry in targets.items():
        task = frozen.task_of(target)
        if entry.training and (not arm.mask_column or arm.mask_column in FINE_TUNED[task.type].MASKABLE):
            seed = derive(study.seed, randomness, entry.training.task, "target")  # targets of one training share it
            trained[target] = _target_training(result, target, model, seed, labels[target], arm, longer)
    for target, entry in targets.items():
        if arm.mask_column and target not in trained:
            continue
        label, oracle = labels[target], ""
        if training := trained.get(target, ""):
            scored = _prediction(result, target, training, f"score {label}", arm.mask_column)
            if entry.oracle and not result.retried:  # the oracle is compared with the run's first tries
                oracle = _prediction(result, target, training, f"oracle of {label}", arm.mask_column, ORACLE)
        else:
            training = trained.get(entry.after, "")
            scored = _prediction(result, target, training or model, f"score {label}")
        result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate, training, oracle))


def _intermediate(result: StudyPlan, name: str, base: str, randomness: str, cell: str) -> str:
    """The step that trains the encoder `base` on an arm's intermediate task or tasks; "" if the arm has none."""
    frozen, study, arm = result.frozen, result.frozen.study, result.frozen.study.arms[name]
    if not arm.intermediate:
        return ""
    training, parts = study.intermediate[arm.intermediate], parts_of(study, arm.intermediate)
    sources = frozen.sources[name][randomness]
    tasks, inputs = {}, {"encoder": base}
    for part_name, part in parts.items():
        task = frozen.tasks[part.task]
        tasks[part_name] = _task_arguments(task, part, sources, training.mixture.get(part_name, 1.0))
        if arm.translated:
            tasks[part_name]["task"]["parallel"] = True
        for code in sources:
            inputs[f"train.{part_name}.{code}"] = _source_examples(result, arm, task, part.train, code)
        has_anchor = available(task, part.dev, (study.languages.anchor,), frozen.data, frozen.tasks)
        dev_language = study.languages.anchor if has_anchor else sources[0]
        inputs[f"dev.{part_name}"] = result.examples_step(task, part.dev, dev_language)
    changes: dict[str, Any] = {"tasks": tasks, "anchor_share": arm.anchor_share}
    if len(parts) > 1:
        changes["sampling"] = {"how": training.sampling, **some(training, "temperature", "cap", "examples")}
    if arm.mlm:
        pool = tuple(sorted((study.languages.anchor, *frozen.pool)))
        languages = sources if arm.mlm.languages == "sources" else pool
        corpus = frozen.tasks[arm.mlm.corpus]
        inputs |= {f"text.{code}": result.examples_step(corpus, "train", code) for code in languages}
        text = {"task": entry_of(corpus), "languages": list(languages), "max_length": corpus.max_length}
        changes["mlm"] = text | some(arm.mlm, "share", "masked")
    masked = f", {arm.mlm.share:.0%} masked text" if arm.mlm else ""
    translated = f", translated by {arm.translated}" if arm.translated else ""
    label = f"{arm.intermediate}{masked}{translated} in {', '.join(sources)} · {cell}"
    seed = derive(study.seed, randomness, arm.intermediate, "intermediate")
    return _fine_tune(result, training, label, inputs, seed, **changes)


def _target_training(
    result: StudyPlan, target: str, model: str, seed: int, label: str, arm: Arm, longer: str = ""
) -> str:
    """The step that trains a model on a target task in the anchor language, as the target says and the arm changes it,
    by as many updates more as `longer` has; raises XstiltsError if no held-out language has examples for the target's
    oracle."""
    frozen, entry = result.frozen, result.frozen.study.targets[target]
    assert entry.training is not None
    arm_changes, anchor = arm.target_training, frozen.study.languages.anchor
    training = arm_changes.applied_to(entry.training)
    task, scored = frozen.tasks[training.task], frozen.task_of(target)
    inputs = {
        "encoder": model,
        f"train.{task.name}.{anchor}": result.examples_step(task, training.train, anchor),
        f"dev.{task.name}": result.examples_step(task, training.dev, anchor),
    }
    oracle: list[str] = []
    if entry.oracle:
        held_out = tuple(code for code in frozen.evaluated[target] if code in frozen.held_out)
        oracle = list(available(scored, entry.oracle, held_out, frozen.data, frozen.tasks))
        if not oracle:
            what = f"target '{target}' has no '{entry.oracle}' examples in a held-out language"
            hint = "name another split, or leave `oracle` out"
            raise XstiltsError("bad-setting", what, "its oracle chooses weights by such examples", hint)
        inputs |= {f"oracle.{code}": result.examples_step(scored, entry.oracle, code) for code in oracle}
    if longer:
        inputs["longer"] = longer
    changes: dict[str, Any] = {"mask_column": arm.mask_column, "oracle": oracle}
    languages: tuple[str, ...] = (anchor,)
    if translator := arm_changes.translated:  # each example once, in one of the languages: as many as without
        languages = (anchor, *translated_targets(frozen.study, translator, task, frozen.held_out))
        for code in languages[1:]:
            inputs[f"train.{task.name}.{code}"] = _translated(result, translator, task, training.train, code)
    tasks = {task.name: _task_arguments(task, training, languages, 1.0)}
    if translator:
        tasks[task.name]["task"]["parallel"] = True
    if shots := arm_changes.shots:
        changes["shots"] = list(available(task, shots, frozen.held_out, frozen.data, frozen.tasks))
        inputs |= {f"shots.{code}": result.examples_step(task, shots, code) for code in changes["shots"]}
    return _fine_tune(result, training, label, inputs, seed, tasks=tasks, **changes)


def _task_arguments(task: Task, training: Training, languages: tuple[str, ...], weight: float) -> dict[str, Any]:
    arguments = {"task": entry_of(task), "languages": list(languages), "max_length": task.max_length, "weight": weight}
    if training.class_weights:
        arguments["class_weights"] = training.class_weights
    return arguments | some(training, "examples", "epochs")


def _fine_tune(
    result: StudyPlan, training: Training, label: str, inputs: dict[str, str], seed: int, **changes: Any
) -> str:
    """A training step; one that is tried again has another seed and follows its first try in the plan."""
    arguments = {
        "recipe": {**training.recipe.model_dump(), "precision": result.frozen.precision},
        "checkpoint": training.checkpoint or result.frozen.study.checkpoint,
        **some(training, "batch_size", "evaluate_every"),
        **{"sampling": {}, "mlm": None, "anchor_share": 0.0, "oracle": [], "mask_column": ""},
        **{"seed": seed, "device": result.frozen.device},
        **changes,
    }
    if training.lora:
        arguments["lora"] = training.lora.model_dump()
    function = "xstilts.training.phases:fine_tune"
    first = result.add("train", function, label, arguments, inputs)
    if first not in result.retried:
        return first
    arguments = {**arguments, "seed": derive(seed, "second try")}
    return result.add("train", function, f"{label}, second try", arguments, inputs)


def _source_examples(result: StudyPlan, arm: Arm, task: Task, split: str, code: str) -> str:
    """The step that makes an arm's examples in one language: as they are, or translated from the anchor's."""
    if not arm.translated or (code == result.frozen.study.languages.anchor and not arm.pivot):
        return result.examples_step(task, split, code)
    return _translated(result, arm.translated, task, split, code, arm.pivot)


def _translated(result: StudyPlan, translator: str, task: Task, split: str, code: str, pivot: str = "") -> str:
    """The step that translates the anchor's examples into a language, or through a pivot back into the anchor's."""
    frozen, anchor = result.frozen, result.frozen.study.languages.anchor
    entry = frozen.study.translators[translator]
    inputs = {"rows": result.examples_step(task, split, anchor), "model": result.translator_step(translator)}
    if entry.back:
        inputs["back"] = result.translator_step(entry.back)
    arguments = {
        "task": entry_of(task),
        **{"from": anchor, "to": pivot or code, "roundtrip": bool(pivot)},
        **some(entry, "beams", "max_length", "batch_tokens"),
        **some(frozen, "device", "precision"),
    }
    way = f"out to {pivot} and back" if pivot else f"into {code}"
    label = f"translate {task.name} {split} {way}"
    return result.add("translate", "xstilts.translation.translate:translate", label, arguments, inputs)


def _prediction(
    result: StudyPlan, target: str, model: str, label: str, mask_column: str | None = None, weights: str = ""
) -> str:
    """The step that scores a model on a target. mask_column: the text column that is withheld; None means retrieval."""
    frozen = result.frozen
    entry, languages, task = frozen.study.targets[target], frozen.evaluated[target], frozen.task_of(target)
    inputs = {**result.examples_steps(task, entry.test, languages, entry.labels_withheld), "model": model}
    arguments = {"task": entry_of(task), "languages": list(languages), "max_length": task.max_length}
    arguments |= some(frozen, "device", "precision")
    if mask_column is not None:
        arguments |= {"mask_column": mask_column, "weights": weights}
        return result.add("predict", "xstilts.evaluation.predict:predict", label, arguments, inputs)
    dev = available(task, entry.dev, languages, frozen.data, frozen.tasks) if entry.dev else ()
    not_held_out = [code for code in dev if code not in frozen.held_out]
    dev_languages = list(dev) if task.mining else not_held_out  # thresholds are chosen language by language
    arguments |= {"layers": list(entry.layers), "pooling": entry.pooling, "dev_languages": dev_languages}
    if entry.query_prefix or entry.candidate_prefix:
        arguments["prefixes"] = {"query": entry.query_prefix, "candidate": entry.candidate_prefix}
    if len(entry.layers) > 1:
        arguments["layer_languages"] = not_held_out
        if not not_held_out:
            what = f"target '{target}' has no language to choose its layer in"
            hint = "give it one layer, or hold out fewer languages"
            raise XstiltsError("too-few", what, "all with `dev` examples are held out", hint)
    inputs |= {f"dev.{code}": result.examples_step(task, entry.dev, code) for code in dev_languages}
    return result.add("predict", "xstilts.evaluation.retrieve:retrieve", label, arguments, inputs)


def _baseline(result: StudyPlan, target: str, encoder: str, first: bool) -> None:
    """The baseline of every score: trivial predictions, or for retrieval the encoder with random weights."""
    frozen, entry, task = result.frozen, result.frozen.study.targets[target], result.frozen.task_of(target)
    if task.type not in FINE_TUNED:
        model = result.encoder_step(encoder, random_weights=True)
        scored = _prediction(result, target, model, f"score {target} with random weights · {encoder}")
        result.cells.append(Cell(target, BASELINE, encoder, 0, scored))
    elif first and entry.training and not entry.labels_withheld:
        languages, trained = frozen.evaluated[target], frozen.tasks[entry.training.task]
        train = result.examples_step(trained, entry.training.train, frozen.study.languages.anchor)
        inputs = {"train": train, **result.examples_steps(task, entry.test, languages)}
        arguments = {"task": entry_of(task), "languages": list(languages)}
        function, label = "xstilts.evaluation.predict:baseline", f"score {target} by {FINE_TUNED[task.type].BASELINE}"
        scored = result.add("predict", function, label, arguments, inputs)
        result.cells.append(Cell(target, BASELINE, "", 0, scored))
