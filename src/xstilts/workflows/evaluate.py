"""Score a model on labelled rows or on a task."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.examples import available, load_examples
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.languages import language
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.evaluate_task import baseline_of_halves, evaluate_task
from xstilts.workflows.model import DATA, RUN, Model, load
from xstilts.workflows.model_inputs import examples_table
from xstilts.workflows.user_data.labelled_data import LabelledData, labelled


def evaluate(
    model: Model | str | Path,
    test: LabelledData = None,
    for_: Sequence[str] = (),
    metric: str = "",
    device: str = "auto",
    task: str = "",
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Language → `score`, `low`, `high`, `baseline` and `examples` of a model on labelled rows, or on a task.

    For example `evaluate("model", "test-{lang}.csv")` and `evaluate("OWNER/NAME", task="xnli", for_=["sw", "th"])`.

    Args:
        model: a model that `train` wrote, or its folder; with `task` any model of `transformers`, in a folder or on the
            hub.
        test: labelled rows as `train` reads them: a pattern of file names with `{lang}`, language → data, or data with
            a column of languages.
        for_: the languages that are scored; by default the model's, or all that the task has.
        metric: another one of the task type.
        task: one of the catalogue, in place of `test`.
        options: with a task `split`, `data_source`, `data`, `tasks` and `labels`, as the command line has them.

    The baseline on rows learns from the model's training data, if these still lie in its folder; else each half of the
    rows is predicted from the other half. Raises XstiltsError if there are no rows or examples, or if their columns or
    labels are not those of the model.
    """
    if (test is None) == (not task) or (options and not task):
        what, why = "it is not clear what to score on", f"test is {test!r}, task is {task!r}"
        hint = "give either labelled rows, or --task with the options of tasks"
        raise XstiltsError("bad-argument", what, why, hint)
    if task:
        place = model.folder if isinstance(model, Model) else model
        return evaluate_task(place, task, for_, metric=metric, device=device, **options)
    model = model if isinstance(model, Model) else load(model)
    facts, kind = model.facts, FINE_TUNED[model.task.type]
    asked = tuple(language(name).code for name in for_)
    fields = (facts["kind"], facts["columns"], model.labels)
    tables, _ = labelled(test, asked or facts["for"], *fields, also="" if asked else facts["language"])
    training, name, result = _training_examples(model), metric or facts["metric"], {}
    for code, rows in tables.items():
        cells = {column: rows[column].to_pylist() for column in rows.column_names if column not in ("id", "language")}
        table = examples_table(model.task.type, cells, rows["language"].to_pylist())
        result[code] = score_with_interval(model.predict_table(table, device), model.task.type, name)
        trivial = baseline_of_halves(kind, table, model.task)
        if training is not None:
            learned = kind.baseline(training, table, model.task)
            trivial = pa.table({column: table[column] for column in ("cluster_id", "language")} | learned)
        result[code]["baseline"] = score_with_interval(trivial, model.task.type, name)["score"]
    return result


def _training_examples(model: Model) -> pa.Table | None:
    """The examples that the model was trained on, if they still lie in its folder."""
    data, code = model.folder / RUN / DATA, model.facts["language"]
    if not available(model.task, "train", (code,), data, {}):
        return None
    return load_examples(model.task, "train", code, data, {}).table
