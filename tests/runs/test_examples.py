"""From a prediction of a run back to its example."""

from dataclasses import replace

import pyarrow.compute as pc
import pytest

from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run


@pytest.mark.parametrize("target", ["pocket-nli", "pocket-tatoeba"])
def test_every_prediction_leads_back_to_its_example(finished_study, target):
    run = read_run(finished_study[2])
    table = run.predictions(target, "near")
    for code in set(table["language"].to_pylist()):
        predictions = table.filter(pc.field("language") == code)
        shuffled = predictions.take(list(range(len(predictions)))[::-1])
        examples = run.examples(target, code, shuffled["example_id"])
        assert examples["id"].to_pylist() == shuffled["example_id"].to_pylist()
        assert examples["cluster_id"].to_pylist() == shuffled["cluster_id"].to_pylist()
        assert {"text_a", "label"} <= set(examples.column_names) or target != "pocket-nli"
        assert len(run.examples(target, code)) >= len(predictions)


def test_a_prediction_has_the_gold_label_of_its_example(finished_study):
    run = read_run(finished_study[2])
    predictions = run.predictions("pocket-nli", "none").filter(pc.field("language") == "de")
    examples = run.examples("pocket-nli", "de", predictions["example_id"].to_pylist())
    assert examples["label"].to_pylist() == predictions["gold"].to_pylist()
    wrong = predictions.filter(pc.field("prediction") != pc.field("gold"))
    examples = run.examples("pocket-nli", "de", wrong["example_id"])
    assert not set(zip(examples["id"].to_pylist(), examples["label"].to_pylist(), strict=True)) & set(
        zip(predictions["example_id"].to_pylist(), predictions["prediction"].to_pylist(), strict=True)
    )


@pytest.mark.parametrize(("target", "language", "ids", "kind"), [
    ("pocket-nli", "de", ["no such id"], "inconsistent"),
    ("pocket-nli", "xx", None, "unknown-name"),
    ("pocket-nly", "de", None, "unknown-name"),
])  # fmt: skip
def test_examples_that_the_run_does_not_have_are_an_error(finished_study, target, language, ids, kind):
    with pytest.raises(XstiltsError) as error:
        read_run(finished_study[2]).examples(target, language, ids)
    assert error.value.kind == kind


def test_examples_need_the_store_where_it_was_or_where_it_is_now(finished_study, tmp_path):
    run = read_run(finished_study[2])
    moved = replace(run, study={**run.study, "store": str(tmp_path)})
    with pytest.raises(XstiltsError) as error:
        moved.examples("pocket-nli", "de")
    assert error.value.kind == "missing-data" and str(tmp_path) in error.value.why
    assert moved.examples("pocket-nli", "de", store=finished_study[1].root).equals(run.examples("pocket-nli", "de"))


@pytest.mark.parametrize(
    ("cell", "known"), [(("fra", "", 1), "near"), (("near", "other", 1), "mine"), (("near", "", 3), "2")]
)
def test_a_cell_that_the_run_does_not_have_is_an_error(finished_study, cell, known):
    with pytest.raises(XstiltsError) as error:
        read_run(finished_study[2]).predictions("pocket-nli", *cell)
    assert error.value.kind == "unknown-name" and known in error.value.why
