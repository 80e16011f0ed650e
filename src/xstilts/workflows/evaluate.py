"""Score a model on labelled rows or on a task."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.examples import available, load_examples
from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import check_metric, score_with_interval
from xstilts.languages import language
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.evaluate_task import baseline_of_halves, evaluate_task
from xstilts.workflows.model import DATA, RUN, Model, load
from xstilts.workflows.model_inputs import examples_table
from xstilts.workflows.user_data.labelled_data import LabelledData, labelled
from xstilts.workflows.user_data.user_task import describe_duplicates, duplicates


def evaluate(
    model: Model | str | Path,
    test: LabelledData = None,
    for_: Sequence[str] = (),
    metric: str = "",
    device: str = "auto",
    note: Callable[[str], None] = lambda line: None,
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
        note: called with lines about rows that are left out or were trained on.
        task: one of the catalogue, in place of `test`.
        options: with a task those of `evaluate_task`: `split`, `data_source`, `data`, `tasks`, `labels`, `progress`.

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
    from xstilts.evaluation.predict import attach_example_ids

    model = model if isinstance(model, Model) else load(model)
    facts, kind, name = model.facts, FINE_TUNED[model.task.type], metric or model.facts["metric"]
    check_metric(model.task.type, name)
    asked = tuple(language(each).code for each in for_)
    fields = (facts["kind"], facts["columns"], model.labels, facts["language_column"])
    tables, notes = labelled(test, asked or facts["for"], *fields, also="" if asked else facts["language"])
    training, result = _training_examples(model), {}
    for code, rows in tables.items():
        cells = {column: rows[column].to_pylist() for column in rows.column_names if column not in ("id", "language")}
        table = examples_table(model.task.type, cells, rows["language"].to_pylist())
        result[code] = score_with_interval(model.predict_table(table, device), model.task.type, name)
        if training is None:
            trivial = baseline_of_halves(kind, table, model.task)
        else:
            trivial = attach_example_ids(table, kind.baseline(training, table, model.task))
            if repeated := duplicates(training, table):
                notes.append(f"warning: training data and rows in {code}: {describe_duplicates(repeated)}")
        result[code]["baseline"] = score_with_interval(trivial, model.task.type, name)["score"]
    for line in notes:
        note(line)
    return result


def _training_examples(model: Model) -> pa.Table | None:
    """The examples that the model was trained on, if they still lie in its folder."""
    data, code = model.folder / RUN / DATA, model.facts["language"]
    if not available(model.task, "train", (code,), data, {}):
        return None
    return load_examples(model.task, "train", code, data, {}).table
