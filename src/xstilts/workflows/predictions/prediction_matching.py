"""Match the predictions of two systems with the gold labels, item by item, and refuse what does not belong together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xstilts.errors import XstiltsError
from xstilts.workflows.predictions.gold_differences import Options, TaskItems, match_items
from xstilts.workflows.predictions.prediction_files import (
    WITH_PATTERN,
    Paths,
    PredictionFile,
    language_label,
    list_files,
    read_names,
)
from xstilts.workflows.predictions.prediction_formats import Content, Prediction, read_content

SHOWN = 3
"""How many differences between gold and predictions an error names."""
Part = tuple[str, str]
"""A language and a seed, "" if there is only one without a name."""


@dataclass(frozen=True)
class _Side:
    """The predictions of one system, or the gold labels, by language and seed, with the file of each."""

    parts: dict[Part, tuple[Content, list[Prediction]]]

    @property
    def languages(self) -> list[str]:
        return list(dict.fromkeys(code for code, _ in self.parts))


def match_predictions(
    sides: Sequence[Sequence[PredictionFile]], names: tuple[str, str], gold: Paths | None, options: Options
) -> TaskItems:
    """The items of two systems in all languages; raises XstiltsError if files, languages or items do not match."""
    role = "both" if gold is None else "prediction"
    read = [
        [(file, read_content(file.path, options.columns, options.task_type, role)) for file in side] for side in sides
    ]
    left, right = (_by_part(side) for side in read)
    if len(left.languages) == len(right.languages) == 1 and left.languages != right.languages:
        left, right = (_Side({("", seed): part for (_, seed), part in side.parts.items()}) for side in (left, right))
    _check_languages((left, right), names)
    golds = _gold_labels(gold, left, options)
    task_type = _task_type([content for side in read for _, content in side], golds, options.task_type)
    task = TaskItems("", task_type, {})
    for number, side in enumerate((left, right)):
        task.files += [(part[0].path, part[0].format, number, *key) for key, part in side.parts.items()]
    listed: list[str] = []
    counts: dict[str, int] = {}
    for code in left.languages:
        by_system = {
            (number, seed): part
            for number, side in enumerate((left, right))
            for (of, seed), part in side.parts.items()
            if of == code
        }
        differences = match_items(code, golds[code], by_system, task, options)
        counts |= {code: len(differences)} if differences else {}
        listed += list(differences.values())[: SHOWN - len(listed)]
    if counts and not options.skip_mismatched:
        by_language = ", ".join(f"{code} {count:,}" for code, count in counts.items() if code)
        unit = "sentence" if task_type == "tagging" else "item"
        unit += "s" * (sum(counts.values()) > 1)
        what = f"gold and predictions differ in {sum(counts.values()):,} {unit}" + f" ({by_language})" * bool(
            by_language
        )
        hint = "compare with the gold labels of the same data, or leave them out with --skip-mismatched"
        if task_type == "tagging" and not options.task_type and all("JSON" in form for _, form, *_ in task.files):
            hint += "; if the lists are not tags of words but labels of a text, give --task-type multilabel"
        raise XstiltsError("inconsistent", what, "\n".join(listed), hint)
    return task


def pair_seeds(seeds: Mapping[tuple[int, str], Sequence[str]], names: tuple[str, str]) -> tuple[list[str], list[str]]:
    """The seeds of both systems, those of one place being a pair; raises XstiltsError if a system's languages have
    different seeds, or the systems have different numbers of them.

    seeds: of each system and language (or task and language, in words).
    """
    result = []
    for side in (0, 1):
        by_language = {code: set(each) for (of, code), each in seeds.items() if of == side}
        first, expected = next(iter(by_language.items()))
        for code, each in by_language.items():
            if each != expected:
                what = f"'{names[side]}' has other seeds in {code} than in {first}"
                why = f"{_listed(each)}, and {_listed(expected)}"
                raise XstiltsError("inconsistent", what, why, "give the files of the same seeds in every language")
        result.append(
            sorted(expected, key=lambda seed: (not seed.isdecimal(), int(seed) if seed.isdecimal() else 0, seed))
        )
    left, right = result
    if len(left) != len(right):
        what = f"'{names[0]}' has {len(left)} seeds and '{names[1]}' {len(right)}"
        why = f"seeds are compared in pairs; they are {_listed(left)}, and {_listed(right)}"
        raise XstiltsError("inconsistent", what, why, "give equally many seeds of both systems")
    return left, right


def _listed(seeds: Iterable[str]) -> str:
    return " ".join(sorted(seeds)) or "none"


def _by_part(files: Sequence[tuple[PredictionFile, Content]]) -> _Side:
    """Predictions by language and seed, which columns name before file names do."""
    parts: dict[Part, tuple[Content, list[Prediction]]] = {}
    for file, content in files:
        of_file: dict[Part, list[Prediction]] = {}
        for each in content.predictions:
            key = language_label(each.language) if each.language else file.language, each.seed or file.seed
            of_file.setdefault(key, []).append(each)
        for (code, seed), predictions in of_file.items():
            if (code, seed) in parts:
                what = f"{file.path} and {parts[code, seed][0].path} are of one language and seed"
                why = f"both are read as language '{code or 'unknown'}', seed '{seed or 'unknown'}'"
                raise XstiltsError("inconsistent", what, why, f"{WITH_PATTERN}; or name fewer files")
            parts[code, seed] = content, predictions
    return _Side(parts)


def _check_languages(sides: tuple[_Side, _Side], names: tuple[str, str]) -> None:
    codes = [set(side.languages) for side in sides]
    for number in (0, 1):
        if missing := sorted(codes[1 - number] - codes[number]):
            listed = ", ".join(code or "unknown" for code in missing)
            what = f"'{names[number]}' has no predictions in {listed}, and '{names[1 - number]}' has"
            why = f"its languages are {', '.join(sorted(codes[number])) or 'unknown'}"
            hint = f"give the same languages on both sides; if they are read wrongly, {WITH_PATTERN}"
            raise XstiltsError("inconsistent", what, why, hint)


def _gold_labels(gold: Paths | None, left: _Side, options: Options) -> dict[str, tuple[Content, list[Prediction]]]:
    """The gold labels of each language of the predictions, from their own files or from the first predictions."""
    if gold is None:
        first: dict[str, tuple[Content, list[Prediction]]] = {}
        for (code, _), (content, predictions) in left.parts.items():
            first.setdefault(
                code, (content, [replace(each, label="" if each.gold is None else each.gold) for each in predictions])
            )
        return first
    root, paths = list_files(gold)
    files = read_names(root, paths)
    wanted = set(left.languages)
    if len(files) > 1:
        files = [file for file in files if file.language in wanted or not file.language]
    read = [(file, read_content(file.path, options.columns, options.task_type, "gold")) for file in files]
    golds = _by_part([(replace(file, seed=""), content) for file, content in read])
    by_language = {code: part for (code, _), part in golds.parts.items()}
    if len(by_language) == len(wanted) == 1:
        return dict(zip(wanted, by_language.values(), strict=True))
    if missing := sorted(wanted - by_language.keys()):
        what = f"there are no gold labels in {', '.join(code or 'unknown' for code in missing)}"
        why = f"{gold} has {', '.join(sorted(filter(None, by_language))) or 'no file whose name says a language'}"
        hint = "name gold files by their languages, for example gold/sw.txt, or add a column `language`"
        raise XstiltsError("missing-file", what, why, hint)
    return by_language


def _task_type(contents: Iterable[Content], golds: Mapping[str, tuple[Content, list[Prediction]]], given: str) -> str:
    """The task type that was given, or that the formats tell; raises XstiltsError if neither does."""
    predicted = sorted({content.task_type for content in contents} - {""})
    of_gold = sorted({content.task_type for content, _ in golds.values()} - {""})
    told = predicted or of_gold
    if len(told) > 1 or (given and predicted and predicted != [given]):
        what = f"the files are of {' and '.join(told)}" + f", not of {given}" * (len(told) == 1)
        raise XstiltsError("inconsistent", what, "both systems predict the same kind of label", "check --task-type")
    if given or told:
        return given or told[0]
    what, why = "the task type is unknown", "predictions that are text may be labels or answers"
    raise XstiltsError("bad-argument", what, why, "give --task-type classification, multilabel, tagging or qa")
