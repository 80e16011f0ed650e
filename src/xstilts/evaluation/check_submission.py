"""Checks of a folder that is meant for the benchmark."""

from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.evaluation.layout import all_mistakes, check_folder, read_both, unexpected_files
from xstilts.tasks.xtreme import TARGETS


def check(folder: Path, labels: Path | None = None) -> int:
    """Check every file of a folder of predictions; returns the number of files.

    With `labels`, a folder in the same layout, numbers of lines, ends of sentences and question ids are compared
    too, for the files that it has. Raises XstiltsError with every mistake of all files at once, or if `labels` has no
    file to compare with.
    """
    check_folder(folder)
    if labels:
        check_folder(labels)
    mistakes, files, compared = unexpected_files(folder), 0, 0
    for task, target in TARGETS.items():
        present = (folder / task).is_dir()
        if not present:
            mistakes.append(f"{folder / task}: missing, with all {len(target.languages)} languages")
        for code in target.languages:
            file = folder / task / target.file(code)
            labelled = labels if labels and (labels / task / file.name).exists() else None
            compared += labelled is not None
            files += present
            if file.exists():
                mistakes += read_both(folder, labelled, task, code, submission=True)[2]
            elif present:
                mistakes.append(f"{file}: missing")
    if labels and not compared:
        what, hint = (
            f"{labels} has no labels of the benchmark",
            "check the path: it needs files such as xnli/test-sw.tsv",
        )
        raise XstiltsError("missing-file", what, "nothing could be compared", hint)
    if mistakes:
        raise all_mistakes(mistakes, "correct these, then check again")
    return files
