"""Score a trained model on labelled rows."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.errors import XstiltsError
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.languages import language
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.evaluate_task import evaluate_task
from xstilts.workflows.model import Model, examples_table, load
from xstilts.workflows.train import labelled_rows, test_sources


def evaluate(
    model: Model | str | Path,
    test: str | Mapping[str, Any] | None = None,
    for_: Sequence[str] = (),
    metric: str = "",
    device: str = "auto",
    task: str = "",
    **options: Any,
) -> dict[str, dict[str, Any]]:
    """Language → `score`, `low`, `high`, `baseline` and `examples` of a model on labelled rows, or on a task.

    For example `evaluate("model", "test-{lang}.csv")` and `evaluate("OWNER/NAME", task="xnli", for_=["sw", "th"])`.

    model: a model that `train` wrote, or its folder; with `task` any model of `transformers`, in a folder or on the
    hub; test: a pattern of file names with `{lang}`, or language → data as `train` reads them; for_: languages that a
    pattern is looked for in, by default the model's, or in which the task is scored, by default all that it has;
    metric: another one of the task type; task: one of the catalogue, in place of `test`; options: with a task `split`,
    `data_source`, `data`, `tasks` and `labels`, as the command line has them. The baseline on rows always predicts
    their most frequent label, which no model knows: a high bar. Raises XstiltsError if there are no rows or examples,
    or if their columns or labels are not those of the model.
    """
    if (test is None) == (not task) or (options and not task):
        what, why = "it is not clear what to score on", f"test is {test!r}, task is {task!r}"
        hint = "give either labelled rows, or --task with the options of tasks"
        raise XstiltsError("bad-argument", what, why, hint)
    if task or test is None:
        place = model.folder if isinstance(model, Model) else model
        return evaluate_task(place, task, for_, metric=metric, device=device, **options)
    model = model if isinstance(model, Model) else load(model)
    codes = tuple(language(name).code for name in for_) or (model.facts["language"], *model.facts["for"])
    kind, result = FINE_TUNED[model.task.type], {}
    for code, source in test_sources(test, codes):
        rows = labelled_rows(source, code, model.facts["kind"], model.facts["columns"], model.labels)
        table = _as_examples(rows, code)
        predictions = model.predict_table(table, device)
        name = metric or model.facts["metric"]
        result[code] = score_with_interval(predictions, model.task.type, name)
        trivial = pa.table({**kind.baseline(table, table, model.task), "cluster_id": table["cluster_id"]})
        result[code]["baseline"] = score_with_interval(trivial, model.task.type, name)["score"]
    return result


def _as_examples(rows: pa.Table, code: str) -> pa.Table:
    columns = {name: rows[name].to_pylist() for name in rows.column_names}
    return examples_table(columns["text_a"], columns.get("text_b"), columns["label"], code)
