"""Run folders with missing, damaged or mixed files: every reader refuses them with an error."""

import json
import shutil

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from made_runs import EVERYTHING, make_run, sealed
from xstilts.analysis import analyse
from xstilts.analysis.covariates import covariates
from xstilts.claims import judge_claims
from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run
from xstilts.transfer.from_runs.rankings import rank_by_runs

ARMS = {"none": {}, "mnli": EVERYTHING["mnli"], "far": EVERYTHING["far"]}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A run that every reader accepts."""
    folder = tmp_path_factory.mktemp("sound") / "run"
    make_run(folder, ARMS, ("xnli", "pawsx"), items=20)
    facts = json.loads((folder / "study.json").read_text())
    facts["contrasts"] = [{"contrast": "far - mnli", "left": "far", "right": "mnli", "targets": ["xnli"]}]
    plan = json.loads((folder / "plan.json").read_text())
    taken = {"none": [], "mnli": ["en"], "far": ["de"]}
    plan["sources"] = {arm: {f"enc:{r}": codes for r in (1, 2, 3) if codes} for arm, codes in taken.items()}
    for name, content in (("study", facts), ("plan", plan)):
        (folder / f"{name}.json").write_text(json.dumps(content))
    sealed(folder)
    assert analyse(folder)["verdicts"] and judge_claims(read_run(folder))
    return folder


@pytest.fixture
def run(sound, tmp_path):
    return shutil.copytree(sound, tmp_path / "run")


def changed(value, path, to):
    """A copy of JSON with one value changed; removed where `to` is ..."""
    copy = inner = json.loads(json.dumps(value))
    for name in path[:-1]:
        inner = inner[name]
    if to is ...:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return copy


@pytest.mark.parametrize("name", ["study.json", "plan.json", "cells.json"])
@pytest.mark.parametrize("text", ["", "{", "null", "[1]", '{"level": 1}', "3", b"\xff"])
def test_a_file_of_another_shape_is_an_error(run, name, text):
    (run / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    for read in (read_run, analyse):
        with pytest.raises(XstiltsError) as error:
            read(run)
        assert error.value.kind == "not-a-run" and name in error.value.what


@pytest.mark.parametrize(("name", "path", "to", "says"), [
    ("study.json", ["level"], "0.95", "level: "),
    ("study.json", ["level"], float("nan"), "level: "),
    ("study.json", ["equivalence"], -1, "equivalence: "),
    ("study.json", ["measure"], "syntacs", "'syntacs'"),
    ("study.json", ["types", "xnli"], "clasification", "'clasification'"),
    ("study.json", ["metrics", "xnli"], "bleu", "'bleu'"),
    ("study.json", ["arms", "far", "mlm"], 3, "arms.far.mlm: "),
    ("study.json", ["arms", "new"], {}, "'new'"),
    ("study.json", ["roles", "far"], ..., "'far'"),
    ("study.json", ["contrasts", 0, "left"], "fra", "'fra'"),
    ("study.json", ["contrasts", 0, "targets"], ["xquad"], "'xquad'"),
    ("plan.json", ["study", "encoders"], {}, "study.encoders: "),
    ("plan.json", ["study", "languages"], ..., "study.languages: "),
    ("plan.json", ["sources", "far"], ..., "arm 'far'"),
    ("plan.json", ["evaluated"], {}, "target 'xnli'"),
    ("cells.json", [0, "target"], "xquad", "target 'xquad'"),
    ("cells.json", [3, "training", "examples"], "many", "3.training.examples: "),
    ("cells.json", [3, "training", "dev_score"], float("nan"), "3.training.dev_score: "),
])  # fmt: skip
def test_an_impossible_value_is_named(run, name, path, to, says):
    (run / name).write_text(json.dumps(changed(json.loads((run / name).read_text()), path, to)))
    with pytest.raises(XstiltsError) as error:
        read_run(run)
    assert error.value.kind == "not-a-run" and says in error.value.why


def test_an_unfinished_study_is_no_run(run):
    (run / "study.json").unlink()
    with pytest.raises(XstiltsError) as error:
        read_run(run)
    assert error.value.kind == "unfinished"
    (run / "plan.json").unlink()
    with pytest.raises(XstiltsError) as error:
        read_run(run)
    assert error.value.kind == "missing-file" and "study.json" in error.value.why


def column(name, change):
    return lambda table: table.set_column(table.column_names.index(name), name, change(table[name]))


@pytest.mark.parametrize(("change", "says"), [
    (lambda t: t.drop_columns(["cluster_id"]), "no column 'cluster_id'"),
    (lambda t: t.slice(0, 0), "no rows"),
    (column("gold", lambda c: pa.nulls(len(c), pa.string())), "no 'gold'"),
    (column("language", lambda c: pa.array([None, *c.to_pylist()[1:]])), "no 'language'"),
    (column("replicate", lambda c: pc.cast(c, pa.string())), "no whole numbers"),
    (column("arm", lambda c: pa.array([arm.replace("far", "fra") for arm in c.to_pylist()])), "arm 'fra'"),
    (column("encoder", lambda c: pa.array(["other"] * len(c))), "encoder 'other'"),
    (column("language", lambda c: pa.array([["en"]] * len(c))), "no text"),
    (column("example_id", lambda c: pa.array(range(len(c)))), "no text"),
    (column("cluster_id", lambda c: pa.array([b"\xff"] * len(c))), "no text"),
    (column("gold", lambda c: pa.array([{"x": 1}] * len(c))), "not those of a classification task"),
    (column("prediction", lambda c: pa.array([["x"]] * len(c))), "not those of a classification task"),
    (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "different examples"),
    (lambda t: t.slice(1), "different examples"),
])  # fmt: skip
def test_predictions_that_would_be_scored_wrongly_are_an_error(run, change, says):
    file = run / "predictions" / "xnli.parquet"
    pq.write_table(change(pq.read_table(file)), file)
    sealed(run)
    for read in (analyse, lambda folder: judge_claims(read_run(folder))):
        with pytest.raises(XstiltsError) as error:
            read(run)
        assert error.value.kind in ("bad-file", "not-a-run") and says in str(error.value)


def test_half_a_table_of_predictions_is_an_error(run):
    file = run / "predictions" / "xnli.parquet"
    file.write_bytes(file.read_bytes()[:500])
    sealed(run)
    with pytest.raises(XstiltsError) as error:
        analyse(run)
    assert error.value.kind == "bad-file"


def test_without_budgets_the_number_of_examples_is_unknown(run):
    assert "cells.json" not in rank_by_runs([read_run(run)])["absent"]["log_examples"]
    (run / "cells.json").write_text("[]")
    sealed(run)
    assert "cells.json" in rank_by_runs([read_run(run)])["absent"]["log_examples"]


@pytest.mark.parametrize(("text", "says"), [
    (b"language,x\nde,\xff\n", "cannot be read"), (b"language,x\nde,inf\n", "'inf' is no number"),
    (b"language,x\nde,1\nde,2\n", "'de' has a row already"),
])  # fmt: skip
def test_covariates_that_are_no_numbers_are_an_error(tmp_path, text, says):
    (tmp_path / "covariates.csv").write_bytes(text)
    with pytest.raises(XstiltsError, match=says):
        covariates(tmp_path, ["de"], [["en"]])
