"""Checks of a folder that is meant for the benchmark."""

from pathlib import Path
from typing import Any

from xstilts.errors import XstiltsError
from xstilts.evaluation.layout import Mistakes, compare_lines, mistaken, read, unexpected_files
from xstilts.tasks.xtreme import TARGETS, Target


def check(folder: Path, labels: Path | None = None) -> int:
    """The number of files of a folder of predictions in which nothing is wrong.

    With `labels`, a folder in the same layout, numbers of lines, ends of sentences and question ids are compared
    too, for the files that it has. Raises XstiltsError with every mistake of all files at once.
    """
    for given in (folder, *([labels] if labels else [])):
        if not given.is_dir():
            raise XstiltsError("missing-file", f"there is no folder {given}", "nothing to check", "check the path")
    listed, files = unexpected_files(folder), 0
    for task, target in TARGETS.items():
        if not (folder / task).is_dir():
            listed.append(f"{folder / task}: missing, with all {len(target.languages)} languages")
            continue
        for code in target.languages:
            mistakes = Mistakes(folder / task / target.file(code))
            if mistakes.path.exists():
                content = read(mistakes.path, target, mistakes, gold=False)
                _check_ids(content, target, code, mistakes)
                listed += _against_labels(content, target, labels / task if labels else None, code, mistakes)
            else:
                mistakes.add("missing")
            listed += mistakes
            files += 1
    if listed:
        raise mistaken(listed, "mend these, then check again")
    return files


def _check_ids(content: Any, target: Target, code: str, mistakes: Mistakes) -> None:
    """BUCC's ids begin with their language: the other one stands first, English second."""
    for number, (one, english) in enumerate(content if target.kind == "pairs" else [], 1):
        if not one.startswith(f"{code}-") or not english.startswith("en-"):
            mistakes.add(f"expected an id that begins with '{code}-', a tab, and one that begins with 'en-'", number)


def _against_labels(content: Any, target: Target, labels: Path | None, code: str, mistakes: Mistakes) -> list[str]:
    """Notes where predictions cannot belong to the labels; returns what is wrong with the labels themselves."""
    if labels is None or not (labels / target.file(code)).exists() or (mistakes and not content):
        return []
    in_gold = Mistakes(labels / target.file(code))
    gold = read(in_gold.path, target, in_gold, gold=True)
    if in_gold:
        return list(in_gold)
    if target.kind == "answers":
        known = {key for key, _ in gold}
        for key in content:
            if key not in known:
                mistakes.add(f"'{key}' is no question of {in_gold.path}", key)
        for key in sorted(known - content.keys()):
            mistakes.add(f"no answer to question '{key}'")
    elif target.aligned:
        compare_lines(content, gold, target, in_gold.path, mistakes)
    return []
