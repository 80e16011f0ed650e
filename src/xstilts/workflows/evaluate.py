"""Score a trained model on labelled rows."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from xstilts.data.examples import available, load_examples
from xstilts.evaluation.item_intervals import score_with_interval
from xstilts.languages import language
from xstilts.tasks.task_types import FINE_TUNED
from xstilts.workflows.labelled_data import LabelledData, labelled
from xstilts.workflows.model import DATA, RUN, Model, load
from xstilts.workflows.model_inputs import examples_table


def evaluate(
    model: Model | str | Path,
    test: LabelledData,
    languages: tuple[str, ...] = (),
    metric: str = "",
    device: str = "auto",
) -> dict[str, dict[str, Any]]:
    """Language → `score`, `low`, `high`, `baseline` and `examples` of a model on labelled rows.

    model: a model or its folder; test: a pattern of file names with `{lang}`, language → data, or data with a column of
    languages, as `train` reads them; languages: those that are looked for, by default the model's; metric: another one
    of the task type. The baseline learns from the training rows, if they still lie in the model's folder, else from the
    test rows, which makes it higher. Raises XstiltsError if there are no rows, or if their columns or labels are not
    those of the model.
    """
    model = model if isinstance(model, Model) else load(model)
    facts, kind = model.facts, FINE_TUNED[model.task.type]
    asked = tuple(language(name).code for name in languages)
    fields = (facts["kind"], facts["columns"], model.labels)
    tables, _ = labelled(test, asked or facts["for"], *fields, also="" if asked else facts["language"])
    training, name, result = _training_examples(model), metric or facts["metric"], {}
    for code, rows in tables.items():
        cells = {column: rows[column].to_pylist() for column in rows.column_names if column not in ("id", "language")}
        table = examples_table(model.task.type, cells, rows["language"].to_pylist())
        result[code] = score_with_interval(model.predict_table(table, device), model.task.type, name)
        trivial = kind.baseline(table if training is None else training, table, model.task)
        floor = pa.table({column: table[column] for column in ("cluster_id", "language")} | trivial)
        result[code]["baseline"] = score_with_interval(floor, model.task.type, name)["score"]
    return result


def _training_examples(model: Model) -> pa.Table | None:
    """The examples that the model was trained on, if they still lie in its folder."""
    data, code = model.folder / RUN / DATA, model.facts["language"]
    if not available(model.task, "train", (code,), data, {}):
        return None
    return load_examples(model.task, "train", code, data, {}).table
