"""Scores of one folder of predictions against one of labels, both in the benchmark's layout."""

from functools import partial
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.evaluation.layout import Mistakes, all_mistakes, check_folder, compare_lines, read, unexpected_files
from xstilts.tasks import metrics
from xstilts.tasks.metrics import Scores
from xstilts.tasks.xtreme import GROUPS, TARGETS, Target

VERSIONS = ("xtreme-2020",)


def _language_scores(task: str, code: str, gold: Any, predicted: Any) -> Scores:
    """The official metrics of a task in one language and, under names of their own, corrected ones."""
    kind = TARGETS[task].kind
    if kind == "pairs":
        return metrics.set_f1(gold, predicted)
    if kind == "answers":
        normalise = partial(metrics.mlqa_normal, language=code) if task == "mlqa" else metrics.squad_normal
        official = metrics.answer_scores(gold, predicted, normalise)
        unspaced = code in metrics.SEGMENTED
        segmented = metrics.answer_scores(gold, predicted, metrics.segmented) if unspaced else official
        return official | {"segmented_f1": segmented["f1"]}
    if kind == "tags":
        official = metrics.chunk_f1([tag or "O" for tag in gold], [tag or "O" for tag in predicted])
        words = [(g, p) for g, p in zip(gold, predicted, strict=True) if g]
        return official | ({"token_accuracy": metrics.accuracy(*zip(*words, strict=True))} if task == "udpos" else {})
    corrected = {"macro_f1": metrics.macro_f1(gold, predicted)} if kind == "labels" else {}
    return {"accuracy": metrics.accuracy(gold, predicted)} | corrected


def score(predictions: Path, labels: Path, version: str = "xtreme-2020") -> dict[str, Any]:
    """Points, 0 to 100, of every task, metric and language that both folders have.

    Keys: `tasks.<task>.<metric>` and `tasks.<task>.score` (the task's main figure), `tasks.<task>.languages.<lang>`,
    `groups.<group>`, `all_task`: unweighted means, None if a part is missing. `missing` names each part,
    `unanswered` counts questions without an answer (they score 0), `ignored` names files that belong to no task.
    Raises XstiltsError with every mistake in the files, and if nothing can be scored.
    """
    if version not in VERSIONS:
        hint = did_you_mean(version, VERSIONS) or "leave --version out"
        raise XstiltsError("unknown-name", f"unknown version '{version}'", f"there is {', '.join(VERSIONS)}", hint)
    check_folder(predictions)
    check_folder(labels)
    missing = _missing(predictions, labels)
    absent = {(part["task"], code) for part in missing for code in part["languages"]}
    mistakes: list[str] = []
    tasks: dict[str, Any] = {}
    unanswered: dict[str, dict[str, int]] = {}
    for task, target in TARGETS.items():
        by_language = {}
        for code in (code for code in target.languages if (task, code) not in absent):
            gold, predicted, in_files = read_both(predictions, labels, task, code)
            mistakes += in_files
            if in_files:
                continue
            by_language[code] = _language_scores(task, code, gold, predicted)
            if target.kind == "answers" and (count := sum(key not in predicted for key, _ in gold)):
                unanswered.setdefault(task, {})[code] = count
        if by_language:
            tasks[task] = _task_means(by_language, target) | {"languages": by_language}
    if mistakes:
        hint = "correct the files; `xstilts submit check` lists all mistakes in a folder of predictions"
        raise all_mistakes(mistakes, hint)
    if not tasks:
        why = f"{predictions} and {labels} have no file of the benchmark in common"
        hint = "each needs folders such as xnli with files such as test-sw.tsv"
        raise XstiltsError("missing-file", "nothing to score", why, hint)
    ignored = unexpected_files(predictions)
    scores = {"version": version, "tasks": tasks, **_overall(tasks)}
    return scores | {"missing": missing, "unanswered": unanswered, "ignored": ignored}


def read_both(predictions: Path, labels: Path, task: str, code: str) -> tuple[Any, Any, list[str]]:
    """Golds and predictions of a task in a language, and every mistake in the two files."""
    target = TARGETS[task]
    in_gold, in_predicted = (Mistakes(folder / task / target.file(code)) for folder in (labels, predictions))
    gold = read(in_gold.path, target, in_gold, gold=True)
    predicted = read(in_predicted.path, target, in_predicted, gold=False)
    if target.aligned and gold and predicted:
        compare_lines(predicted, gold, target, in_gold.path, in_predicted)
    return gold, predicted, [*in_gold, *in_predicted]


def _missing(predictions: Path, labels: Path) -> list[dict[str, Any]]:
    """Languages of a task that one of the folders lacks, a record per task and folder."""
    missing = []
    for task, target in TARGETS.items():
        for side, folder in (("predictions", predictions), ("labels", labels)):
            absent = [code for code in target.languages if not (folder / task / target.file(code)).exists()]
            if absent:
                missing.append({"task": task, "in": side, "languages": absent})
    return missing


def _task_means(by_language: dict[str, Scores], target: Target) -> dict[str, float | None]:
    """Unweighted means over all languages of the task, English among them, and the mean that stands for the task."""
    names = list(next(iter(by_language.values())))
    if set(by_language) != set(target.languages):
        return {**dict.fromkeys(names), "score": None}
    means = {name: sum(scores[name] for scores in by_language.values()) / len(by_language) for name in names}
    if target.kind == "answers":
        return {**means, "score": (means["exact_match"] + means["f1"]) / 2}
    return {**means, "score": means["f1"] if "f1" in means else means["accuracy"]}


def _overall(tasks: dict[str, Any]) -> dict[str, Any]:
    """Means over the tasks of each group and over all nine; None where one of them is missing or incomplete."""
    scores = {task: facts["score"] for task, facts in tasks.items() if facts["score"] is not None}

    def mean(names: tuple[str, ...]) -> float | None:
        complete = all(name in scores for name in names)
        return sum(scores[name] for name in names) / len(names) if complete else None

    return {"groups": {group: mean(names) for group, names in GROUPS.items()}, "all_task": mean(tuple(TARGETS))}
