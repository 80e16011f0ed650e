"""Reads a study's YAML and reports every mistake at once, each with its line."""

from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.errors import MISSING, XstiltsError, did_you_mean
from xstilts.languages import language
from xstilts.study.mistakes import Lines, Problem, Where, mistaken, parse, shape_problems
from xstilts.study.own_tasks import complete_tasks, fill_defaults
from xstilts.study.schema import Study, parse_contrast
from xstilts.tasks.task import catalogue, catalogue_entries
from xstilts.tasks.types import FINE_TUNED, READ, SCORED


def builtin_studies() -> dict[str, Any]:
    """The YAML files of the studies that come with the package, by name."""
    folder = files("xstilts.study").joinpath("builtin")
    return {f.name.removesuffix(".yaml"): f for f in folder.iterdir() if f.name.endswith(".yaml")}


def load_study(name: str, quick: bool = False, **changes: Any) -> Study:
    """The built-in study of that name, or the study in that file.

    Args:
        quick: merges the file's `quick:` section into it, a small form that shows the way and not the answer.
        changes: top-level values that replace the file's (`replicates`, `seed`, `source`), where not None.

    Raises XstiltsError that lists every mistake with its line.
    """
    lines: Lines = {}
    raw, origin, problems = _read(name, lines)
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
            f"there is no study '{name}'",
            f"it is neither a file nor one of the built-in studies: {', '.join(sorted(known))}",
            did_you_mean(name, known) or "give a built-in name or the path of a YAML file",
            MISSING,
        )
    raw, problems = parse(text, origin, lines)
    if isinstance(raw.get("task_files"), list):
        raw["task_files"] = [str(path.parent / str(file)) for file in raw["task_files"]]
    if "extends" in raw:
        extended = str(raw.pop("extends"))
        if extended in (*above, name):
            raise XstiltsError(
                f"{origin} extends itself", f"by way of {', '.join((*above, name))}", "name another study"
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
    own = _mapping(raw, "tasks")
    tasks = {**{name: task.type for name, task in catalogue().items()}, **{n: _type(e) for n, e in own.items()}}
    for name, entry in own.items():
        source = _get(entry, "source")
        if _type(entry) == "retrieval" and _get(source, "format") == "lines" and not _get(source, "english"):
            yield ("tasks", name, "source"), "retrieval needs `english`, the file pattern of the English side"
        metrics = SCORED[_type(entry)].METRICS if _type(entry) in SCORED else ()
        for i, metric in enumerate(_list(entry, "metrics") if isinstance(entry, dict) else ()):
            yield from _unknown(("tasks", name, "metrics", i), str(metric), dict.fromkeys(metrics), "metric")
    arms, intermediate = _mapping(raw, "arms"), _mapping(raw, "intermediate")
    targets = _mapping(raw, "targets")
    entries = {**catalogue_entries(), **own}
    for name, entry in intermediate.items():
        yield from _selection_problems(("intermediate", name), entry)
        if _get(entry, "mixture"):
            yield from _mixture_problems(("intermediate", name), entry, intermediate)
            continue
        task = str(_get(entry, "task") or name)
        yield from _unknown(("intermediate", name), task, tasks, "task")
        if tasks.get(task) in READ and tasks[task] not in FINE_TUNED:
            yield ("intermediate", name), f"a task of type {tasks[task]} has no head that could be trained"
        for target in targets.items():
            yield from _leaks(("intermediate", name), (task, entry), target, entries)
    for name, entry in targets.items():
        task = str(_get(entry, "task") or name)
        training = _get(entry, "training")
        trained = str(_get(training, "task") or task)
        yield from _selection_problems(("targets", name, "training"), training)
        yield from _other_head(("targets", name, "training"), entries.get(trained), entries.get(task))
        yield from _leaks(("targets", name, "training"), (trained, training), (name, entry), entries)
        yield from _unknown(("targets", name), task, tasks, "task")
        mining = bool(_get(own.get(task) or catalogue_entries().get(task), "mining"))
        yield from _target_problems(("targets", name), entry, tasks.get(task, ""), mining)
    for name, entry in arms.items():
        if _get(entry, "intermediate"):
            named = str(entry["intermediate"])
            yield from _unknown(("arms", name, "intermediate"), named, intermediate, "intermediate")
        yield from _language_problems(("arms", name, "given"), _get(entry, "given"))
        yield from _extra_problems(("arms", name), entry, tasks, _mapping(raw, "translators"))
    for name, entry in _mapping(raw, "translators").items():
        if _get(entry, "back"):
            yield from _unknown(("translators", name, "back"), str(entry["back"]), raw["translators"], "translator")
    for name, entry in _mapping(raw, "encoders").items():
        if isinstance(entry, dict) and bool(entry.get("load")) == bool(entry.get("pretrain")):
            yield ("encoders", name), "give either `load` or `pretrain`"
        corpus = _get(_get(entry, "pretrain"), "corpus")
        if corpus:
            yield from _unknown(("encoders", name, "pretrain", "corpus"), str(corpus), tasks, "task")
    for i, name in enumerate(_list(raw, "primary")):
        yield from _unknown(("primary", i), str(name), targets, "target")
        yield from _withheld(("primary", i), str(name), targets)
    for section in ("contrasts", "controls"):
        for i, text in enumerate(_list(raw, section)):
            yield from _contrast_problems((section, i), text, arms, targets)
    languages = raw.get("languages")
    for key in ("candidates", "always_held_out", "never_held_out"):
        yield from _language_problems(("languages", key), _get(languages, key))
    if _get(languages, "anchor"):
        yield from _language_problems(("languages", "anchor"), [_get(languages, "anchor")])


def _selection_problems(where: Where, training: Any) -> Iterator[Problem]:
    if _get(training, "keep") == "best" and not _get(training, "evaluate_every"):
        yield (*where, "keep"), "needs `evaluate_every`: there is nothing to choose from"


def _mixture_problems(where: Where, entry: Any, intermediate: dict[str, Any]) -> Iterator[Problem]:
    if _get(entry, "task"):
        yield (*where, "task"), "a mixture has the tasks of its parts, and none of its own"
    for part in _mapping(entry, "mixture"):
        yield from _unknown((*where, "mixture", part), str(part), intermediate, "intermediate")
        if _get(intermediate.get(part), "mixture"):
            yield (*where, "mixture", part), "is a mixture itself: name its parts"


def _extra_problems(where: Where, entry: Any, tasks: dict[str, Any], translators: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with the text mixed into an arm, its translation and its scores."""
    corpus, translated = _get(_get(entry, "mlm"), "corpus"), _get(entry, "translated")
    if corpus:
        yield from _unknown((*where, "mlm", "corpus"), str(corpus), tasks, "task")
        if tasks.get(str(corpus), "mlm") != "mlm":
            yield (*where, "mlm", "corpus"), f"is a task of type {tasks[str(corpus)]}; raw text is of type mlm"
    if translated:
        yield from _unknown((*where, "translated"), str(translated), translators, "translator")
    if _get(entry, "through") and not translated:
        yield (*where, "through"), "needs `translated`: the translator that goes there and back"
    if _get(entry, "through"):
        yield from _language_problems((*where, "through"), [_get(entry, "through")])
    if (_get(entry, "languages") == "predicted") != bool(_get(entry, "scores")):
        yield (*where, "scores"), "goes with `languages: predicted`: the table of scores to choose by"
    extras = ("mlm", "translated", "through", "anchor_share")
    if not _get(entry, "intermediate"):
        for name in (name for name in extras if _get(entry, name)):
            yield (*where, name), "needs `intermediate`: the training that it changes"
    if _get(entry, "anchor_share") and _get(entry, "languages") in (None, "english"):
        yield (*where, "anchor_share"), "needs `languages`: those of the other examples"


def _mapping(raw: dict[str, Any], key: str) -> dict[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, dict) else {}


def _list(raw: dict[str, Any], key: str) -> list[Any]:
    value = raw.get(key)
    return value if isinstance(value, list) else []


def _get(entry: Any, key: str) -> Any:
    return entry.get(key) if isinstance(entry, dict) else None


def _type(entry: Any) -> str:
    return str(_get(entry, "type") or "")


def _unknown(where: Where, name: str, known: dict[str, Any], what: str) -> Iterator[Problem]:
    if name not in known:
        hint = did_you_mean(name, known)
        yield where, f"unknown {what} '{name}'" + (f"; {hint}" if hint else "")


def _target_problems(where: Where, entry: Any, kind: str, mining: bool) -> Iterator[Problem]:
    if kind and kind not in SCORED:
        yield where, f"a task of type {kind} is not scored and cannot be a target"
    elif kind in FINE_TUNED and not _get(entry, "training"):
        yield where, "needs `training`: it is scored after training in the anchor language"
    elif kind and kind not in FINE_TUNED:
        layers = _get(entry, "layers")
        if not layers:
            yield where, "needs `layers`: nothing is trained, the embeddings of a layer are compared"
        elif isinstance(layers, list) and (len(layers) > 1 or mining) and not _get(entry, "dev"):
            yield where, "needs `dev`: " + ("the margin" if mining else "one of several layers") + " is chosen on it"
        if _get(entry, "dev") and _get(entry, "dev") == (_get(entry, "test") or "test"):
            yield where, "`dev` and `test` are one split: what is chosen on rows cannot be scored on them"


def _other_head(where: Where, trained: Any, scored: Any) -> Iterator[Problem]:
    """A head is scored with the labels of the target by their places: it must have been trained with the same ones."""
    if not isinstance(trained, dict) or not isinstance(scored, dict):
        return
    if _type(trained) != _type(scored):
        yield where, f"trains on a task of type {_type(trained)}, and the target is of type {_type(scored)}"
    elif _type(scored) != "multiple_choice" and list(trained.get("labels") or ()) != list(scored.get("labels") or ()):
        yield where, "trains on a task with other labels than the target's, or in another order"


def _leaks(
    where: Where, training: tuple[str, Any], target: tuple[str, Any], entries: dict[str, Any]
) -> Iterator[Problem]:
    """Rows that are both trained on, or chosen on, and scored."""
    (task, settings), (name, entry) = training, target
    if not isinstance(settings, dict) or task != str(_get(entry, "task") or name):
        return
    test = _get(entry, "test") or "test"
    if settings.get("train", "train") == test:
        yield where, f"trains on the {test} split, on which target '{name}' is scored"
    chooses = settings.get("keep") == "best" or _get(entries.get(task), "unanswerable")
    if chooses and settings.get("dev", "validation") == test:
        yield where, f"chooses on the {test} split, on which target '{name}' is scored"


def _contrast_problems(where: Where, text: Any, arms: dict[str, Any], targets: dict[str, Any]) -> Iterator[Problem]:
    if not isinstance(text, str) or " - " not in text:
        yield where, f"a contrast is written `one arm - another`, found {text!r}"
        return
    contrast = parse_contrast(text, ())
    for arm in (contrast.left, contrast.right):
        yield from _unknown(where, arm, arms, "arm")
    for target in contrast.targets:
        yield from _unknown(where, target, targets, "target")
        yield from _withheld(where, target, targets)


def _withheld(where: Where, name: str, targets: dict[str, Any]) -> Iterator[Problem]:
    if _get(targets.get(name), "withheld"):
        yield where, f"the labels of '{name}' are withheld: it cannot be judged"


def _language_problems(where: Where, codes: Any) -> Iterator[Problem]:
    for i, code in enumerate(codes if isinstance(codes, list) else []):
        try:
            language(str(code))
        except XstiltsError as error:
            yield (*where, i), f"{error.what}; {error.hint}"
