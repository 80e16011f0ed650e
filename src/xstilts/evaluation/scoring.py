"""Scores of one folder of predictions against one of labels, both in the benchmark's layout."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.evaluation.layout import Mistakes, compare_lines, mistaken, read, unexpected_files
from xstilts.tasks import metrics
from xstilts.tasks.metrics import Questions, Scores
from xstilts.tasks.xtreme import GROUPS, TARGETS, Target

VERSIONS = ("xtreme-2020",)


def _labels(gold: list[str], predicted: list[str], task: str, language: str) -> Scores:
    return {"accuracy": metrics.accuracy(gold, predicted), "macro_f1": metrics.macro_f1(gold, predicted)}


def _indices(gold: list[str], predicted: list[str], task: str, language: str) -> Scores:
    return {"accuracy": metrics.accuracy(gold, predicted)}


def _tags(gold: list[str], predicted: list[str], task: str, language: str) -> Scores:
    official = metrics.chunk_f1([tag or "O" for tag in gold], [tag or "O" for tag in predicted])
    if task != "udpos":
        return official
    words = [(g, p) for g, p in zip(gold, predicted, strict=True) if g]
    return official | {"token_accuracy": metrics.accuracy(*zip(*words, strict=True))}


def _pairs(gold: list[tuple[str, str]], predicted: list[tuple[str, str]], task: str, language: str) -> Scores:
    return metrics.pair_f1(gold, predicted)


def _answers(gold: Questions, predicted: dict[str, str], task: str, language: str) -> Scores:
    normalise = (lambda text: metrics.mlqa_normal(text, language)) if task == "mlqa" else metrics.squad_normal
    official = metrics.answer_scores(gold, predicted, normalise)
    cut = metrics.answer_scores(gold, predicted, metrics.segmented) if language in metrics.SEGMENTED else official
    return official | {"segmented_f1": cut["f1"]}


SCORERS: dict[str, Callable[..., Scores]] = {
    "labels": _labels,
    "indices": _indices,
    "tags": _tags,
    "pairs": _pairs,
    "answers": _answers,
}
"""Per kind of task the official metrics of one language and, under names of their own, corrected ones."""


def score(predictions: Path, labels: Path, version: str = "xtreme-2020") -> dict[str, Any]:
    """Points, 0 to 100, of every task, metric and language that both folders have.

    Keys: `tasks.<task>.<metric>` and `tasks.<task>.score` (the task's main figure), `tasks.<task>.languages.<lang>`,
    `groups.<group>`, `all_task`: unweighted means, None where a part is missing. `missing` names each part,
    `unanswered` counts questions without an answer (they score 0), `ignored` names files that belong to no task.
    Raises XstiltsError with every mistake in the files, and where nothing can be scored.
    """
    if version not in VERSIONS:
        hint = did_you_mean(version, VERSIONS) or "leave --version out"
        raise XstiltsError("unknown-name", f"unknown version '{version}'", f"there is {', '.join(VERSIONS)}", hint)
    for folder in (predictions, labels):
        if not folder.is_dir():
            raise XstiltsError("missing-file", f"there is no folder {folder}", "predictions and labels are folders with a sub-folder "
                               "per task", "check the path")  # fmt: skip
    missing, mistakes = _missing(predictions, labels), list[str]()
    absent = {
        task: {code for part in missing if part["task"] == task for code in part["languages"]} for task in TARGETS
    }
    tasks: dict[str, Any] = {}
    unanswered: dict[str, dict[str, int]] = {}
    for task, target in TARGETS.items():
        by_language = {}
        for code in (code for code in target.languages if code not in absent[task]):
            gold, predicted, wrong = read_both(predictions, labels, task, code)
            mistakes += wrong
            if wrong:
                continue
            by_language[code] = SCORERS[target.kind](gold, predicted, task, code)
            if target.kind == "answers" and (left := sum(key not in predicted for key, _ in gold)):
                unanswered.setdefault(task, {})[code] = left
        if by_language:
            tasks[task] = _task_means(by_language, target) | {"languages": by_language}
    if mistakes:
        raise mistaken(mistakes, "mend the files; `xstilts submit check` lists all mistakes of a folder of predictions")
    if not tasks:
        raise XstiltsError(
            "missing-file", "nothing to score", f"{predictions} and {labels} have no file of the benchmark in common",
            "each needs folders such as xnli with files such as test-sw.tsv",
        )  # fmt: skip
    return {"version": version, "tasks": tasks, **_overall(tasks), "missing": missing, "unanswered": unanswered,
            "ignored": unexpected_files(predictions)}  # fmt: skip


def read_both(predictions: Path, labels: Path, task: str, code: str) -> tuple[Any, Any, list[str]]:
    """Golds and predictions of a task in a language, and every mistake in the two files."""
    target, parts = TARGETS[task], []
    for folder, is_gold in ((labels, True), (predictions, False)):
        mistakes = Mistakes(folder / task / target.file(code))
        parts.append((read(mistakes.path, target, mistakes, is_gold), mistakes))
    (gold, in_gold), (predicted, in_predicted) = parts
    if target.aligned and gold and predicted:
        compare_lines(predicted, gold, target, in_gold.path, in_predicted)
    return gold, predicted, [*in_gold, *in_predicted]


def _missing(predictions: Path, labels: Path) -> list[dict[str, Any]]:
    """Languages of a task that one of the folders lacks, a record per task and folder."""
    found = []
    for task, target in TARGETS.items():
        for side, folder in (("predictions", predictions), ("labels", labels)):
            absent = [code for code in target.languages if not (folder / task / target.file(code)).exists()]
            if absent:
                found.append({"task": task, "in": side, "languages": absent})
    return found


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
