"""Match two folders of predictions in XTREME's layout with the labels, task by task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError
from xstilts.evaluation.layout import all_mistakes, check_folders, read_both
from xstilts.tasks.task import catalogue
from xstilts.tasks.task_types import main_metric
from xstilts.tasks.xtreme import TARGETS
from xstilts.workflows.predictions.gold_differences import LanguageItems, Options, TaskItems
from xstilts.workflows.predictions.prediction_files import Paths, PredictionFile
from xstilts.workflows.predictions.prediction_formats import Label

LAYOUT = "XTREME's layout"


def match_xtreme(
    sides: Sequence[Sequence[PredictionFile]], names: tuple[str, str], gold: Paths | None, options: Options
) -> list[TaskItems]:
    """The items of each task that has labels. BUCC's pairs are left out, as no item has one prediction.

    Raises XstiltsError with all mistakes in the files, or if the two systems have other tasks or languages.
    """
    if gold is None or not isinstance(gold, str | Path):
        why, hint = "predictions in XTREME's layout have no gold labels", "give the folder of labels with --gold"
        raise XstiltsError("bad-argument", "there are no gold labels", why, hint)
    labels = Path(gold)
    check_folders(labels)
    parts = [{(file.task, file.language, file.seed): file for file in side} for side in sides]
    pairs = [{(task, code) for task, code, _ in side} for side in parts]
    for number in (0, 1):
        if missing := sorted(pairs[1 - number] - pairs[number]):
            what = f"'{names[number]}' lacks {missing[0][0]} in {missing[0][1]}, which '{names[1 - number]}' has"
            why = f"{len(missing)} files are on one side only"
            raise XstiltsError("inconsistent", what, why, "give the same tasks and languages on both sides")
    tasks: list[TaskItems] = []
    mistakes: list[str] = []
    left_out: list[str] = []
    for name in (name for name in TARGETS if any(task == name for task, _ in pairs[0])):
        if TARGETS[name].kind == "pairs" or not (labels / name).is_dir():
            why = "pairs have no items" if TARGETS[name].kind == "pairs" else f"no labels in {labels}"
            left_out.append(f"not compared: {name} ({why})")
            continue
        entry = catalogue()[name]
        if options.task_type not in ("", entry.type):
            what, why = f"{name} is of type {entry.type}", f"--task-type says {options.task_type}"
            raise XstiltsError("inconsistent", what, why, "leave --task-type out")
        task = TaskItems(name, entry.type, {}, main_metric(entry))
        for code in sorted(code for of, code in pairs[0] if of == name):
            shared = options.parallel or entry.parallel
            mistakes += _add_language(task, code, parts, labels, shared)
        tasks.append(task)
    if mistakes:
        raise all_mistakes(mistakes, "correct the files; --skip-mismatched does not apply to XTREME's layout")
    if not tasks:
        what, why = "there is nothing to compare", "; ".join(left_out)
        raise XstiltsError(
            "missing-file", what, why, "labels are in folders such as xnli, with files such as test-sw.tsv"
        )
    tasks[0].notes += left_out
    return tasks


def _add_language(
    task: TaskItems, code: str, parts: Sequence[dict[tuple[str, str, str], PredictionFile]], labels: Path, shared: bool
) -> list[str]:
    """Add one language to a task; returns the mistakes in its files."""
    items, mistakes, unanswered = LanguageItems([], [], {}), [], 0
    for number, side in enumerate(parts):
        for (name, of, seed), file in side.items():
            if (name, of) != (task.task, code):
                continue
            gold, predicted, in_files = read_both(file.path.parents[1], labels, TARGETS[name], code)
            mistakes += [mistake for mistake in in_files if mistake not in mistakes]
            if in_files:
                continue
            task.files.append((file.path, LAYOUT, number, code, seed))
            ids, items.gold, items.predictions[number, seed] = _aligned(TARGETS[name].kind, gold, predicted)
            items.clusters = [each if shared else f"{code}: {each}" for each in ids]
            unanswered += TARGETS[name].kind == "answers" and sum(each not in predicted for each in ids)
    if unanswered:
        task.notes.append(f"{task.task}, {code}: {unanswered:,} questions without an answer score 0")
    task.languages[code] = items
    return mistakes


def _aligned(kind: str, gold: Any, predicted: Any) -> tuple[list[str], list[Label], list[Label]]:
    """The name, gold label and prediction of each item; a question without a prediction has an empty answer."""
    if kind == "answers":
        ids = [key for key, _ in gold]
        return ids, [tuple(answers) for _, answers in gold], [predicted.get(key, "") for key in ids]
    if kind == "tags":
        gold, predicted = _sentences(gold), _sentences(predicted)
    return list(map(str, range(len(gold)))), gold, predicted


def _sentences(tags: list[str]) -> list[Label]:
    """The tags between empty lines."""
    sentences: list[Label] = []
    start = 0
    for i, tag in enumerate([*tags, ""]):
        if not tag:
            sentences += [tuple(tags[start:i])] * (i > start)
            start = i + 1
    return sentences
