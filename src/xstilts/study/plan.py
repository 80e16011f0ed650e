"""Expands a frozen study into a plan: shared steps once, and the cells of the experiment that they serve."""

from dataclasses import replace

from xstilts.costs.devices import rates
from xstilts.costs.estimate import price
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.runs.reader import BASELINE
from xstilts.study.freeze import Frozen
from xstilts.study.source_languages import encoder_names, replicate_names
from xstilts.study.steps import Cell, StudyPlan, add, encoder_step, entry_of, examples_step, examples_steps, some
from xstilts.study.trainings import intermediate_step, target_step
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.training.schedule import ORACLE


def build_plan(frozen: Frozen, retried: frozenset[str] = frozenset(), ranks: int = 1) -> StudyPlan:
    """The steps for every arm, target and replicate of the study.

    Args:
        retried: fingerprints of trainings that get another seed.
        ranks: processes (GPUs, if the device is one) that share each training.
    """
    result = StudyPlan(frozen, retried=retried, ranks=ranks)
    study = frozen.study
    for number, encoder in enumerate(encoder_names(study)):
        base = encoder_step(result, encoder)
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
    intermediate = intermediate_step(result, name, base, randomness, f"{encoder} {replicate}")
    longer = ""
    if arm.match_updates_of:
        first_tries = replace(result, retried=frozenset())  # a second try has as many updates
        longer = intermediate_step(first_tries, arm.match_updates_of, base, randomness, f"{encoder} {replicate}")
    model = intermediate or base
    for target, entry in study.targets.items():
        task = frozen.task_of(target)
        if arm.mask_column and (task.type not in FINE_TUNED or arm.mask_column not in FINE_TUNED[task.type].MASKABLE):
            continue
        label = f"{target} after {name} · {encoder} {replicate}"
        training = oracle = ""
        if task.type in FINE_TUNED and entry.training:
            seed = derive(study.seed, randomness, entry.training.task, "target")  # targets of one training share it
            training = target_step(result, target, model, seed, label, arm.mask_column, longer)
            scored = _prediction(result, target, training, f"score {label}", arm.mask_column)
            if entry.oracle and not result.retried:  # the oracle is compared with the run's first tries
                oracle = _prediction(result, target, training, f"oracle of {label}", arm.mask_column, ORACLE)
        else:
            scored = _prediction(result, target, model, f"score {label}")
        result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate, training, oracle))


def _prediction(
    result: StudyPlan, target: str, model: str, label: str, mask_column: str | None = None, weights: str = ""
) -> str:
    """The step that scores a model on a target.

    Args:
        mask_column: a text column that is withheld, "" for none; None means retrieval.
        weights: the folder of the model below that of its step.
    """
    frozen = result.frozen
    entry, languages, task = frozen.study.targets[target], frozen.evaluated[target], frozen.task_of(target)
    inputs = {**examples_steps(result, task, entry.test, languages, entry.labels_withheld), "model": model}
    arguments = {"task": entry_of(task), "languages": list(languages), "max_length": task.max_length}
    arguments |= some(frozen, "device", "precision")
    if mask_column is not None:
        arguments |= {"mask_column": mask_column, "weights": weights}
        return add(result, "predict", "xstilts.evaluation.predict:predict", label, arguments, inputs)
    dev = available(task, entry.dev, languages, frozen.data, frozen.tasks) if entry.dev else ()
    not_held_out = [code for code in dev if code not in frozen.held_out]
    dev_languages = list(dev) if task.mining else not_held_out  # thresholds are chosen language by language
    arguments |= {"layers": list(entry.layers), "pooling": entry.pooling, "dev_languages": dev_languages}
    if len(entry.layers) > 1:
        arguments["layer_languages"] = not_held_out
        if not not_held_out:
            what, hint = (
                f"target '{target}' has no language to choose its layer in",
                "give it one layer, or hold out fewer",
            )
            raise XstiltsError("too-few", what, "all languages with `dev` examples are held out", hint)
    inputs |= {f"dev.{code}": examples_step(result, task, entry.dev, code) for code in dev_languages}
    return add(result, "predict", "xstilts.evaluation.retrieve:retrieve", label, arguments, inputs)


def _baseline(result: StudyPlan, target: str, encoder: str, first: bool) -> None:
    """The baseline of every score: trivial predictions, or for retrieval the encoder with random weights."""
    frozen, entry = result.frozen, result.frozen.study.targets[target]
    task = frozen.task_of(target)
    if task.type not in FINE_TUNED:
        model = encoder_step(result, encoder, random_weights=True)
        scored = _prediction(result, target, model, f"score {target} with random weights · {encoder}")
        result.cells.append(Cell(target, BASELINE, encoder, 0, scored))
    elif first and entry.training and not entry.labels_withheld:
        languages, trained = frozen.evaluated[target], frozen.tasks[entry.training.task]
        train = examples_step(result, trained, entry.training.train, frozen.study.languages.anchor)
        inputs = {"train": train, **examples_steps(result, task, entry.test, languages)}
        arguments = {"task": entry_of(task), "languages": list(languages)}
        function, label = "xstilts.evaluation.predict:baseline", f"score {target} by {FINE_TUNED[task.type].BASELINE}"
        scored = add(result, "predict", function, label, arguments, inputs)
        result.cells.append(Cell(target, BASELINE, "", 0, scored))
