"""Trainings on several tasks and languages: which examples are drawn, in which order, and what they change."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from support import tuning
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.errors import XstiltsError
from xstilts.models.encoders import share_encoder, with_head, with_mlm_head
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import Task
from xstilts.training.budget import choose_rows, interleave, shares, turns
from xstilts.training.phases import fine_tune

LABELS = {"nli": ("entailment", "neutral", "contradiction"), "paws": ("0", "1")}


def test_arms_of_one_task_draw_the_same_items(tmp_path):
    """With `anchor_share`, and in any languages, example i is the same item."""
    tables = [pa.table({"id": [str(i) for i in range(50)], "language": [code] * 50}) for code in ("en", "tr", "ja")]
    whole = choose_rows(tables[:1], 20, True, np.random.default_rng(3))
    mixed = choose_rows(tables, 20, True, np.random.default_rng(3), 0.5)
    assert [row for _, row in whole] == [row for _, row in mixed]
    assert [t for t, _ in mixed].count(0) == 10
    assert abs([t for t, _ in mixed].count(1) - [t for t, _ in mixed].count(2)) <= 1


def test_an_item_that_one_arm_lacks_does_not_move_the_others():
    """An example left out in one language, or a translation that was dropped, must not change the pairs of others."""
    ids = [str(i) for i in range(200)]
    whole = pa.table({"id": ids, "language": ["en"] * 200})
    gappy = pa.table({"id": ids[:7] + ids[8:], "language": ["tr"] * 199})
    english = [ids[row] for _, row in choose_rows([whole], 50, True, np.random.default_rng(3))]
    not_parallel = [ids[row] for _, row in choose_rows([whole], 50, False, np.random.default_rng(3))]
    turkish = [gappy["id"][row].as_py() for _, row in choose_rows([gappy], 50, True, np.random.default_rng(3))]
    assert english == not_parallel
    assert len({*english} - {*turkish}) <= 1
    assert [item for item in english if item in turkish] == [item for item in turkish if item in english]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_turns_keep_the_share_everywhere(share):
    turn = np.array(turns(400, 4, share))
    assert abs((turn == 0).mean() - share) < 0.01
    for start in range(0, 400, 40):
        assert abs((turn[start : start + 40] == 0).mean() - share) <= 1 / 40 + 1e-9
    others = turn[turn > 0]
    assert np.ptp([(others == t).sum() for t in (1, 2, 3)]) <= 1


def test_ways_of_sampling():
    sizes = [100, 900, 9000]
    assert shares(sizes, "proportional", 2, 1) == pytest.approx([0.01, 0.09, 0.9])
    assert shares(sizes, "uniform", 2, 1) == pytest.approx([1 / 3] * 3)
    assert shares(sizes, "capped", 2, 400) == pytest.approx([1 / 9, 4 / 9, 4 / 9])
    roots = np.sqrt([0.01, 0.09, 0.9])
    assert shares(sizes, "temperature", 2, 1) == pytest.approx(roots / roots.sum())


def test_masked_updates_are_evenly_spread():
    task, text = [{0: np.array([i])} for i in range(8)], [{1: np.array([i])} for i in range(4)]
    mixed = interleave(task, text)
    assert [next(iter(update)) for update in mixed] == [0, 0, 1] * 4
    assert [int(u[0][0]) for u in mixed if 0 in u] == list(range(8))
    assert interleave(task, []) == task


def prepared(folder, kind, rows, code="en"):
    task = Task(name=kind, type="mlm" if kind == "text" else "classification", labels=LABELS.get(kind, ()),
                parallel=True, source=WorldSource(world=1, kind=kind, rows={"train": rows}))  # fmt: skip
    folder.mkdir()
    entry = task.model_dump(mode="json")
    prepare({"task": entry, "tasks": {}, "split": "train", "language": code}, {}, folder, Context(folder))
    return entry


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("arms")
    return root, {kind: prepared(root / kind, kind, 40) for kind in ("nli", "paws", "text")}


def run(world, encoder, out, kinds=("nli", "paws"), **more):
    root, entries = world
    parts = [tuning(entries[kind], examples=32) for kind in kinds]
    tasks = {name: entry for part in parts for name, entry in part["tasks"].items()}
    sampling = {"how": "uniform", "temperature": 2, "cap": 9, "examples": None}
    inputs = {"encoder": encoder, "text.en": root / "text"}
    inputs |= {f"train.{kind}.en": root / kind for kind in kinds} | {f"dev.{kind}": root / kind for kind in kinds}
    for folder in (out, out / "scratch"):
        folder.mkdir()
    fine_tune({**parts[0], "tasks": tasks, "sampling": sampling, **more}, inputs, out, Context(out / "scratch"))
    return load_file(out / "model.safetensors"), json.loads((out / "history.json").read_text())


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "modernbert"])
def test_several_tasks_train_one_encoder_under_a_head_each(kind, world, encoder_folder, tmp_path):
    encoder = encoder_folder(kind)
    both, history = run(world, encoder, tmp_path / "both")
    alone, _ = run(world, encoder, tmp_path / "alone", ("nli",))
    start = load_file(encoder / "model.safetensors")
    assert (history["updates"], history["examples"] > 40) == (8, True)
    shared = [name for name in start if name in both and "layer" in name and name.endswith("weight")]
    assert any(float((both[name] - start[name]).abs().max()) > 1e-4 for name in shared)
    assert any(float((both[name] - alone[name]).abs().max()) > 1e-5 for name in shared)  # the other task counts
    assert history["history"][-1]["score"] > 0  # the mean of both tasks' English dev


def test_the_weight_of_a_task_scales_its_loss(world, encoder_folder, tmp_path):
    root, entries = world
    losses = []
    for weight in (1.0, 3.0):
        arguments = tuning(entries["nli"], examples=32, recipe={"learning_rate": 1e-9})
        arguments["tasks"]["nli"]["weight"] = weight
        out = tmp_path / str(weight)
        out.mkdir()
        inputs = {"encoder": encoder_folder("bert"), "train.nli.en": root / "nli", "dev.nli": root / "nli"}
        fine_tune(arguments, inputs, out, Context(tmp_path / f"scratch{weight}"))
        losses.append(json.loads((out / "history.json").read_text())["history"][0]["loss"])
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-5)


def test_masked_text_gets_its_share_of_the_updates_and_trains_the_whole_vocabulary(world, encoder_folder, tmp_path):
    _, entries = world
    encoder = encoder_folder("xlm-roberta")
    mlm = {"task": entries["text"], "languages": ["en"], "share": 0.5, "masked": 0.3, "max_length": 64}
    plain, before = run(world, encoder, tmp_path / "plain", ("nli",))
    mixed, after = run(world, encoder, tmp_path / "mixed", ("nli",), mlm=mlm)
    alone, only = run(world, encoder, tmp_path / "alone", ("nli",), mlm={**mlm, "share": 1.0})
    assert before["updates"] == after["updates"] == only["updates"] == 4
    assert (before["examples"], after["examples"], only["examples"]) == (32, 16, 0)
    assert "score" not in only["history"][-1]
    embeddings = "roberta.embeddings.word_embeddings.weight"
    start = load_file(encoder / "model.safetensors")[embeddings]
    moved = {name: int(((weights[embeddings] - start).abs().amax(1) > 1e-5).sum())
             for name, weights in (("plain", plain), ("mixed", mixed), ("alone", alone))}  # fmt: skip
    assert moved["plain"] < moved["mixed"]  # a softmax over the vocabulary reaches all of its rows
    assert moved["alone"] > 0.9 * len(start)
    assert any("lm_head" in name for name in alone) and not any("lm_head" in name for name in mixed)


@pytest.mark.parametrize("share", [0.01, 0.99])
def test_a_share_that_leaves_out_the_text_or_the_task_is_an_error(world, encoder_folder, tmp_path, share):
    mlm = {"task": world[1]["text"], "languages": ["en"], "share": share, "masked": 0.3, "max_length": 64}
    with pytest.raises(XstiltsError) as error:
        run(world, encoder_folder("xlm-roberta"), tmp_path / "mixed", ("nli",), mlm=mlm)
    assert error.value.kind == "inconsistent" and "4 updates" in error.value.what


def test_heads_share_the_weights_of_one_encoder(encoder_folder):
    folder = encoder_folder("bert")
    models = [with_head(folder, "AutoModelForSequenceClassification", ("a", "b"), 1),
              with_head(folder, "AutoModelForTokenClassification", ("x", "y"), 2), with_mlm_head(folder)]  # fmt: skip
    share_encoder(models)
    base = models[0].base_model
    assert all(model.base_model is base for model in models)
    assert models[2].get_output_embeddings().weight is base.get_input_embeddings().weight
    with torch.no_grad():
        base.get_input_embeddings().weight.zero_()
    assert not models[2].get_output_embeddings().weight.any()
