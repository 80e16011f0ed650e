"""Expands a frozen study into a plan: shared steps once, and the cells of the experiment that they serve."""

from dataclasses import replace

from xstilts.config.schema import Arm, Target
from xstilts.costs.devices import rates
from xstilts.costs.estimate import price
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.randomness import derive
from xstilts.study.freeze import Frozen
from xstilts.study.source_languages import encoder_names, replicate_names
from xstilts.study.steps import Cell, StudyPlan, add, all_rows, encoder_step, entry_of, rows_step
from xstilts.study.trainings import intermediate_step, target_step
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.training.schedule import ORACLE

BASELINE = "baseline"


def build_plan(frozen: Frozen, retried: frozenset[str] = frozenset(), ranks: int = 1) -> StudyPlan:
    """The steps for every arm, target and replicate of the study.

    Args:
        retried: fingerprints of trainings that get another seed.
        ranks: processes, and where the device is one GPUs, that share each training.
    """
    result = StudyPlan(frozen, retried=retried, ranks=ranks)
    study = frozen.study
    for number, encoder in enumerate(encoder_names(study)):
        base = encoder_step(result, encoder)
        for name, arm in study.arms.items():
            for owner, replicate, randomness in replicate_names(study, arm):
                if owner == encoder:
                    _replicate(result, (name, arm), encoder, base, replicate, randomness)
        for target, entry in study.targets.items():
            _baseline(result, target, entry, encoder, first=number == 0)
    result.estimates = price(result.plan, rates(frozen.device))
    return result


def _replicate(
    result: StudyPlan, named: tuple[str, Arm], encoder: str, base: str, replicate: int, randomness: str
) -> None:
    """All cells of one arm in one replicate."""
    name, arm = named
    frozen = result.frozen
    study = frozen.study
    intermediate = _intermediate(result, name, encoder, base, replicate, randomness)
    first_tries = replace(result, retried=frozenset())  # a second try is as long, and changes nothing of this arm
    longer = (
        _intermediate(first_tries, arm.match_updates_of, encoder, base, replicate, randomness)
        if arm.match_updates_of
        else ""
    )
    model = intermediate or base
    for target, entry in study.targets.items():
        task = frozen.tasks[entry.task or target]
        if arm.mask_column and (task.type not in FINE_TUNED or arm.mask_column not in FINE_TUNED[task.type].MASKABLE):
            continue
        where = f"{target} after {name} · {encoder} {replicate}"
        if task.type in FINE_TUNED and entry.training:
            trained = entry.training.task or entry.task or target  # targets of one training share it
            seed = derive(study.seed, randomness, trained, "target")
            tuned = target_step(result, target, entry, model, seed, where, arm.mask_column, longer)
            scored = _prediction(result, target, tuned, encoder, f"score {where}", arm.mask_column)
            oracle = ""
            if entry.oracle and not result.retried:  # the oracle stands beside the run as it was
                oracle = _prediction(result, target, tuned, encoder, f"oracle of {where}", arm.mask_column, ORACLE)
            result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate, tuned, oracle))
        else:
            scored = _prediction(result, target, model, encoder, f"score {where}")
            result.cells.append(Cell(target, name, encoder, replicate, scored, intermediate))


def _intermediate(result: StudyPlan, name: str, encoder: str, base: str, replicate: int, randomness: str) -> str:
    """The intermediate training of an arm in one replicate, "" where it has none."""
    frozen, arm = result.frozen, result.frozen.study.arms[name]
    if not arm.intermediate:
        return ""
    sources = frozen.sources[name][randomness]
    seed = derive(frozen.study.seed, randomness, arm.intermediate, "intermediate")
    label = f"{_shown(arm)} in {', '.join(sources)} · {encoder} {replicate}"
    return intermediate_step(result, arm, base, sources, seed, label)


def _shown(arm: Arm) -> str:
    """An arm's intermediate phase in words."""
    extras = [f"{arm.mlm.share:.0%} masked text"] if arm.mlm else []
    extras += [f"translated by {arm.translated}"] if arm.translated else []
    return ", ".join([arm.intermediate, *extras])


def _prediction(
    result: StudyPlan,
    target: str,
    model: str,
    encoder: str,
    label: str,
    mask_column: str | None = None,
    weights: str = "",
) -> str:
    """The step that scores a model on a target.

    Args:
        mask_column: a text column that is withheld, "" for none; None means retrieval.
        weights: the folder of the model below that of its step.
    """
    frozen = result.frozen
    entry, languages = frozen.study.targets[target], frozen.evaluated[target]
    task = frozen.tasks[entry.task or target]
    inputs = all_rows(result, task, entry.test, languages, entry.labels_withheld)
    arguments = {
        "task": entry_of(task),
        "languages": list(languages),
        "max_length": task.max_length,
        "device": frozen.device,
        "precision": frozen.precision,
    }
    function = "xstilts.evaluation.predict:predict"
    if mask_column is None:
        function = "xstilts.evaluation.retrieve:retrieve"
        dev = _dev_languages(frozen, entry, task, languages)
        arguments |= {"layers": list(entry.layers), "pooling": entry.pooling, "dev_languages": dev}
        if len(entry.layers) > 1:
            arguments["layer_languages"] = _layer_languages(frozen, target, dev)
        inputs |= {f"dev.{code}": rows_step(result, task, entry.dev, code) for code in dev}
    else:
        arguments |= {"mask_column": mask_column, "weights": weights}
    inputs["model"] = model
    return add(result, "predict", function, label, arguments, inputs)


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
        raise XstiltsError("too-few", f"target '{target}' has no language to choose its layer in",
                           "all with `dev` rows are held out", "give it one layer, or hold out fewer")  # fmt: skip
    return found


def _baseline(result: StudyPlan, target: str, entry: Target, encoder: str, first: bool) -> None:
    """The baseline beside every score: trivial predictions, or for retrieval the encoder with random weights."""
    frozen = result.frozen
    task = frozen.tasks[entry.task or target]
    if task.type not in FINE_TUNED:
        model = encoder_step(result, encoder, random_weights=True)
        label = f"score {target} with random weights · {encoder}"
        scored = _prediction(result, target, model, encoder, label)
        result.cells.append(Cell(target, BASELINE, encoder, 0, scored))
        return
    if not first or not entry.training or entry.labels_withheld:
        return
    anchor = frozen.study.languages.anchor
    languages = frozen.evaluated[target]
    trained = frozen.tasks[entry.training.task] if entry.training.task else task
    inputs = {
        "train": rows_step(result, trained, entry.training.train, anchor),
        **all_rows(result, task, entry.test, languages),
    }
    arguments = {"task": entry_of(task), "languages": list(languages)}
    label = f"score {target} by {FINE_TUNED[task.type].BASELINE}"
    scored = add(result, "predict", "xstilts.evaluation.predict:baseline", label, arguments, inputs)
    result.cells.append(Cell(target, BASELINE, "", 0, scored))
