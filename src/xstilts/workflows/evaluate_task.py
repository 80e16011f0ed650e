"""Score a finished model, of whatever origin, on a task in several languages."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from xstilts.config.load import known_tasks
from xstilts.data.examples import Tasks, available, load_examples
from xstilts.data.prepare import accept
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import check_metric, score_with_interval
from xstilts.languages import language
from xstilts.tasks import classification, multilabel, tagging
from xstilts.tasks.task import Task, access_of, find_task
from xstilts.tasks.task_types import FINE_TUNED, TaskType, main_metric

DataSource = Literal["hub", "xtreme", "files"]
LABELLED = (classification.AUTO_CLASS, tagging.AUTO_CLASS)
"""The heads with one output for each label."""


def evaluate_task(
    model: str | Path, task: str, for_: Sequence[str] = (), split: str = "test", data_source: DataSource | None = None,
    data: str | Path | None = None, tasks: str | Path | None = None, labels: Sequence[str] = (), metric: str = "",
    device: str = "auto", progress: Callable[[float], None] = lambda share: None,
) -> dict[str, dict[str, Any]]:  # fmt: skip
    """Language → `score`, `low`, `high`, `baseline` and `examples` of a model of `transformers` on a task.

    Args:
        model: a folder, or `OWNER/NAME[@REVISION]` on the hub.
        task: the name of a task of the catalogue or of the file `tasks`.
        for_: languages by any name; by default all in which the split has examples.
        data_source: as for a study; `files` refuses tasks that would read the hub.
        data: the folder below which the task's files lie.
        labels: the label of the task that each output of the model stands for, if their names do not say it.
        metric: another one of the task type.
        progress: called with the share of sequences that are predicted.

    Scores are points, 0 to 100, with 95% intervals over items. Raises XstiltsError if the task is of a type that no
    head predicts, if the model lacks the head or its labels are not those of the task, or if there are no examples.
    """
    entry, known = _known_task(task, tasks, data_source)
    kind, name = FINE_TUNED[entry.type], metric or main_metric(entry)
    check_metric(entry.type, name)
    folder = Path(data) if data else None
    codes = _languages(entry, for_, split, folder, known)
    loaded, tokenizer, ordered = _load(str(model), entry, labels)
    tables = []
    for code in codes:
        examples = load_examples(entry, split, code, folder, known)
        accept(entry, split, code, examples, withheld=False)
        tables.append(examples.table)
    from xstilts.evaluation.predict import predict_examples

    predictions = predict_examples(loaded, tokenizer, ordered, pa.concat_tables(tables), device, progress)
    result, start = {}, 0
    for code, table in zip(codes, tables, strict=True):
        result[code] = score_with_interval(predictions.slice(start, len(table)), entry.type, name)
        result[code]["baseline"] = score_with_interval(baseline_of_halves(kind, table, entry), entry.type, name)[
            "score"
        ]
        start += len(table)
    return result


def match_labels(outputs: Sequence[str], task: Task, given: Sequence[str] = ()) -> tuple[str, ...]:
    """The label of the task that each output of a model stands for: by its name, or as `given`.

    Case and punctuation of names do not count. Raises XstiltsError if outputs and labels are not the same in number
    and, one to one, in name.

    >>> from xstilts.tasks.task import find_task
    >>> match_labels(["CONTRADICTION", "Neutral", "entailment"], find_task("xnli"))
    ('contradiction', 'neutral', 'entailment')
    """
    names = {_plain(label): label for label in task.labels}
    chosen = [names.get(_plain(label), "") for label in given or outputs]
    if sorted(chosen) == sorted(task.labels) and len(chosen) == len(outputs):
        return tuple(chosen)
    unmatched = [label for label, match in zip(given or outputs, chosen, strict=True) if not match]
    unmatched += [label for label in task.labels if label not in chosen]
    what = f"the labels {'given' if given else 'of the model'} are not those of task '{task.name}'"
    why = f"the model has {len(outputs)} outputs ({', '.join(outputs)}), the task {len(task.labels)} labels "
    why += f"({', '.join(task.labels)})" + f"; no match for {', '.join(unmatched)}" * bool(unmatched)
    hint = "give --labels with the task's label for each output, in the order of the outputs; the model's card names it"
    if len(outputs) != len(task.labels):
        hint = "use a model that was trained for these labels"
    raise XstiltsError("inconsistent", what, why, hint)


def _plain(label: str) -> str:
    return "".join(letter for letter in label.casefold() if letter.isalnum()) or label


def _known_task(name: str, file: str | Path | None, data_source: DataSource | None) -> tuple[Task, Tasks]:
    """The task of that name, and all others; raises XstiltsError if it cannot be scored."""
    known = known_tasks(Path(file) if file else None, data_source)
    task = find_task(name, known)
    if task.type not in FINE_TUNED:
        why = f"it is of type {task.type}, and a model is scored on {', '.join(FINE_TUNED)}"
        hint = "make it the target of a study: see docs/studies.md"
        raise XstiltsError("unsupported", f"task '{name}' is not predicted by a model's head", why, hint)
    if data_source == "files" and access_of(task) != "files":
        why, hint = (
            "its entry does not read local files",
            "describe your files in a task file and give it with --tasks",
        )
        raise XstiltsError("missing-data", f"there are no files for task '{name}'", why, hint)
    return task, known


def _languages(task: Task, names: Sequence[str], split: str, data: Path | None, known: Tasks) -> list[str]:
    """The languages to score: those named, which the task must have, else all that have examples."""
    if data is not None and not data.is_dir():
        raise XstiltsError("missing-data", f"there is no data folder {data}", "it must be a folder", "check the path")
    covered = task.languages or getattr(task.source, "languages", ())
    if names:
        codes = list(dict.fromkeys(language(name).code for name in names))
        if absent := [code for code in codes if covered and code not in covered]:
            what, why = f"task '{task.name}' has no examples in '{absent[0]}'", f"it has {', '.join(covered)}"
            raise XstiltsError("unknown-name", what, why, "name some of these languages")
        return codes
    if codes := available(task, split, covered, data, known):
        return codes
    what, why = f"no language of task '{task.name}' has examples", "none is named, and no file was found"
    raise XstiltsError("missing-data", what, why, "name languages with --for, and the folder of the files with --data")


def _load(model: str, task: Task, labels: Sequence[str]) -> tuple[Any, Any, Task]:
    """A model in a folder or on the hub, its tokenizer, and the task with its labels in the order of the outputs."""
    from xstilts.models.encoders import load_finished, load_tokenizer

    auto_class, place, revision = FINE_TUNED[task.type].AUTO_CLASS, model, ""
    if auto_class not in LABELLED and labels:
        what, why = f"labels are given for task '{task.name}'", f"a model for {task.type} has no output for each label"
        raise XstiltsError("bad-argument", what, why, "leave out --labels")
    if not Path(model).is_dir():
        place, _, revision = model.partition("@")
    loaded, tokenizer = load_finished(auto_class, place, revision or None), load_tokenizer(place, revision or None)
    several = getattr(loaded.config, "problem_type", None) == multilabel.PROBLEM_TYPE
    if several != (task.type == "multilabel"):
        what = f"'{model}' gives {'any number of labels' if several else 'one label'} per text"
        hint = "use a model that was trained for this type of task"
        raise XstiltsError("unsupported", what, f"task '{task.name}' is of type {task.type}", hint)
    if auto_class in LABELLED:
        outputs = [str(loaded.config.id2label[number]) for number in sorted(loaded.config.id2label)]
        task = task.model_copy(update={"labels": match_labels(outputs, task, labels)})
    return loaded, tokenizer, task


def baseline_of_halves(kind: TaskType, table: pa.Table, task: Task) -> pa.Table:
    """Predictions of the type's trivial baseline, which learns from half of the clusters to predict the other half.

    Learning from the examples that it predicts would make that of tagging, the most frequent tag of each word, a
    lookup of the gold tags of rare words.
    """
    from xstilts.evaluation.predict import attach_example_ids

    _, cluster = np.unique(table["cluster_id"].to_numpy(zero_copy_only=False), return_inverse=True)
    halves = [table.filter(pa.array(cluster % 2 == half)) for half in (0, 1)]
    if not len(halves[1]):  # a single cluster
        return attach_example_ids(table, kind.baseline(table, table, task))
    pairs = zip(halves, halves[::-1], strict=True)
    return pa.concat_tables([attach_example_ids(part, kind.baseline(other, part, task)) for part, other in pairs])
