"""Checks of a folder that is meant for the benchmark."""

from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.evaluation.layout import Mistakes, all_mistakes, check_folder, compare_lines, read, unexpected_files
from xstilts.tasks.xtreme import TARGETS


def check(folder: Path, labels: Path | None = None) -> int:
    """Check every file of a folder of predictions; returns the number of files.

    With `labels`, a folder in the same layout, numbers of lines, ends of sentences and question ids are compared
    too, for the files that it has. Raises XstiltsError with every mistake of all files at once, or if `labels` has no
    file to compare with.
    """
    check_folder(folder)
    mistakes, files, compared = unexpected_files(folder), 0, 0
    if labels:
        check_folder(labels)
    for task, target in TARGETS.items():
        golds = [labels / task / target.file(code) if labels else None for code in target.languages]
        compared += sum(gold is not None and gold.exists() for gold in golds)
        if not (folder / task).is_dir():
            mistakes.append(f"{folder / task}: missing, with all {len(target.languages)} languages")
            continue
        for code, gold in zip(target.languages, golds, strict=True):
            mistakes += _check_file(folder, task, code, gold if gold and gold.exists() else None)
            files += 1
    if labels and not compared:
        raise XstiltsError("missing-file", f"{labels} has no labels of the benchmark", "nothing could be compared",
                           "check the path: it needs folders such as xnli with files such as test-sw.tsv")  # fmt: skip
    if mistakes:
        raise all_mistakes(mistakes, "correct these, then check again")
    return files


def _check_file(folder: Path, task: str, code: str, labels: Path | None) -> list[str]:
    """The mistakes in one file of predictions, and in the file of its labels if there is one."""
    target = TARGETS[task]
    mistakes = Mistakes(folder / task / target.file(code))
    if not mistakes.path.exists():
        return [f"{mistakes.path}: missing"]
    content = read(mistakes.path, target, mistakes, gold=False)
    for number, (first, second) in enumerate(content if target.kind == "pairs" else [], 1):
        if not first.startswith(f"{code}-") or not second.startswith("en-"):
            mistakes.add(f"expected an id that begins with '{code}-', a tab, and one that begins with 'en-'", number)
    if labels is None or (mistakes and not content):
        return list(mistakes)
    in_labels = Mistakes(labels)
    gold = read(labels, target, in_labels, gold=True)
    if in_labels:
        return [*mistakes, *in_labels]
    if target.kind == "answers":
        questions = {key for key, _ in gold}
        for key in content:
            if key not in questions:
                mistakes.add(f"'{key}' is no question of {labels}", key)
        for key in sorted(questions - content.keys()):
            mistakes.add(f"no answer to question '{key}'")
    elif target.aligned:
        compare_lines(content, gold, target, labels, mistakes)
    return list(mistakes)
