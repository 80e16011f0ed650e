"""Reads a study's YAML and reports every mistake at once, each with its line."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.config.arm_checks import (
    OF_A_MIXTURE,
    arm_problems,
    hidden_problems,
    length_problems,
    name_problems,
    one_arm,
    training_problems,
)
from xstilts.config.custom_tasks import complete_tasks, fill_defaults
from xstilts.config.messages import (
    Lines,
    Problem,
    Where,
    language_problems,
    listed,
    mapping,
    mistaken,
    parse,
    setting,
    shape_problems,
    type_of,
    unknown,
)  # fmt: skip
from xstilts.config.schema import Study, parse_contrast
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.tasks.task import catalogue, catalogue_entries
from xstilts.tasks.task_types import FINE_TUNED, READ, SCORED


def builtin_studies() -> dict[str, Any]:
    """The YAML files of the studies that come with the package, by name."""
    folder = files("xstilts.config").joinpath("builtin")
    return {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}


def load_study(name: str, quick: bool = False, **changes: Any) -> Study:
    """The built-in study of that name, or the study in that file.

    Args:
        quick: merges the file's `quick:` section into it, a small form that shows the way and not the answer.
        changes: top-level values that replace the file's (`replicates`, `seed`, `data_source`), where not None.

    Raises XstiltsError that lists every mistake with its line.
    """
    lines: Lines = {}
    raw, origin, problems = _read(name, lines)
    if quick and "quick" not in raw:
        problems.append((("quick",), "is missing: the study has no small form, run it without --quick"))
    small = raw.pop("quick", {})
    if not isinstance(small, dict):
        problems.append((("quick",), "must be a mapping of settings"))
    elif quick:
        raw = merged(raw, small)
    raw |= {key: value for key, value in changes.items() if value is not None}
    problems += complete_tasks(raw)
    fill_defaults(raw)
    problems += _reference_problems(raw)
    try:
        study = Study(**raw)
    except ValidationError as error:
        problems += list(shape_problems(error, Study))
    except TypeError as error:
        problems.append(((), str(error)))
    if problems:
        raise mistaken(origin, problems, lines)
    return study


def _read(name: str, lines: Lines, above: tuple[str, ...] = ()) -> tuple[dict[str, Any], str, list[Problem]]:
    """A study's settings on top of those of the study that it extends, where they come from, and keys given twice."""
    path, known = Path(name), builtin_studies()
    if name in known:
        text, origin = known[name].read_text(encoding="utf-8"), f"study '{name}'"
    elif path.is_file():
        text, origin = path.read_text(encoding="utf-8", errors="replace"), str(path)
    else:
        raise XstiltsError(
            "missing-file",
            f"there is no study '{name}'",
            f"it is neither a file nor one of the built-in studies: {', '.join(sorted(known))}",
            did_you_mean(name, known) or "give a built-in name or the path of a YAML file",
        )
    raw, problems = parse(text, origin, lines)
    if isinstance(raw.get("task_files"), list):
        raw["task_files"] = [str(path.parent / str(file)) for file in raw["task_files"]]
    for arm in mapping(raw, "arms").values():
        if setting(arm, "scores"):
            arm["scores"] = str(path.parent / str(arm["scores"]))
    if "extends" in raw:
        extended = str(raw.pop("extends"))
        if extended in (*above, name):
            raise XstiltsError(
                "bad-setting",
                f"{origin} extends itself",
                f"by way of {', '.join((*above, name))}",
                "name another study",
            )
        base = _read(extended, {}, (*above, name))[0]
        raw = merged(base, raw)
    return raw, origin, problems


def merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the settings of `over` on top, mapping by mapping; a null takes a setting away."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        result[key] = merged(base[key], value) if both else value
    return {key: value for key, value in result.items() if value is not None}


def _reference_problems(raw: dict[str, Any]) -> Iterator[Problem]:
    """Names that nothing answers to; says nothing of values that have the wrong shape."""
    own = mapping(raw, "tasks")
    tasks = {**{name: task.type for name, task in catalogue().items()}, **{n: type_of(e) for n, e in own.items()}}
    entries = {**catalogue_entries(), **own}
    yield from _own_task_problems(own)
    yield from _intermediate_problems(raw, tasks, entries)
    yield from _all_target_problems(raw, tasks, entries)
    yield from _all_arm_problems(raw, tasks)
    yield from _encoder_problems(raw, tasks)
    yield from _judged_problems(raw)
    languages = raw.get("languages")
    for key in ("candidates", "always_held_out", "never_held_out"):
        yield from language_problems(("languages", key), setting(languages, key))
    if setting(languages, "anchor"):
        yield from language_problems(("languages", "anchor"), [setting(languages, "anchor")])


def _own_task_problems(own: dict[str, Any]) -> Iterator[Problem]:
    for name, entry in own.items():
        source = setting(entry, "source")
        if type_of(entry) == "retrieval" and setting(source, "format") == "lines" and not setting(source, "english"):
            yield ("tasks", name, "source"), "retrieval needs `english`, the file pattern of the English side"
        metrics = SCORED[type_of(entry)].METRICS if type_of(entry) in SCORED else ()
        for i, metric in enumerate(listed(entry, "metrics") if isinstance(entry, dict) else ()):
            yield from unknown(("tasks", name, "metrics", i), str(metric), dict.fromkeys(metrics), "metric")


def _intermediate_problems(raw: dict[str, Any], tasks: dict[str, str], entries: dict[str, Any]) -> Iterator[Problem]:
    intermediate = mapping(raw, "intermediate")
    for name, entry in intermediate.items():
        yield from training_problems(("intermediate", name), entry, intermediate)
        if setting(entry, "mixture"):
            continue
        task = str(setting(entry, "task") or name)
        yield from unknown(("intermediate", name), task, tasks, "task")
        if tasks.get(task) in READ and tasks[task] not in FINE_TUNED:
            yield ("intermediate", name), f"a task of type {tasks[task]} has no head that could be trained"
        for target in mapping(raw, "targets").items():
            yield from _leaks(("intermediate", name), (task, entry), target, entries, raw.get("checkpoint", "best"))


def _all_target_problems(raw: dict[str, Any], tasks: dict[str, str], entries: dict[str, Any]) -> Iterator[Problem]:
    targets = mapping(raw, "targets")
    yield from name_problems("targets", targets)
    for name, entry in targets.items():
        task = str(setting(entry, "task") or name)
        training = setting(entry, "training")
        for key in (key for key in ("mixture", *OF_A_MIXTURE) if setting(training, key)):
            yield ("targets", name, "training", key), "is for intermediate trainings: a target trains on one task"
        trained = str(setting(training, "task") or task)
        yield from _other_head(("targets", name, "training"), entries.get(trained), entries.get(task))
        kept = raw.get("checkpoint", "best")
        yield from _leaks(("targets", name, "training"), (trained, training), (name, entry), entries, kept)
        yield from unknown(("targets", name), task, tasks, "task")
        mining = bool(setting(entries.get(task), "mining"))
        yield from _target_problems(("targets", name), entry, tasks.get(task, ""), mining)


def _all_arm_problems(raw: dict[str, Any], tasks: dict[str, str]) -> Iterator[Problem]:
    arms, intermediate, translators = (mapping(raw, key) for key in ("arms", "intermediate", "translators"))
    kinds = {tasks.get(str(setting(entry, "task") or name), "") for name, entry in mapping(raw, "targets").items()}
    anchor = str(setting(raw.get("languages"), "anchor") or "en")
    yield from name_problems("arms", arms)
    for name, entry in arms.items():
        if setting(entry, "intermediate"):
            named = str(entry["intermediate"])
            yield from unknown(("arms", name, "intermediate"), named, intermediate, "intermediate")
        yield from arm_problems(("arms", name), entry, tasks, translators, anchor)
        yield from length_problems(("arms", name, "match_updates_of"), entry, arms)
        yield from hidden_problems(("arms", name), entry, kinds)
    for name, entry in translators.items():
        if setting(entry, "back"):
            yield from unknown(("translators", name, "back"), str(entry["back"]), translators, "translator")


def _encoder_problems(raw: dict[str, Any], tasks: dict[str, str]) -> Iterator[Problem]:
    for name, entry in mapping(raw, "encoders").items():
        if isinstance(entry, dict) and bool(entry.get("load")) == bool(entry.get("pretrain")):
            yield ("encoders", name), "give either `load` or `pretrain`"
        corpus = setting(setting(entry, "pretrain"), "corpus")
        if corpus:
            yield from unknown(("encoders", name, "pretrain", "corpus"), str(corpus), tasks, "task")


def _judged_problems(raw: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with what a study is judged by: its primary targets, contrasts and controls."""
    arms, targets = mapping(raw, "arms"), mapping(raw, "targets")
    for i, name in enumerate(listed(raw, "primary")):
        if name in raw["primary"][:i]:
            yield ("primary", i), f"names '{name}' twice"
        yield from unknown(("primary", i), str(name), targets, "target")
        yield from _withheld(("primary", i), str(name), targets)
    for section in ("contrasts", "controls"):
        for i, text in enumerate(listed(raw, section)):
            if text in raw[section][:i]:
                yield (section, i), "is given twice"
            yield from _contrast_problems((section, i), text, arms, targets)


def _target_problems(where: Where, entry: Any, kind: str, mining: bool) -> Iterator[Problem]:
    if setting(entry, "oracle"):
        yield from _oracle_problems((*where, "oracle"), entry, kind)
    if kind and kind not in SCORED:
        yield where, f"a task of type {kind} is not scored and cannot be a target"
    elif kind in FINE_TUNED and not setting(entry, "training"):
        yield where, "needs `training`: it is scored after training in the anchor language"
    elif kind and kind not in FINE_TUNED:
        layers = setting(entry, "layers")
        if not layers:
            yield where, "needs `layers`: nothing is trained, the embeddings of a layer are compared"
        elif isinstance(layers, list) and (len(layers) > 1 or mining) and not setting(entry, "dev"):
            yield where, "needs `dev`: " + ("the margin" if mining else "one of several layers") + " is chosen on it"
        if setting(entry, "dev") and setting(entry, "dev") == (setting(entry, "test") or "test"):
            yield where, "`dev` and `test` are one split: what is chosen on rows cannot be scored on them"


def _oracle_problems(where: Where, entry: Any, kind: str) -> Iterator[Problem]:
    if kind and kind not in FINE_TUNED:
        yield where, "needs `training`: it chooses among the weights of one"
    elif setting(entry, "labels_withheld"):
        yield where, "has nothing to show: the labels of the test rows are withheld"
    elif setting(entry, "oracle") == (setting(entry, "test") or "test"):
        yield where, "and `test` are one split: what is chosen on rows cannot be scored on them"


def _other_head(where: Where, trained: Any, scored: Any) -> Iterator[Problem]:
    """A head is scored with the labels of the target by their places: it must have been trained with the same ones."""
    if not isinstance(trained, dict) or not isinstance(scored, dict):
        return
    if type_of(trained) != type_of(scored):
        yield where, f"trains on a task of type {type_of(trained)}, and the target is of type {type_of(scored)}"
    elif type_of(scored) != "multiple_choice" and list(trained.get("labels") or ()) != list(scored.get("labels") or ()):
        yield where, "trains on a task with other labels than the target's, or in another order"


def _leaks(
    where: Where, training: tuple[str, Any], target: tuple[str, Any], entries: dict[str, Any], keep: Any
) -> Iterator[Problem]:
    """Rows that are both trained on, or chosen on, and scored. keep: the study's choice of weights."""
    (task, settings), (name, entry) = training, target
    if not isinstance(settings, dict) or task != str(setting(entry, "task") or name):
        return
    test = setting(entry, "test") or "test"
    if settings.get("train", "train") == test:
        yield where, f"trains on the {test} split, on which target '{name}' is scored"
    chooses = settings.get("checkpoint", keep) == "best" or setting(entries.get(task), "unanswerable")
    if chooses and settings.get("dev", "validation") == test:
        yield where, f"chooses on the {test} split, on which target '{name}' is scored"


def _contrast_problems(where: Where, text: Any, arms: dict[str, Any], targets: dict[str, Any]) -> Iterator[Problem]:
    if not isinstance(text, str) or " - " not in text:
        yield where, f"a contrast is written `one arm - another`, found {text!r}"
        return
    contrast = parse_contrast(text, ())
    if contrast.left == contrast.right:
        yield where, "holds an arm against itself"
    elif one_arm(arms.get(contrast.left), arms.get(contrast.right)):
        yield where, "the two arms are one: give one of them `independent: true`"
    if len(set(contrast.targets)) < len(contrast.targets):
        yield where, "names a target twice"
    for arm in (contrast.left, contrast.right):
        yield from unknown(where, arm, arms, "arm")
    for target in contrast.targets:
        yield from unknown(where, target, targets, "target")
        yield from _withheld(where, target, targets)


def _withheld(where: Where, name: str, targets: dict[str, Any]) -> Iterator[Problem]:
    if setting(targets.get(name), "labels_withheld"):
        yield where, f"the labels of '{name}' are withheld: it cannot be judged"
