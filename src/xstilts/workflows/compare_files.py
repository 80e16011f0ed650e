"""Compare two systems by the files of predictions that any tool wrote."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from xstilts.analysis.effects import Comparison, Effect, effect
from xstilts.analysis.power import decision
from xstilts.analysis.verdicts import UNDETERMINED, rounded, verdict
from xstilts.errors import XstiltsError, did_you_mean
from xstilts.runs.score_table import ScoreTable, score_table
from xstilts.tasks.task_types import SCORED
from xstilts.workflows.compare import Difference, check_margin, judged
from xstilts.workflows.predictions.gold_differences import Options, TaskItems, check_labels, constant_prediction
from xstilts.workflows.predictions.prediction_files import Paths, list_files, read_names, system_names
from xstilts.workflows.predictions.prediction_formats import COLUMNS
from xstilts.workflows.predictions.prediction_matching import match_predictions, pair_seeds
from xstilts.workflows.predictions.xtreme_predictions import match_xtreme

TASK_TYPES = ("classification", "multilabel", "tagging", "qa")
NEEDS_SCORES = "calibration_error"
SIDES = ("left", "right")


@dataclass(frozen=True)
class FileScore:
    """A file that was read: the system, task, language and seed ("" if unknown), the format and the score in points."""

    system: str
    path: str
    format: str
    task: str
    language: str
    seed: str
    score: float


@dataclass(frozen=True)
class LanguageDifference:
    """One language of one task: mean scores of both systems in points, their difference, the number of items compared,
    and of those left out because gold and predictions differ."""

    task: str
    language: str
    left: float
    right: float
    difference: Difference
    items: int
    left_out: int


@dataclass(frozen=True)
class FileComparison:
    """Two systems compared, which `print` shows as a sentence.

    left, right, difference: means over languages (of several tasks, over tasks), in points; languages: each language,
    not adjusted for multiple comparisons; task_types, metrics: by task, "" if there is one without a name; seeds: of
    both systems, in pairs; remark: how many seeds would settle an undetermined difference; notes: what else to know
    about the files.
    """

    names: tuple[str, str]
    task_types: dict[str, str]
    metrics: dict[str, str]
    left: float
    right: float
    difference: Difference
    languages: tuple[LanguageDifference, ...]
    seeds: tuple[tuple[str, str], ...]
    files: tuple[FileScore, ...]
    remark: str
    notes: tuple[str, ...]

    def __str__(self) -> str:
        return self.difference.sentence

    @property
    def verdict(self) -> str:
        """The overall verdict: better, worse, equivalent or undetermined, of the left system."""
        return self.difference.verdict

    def as_json(self) -> dict[str, Any]:
        """The whole comparison as a JSON object."""
        rows = [{**rounded(vars(row)), "difference": rounded(vars(row.difference))} for row in self.languages]
        return {
            **rounded(vars(self)),
            "verdict": self.verdict,
            "difference": rounded(vars(self.difference)),
            "languages": rows,
            "files": [rounded(vars(file)) for file in self.files],
        }


def compare_files(
    left: Paths,
    right: Paths,
    gold: Paths | None = None,
    *,
    names: tuple[str, str] | None = None,
    task_type: str = "",
    metric: str = "",
    columns: Mapping[str, str] | None = None,
    pattern: str = "",
    parallel: bool = False,
    skip_mismatched: bool = False,
    level: float = 0.95,
    equivalence: float = 0.5,
) -> FileComparison:
    """Compare two systems by their prediction files, from any tool, as a study compares two arms.

    Args:
        left, right: a file, a folder, a pattern such as `"A/*.txt"`, or a list of files. Formats are recognised: tagged
            words (CoNLL), one label a line, JSON Lines, JSON, CSV and TSV with columns `id` and `prediction`, and
            folders in XTREME's layout. Language and seed are columns, or read from names such as `sw.1.txt`.
        gold: gold labels in one of these formats (also SQuAD's), a file per language; without it they are next to the
            predictions: `token gold prediction`, or a column `gold`.
        names: of both systems; by default those of their files or folders.
        task_type: classification, multilabel, tagging or qa, if the format does not tell it. The labels of a
            multilabel item are a list, or in CSV and TSV one text such as `anger|joy`, empty for none.
        metric: of the task type; by default its first (accuracy, micro_f1, span_f1, f1).
        columns: names of columns that differ: id, prediction, gold, language, seed, cluster, tokens. `cluster` is what
            items share (a document); without it each sentence or id is its own, equal ids in two languages are one.
        pattern: how file names end, with `{lang}` and `{seed}`, if they are not recognised.
        parallel: whether items with the same number are translations of each other in all languages.
        skip_mismatched: leave out the sentences whose gold and predictions differ in any file, instead of an error.
        level: coverage of the interval, 0 to 1.
        equivalence: the margin in points within which a difference does not matter.

    Seeds of both systems are pairs: by number if they are the same, else by order. Scores are those of a study, from
    statistics per sentence; the interval counts seeds and items (docs/statistics.md). One seed gives none.
    Raises XstiltsError if files, languages, seeds or items do not belong together.

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder, labels = Path(tempfile.mkdtemp()), "yes no no yes no yes yes no".split()
    >>> (folder / "gold.txt").write_text("\\n".join(labels)) and None
    >>> for name, mistakes in (("ours", [5]), ("theirs", [0, 2, 7])):
    ...     predicted = ["no" if i in mistakes else label for i, label in enumerate(labels)]
    ...     (folder / f"{name}.txt").write_text("\\n".join(predicted)) and None
    >>> result = compare_files(folder / "ours.txt", folder / "theirs.txt", folder / "gold.txt")
    >>> [(row.left, row.right) for row in result.languages], result.verdict
    ([(87.5, 87.5)], 'undetermined')
    """
    check_margin(level, equivalence)
    _check_names(task_type, columns or {})
    names = names or system_names(left, right)
    if names[0] == names[1]:
        why = "results are shown under the systems' names"
        raise XstiltsError("bad-argument", f"both systems are named '{names[0]}'", why, "give two different names")
    options = Options(task_type, dict(columns or {}), pattern, parallel, skip_mismatched)
    sides = [read_names(*list_files(paths), pattern) for paths in (left, right)]
    if all(file.task for side in sides for file in side):
        tasks = match_xtreme(sides, names, gold, options)
    else:
        tasks = [match_predictions(sides, names, gold, options)]
    metrics = {task.task: _metric(task, metric) for task in tasks}
    for task in tasks:
        if task.task != "udpos":  # XTREME scores its parts of speech as if they were spans
            check_labels(task, metrics[task.task])
    seeds = pair_seeds(
        {
            (side, ", ".join(filter(None, (task.task, code))) or "the predictions"): [
                seed for of, seed in items.predictions if of == side
            ]
            for side in (0, 1)
            for task in tasks
            for code, items in task.languages.items()
        },
        names,
    )
    tables = [_score_table(task, metrics[task.task], seeds) for task in tasks]
    return _result(tasks, tables, metrics, names, seeds, level, equivalence)


def _check_names(task_type: str, columns: Mapping[str, str]) -> None:
    for what, word, known in (
        *(("column", column, COLUMNS) for column in columns),
        *(("task type", word, TASK_TYPES) for word in filter(None, [task_type])),
    ):
        if word not in known:
            hint = did_you_mean(word, known) or f"use one of {', '.join(known)}"
            raise XstiltsError("unknown-name", f"unknown {what} '{word}'", f"there are {', '.join(known)}", hint)


def _metric(task: TaskItems, wanted: str) -> str:
    """The metric that was asked for, by default the task's or the first of its type."""
    known = [name for name in SCORED[task.task_type].METRICS if name != NEEDS_SCORES]
    if wanted and wanted not in known:
        what = f"unknown metric '{wanted}'"
        why = f"{task.task or task.task_type} has {', '.join(known)}"
        raise XstiltsError("unknown-name", what, why, did_you_mean(wanted, known) or f"use --metric {known[0]}")
    return wanted or task.metric or known[0]


def _score_table(task: TaskItems, metric: str, seeds: tuple[list[str], list[str]]) -> ScoreTable:
    """Both systems as arms and pairs of seeds as replicates, scored as a study scores its predictions."""
    rows: list[dict[str, Any]] = []
    for code, items in task.languages.items():
        for side, arm in enumerate(SIDES):
            for replicate, seed in enumerate(seeds[side], 1):
                columns = zip(items.gold, items.predictions[side, seed], items.clusters, strict=True)
                cell = {"arm": arm, "encoder": "", "replicate": replicate, "language": code}
                rows += [
                    {**cell, "gold": gold, "prediction": prediction, "cluster_id": cluster}
                    for gold, prediction, cluster in columns
                ]
    return score_table(pa.Table.from_pylist(rows), task.task or "the predictions", task.task_type, metric)


def _result(
    tasks: Sequence[TaskItems],
    tables: Sequence[ScoreTable],
    metrics: Mapping[str, str],
    names: tuple[str, str],
    seeds: tuple[list[str], list[str]],
    level: float,
    equivalence: float,
) -> FileComparison:
    paired = seeds[0] != seeds[1] and len(seeds[0]) > 1
    notes = [f"seeds are paired by order: {', '.join(map(' with '.join, zip(*seeds, strict=True)))}"] if paired else []
    rows: list[LanguageDifference] = []
    files: list[FileScore] = []
    means: list[list[float]] = []
    for task, table in zip(tasks, tables, strict=True):
        notes += [*task.notes, *_constant(task)]
        files += _file_scores(task, table, names, seeds)
        of_task = [_of_language(task, table, code, names, level, equivalence) for code in task.languages]
        rows += of_task
        means.append([float(np.mean([getattr(row, side) for row in of_task])) for side in SIDES])
    languages = tuple(tuple(table.languages) for table in tables)
    whole = effect(Comparison(tuple(tables), *SIDES, languages, ("",), level))
    left, right = np.mean(means, 0).tolist()
    return FileComparison(
        names,
        {task.task: task.task_type for task in tasks},
        dict(metrics),
        left,
        right,
        judged(whole, names, equivalence, _scope(languages)),
        tuple(rows),
        tuple(zip(*seeds, strict=True)),
        tuple(files),
        _remark(whole, equivalence),
        tuple(dict.fromkeys(notes)),
    )


def _constant(task: TaskItems) -> Iterator[str]:
    """A note on each file that predicts the same throughout."""
    for path, _, side, code, seed in task.files:
        items = task.languages[code]
        if constant := constant_prediction(task.task_type, items.gold, items.predictions[side, seed]):
            yield f"{path} predicts {constant} throughout, as a degenerate run does"


def _file_scores(
    task: TaskItems, table: ScoreTable, names: tuple[str, str], seeds: tuple[list[str], list[str]]
) -> Iterator[FileScore]:
    for path, form, side, code, seed in task.files:
        score = table.score((SIDES[side], "", seeds[side].index(seed) + 1), code)
        yield FileScore(names[side], str(path), form, task.task, code, seed, score)


def _of_language(
    task: TaskItems, table: ScoreTable, code: str, names: tuple[str, str], level: float, equivalence: float
) -> LanguageDifference:
    left, right = (float(table.scores(table.cells(arm), code).mean()) for arm in SIDES)
    difference = effect(Comparison((table,), *SIDES, ((code,),), ("",), level))
    scope = " ".join(filter(None, (task.task and f"on {task.task}", code and f"in {code}")))
    items = task.languages[code]
    shown = judged(difference, names, equivalence, scope)
    return LanguageDifference(task.task, code, left, right, shown, len(items.gold), items.left_out)


def _scope(languages: Sequence[Sequence[str]]) -> str:
    """What the overall difference is a mean over: the languages of one task, or several tasks."""
    if len(languages) > 1:
        return f"on average over {len(languages)} tasks"
    return f"on average over {len(languages[0])} languages" if len(languages[0]) > 1 else ""


def _remark(whole: Effect, equivalence: float) -> str:
    """What would settle an undetermined difference, "" if it has another verdict or no interval."""
    if whole.low is None or verdict(whole, equivalence) != UNDETERMINED:
        return ""
    settles = decision(whole, equivalence, 1)
    if settles["replicates"] is None:
        if settles["clusters"] <= whole.clusters:
            half = f"±{settles['half']:.2g} points"
            return f"Settling this takes an interval of {half}, and more than 10,000 seeds of each system."
        more = f"more than {settles['clusters']:,} items, or more languages, would"
        return (
            f"More seeds alone cannot settle this: the test items leave an interval of ±{settles['floor']:.2g}; {more}."
        )
    return f"About {settles['replicates']:,} seeds of each system would settle this (there are {whole.replicates})."
