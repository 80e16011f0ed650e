"""Which languages the arms of a study train on: a draw for each replicate, frozen with the plan."""

from pathlib import Path

from xstilts.config.schema import Arm, Study
from xstilts.config.trainings import Training
from xstilts.data.examples import available
from xstilts.errors import XstiltsError
from xstilts.languages import language, select
from xstilts.languages.split import Split
from xstilts.languages.user_tables import read_scores
from xstilts.randomness import INDEPENDENT, derive
from xstilts.runs.reader import kinds_of_encoders
from xstilts.tasks.task import Task
from xstilts.translation.codes import known_targets
from xstilts.translation.projection import check_type

Sources = dict[str, dict[str, tuple[str, ...]]]
"""Languages per arm and name of its randomness."""


def encoder_names(study: Study) -> list[str]:
    """The encoders of a study, one for each pretraining seed."""
    return list(kinds_of_encoders({name: entry.seeds for name, entry in study.encoders.items()}))


def replicate_names(study: Study, arm: Arm) -> list[tuple[str, int, str]]:
    """(encoder, replicate, name of its randomness) of an arm: equal names share all randomness."""
    shift, count = INDEPENDENT if arm.independent else 0, min(study.replicates, arm.replicates or study.replicates)
    return [(e, r, f"{e}:{r + shift}") for e in encoder_names(study) for r in range(1, count + 1)]


def parts_of(study: Study, name: str) -> dict[str, Training]:
    """The trainings of single tasks that an intermediate training consists of."""
    return {part: study.intermediate[part] for part in study.intermediate[name].mixture or (name,)}


def draw_sources(study: Study, tasks: dict[str, Task], split: Split, data: Path | None) -> Sources:
    """The languages of each arm's intermediate training.

    Raises XstiltsError if an arm has no language, one that it may not train on, or one that its task or translator
    lacks.
    """
    sources: Sources = {}
    for name, arm in study.arms.items():
        _check_translators(study, name, arm)
        _check_target_data(study, name, arm, tasks, split, data)
        sources[name] = {}
        if not arm.intermediate:
            continue
        candidates = translatable(study, arm, split)
        for part in parts_of(study, arm.intermediate).values() if not arm.translated else ():
            task = tasks[part.task]
            candidates = tuple(available(task, part.train, candidates, data, tasks))
            if absent := set(arm.given).difference(available(task, part.train, arm.given, data, tasks)):
                what = f"arm '{name}': task '{task.name}' has no {part.train} examples in {', '.join(sorted(absent))}"
                hint = "give it others, or `translated`"
                raise XstiltsError("bad-setting", what, "the arm is given these languages", hint)
        for _, _, randomness in replicate_names(study, arm):
            sources[name][randomness] = _draw(study, name, candidates, randomness, split)
    return sources


def _draw(study: Study, name: str, candidates: tuple[str, ...], randomness: str, split: Split) -> tuple[str, ...]:
    """The languages of an arm's data, with the anchor first if it keeps a share."""
    arm, anchor, held_out = study.arms[name], study.languages.anchor, split.held_out
    if arm.languages == "english":
        return (anchor,)
    if arm.languages == "given":
        chosen = tuple(code for code in arm.given if code != anchor or not arm.anchor_share)
    elif arm.languages == "all":
        chosen = candidates
    else:
        strategy = "random" if arm.languages == "held-out" else arm.languages
        scores = read_scores(Path(arm.scores), held_out=held_out) if strategy == "predicted" else None
        seed, count, exact = derive(study.seed, randomness, "languages"), arm.count, arm.exact
        try:
            choice = select(strategy, candidates, count, anchor=anchor, exact=exact, seed=seed, scores=scores)
        except XstiltsError as error:
            hint = f"lower its `count` below {count}, or give the study more languages; {error.hint}"
            raise XstiltsError("bad-setting", f"arm '{name}': {error.what}", error.why, hint) from None
        chosen = choice.languages
    if arm.role == "arm" and (leaked := [code for code in chosen if code in held_out]):
        what = f"arm '{name}' trains on held-out languages: {', '.join(leaked)}"
        why = "arms are judged by languages that no arm was trained on"
        hint = "name them in `languages.never_held_out`, or give the arm `role: control`"
        raise XstiltsError("leak", what, why, hint)
    if not chosen:
        why = "its tasks have no examples in those that it may choose"
        hint = "give the study more languages, or the arm others"
        raise XstiltsError("bad-setting", f"arm '{name}' has no language to train on", why, hint)
    return (anchor, *chosen) if arm.anchor_share else chosen


def side_of(split: Split, arm: Arm) -> tuple[str, ...]:
    """The languages that an arm draws from."""
    return split.held_out if arm.languages == "held-out" else split.pool


def translatable(study: Study, arm: Arm, split: Split) -> tuple[str, ...]:
    """Those of `side_of` that the arm's translator, if it has one, is not known to lack."""
    known = known_targets(study.translators[arm.translated].load) if arm.translated and not arm.pivot else None
    return tuple(code for code in side_of(split, arm) if known is None or language(code).code in known)


def translated_targets(study: Study, translator: str, task: Task, held_out: tuple[str, ...]) -> tuple[str, ...]:
    """The held-out languages of a task into which a translator of the study is not known not to translate."""
    known = known_targets(study.translators[translator].load)
    of_task = [code for code in held_out if not task.languages or code in task.languages]
    return tuple(code for code in of_task if known is None or language(code).code in known)


def _check_target_data(
    study: Study, name: str, arm: Arm, tasks: dict[str, Task], split: Split, data: Path | None
) -> None:
    """Raises XstiltsError if a target has no held-out language to translate into, or no shots, and the arm needs it."""
    translator, shots = arm.target_training.translated, arm.target_training.shots
    for target, entry in study.targets_of(name).items():
        if not entry.training:
            continue
        task = tasks[entry.training.task]
        if translator:
            check_type(task)
            if not translated_targets(study, translator, task, split.held_out):
                what = f"arm '{name}': nothing to translate into for target '{target}'"
                why = f"'{translator}' translates into none of its held-out languages"
                raise XstiltsError("bad-setting", what, why, "give the study another translator")
        if shots and not available(task, shots, split.held_out, data, tasks):
            what = f"arm '{name}': target '{target}' has no '{shots}' examples in a held-out language"
            raise XstiltsError(
                "bad-setting", what, "the arm trains on them", "name another split, or leave `shots` out"
            )


def _check_translators(study: Study, name: str, arm: Arm) -> None:
    """Raises XstiltsError if an arm's translator, or the one back, is known to lack a language that the arm needs."""
    if not arm.translated:
        return
    anchor, back = study.languages.anchor, study.translators[arm.translated].back or arm.translated
    ways = [(arm.translated, arm.pivot), (back, anchor)] if arm.pivot else []
    for translator, code in ways + [(arm.translated, code) for code in arm.given if code != anchor]:
        load = study.translators[translator].load
        known, wanted = known_targets(load), language(code)
        if known is not None and wanted.code not in known:
            what = f"arm '{name}': translator '{translator}' does not translate into {wanted.name} ({wanted.code})"
            why = f"{load} translates into {', '.join(sorted(known))}"
            raise XstiltsError("bad-setting", what, why, "give the arm one of these languages, or another translator")
