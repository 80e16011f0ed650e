"""Score a trained model on labelled rows."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.languages import language
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.model import Model, examples_table, load
from xstilts.workflows.train import labelled_rows, test_sources


def evaluate(
    model: Model | str | Path,
    test: str | Mapping[str, Any],
    languages: tuple[str, ...] = (),
    metric: str = "",
    device: str = "auto",
) -> dict[str, dict[str, Any]]:
    """Language → `score`, `low`, `high`, `baseline` and `examples` of a model on labelled rows.

    model: a model or its folder; test: a pattern of file names with `{lang}`, or language → data as `train` reads them;
    languages: those that a pattern is looked for in, by default the model's; metric: another one of the task type. The
    baseline always predicts the most frequent label of the test rows, which no model knows: a high bar. Raises
    XstiltsError if there are no rows, or if their columns or labels are not those of the model.
    """
    model = model if isinstance(model, Model) else load(model)
    codes = tuple(language(name).code for name in languages) or (model.facts["language"], *model.facts["for"])
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
