"""Which weights a training saves: the best on English dev, the last, or those an oracle chooses; and its length."""

import json

import numpy as np
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
from xstilts.engine import Store, run_step
from xstilts.engine.scheduler import Outcome
from xstilts.errors import XstiltsError
from xstilts.evaluation.predict import predict
from xstilts.models.trimming import trim
from xstilts.runs.score_table import read_score_table
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.run import run_study
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.training import phases
from xstilts.training.phases import fine_tune


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    """A folder with the examples of one task, by split and language, and the entry of the task."""
    root = tmp_path_factory.mktemp("examples")
    task = Task(name="nli", type="classification", labels=("entailment", "neutral", "contradiction"), parallel=True,
                source=WorldSource(world=1, kind="nli", rows={"train": 96, "validation": 40}))  # fmt: skip
    entry = task.model_dump(mode="json")
    for split, code in (("train", "en"), *(("validation", code) for code in ("en", "tr", "ja"))):
        folder = root / f"{split}.{code}"
        folder.mkdir()
        prepare({"task": entry, "tasks": {}, "split": split, "language": code}, {}, folder, Context(folder))
    turned = pq.read_table(root / "validation.tr" / "examples.parquet").to_pylist()
    for row in turned:  # so that Turkish and English choose different weights
        row["label"] = task.labels[(task.labels.index(row["label"]) + 1) % 3]
    pq.write_table(pa.Table.from_pylist(turned), root / "validation.tr" / "examples.parquet")
    return root, entry


def trained(examples, encoder, out, dev="en", more_inputs=None, **more):
    root, entry = examples
    inputs = {"encoder": encoder, "train.nli.en": root / "train.en", "dev.nli": root / f"validation.{dev}"}
    arguments = tuning(entry, epochs=2, recipe={"learning_rate": 5e-3, "weight_decay": 0.05}, **more)
    for folder in (out, out / "scratch"):
        folder.mkdir()
    fine_tune(arguments, inputs | (more_inputs or {}), out, Context(out / "scratch"))
    return load_file(out / "model.safetensors"), json.loads((out / "history.json").read_text())


def same(first, second):
    """Whether weights are equal; embeddings up to rounding: those of tokens that never occur decay all at once."""
    words = "bert.embeddings.word_embeddings.weight"
    assert first[words].shape == second[words].shape
    close = torch.allclose(first[words], second[words], rtol=1e-5, atol=0)
    return close and all(first[name].equal(second[name]) for name in first if name != words)


def test_the_oracle_saves_the_weights_that_target_dev_would_choose(examples, encoder_folder, tmp_path):
    """The oracle's weights equal those of the same training with its examples as dev, embeddings included; the weights
    chosen on English dev do not depend on the oracle."""
    root, encoder = examples[0], encoder_folder("bert")
    by_english, english = trained(examples, encoder, tmp_path / "english", seed=2, checkpoint="best")
    by_turkish, turkish = trained(examples, encoder, tmp_path / "turkish", dev="tr", seed=2, checkpoint="best")
    inputs = {"oracle.tr": root / "validation.tr"}
    both, summary = trained(
        examples, encoder, tmp_path / "both", seed=2, checkpoint="best", oracle=["tr"], more_inputs=inputs
    )
    assert same(both, by_english)
    assert same(load_file(tmp_path / "both" / "oracle" / "model.safetensors"), by_turkish)
    assert not same(by_english, by_turkish), "the two languages must choose different weights"
    measured = [entry for entry in summary["history"] if "oracle" in entry]
    assert len(measured) == 8, "a tenth of 24 updates is 3"
    assert [entry["oracle"] for entry in measured] == [e["score"] for e in turkish["history"] if "score" in e]
    assert summary["dev_score"] == english["dev_score"] == max(entry["score"] for entry in measured)


def test_an_average_is_that_of_a_training_without_trimming(examples, encoder_folder, tmp_path, monkeypatch):
    """Embeddings of tokens that never occur included: they decay until each checkpoint of the average."""
    encoder, words = encoder_folder("bert"), "bert.embeddings.word_embeddings.weight"
    average, _ = trained(examples, encoder, tmp_path / "average", checkpoint="average")

    def keep_all(model, encoded, pad_id, scratch):
        count = model.get_input_embeddings().num_embeddings
        whole = Encoded(np.arange(count, dtype=np.int32), np.array([0, count]), np.array([0]), np.array([0]))
        return trim(model, [*encoded, whole], pad_id, scratch)

    monkeypatch.setattr(phases, "trim", keep_all)
    untrimmed, _ = trained(examples, encoder, tmp_path / "untrimmed", checkpoint="average")
    assert all(torch.allclose(average[name], untrimmed[name], rtol=1e-5, atol=1e-4) for name in average)
    start = load_file(encoder / "model.safetensors")[words]
    unseen = (untrimmed[words] / start - untrimmed[words][-1] / start[-1]).abs().amax(1) < 1e-6
    assert unseen.sum() > 5, "tokens that never occur all shrink by one factor"
    assert torch.allclose(average[words][unseen], untrimmed[words][unseen], rtol=1e-6, atol=0)


def test_the_dev_score_of_an_average_is_its_own_and_an_oracle_chooses_as_before(examples, encoder_folder, tmp_path):
    root, entry = examples
    inputs, encoder = {"oracle.tr": root / "validation.tr"}, encoder_folder("bert")
    average, summary = trained(
        examples, encoder, tmp_path / "average", checkpoint="average", oracle=["tr"], more_inputs=inputs
    )
    last, _ = trained(examples, encoder, tmp_path / "last", oracle=["tr"], more_inputs=inputs)
    assert same(*(load_file(tmp_path / name / "oracle" / "model.safetensors") for name in ("average", "last")))
    assert not same(average, last)
    arguments = {"task": entry, "languages": ["en"], "max_length": 64, "mask_column": "", "weights": ""}
    arguments |= {"device": "cpu", "precision": "fp32"}
    predict(arguments, {"rows.en": root / "validation.en", "model": tmp_path / "average"}, tmp_path, Context(tmp_path))
    rows = pq.read_table(next(tmp_path.glob("*.parquet"))).to_pylist()
    right = sum(row["gold"] == row["prediction"] for row in rows)
    assert summary["dev_score"] == pytest.approx(100 * right / len(rows))


def test_the_score_of_an_oracle_is_the_mean_over_its_languages(examples, encoder_folder, tmp_path):
    inputs = {f"oracle.{code}": examples[0] / f"validation.{code}" for code in ("tr", "ja")}
    scores = {}
    for codes in (["tr"], ["ja"], ["tr", "ja"]):
        out = tmp_path / "-".join(codes)
        _, summary = trained(examples, encoder_folder("bert"), out, oracle=codes, more_inputs=inputs, evaluate_every=12)
        scores["-".join(codes)] = [entry["oracle"] for entry in summary["history"] if "oracle" in entry]
    means = [(a + b) / 2 for a, b in zip(scores["tr"], scores["ja"], strict=True)]
    assert len(means) == 2 and scores["tr-ja"] == pytest.approx(means)


def test_a_longer_training_adds_the_updates_of_its_input(examples, encoder_folder, tmp_path):
    encoder = encoder_folder("bert")
    _, plain = trained(examples, encoder, tmp_path / "plain")
    _, longer = trained(examples, encoder, tmp_path / "longer", more_inputs={"longer": tmp_path / "plain"})
    assert (plain["updates"], longer["updates"]) == (24, 48)
    assert longer["examples"] == plain["examples"] == 96


def study_of(tmp_path, **more):
    file = tmp_path / "oracle.yaml"
    file.write_text(json.dumps({"extends": "pocket", "name": "oracle", **more}))
    return load_study(str(file), quick=True)


def test_a_study_scores_the_weights_of_the_oracle_too(tmp_path):
    arms = dict.fromkeys(("near", "far", "english-again", "in-language"))
    study = study_of(
        tmp_path, arms={**arms, "none-longer": {"match_updates_of": "english"}}, contrasts=["english - none"],
        controls=[], targets={"pocket-nli": {"oracle": "validation"}, "pocket-paws": None, "pocket-tatoeba": None},
        languages={"candidates": ["de", "nl", "tr", "ja", "sw", "ar", "mg"], "minimum": 2},
        quick={"encoders": {"pocket": {"seeds": 1, "pretrain": {"updates": 10}}},
               "intermediate": {"nli": {"examples": 64}},
               "targets": {"pocket-nli": {"training": {"examples": 100, "evaluate_every": 1000}}, "pocket-paws": None}},
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
        steps = {name: step for name, step in plan.steps.items() if not store.has(name)}
        return Outcome({name: run_step(step, store) for name, step in steps.items()})

    out = tmp_path / "run"
    run_study(planned, Store(tmp_path / "store"), out, executor, lambda event: None)
    scores, oracle = (read_score_table(out / folder / "pocket-nli.parquet", "classification", "accuracy")
                    for folder in ("predictions", "predictions-by-oracle"))  # fmt: skip
    table = checkpoints({"pocket-nli": scores}, {"pocket-nli": oracle}, planned.frozen.held_out)
    assert [row["arm"] for row in table] == list(study.arms) and all(row["replicates"] == 2 for row in table)
    cells = [cell for cell in json.loads((out / "cells.json").read_text()) if "training" in cell]
    updates = {(cell["arm"], cell["replicate"]): cell["training"]["updates"] for cell in cells}
    assert updates["none-longer", 1] > updates["none", 1] == updates["english", 1]


def test_an_oracle_without_examples_in_held_out_languages_is_an_error(tmp_path):
    files = {split: split + ".{lang}" for split in ("train", "validation", "test")}
    task = {"type": "classification", "labels": ["entailment", "neutral", "contradiction"], "max_length": 64,
           "source": {"format": "lines", "files": files}}  # fmt: skip
    study = study_of(tmp_path, tasks={"lines": task}, targets={
        "pocket-nli": {"task": "lines", "training": {"task": "pocket-nli"}, "oracle": "validation"}})  # fmt: skip
    for code in ("en", *study.languages.candidates):
        (tmp_path / f"test.{code}").write_text("a\tb\tneutral\n")
    (tmp_path / "validation.en").write_text("a\tb\tneutral\n")
    with pytest.raises(XstiltsError) as error:
        build_plan(freeze(study, tmp_path, "cpu"))
    assert error.value.kind == "bad-setting" and "'validation'" in error.value.what
