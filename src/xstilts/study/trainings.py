"""The steps that train: on one task or a mixture, on translations, with masked language modelling mixed in."""

from typing import Any

from xstilts.config.schema import Arm, Training
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.study.source_languages import parts_of
from xstilts.study.steps import StudyPlan, add, entry_of, examples_step, some, translator_step
from xstilts.tasks.task import Task


def intermediate_step(result: StudyPlan, name: str, base: str, randomness: str, cell: str) -> str:
    """The step that trains the encoder `base` on an arm's intermediate task or tasks; "" if the arm has none.

    randomness: the name of the replicate's randomness; cell: what the label calls encoder and replicate.
    """
    frozen, study, arm = result.frozen, result.frozen.study, result.frozen.study.arms[name]
    if not arm.intermediate:
        return ""
    training, parts = study.intermediate[arm.intermediate], parts_of(study, arm.intermediate)
    sources = frozen.sources[name][randomness]
    tasks, inputs = {}, {"encoder": base}
    for part_name, part in parts.items():
        task = frozen.tasks[part.task]
        parallel = task.parallel or bool(arm.translated)
        tasks[part_name] = _task_arguments(task, part, sources, parallel, training.mixture.get(part_name, 1.0))
        for code in sources:
            inputs[f"train.{part_name}.{code}"] = _source_examples(result, arm, task, part.train, code)
        has_anchor = available(task, part.dev, (study.languages.anchor,), frozen.data, frozen.tasks)
        dev_language = study.languages.anchor if has_anchor else sources[0]
        inputs[f"dev.{part_name}"] = examples_step(result, task, part.dev, dev_language)
    changes: dict[str, Any] = {"anchor_share": arm.anchor_share}
    if len(parts) > 1:
        changes["sampling"] = {"how": training.sampling, **some(training, "temperature", "cap", "examples")}
    if arm.mlm:
        pool = tuple(sorted((study.languages.anchor, *frozen.pool)))
        languages = sources if arm.mlm.languages == "sources" else pool
        corpus = frozen.tasks[arm.mlm.corpus]
        inputs |= {f"text.{code}": examples_step(result, corpus, "train", code) for code in languages}
        text = {"task": entry_of(corpus), "languages": list(languages), "max_length": corpus.max_length}
        changes["mlm"] = text | some(arm.mlm, "share", "masked")
    masked = f", {arm.mlm.share:.0%} masked text" if arm.mlm else ""
    translated = f", translated by {arm.translated}" if arm.translated else ""
    label = f"{arm.intermediate}{masked}{translated} in {', '.join(sources)} · {cell}"
    seed = derive(study.seed, randomness, arm.intermediate, "intermediate")
    return _fine_tune(result, training, tasks, inputs, seed, label, changes)


def target_step(
    result: StudyPlan, target: str, model: str, seed: int, label: str, mask_column: str, longer: str = ""
) -> str:
    """The step that trains a model on a target task in the anchor language.

    Args:
        mask_column: a text column that is withheld, or "".
        longer: the training whose number of updates is added to this one's, or "".

    Raises XstiltsError if no held-out language has examples for the target's oracle.
    """
    frozen, entry = result.frozen, result.frozen.study.targets[target]
    training, anchor = entry.training, frozen.study.languages.anchor
    assert training is not None
    task, scored = frozen.tasks[training.task], frozen.task_of(target)
    inputs = {
        "encoder": model,
        f"train.{task.name}.{anchor}": examples_step(result, task, training.train, anchor),
        f"dev.{task.name}": examples_step(result, task, training.dev, anchor),
    }
    oracle: list[str] = []
    if entry.oracle:
        held_out = tuple(code for code in frozen.evaluated[target] if code in frozen.held_out)
        oracle = list(available(scored, entry.oracle, held_out, frozen.data, frozen.tasks))
        if not oracle:
            what = f"target '{target}' has no '{entry.oracle}' examples in a held-out language"
            hint = "name another split, or leave `oracle` out"
            raise XstiltsError("bad-setting", what, "its oracle chooses weights by such examples", hint)
        inputs |= {f"oracle.{code}": examples_step(result, scored, entry.oracle, code) for code in oracle}
    if longer:
        inputs["longer"] = longer
    tasks = {task.name: _task_arguments(task, training, (anchor,), task.parallel)}
    changes = {"mask_column": mask_column, "oracle": oracle}
    return _fine_tune(result, training, tasks, inputs, seed, label, changes)


def _task_arguments(
    task: Task, training: Training, languages: tuple[str, ...], parallel: bool, weight: float = 1.0
) -> dict[str, Any]:
    entry = entry_of(task) | ({"parallel": True} if parallel else {})
    arguments = {"task": entry, "languages": list(languages), "max_length": task.max_length, "weight": weight}
    return arguments | some(training, "examples", "epochs")


def _fine_tune(
    result: StudyPlan,
    training: Training,
    tasks: dict[str, Any],
    inputs: dict[str, str],
    seed: int,
    label: str,
    changes: dict[str, Any],
) -> str:
    """A training step; one that is tried again has another seed and follows its first try in the plan."""
    arguments = {
        "tasks": tasks,
        "recipe": {**training.recipe.model_dump(), "precision": result.frozen.precision},
        "checkpoint": training.checkpoint or result.frozen.study.checkpoint,
        **some(training, "batch_size", "evaluate_every"),
        **{"sampling": {}, "mlm": None, "anchor_share": 0.0, "oracle": [], "mask_column": ""},
        **{"seed": seed, "device": result.frozen.device},
        **changes,
    }
    function = "xstilts.training.phases:fine_tune"
    first = add(result, "train", function, label, arguments, inputs)
    if first not in result.retried:
        return first
    arguments = {**arguments, "seed": derive(seed, "second try")}
    return add(result, "train", function, f"{label}, second try", arguments, inputs)


def _source_examples(result: StudyPlan, arm: Arm, task: Task, split: str, code: str) -> str:
    """The step that makes an arm's examples in one language: as they are, or translated from the anchor's."""
    frozen = result.frozen
    anchor = frozen.study.languages.anchor
    if not arm.translated or (code == anchor and not arm.pivot):
        return examples_step(result, task, split, code)
    entry = frozen.study.translators[arm.translated]
    inputs = {"rows": examples_step(result, task, split, anchor), "model": translator_step(result, arm.translated)}
    if entry.back:
        inputs["back"] = translator_step(result, entry.back)
    arguments = {
        "task": entry_of(task),
        **{"from": anchor, "to": arm.pivot or code, "roundtrip": bool(arm.pivot)},
        **some(entry, "beams", "max_length", "batch_tokens"),
        **some(frozen, "device", "precision"),
    }
    way = f"out to {arm.pivot} and back" if arm.pivot else f"into {code}"
    label = f"translate {task.name} {split} {way}"
    return add(result, "translate", "xstilts.translation.translate:translate", label, arguments, inputs)
