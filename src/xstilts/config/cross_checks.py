"""Mistakes that show only in several entries of a study together: leaks, heads that do not fit, contrasts, arms."""

from collections.abc import Iterator

from xstilts.config.encoder_checks import Tasks, corpus_mistakes, encoder_mistakes
from xstilts.config.messages import Mistake, Place
from xstilts.config.schema import Arm, Study, parse_contrast
from xstilts.config.trainings import Training
from xstilts.tasks.task_types import FINE_TUNED, SCORED


def cross_check(study: Study, tasks: Tasks) -> Iterator[Mistake]:
    """All mistakes between the entries of a study; `tasks` are the catalogue's and the study's own, by name."""
    for name, training in study.intermediate.items():
        place, task = ("intermediate", name), tasks.get(training.task)
        for part in training.mixture:
            if part in study.intermediate and study.intermediate[part].mixture:
                yield (*place, "mixture", part), "is itself a mixture: name its parts"
        if task and task.type not in FINE_TUNED:
            yield place, f"a task of type {task.type} has no head to train"
        yield from _setting_mistakes(place, training, study, tasks)
        for target in study.targets:
            yield from _leaks(place, training, target, study, tasks)
    for name in study.targets:
        yield from _target_mistakes(name, study, tasks)
    for name, arm in study.arms.items():
        yield from _arm_mistakes(("arms", name), arm, study, tasks)
    for name, encoder in study.encoders.items():
        yield from encoder_mistakes(("encoders", name), encoder, study, tasks)
    yield from _contrast_mistakes(study)


def _setting_mistakes(place: Place, training: Training, study: Study, tasks: Tasks) -> Iterator[Mistake]:
    """Settings of a training that do not fit its task or each other."""
    task = tasks.get(training.task)
    if training.class_weights and task and task.type != "classification":
        yield (*place, "class_weights"), f"need one label per text: a task of type {task.type} has several or none"
    if training.lora and (training.checkpoint or study.checkpoint) == "average":
        why = "averaged factors are not the factors of the averaged weights"
        yield (*place, "lora"), f"does not go with `checkpoint: average`: {why}"


def _leaks(place: Place, training: Training, name: str, study: Study, tasks: Tasks) -> Iterator[Mistake]:
    """Splits of a target's task that a training on the same task learns from, or chooses its weights on."""
    target, task = study.targets[name], tasks.get(training.task)
    if training.task != target.task:
        return
    if training.train == target.test:
        yield place, f"trains on the {target.test} split, on which target '{name}' is scored"
    chooses = (training.checkpoint or study.checkpoint) == "best" or (task is not None and task.unanswerable)
    if chooses and training.dev == target.test:
        yield place, f"chooses weights on the {target.test} split, on which target '{name}' is scored"


def _target_mistakes(name: str, study: Study, tasks: Tasks) -> Iterator[Mistake]:
    place, target = ("targets", name), study.targets[name]
    task, training = tasks.get(target.task), target.training
    if training:
        below = (*place, "training")
        yield from _leaks(below, training, name, study, tasks)
        yield from _setting_mistakes(below, training, study, tasks)
        trained = tasks.get(training.task)
        if trained and task and trained.type != task.type:
            yield below, f"trains on a task of type {trained.type}, but the target is of type {task.type}"
        elif trained and task and task.type != "multiple_choice" and trained.labels != task.labels:
            # labels are scored by their positions
            yield below, "trains on a task with other labels than the target's, or in another order"
    if target.after in study.targets and not study.targets[target.after].training:
        yield (*place, "after"), f"'{target.after}' has no training, after which this target could be scored"
    first = study.targets.get(target.after)
    if first and first.arms and not (target.arms and set(target.arms) <= set(first.arms)):
        yield (*place, "arms"), f"names other arms than '{target.after}' has: {', '.join(first.arms)}"
    if not task:
        return
    tuned = task.type in FINE_TUNED
    if task.type not in SCORED:
        yield place, f"a task of type {task.type} is not scored and cannot be a target"
    elif tuned and not training:
        yield place, "needs `training`: it is scored after training in the anchor language"
    elif not tuned and training:
        yield (*place, "training"), f"a task of type {task.type} is not trained: the embeddings of a layer are compared"
    elif not tuned and not target.layers:
        yield place, "needs `layers`: nothing is trained, the embeddings of a layer are compared"
    elif tuned and (target.query_prefix or target.candidate_prefix):
        yield place, "has a prefix of queries or candidates, which is for retrieval"
    elif task.mining and not target.dev:
        yield place, "needs `dev`, the split that the margin is fitted on"


def _arm_mistakes(place: Place, arm: Arm, study: Study, tasks: Tasks) -> Iterator[Mistake]:
    if arm.mlm:
        yield from corpus_mistakes((*place, "mlm", "corpus"), arm.mlm.corpus, tasks)
    if arm.pivot and arm.pivot == study.languages.anchor:
        yield (*place, "pivot"), "is the anchor language: name the language to translate through"
    if arm.match_updates_of in study.arms:
        longer = study.arms[arm.match_updates_of]
        if not longer.intermediate:
            yield (*place, "match_updates_of"), f"'{arm.match_updates_of}' has no intermediate training"
        elif arm.independent != longer.independent:
            yield (*place, "match_updates_of"), f"needs the same `independent` as '{arm.match_updates_of}'"
    changes, below = arm.target_training, (*place, "target_training")
    for name, target in study.targets_of(str(place[1])).items():
        if not target.training:
            continue
        if changes.shots and changes.shots in (target.test, target.oracle, target.training.dev):
            yield (*below, "shots"), f"trains on the {changes.shots} split, on which target '{name}' is scored"
        applied = changes.applied_to(target.training)
        for check in (_setting_mistakes(below, applied, study, tasks), _leaks(below, applied, name, study, tasks)):
            yield from check if applied != target.training else ()
    types = {tasks[target.task].type for target in study.targets.values() if target.task in tasks}
    if arm.mask_column and types:
        columns = sorted({column for kind in types & SCORED.keys() for column in SCORED[kind].MASKABLE})
        if arm.mask_column not in columns:
            usable = f"mask {' or '.join(columns)}" if columns else "none of their text columns can be masked"
            yield (*place, "mask_column"), f"no target has the text column '{arm.mask_column}' to mask: {usable}"


def _contrast_mistakes(study: Study) -> Iterator[Mistake]:
    """Contrasts that mean the same, arms that are equal by definition, and targets whose scores stay unknown."""
    seen: dict[tuple[str, str, frozenset[str]], str] = {}
    judged: list[tuple[Place, str]] = [(("primary", target), target) for target in study.primary]
    texts = [*(("contrasts", text) for text in study.contrasts), *(("controls", text) for text in study.controls)]
    for section, text in texts:
        place = section, text
        contrast = parse_contrast(text, study.primary)
        key = (contrast.left, contrast.right, frozenset(contrast.targets))
        if key in seen:
            yield place, f"is given twice: it means the same as {seen[key]}"
        seen.setdefault(key, f"'{text}' in `{section}`")
        arms = [study.arms[name].model_dump(exclude={"role"}) for name in key[:2] if name in study.arms]
        if len(arms) == 2 and arms[0] == arms[1] and contrast.left != contrast.right:
            yield place, "its arms are equal by definition: give one of them `independent: true`"
        judged += [(place, target) for target in parse_contrast(text, ()).targets]
        for target in contrast.targets:
            lacking = [arm for arm in key[:2] if arm in study.arms and target not in study.targets_of(arm)]
            if target in study.targets and lacking:
                yield place, f"target '{target}' has no arm '{lacking[0]}': write `{' - '.join(key[:2])} on TARGET`"
    for setting, name in judged:
        if name in study.targets and study.targets[name].labels_withheld:
            yield setting, f"the labels of '{name}' are withheld: it cannot be judged"
