"""Which languages the arms of a study train on: a draw for each replicate, frozen with the plan."""

from pathlib import Path

from xstilts.config.schema import Arm, Study, Training
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.languages import select
from xstilts.languages.user_tables import read_scores
from xstilts.randomness import INDEPENDENT, derive
from xstilts.study.translators import check_translators, translatable
from xstilts.tasks.task import Task


def encoder_names(study: Study) -> list[str]:
    """The encoders of a study, one for each pretraining seed."""
    return [
        name if entry.seeds == 1 else f"{name}-{seed}"
        for name, entry in study.encoders.items()
        for seed in range(1, entry.seeds + 1)
    ]


def replicate_names(study: Study, arm: Arm) -> list[tuple[str, int, str]]:
    """(encoder, replicate, name of its randomness) of an arm: equal names share all randomness."""
    shift = INDEPENDENT if arm.independent else 0
    return [(e, r, f"{e}:{r + shift}") for e in encoder_names(study) for r in range(1, study.replicates + 1)]


def draw_sources(
    study: Study, tasks: dict[str, Task], pool: tuple[str, ...], held_out: tuple[str, ...], data: Path | None
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Per arm and randomness name the languages of its intermediate training.

    Raises XstiltsError where an arm has none, one that it may not train on, or one that its translator lacks.
    """
    check_translators(study)
    result: dict[str, dict[str, tuple[str, ...]]] = {}
    for name, arm in study.arms.items():
        result[name] = {}
        if not arm.intermediate:
            continue
        among = held_out if arm.languages == "held-out" else pool
        candidates, parts = translatable(study, arm, among), parts_of(study, arm.intermediate)
        for training in parts.values():
            if not arm.translated:
                candidates = tuple(available(tasks[training.task], training.train, candidates, data, tasks))
        if arm.languages == "given" and not arm.translated:
            _present(name, arm, parts, tasks, data)
        for _, _, randomness in replicate_names(study, arm):
            result[name][randomness] = _draw(study, name, arm, candidates, randomness, held_out)
    return result


def parts_of(study: Study, name: str) -> dict[str, Training]:
    """The trainings of single tasks that an intermediate training consists of, each with its task named."""
    named = study.intermediate[name].mixture or {name: 1.0}
    parts = {part: study.intermediate[part] for part in named}
    return {part: training.model_copy(update={"task": training.task or part}) for part, training in parts.items()}


def _draw(
    study: Study, name: str, arm: Arm, candidates: tuple[str, ...], randomness: str, held_out: tuple[str, ...]
) -> tuple[str, ...]:
    """The languages of an arm's data, the anchor first where it keeps a share."""
    anchor = study.languages.anchor
    if arm.languages == "english":
        return (anchor,)
    if arm.languages == "given":
        chosen = tuple(code for code in arm.given if code != anchor or not arm.anchor_share)
    elif arm.languages == "all":
        chosen = candidates
    else:
        chosen = _select(study, name, arm, candidates, derive(study.seed, randomness, "languages"), held_out)
    _check_held_out(name, arm, chosen, held_out)
    if not chosen:
        raise XstiltsError("bad-setting", f"arm '{name}' has no language to train on", "its tasks have no rows in those it may choose",
                           "give the study more languages, or the arm others")  # fmt: skip
    return (anchor, *chosen) if arm.anchor_share else chosen


def _select(
    study: Study, name: str, arm: Arm, candidates: tuple[str, ...], seed: int, held_out: tuple[str, ...]
) -> tuple[str, ...]:
    strategy = "random" if arm.languages == "held-out" else arm.languages
    scores = read_scores(Path(arm.scores), held_out=held_out) if strategy == "predicted" else None
    try:
        return select(
            strategy, candidates, arm.count, anchor=study.languages.anchor, exact=arm.exact, seed=seed, scores=scores
        ).languages
    except XstiltsError as error:
        raise XstiltsError(
            "bad-setting",
            f"arm '{name}': {error.what}",
            error.why,
            f"lower its `count` below {arm.count}, or give the study more languages; {error.hint}",
        ) from None


def _present(
    name: str, arm: Arm, parts: dict[str, Training], tasks: dict[str, Task], data: Path | None
) -> None:  # fmt: skip
    """Raises XstiltsError where a task of the arm has no rows in a language that it is given."""
    for training in parts.values():
        there = available(tasks[training.task], training.train, arm.given, data, tasks)
        absent = [code for code in arm.given if code not in there]
        if absent:
            raise XstiltsError("bad-setting", f"arm '{name}': task '{training.task}' has no {training.train} rows in "
                               f"{', '.join(absent)}", "the arm is given these languages",
                               "give it others, or `translated`")  # fmt: skip


def _check_held_out(name: str, arm: Arm, chosen: tuple[str, ...], held_out: tuple[str, ...]) -> None:
    """Raises XstiltsError where an arm that is no control would train on languages that it is judged by."""
    kept = [code for code in chosen if code in held_out]
    if kept and arm.role == "arm":
        raise XstiltsError("leak", f"arm '{name}' trains on held-out languages: {', '.join(kept)}",
                           "arms are judged by languages that no arm was trained on",
                           "name them in `languages.never_held_out`, or give the arm `role: control`")  # fmt: skip
