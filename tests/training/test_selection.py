"""Which weights a training leaves: best on English dev, last, or chosen by an oracle; and how long it is."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from support import tuning
from xstilts.analysis.diagnostics import checkpoints
from xstilts.config.load import load_study
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.engine import Store
from xstilts.engine.local import execute
from xstilts.errors import XstiltsError
from xstilts.runs.score_table import read_score_table
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.run import run_study
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import Task
from xstilts.training.phases import fine_tune


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Rows of one task, by split and language, and its entry."""
    root = tmp_path_factory.mktemp("rows")
    task = Task(name="nli", type="classification", labels=("entailment", "neutral", "contradiction"), parallel=True,
                source=WorldSource(world=1, kind="nli", rows={"train": 96, "validation": 40}))  # fmt: skip
    entry = task.model_dump(mode="json")
    for split, code in (("train", "en"), *(("validation", code) for code in ("en", "tr", "ja"))):
        folder = root / f"{split}.{code}"
        folder.mkdir()
        prepare({"task": entry, "tasks": {}, "split": split, "language": code}, {}, folder, Context(folder))
    turned = pq.read_table(root / "validation.tr" / "examples.parquet").to_pylist()
    for row in turned:  # so that they choose otherwise than English, which a model this small does not do by itself
        row["label"] = task.labels[(task.labels.index(row["label"]) + 1) % 3]
    pq.write_table(pa.Table.from_pylist(turned), root / "validation.tr" / "examples.parquet")
    return root, entry


def trained(rows, encoder, out, dev="en", more_inputs=None, **more):
    root, entry = rows
    inputs = {"encoder": encoder, "train.nli.en": root / "train.en", "dev.nli": root / f"validation.{dev}"}
    arguments = tuning(entry, epochs=2, recipe={"learning_rate": 5e-3, "weight_decay": 0.05}, **more)
    for folder in (out, out / "scratch"):
        folder.mkdir()
    fine_tune(arguments, inputs | (more_inputs or {}), out, Context(out / "scratch"))
    return load_file(out / "model.safetensors"), json.loads((out / "history.json").read_text())


def same(one, other):
    """Whether all is equal; embeddings up to rounding, since rows that no token names may decay all at once."""
    words = "bert.embeddings.word_embeddings.weight"
    assert one[words].shape == other[words].shape
    return all(one[name].equal(other[name]) for name in one if name != words) and torch.allclose(
        one[words], other[words], rtol=1e-5, atol=0
    )


def test_the_oracle_leaves_what_target_dev_would_have_chosen(rows, encoder_folder, tmp_path):
    """It keeps the weights that the same training leaves where those rows are its dev rows, whole vocabulary and all;
    and what is kept by English dev does not know of it."""
    root, encoder = rows[0], encoder_folder("bert")
    by_english, history = trained(rows, encoder, tmp_path / "english", seed=2, checkpoint="best")
    by_turkish, turkish = trained(rows, encoder, tmp_path / "turkish", dev="tr", seed=2, checkpoint="best")
    both, found = trained(rows, encoder, tmp_path / "both", seed=2, checkpoint="best", oracle=["tr"],
                          more_inputs={"oracle.tr": root / "validation.tr"})  # fmt: skip
    assert same(both, by_english)
    assert same(load_file(tmp_path / "both" / "oracle" / "model.safetensors"), by_turkish)
    assert not same(by_english, by_turkish), "the two languages must choose otherwise, or this shows nothing"
    measured = [entry for entry in found["history"] if "oracle" in entry]
    assert len(measured) == 8, "a tenth of 24 updates is 3"
    assert [entry["oracle"] for entry in measured] == [e["score"] for e in turkish["history"] if "score" in e]
    assert found["dev_score"] == history["dev_score"] == max(entry["score"] for entry in measured)


def test_the_oracle_is_the_mean_over_its_languages(rows, encoder_folder, tmp_path):
    inputs = {f"oracle.{code}": rows[0] / f"validation.{code}" for code in ("tr", "ja")}
    history = {}
    for codes in (["tr"], ["ja"], ["tr", "ja"]):
        out = tmp_path / "-".join(codes)
        _, told = trained(rows, encoder_folder("bert"), out, oracle=codes, more_inputs=inputs)
        history["-".join(codes)] = [entry["oracle"] for entry in told["history"] if "oracle" in entry]
    means = [(a + b) / 2 for a, b in zip(history["tr"], history["ja"], strict=True)]
    assert history["tr-ja"] == pytest.approx(means)


def test_a_training_as_long_as_another_has_its_updates_more(rows, encoder_folder, tmp_path):
    encoder = encoder_folder("bert")
    _, plain = trained(rows, encoder, tmp_path / "plain")
    more = {"longer": tmp_path / "plain"}
    _, longer = trained(rows, encoder, tmp_path / "longer", more_inputs=more)
    assert (plain["updates"], longer["updates"]) == (24, 48)
    assert longer["examples"] == plain["examples"] == 96


def study_of(tmp_path, **more):
    file = tmp_path / "own.yaml"
    file.write_text(json.dumps({"extends": "pocket", "name": "own", **more}))
    return load_study(str(file), quick=True)


def test_a_study_scores_the_oracle_s_weights_next_to_those_it_keeps(tmp_path):
    arms = dict.fromkeys(("near", "far", "diverse", "english-again", "in-language"))
    study = study_of(
        tmp_path, arms={**arms, "none-longer": {"match_updates_of": "english"}}, contrasts=["english - none"],
        controls=[], targets={"pocket-nli": {"oracle": "validation"}, "pocket-paws": None, "pocket-tatoeba": None},
        quick={"encoders": {"pocket": {"seeds": 1, "pretrain": {"updates": 10}}},
               "targets": {"pocket-nli": {"training": {"examples": 100}}, "pocket-paws": None}},
    )  # fmt: skip
    planned = build_plan(freeze(study, None, "cpu"))
    steps = planned.plan.steps
    for cell in (cell for cell in planned.cells if cell.oracle):
        scored, oracle, training = (steps[f] for f in (cell.predictions, cell.oracle, cell.training))
        assert scored.inputs == oracle.inputs
        assert (scored.arguments["weights"], oracle.arguments["weights"]) == ("", "oracle")
        assert training.arguments["oracle"] == list(planned.frozen.held_out)
        longer = next(c for c in planned.cells if (c.arm, c.replicate) == ("english", cell.replicate)).intermediate
        assert training.inputs.get("longer", "") == (longer if cell.arm == "none-longer" else "")

    def executor(plan, store, wanted, report):
        return execute(plan, store, wanted, report, 2, 1)

    out = tmp_path / "run"
    run_study(planned, Store(tmp_path / "store"), out, executor, lambda event: None)
    kept, oracle = (read_score_table(out / folder / "pocket-nli.parquet", "classification", "accuracy")
                    for folder in ("predictions", "predictions-by-oracle"))  # fmt: skip
    table = checkpoints({"pocket-nli": kept}, {"pocket-nli": oracle}, planned.frozen.held_out)
    assert [row["arm"] for row in table] == list(study.arms) and all(row["replicates"] == 2 for row in table)
    cells = [cell for cell in json.loads((out / "cells.json").read_text()) if "training" in cell]
    updates = {(cell["arm"], cell["replicate"]): cell["training"]["updates"] for cell in cells}
    assert updates["none-longer", 1] > updates["none", 1] == updates["english", 1]


def test_an_oracle_without_rows_in_held_out_languages_is_refused(tmp_path):
    files = {split: split + ".{lang}" for split in ("train", "validation", "test")}
    own = {"type": "classification", "labels": ["entailment", "neutral", "contradiction"],
           "source": {"format": "lines", "files": files}}  # fmt: skip
    study = study_of(tmp_path, tasks={"own": own}, targets={
        "pocket-nli": {"task": "own", "training": {"task": "pocket-nli"}, "oracle": "validation"}})  # fmt: skip
    for code in ("en", *study.languages.candidates):
        (tmp_path / f"test.{code}").write_text("a\tb\tneutral\n")
    (tmp_path / "validation.en").write_text("a\tb\tneutral\n")
    with pytest.raises(XstiltsError) as error:
        build_plan(freeze(study, tmp_path, "cpu"))
    assert error.value.kind == "bad-setting" and "'validation'" in error.value.what
