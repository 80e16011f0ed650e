"""The steps that train: on one task or a mixture, on translations, with masked language modelling mixed in."""

from collections.abc import Sequence
from typing import Any

from xstilts.config.schema import Arm, Target, Training
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.study.source_languages import parts_of
from xstilts.study.steps import StudyPlan, add, entry_of, folder_content, recipe_of, rows_step
from xstilts.tasks.task import Task


def intermediate_step(result: StudyPlan, arm: Arm, base: str, sources: tuple[str, ...], seed: int, label: str) -> str:
    """The step that trains the encoder `base` on an arm's intermediate task or tasks in the languages `sources`."""
    study, frozen = result.frozen.study, result.frozen
    named = study.intermediate[arm.intermediate]
    parts = parts_of(study, arm.intermediate)
    weights = named.mixture or dict.fromkeys(parts, 1.0)
    tasks, inputs = {}, {"encoder": base}
    for name, part in parts.items():
        task = frozen.tasks[part.task]
        parallel = task.parallel or bool(arm.translated)
        tasks[name] = task_arguments(task, part, sources, weights[name], parallel)
        for code in sources:
            inputs[f"train.{name}.{code}"] = _source_rows(result, arm, task, part.train, code)
        inputs[f"dev.{name}"] = rows_step(result, task, part.dev, _dev_language(result, task, part.dev, sources))
    sampling = {"how": named.sampling, "temperature": named.temperature, "cap": named.cap, "examples": named.examples}
    mlm = _mixed_text(result, arm, sources, inputs)
    return _fine_tune(result, named, tasks, inputs, seed, label, mlm=mlm, anchor_share=arm.anchor_share,
                      sampling=sampling if len(parts) > 1 else {})  # fmt: skip


def _dev_language(result: StudyPlan, task: Task, split: str, sources: tuple[str, ...]) -> str:
    """The anchor, where a task has development rows in it; else the first of the languages that are trained on."""
    frozen = result.frozen
    anchor = frozen.study.languages.anchor
    return anchor if available(task, split, (anchor,), frozen.data, frozen.tasks) else sources[0]


def target_step(
    result: StudyPlan, target: str, entry: Target, model: str, seed: int, label: str, mask_column: str, longer: str = ""
) -> str:
    """The step that trains a model on a target task in the anchor language.

    Args:
        mask_column: a text column that is withheld, or "".
        longer: the training by whose updates this one is lengthened, or "".
    """
    frozen, training = result.frozen, entry.training
    assert training is not None
    anchor = frozen.study.languages.anchor
    task = frozen.tasks[training.task or entry.task or target]
    inputs = {
        "encoder": model,
        f"train.{task.name}.{anchor}": rows_step(result, task, training.train, anchor),
        f"dev.{task.name}": rows_step(result, task, training.dev, anchor),
    }
    oracle = _oracle_languages(result, target, entry)
    inputs |= {f"oracle.{code}": rows_step(result, frozen.tasks[entry.task or target], entry.oracle, code)
               for code in oracle} | ({"longer": longer} if longer else {})  # fmt: skip
    tasks = {task.name: task_arguments(task, training, (anchor,), 1.0, task.parallel)}
    return _fine_tune(result, training, tasks, inputs, seed, label, mask_column=mask_column, oracle=oracle)


def _oracle_languages(result: StudyPlan, target: str, entry: Target) -> list[str]:
    """The held-out languages whose dev rows choose weights; raises XstiltsError where none has any."""
    if not entry.oracle:
        return []
    frozen = result.frozen
    held_out = tuple(code for code in frozen.evaluated[target] if code in frozen.held_out)
    found = available(frozen.tasks[entry.task or target], entry.oracle, held_out, frozen.data, frozen.tasks)
    if not found:
        raise XstiltsError("bad-setting", f"target '{target}' has no '{entry.oracle}' rows in a held-out language", "its oracle "
                           "chooses weights by such rows", "name another split, or leave `oracle` out")  # fmt: skip
    return list(found)


def task_arguments(
    task: Task, training: Training, languages: tuple[str, ...], weight: float, parallel: bool
) -> dict[str, Any]:
    """What a training is told of one of its tasks."""
    entry = entry_of(task) | ({"parallel": True} if parallel else {})
    return {
        "task": entry,
        "languages": list(languages),
        "examples": training.examples,
        "epochs": training.epochs,
        "max_length": task.max_length,
        "weight": weight,
    }


def _fine_tune(
    result: StudyPlan, training: Training, tasks: dict[str, Any], inputs: dict[str, str], seed: int, label: str,
    mlm: dict[str, Any] | None = None, anchor_share: float = 0.0, sampling: dict[str, Any] | None = None,
    mask_column: str = "", oracle: Sequence[str] = (),
) -> str:  # fmt: skip
    arguments = {
        "tasks": tasks,
        "sampling": sampling or {},
        "mlm": mlm,
        "anchor_share": anchor_share,
        "batch_size": training.batch_size,
        "recipe": recipe_of(training.recipe, result.frozen.precision),
        "seed": seed,
        "checkpoint": training.checkpoint or result.frozen.study.checkpoint,
        "evaluate_every": training.evaluate_every,
        "oracle": list(oracle),
        "mask_column": mask_column,
        "device": result.frozen.device,
    }
    function = "xstilts.training.phases:fine_tune"
    first = add(result, "train", function, label, arguments, inputs)
    if first not in result.retried:
        return first
    arguments = {**arguments, "seed": derive(seed, "second try")}
    return add(result, "train", function, f"{label}, second try", arguments, inputs)


def _mixed_text(result: StudyPlan, arm: Arm, sources: tuple[str, ...], inputs: dict[str, str]) -> dict[str, Any] | None:
    """What an arm's training is told of its masked language modelling; its text is added to `inputs`."""
    if not arm.mlm:
        return None
    frozen = result.frozen
    pool = (frozen.study.languages.anchor, *frozen.pool)
    languages = sources if arm.mlm.languages == "sources" else tuple(sorted(pool))
    corpus = frozen.tasks[arm.mlm.corpus]
    inputs |= {f"text.{code}": rows_step(result, corpus, "train", code) for code in languages}
    return {
        "task": entry_of(corpus),
        "languages": list(languages),
        "share": arm.mlm.share,
        "masked": arm.mlm.masked,
        "max_length": corpus.max_length,
    }


def _source_rows(result: StudyPlan, arm: Arm, task: Task, split: str, code: str) -> str:
    """The rows of an arm in one language: as they are, or translated from the anchor's."""
    study = result.frozen.study
    anchor = study.languages.anchor
    if not arm.translated or (code == anchor and not arm.pivot):
        return rows_step(result, task, split, code)
    entry = study.translators[arm.translated]
    inputs = {"rows": rows_step(result, task, split, anchor), "model": _translator(result, arm.translated)}
    if entry.back:
        inputs["back"] = _translator(result, entry.back)
    arguments = {
        "task": entry_of(task),
        "from": anchor,
        "to": arm.pivot or code,
        "roundtrip": bool(arm.pivot),
        "beams": entry.beams,
        "max_length": entry.max_length,
        "batch_tokens": entry.batch_tokens,
        "device": result.frozen.device,
        "precision": result.frozen.precision,
    }
    way = f"out to {arm.pivot} and back" if arm.pivot else f"into {code}"
    label = f"translate {task.name} {split} {way}"
    return add(result, "translate", "xstilts.translation.translate:translate", label, arguments, inputs)


def _translator(result: StudyPlan, name: str) -> str:
    entry = result.frozen.study.translators[name]
    arguments = {"load": entry.load, "revision": entry.revision, "content": folder_content(entry.load)}
    return add(result, "fetch", "xstilts.translation.models:fetch", f"fetch {name}", arguments, {})
