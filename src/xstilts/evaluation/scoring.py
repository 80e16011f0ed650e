"""Checks and scores of a folder of predictions against one of labels, both in the benchmark's layout."""

from functools import partial
from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.evaluation.layout import all_mistakes, check_folders, read_both, unexpected_files
from xstilts.tasks import metrics
from xstilts.tasks.metrics import Scores
from xstilts.tasks.xtreme import VERSIONS, Target, Targets, groups_of


def targets_of(version: str) -> Targets:
    """The tasks of a version of the benchmark; raises XstiltsError if it is unknown."""
    if version not in VERSIONS:
        hint = did_you_mean(version, VERSIONS) or f"give {' or '.join(VERSIONS)}"
        raise XstiltsError("unknown-name", f"unknown version '{version}'", f"there are {', '.join(VERSIONS)}", hint)
    return VERSIONS[version]


def _language_scores(target: Target, code: str, gold: Any, predicted: Any) -> Scores:
    """The official metrics of a task in one language and, under names of their own, corrected ones."""
    kind, task = target.kind, target.name
    if kind == "pairs":
        return metrics.set_f1(gold, predicted)
    if kind == "rankings":
        rankings = [predicted.get(key, []) for key in gold]
        return {"map_at_20": float(100 * metrics.ranked_average_precision(list(gold.values()), rankings).mean())}
    if kind == "answers":
        normalise = partial(metrics.mlqa_normal, language=code) if task == "mlqa" else metrics.squad_normal
        official = metrics.answer_scores(gold, predicted, normalise)
        unspaced = code in metrics.SEGMENTED
        segmented = metrics.answer_scores(gold, predicted, metrics.segmented) if unspaced else official
        return official | {"segmented_f1": segmented["f1"]}
    if kind == "tags":
        official = metrics.set_f1(*(metrics.chunks([tag or "O" for tag in tags]) for tags in (gold, predicted)))
        words = [(g, p) for g, p in zip(gold, predicted, strict=True) if g]
        return official | ({"token_accuracy": metrics.accuracy(*zip(*words, strict=True))} if task == "udpos" else {})
    corrected = {"macro_f1": metrics.macro_f1(gold, predicted)} if kind == "labels" else {}
    return {"accuracy": metrics.accuracy(gold, predicted)} | corrected


def score(predictions: Path, labels: Path, version: str = "xtreme-2020") -> dict[str, Any]:
    """Points, 0 to 100, of every task, metric and language that both folders have.

    Keys: `tasks.<task>.<metric>` and `tasks.<task>.score` (the task's main figure), `tasks.<task>.languages.<lang>`,
    `groups.<group>`, `all_task`: unweighted means, None if a part is missing. `missing` names each part,
    `unanswered` counts questions without an answer (they score 0), `ignored` names files that belong to no task.
    version: which tasks and languages the means are over, `xtreme-2020` or `xtreme-r-v1` (tasks/xtreme-r.yaml). Raises
    XstiltsError with every mistake in the files, and if nothing can be scored.
    """
    targets = targets_of(version)
    check_folders(predictions, labels)
    mistakes: list[str] = []
    missing: list[dict[str, Any]] = []
    tasks: dict[str, Any] = {}
    unanswered: dict[str, dict[str, int]] = {}
    for task, target in targets.items():
        absent = {}
        for side, folder in (("predictions", predictions), ("labels", labels)):
            absent[side] = [code for code in target.languages if not (folder / task / target.file(code)).exists()]
            missing += [{"task": task, "in": side, "languages": absent[side]}] if absent[side] else []
        by_language = {}
        for code in (code for code in target.languages if code not in absent["predictions"] + absent["labels"]):
            gold, predicted, in_files = read_both(predictions, labels, target, code)
            mistakes += in_files
            if in_files:
                continue
            by_language[code] = _language_scores(target, code, gold, predicted)
            asked = gold if target.kind == "rankings" else [key for key, _ in gold] if target.kind == "answers" else ()
            if count := sum(key not in predicted for key in asked):
                unanswered.setdefault(task, {})[code] = count
        if by_language:
            first, count = next(iter(by_language.values())), len(by_language)
            means = {name: sum(scores[name] for scores in by_language.values()) / count for name in first}
            main = next(means[name] for name in ("f1", "accuracy", "map_at_20") if name in means)
            means["score"] = (means["exact_match"] + main) / 2 if target.kind == "answers" else main
            complete = count == len(target.languages)
            tasks[task] = {**(means if complete else dict.fromkeys(means)), "languages": by_language}
    if mistakes:
        hint = "correct the files; `xstilts submit check` lists all mistakes in a folder of predictions"
        raise all_mistakes(mistakes, hint)
    if not tasks:
        why = f"{predictions} and {labels} have no file of the benchmark in common"
        hint = "each needs folders such as xnli with files such as test-sw.tsv"
        raise XstiltsError("missing-file", "nothing to score", why, hint)
    totals = {task: facts["score"] for task, facts in tasks.items() if facts["score"] is not None}
    groups: dict[str, float | None] = {}
    for group, names in {**groups_of(targets), "all": tuple(targets)}.items():
        complete = all(name in totals for name in names)
        groups[group] = sum(totals[name] for name in names) / len(names) if complete else None
    scores = {"version": version, "tasks": tasks, "all_task": groups.pop("all"), "groups": groups}
    return scores | {"missing": missing, "unanswered": unanswered, "ignored": unexpected_files(predictions, targets)}


def check(folder: Path, labels: Path | None = None, version: str = "xtreme-2020") -> tuple[int, int]:
    """Check every file of a folder of predictions; returns the number of files, and of those compared with labels.

    With `labels`, a folder in the same layout, numbers of lines, ends of sentences and question ids are compared
    too, for the files that it has. Raises XstiltsError with every mistake of all files at once, or if `labels` has no
    file to compare with.
    """
    targets = targets_of(version)
    check_folders(folder, labels)
    mistakes, files, compared = unexpected_files(folder, targets), 0, 0
    for task, target in targets.items():
        present = (folder / task).is_dir()
        if not present:
            mistakes.append(f"{folder / task}: missing, with all {len(target.languages)} languages")
        for code in target.languages:
            file = folder / task / target.file(code)
            labelled = labels if labels and (labels / task / file.name).exists() else None
            compared += labelled is not None
            files += present
            if file.exists():
                mistakes += read_both(folder, labelled, target, code, submission=True)[2]
            elif present:
                mistakes.append(f"{file}: missing")
    if labels and not compared:
        what, why = f"{labels} has no labels of the benchmark", "nothing could be compared"
        raise XstiltsError("missing-file", what, why, "check the path: it needs files such as xnli/test-sw.tsv")
    if mistakes:
        raise all_mistakes(mistakes, "correct these, then check again")
    return files, compared
