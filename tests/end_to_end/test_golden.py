"""What each kind of step makes of a fixed input. Where one of these moves, raise the step's version in
`xstilts.study.plan.VERSIONS`, so that results of the old code are not taken for those of the new."""

import hashlib
import json

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from support import tuning
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.evaluation.predict import baseline, predict
from xstilts.evaluation.retrieve import retrieve
from xstilts.models.encoders import fetch, load_tokenizer
from xstilts.models.vocabulary import train_vocabulary
from xstilts.study.steps import VERSIONS
from xstilts.training.phases import fine_tune, pretrain

RECIPE = {"learning_rate": 0.002, "warmup": 0.1, "beta2": 0.98, "weight_decay": 0.01, "precision": "fp32"}
CONFIG = {
    "model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 64, "initializer_range": 0.1, "hidden_dropout_prob": 0.1,
}  # fmt: skip


def task(kind, name, rows, **more):
    return {"name": name, "type": kind, "parallel": kind != "mlm", "max_length": 64,
            "source": {"world": 1, "kind": name, "rows": rows}, **more}  # fmt: skip


TEXT = task("mlm", "text", {"train": 300})
NLI = task("classification", "nli", {"train": 128, "test": 60}, labels=["entailment", "neutral", "contradiction"])
PAIRS = task("retrieval", "retrieval", {"test": 40})
COMMON = {"device": "cpu", "precision": "fp32", "max_length": 64}


def rows_of(root, entry, split, code):
    out = root / f"{entry['name']}-{split}-{code}"
    out.mkdir()
    prepare({"task": entry, "tasks": {}, "split": split, "language": code, "content": ""}, {}, out, Context(root))
    return out


def table_digest(folder):
    rows = pq.read_table(folder / "examples.parquet").to_pylist()
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]


def losses(folder):
    history = json.loads((folder / "history.json").read_text())["history"]
    return [history[0]["loss"], history[-1]["loss"]]


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    """Every kind of step once, each on the results of those before it."""
    root = tmp_path_factory.mktemp("golden")
    context = Context(root / "scratch")
    context.scratch.mkdir()
    made = {}

    def step(name, function, arguments, inputs):
        made[name] = root / name
        made[name].mkdir()
        function(arguments, inputs, made[name], context)

    text = {f"rows.{code}": rows_of(root, TEXT, "train", code) for code in ("en", "tr")}
    nli = {split: {c: rows_of(root, NLI, split, c) for c in ("en", "tr")} for split in ("train", "test")}
    pairs = rows_of(root, PAIRS, "test", "tr")
    made["rows"] = nli["train"]["tr"]
    step("vocabulary", train_vocabulary, {"model": "words", "size": 900, "alphabet": 1000, "segments": True}, text)
    step("encoder", pretrain, {**COMMON, "config": CONFIG, "task": TEXT, "languages": ["en", "tr"], "updates": 30,
         "batch_size": 16, "masked": 0.3, "exponent": 0.7, "recipe": RECIPE, "seed": 5},
         {"vocabulary": made["vocabulary"], **text})  # fmt: skip
    step("model", fine_tune, tuning(NLI, ("en", "tr"), 100, 2, batch_size=16, recipe=RECIPE, seed=6, checkpoint="best",
                                    evaluate_every=4),
         {"encoder": made["encoder"], "train.nli.en": nli["train"]["en"], "train.nli.tr": nli["train"]["tr"],
          "dev.nli": nli["test"]["en"]})  # fmt: skip
    scored = {f"rows.{code}": nli["test"][code] for code in ("en", "tr")}
    step("predictions", predict, {**COMMON, "task": NLI, "languages": ["en", "tr"], "mask_column": "", "weights": ""},
         {"model": made["model"], **scored})  # fmt: skip
    step("baseline", baseline, {"task": NLI, "languages": ["en", "tr"]}, {"train": nli["train"]["en"], **scored})
    embeddings = {"layers": [1], "pooling": "mean", "dev_languages": []}
    step("retrieval", retrieve, {**COMMON, "task": PAIRS, "languages": ["tr"], **embeddings},
         {"model": made["encoder"], "rows.tr": pairs})  # fmt: skip
    return made


def test_rows(chain):
    assert table_digest(chain["rows"]) == "6212c551c0efecdd"


def test_vocabulary(chain):
    words = sorted(load_tokenizer(chain["vocabulary"]).get_vocab().items(), key=lambda item: item[1])
    assert hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16] == "ecfe233506b31dc9"


def test_pretraining(chain):
    assert losses(chain["encoder"]) == pytest.approx([5.092322, 4.411570], rel=1e-3)


def test_fine_tuning(chain):
    assert losses(chain["model"]) == pytest.approx([1.077387, 1.162421], rel=1e-3)


def test_predictions(chain):
    table = pq.read_table(chain["predictions"] / "predictions.parquet")
    assert sum(table["score"].to_pylist()) / len(table) == pytest.approx(0.353238, rel=1e-3)
    assert table.column_names == ["example_id", "cluster_id", "language", "gold", "prediction", "score"]


def test_baseline(chain):
    table = pq.read_table(chain["baseline"] / "predictions.parquet")
    assert set(table["prediction"].to_pylist()) == {"neutral"}


def test_retrieval(chain):
    table = pq.read_table(chain["retrieval"] / "predictions.parquet")
    assert len(table) == 40
    assert sum(table["score"].to_pylist()) / len(table) == pytest.approx(0.991447, rel=1e-3)


def test_fetching_an_encoder_keeps_its_weights(chain, tmp_path):
    arguments = {"load": str(chain["encoder"]), "revision": "", "random_weights": False, "seed": 1, "content": ""}
    fetch(arguments, {}, tmp_path, Context(tmp_path))
    before = load_file(chain["encoder"] / "model.safetensors")
    after = load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_every_kind_of_step_is_covered():
    elsewhere = {"translate"}  # equal to `transformers` sentence by sentence: tests/test_translation.py
    assert {name.partition(":")[2] for name in VERSIONS} - elsewhere == {
        "prepare", "train_vocabulary", "fetch", "pretrain", "fine_tune", "predict", "baseline", "retrieve",
    }  # fmt: skip
