"""Encoders are read safely and whole; heads on them are fresh, or the ones of their pretraining."""

import io
import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from support import SMALL, equal_weights, weights_of
from xstilts.context import Context
from xstilts.errors import MISSING, XstiltsError
from xstilts.hashing import folder_digest
from xstilts.models.encoders import (
    fetch,
    load_base,
    load_model,
    load_tokenizer,
    missing_heads,
    new_encoder,
    save,
    with_head,
    with_mlm_head,
)
from xstilts.translation import models as translators

LABELS = ("entailment", "neutral", "contradiction")
KINDS = ["xlm-roberta", "bert", "modernbert", "deberta-v2"]
HEAD = "AutoModelForSequenceClassification"


def base_weights(model):
    return {name: t for name, t in model.base_model.state_dict().items() if "pooler" not in name}


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_is_random_by_its_seed_and_the_encoder_unchanged(kind, encoder_folder):
    folder = encoder_folder(kind)
    torch.manual_seed(101)
    first = with_head(folder, HEAD, LABELS, seed=5)
    torch.manual_seed(202)
    again, other = with_head(folder, HEAD, LABELS, seed=5), with_head(folder, HEAD, LABELS, seed=6)
    stored = load_file(folder / "model.safetensors")
    for name, tensor in base_weights(first).items():
        assert torch.equal(tensor, stored[f"{first.base_model_prefix}.{name}"])
    assert equal_weights(weights_of(first), weights_of(again))
    assert not equal_weights(weights_of(first), weights_of(other))
    assert equal_weights(base_weights(first), base_weights(other))
    assert first.config.id2label == dict(enumerate(LABELS))
    assert {p.dtype for p in first.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", KINDS)
def test_a_trained_folder_loads_through_an_ordinary_pipeline(kind, encoder_folder, tokenizer, tmp_path):
    model = with_head(encoder_folder(kind), HEAD, LABELS, seed=1).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    pipeline = transformers.pipeline("text-classification", str(tmp_path), device="cpu")
    text = "the old river"
    said = {row["label"]: row["score"] for row in pipeline(text, top_k=None)}
    with torch.no_grad():
        expected = model(**tokenizer(text, return_tensors="pt")).logits.softmax(-1)[0].tolist()
    assert [said[label] for label in LABELS] == pytest.approx(expected, abs=1e-6)


def test_a_new_head_replaces_that_of_another_task(encoder_folder, tokenizer, tmp_path):
    one = with_head(encoder_folder("bert"), HEAD, LABELS, seed=1)
    one.save_pretrained(tmp_path)
    span = with_head(tmp_path, "AutoModelForQuestionAnswering", (), seed=2)
    output = span(**tokenizer("the old river", return_tensors="pt"))
    assert output.start_logits.shape == output.end_logits.shape
    assert equal_weights(base_weights(one), base_weights(span))
    tags = with_head(tmp_path, "AutoModelForTokenClassification", ("A", "B", "C", "D"), seed=2)
    assert tags.config.num_labels == 4
    same = with_head(tmp_path, HEAD, LABELS, seed=2)
    assert not torch.equal(same.classifier.weight, one.classifier.weight)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_old_weights_and_half_precision_weights_are_read_as_float32(encoder_folder, tmp_path, dtype):
    source = encoder_folder("xlm-roberta")
    config = json.loads((source / "config.json").read_text())
    config["dtype"] = config["torch_dtype"] = str(dtype).removeprefix("torch.")
    (tmp_path / "config.json").write_text(json.dumps(config))
    stored = {name: t.to(dtype) for name, t in load_file(source / "model.safetensors").items()}
    torch.save(stored, tmp_path / "pytorch_model.bin")
    model = with_head(tmp_path, HEAD, LABELS, seed=1)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    for name, tensor in base_weights(model).items():
        assert torch.equal(tensor, stored[f"roberta.{name}"].float())


def test_old_weights_that_run_code_are_refused(encoder_folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (tmp_path / "config.json").write_text((encoder_folder("bert") / "config.json").read_text())
    torch.save({"bert.x": Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(XstiltsError) as caught:
        load_base(tmp_path)
    assert str(tmp_path) in caught.value.what
    assert not (tmp_path / "ran").exists()


def test_the_error_for_a_missing_encoder_names_it(tmp_path):
    for load in (load_base, load_tokenizer):
        with pytest.raises(XstiltsError) as caught:
            load(tmp_path / "nothing")
        assert caught.value.code == MISSING
        assert "nothing" in caught.value.what


def test_tokenizers_that_differ_only_in_their_settings_are_not_confused(tokenizer, tmp_path):
    for name, inputs in (("a", ["input_ids"]), ("b", ["input_ids", "token_type_ids"])):
        tokenizer.save_pretrained(tmp_path / name)
        settings = json.loads((tmp_path / name / "tokenizer_config.json").read_text())
        (tmp_path / name / "tokenizer_config.json").write_text(json.dumps({**settings, "model_input_names": inputs}))
    assert "token_type_ids" not in load_tokenizer(tmp_path / "a")("x")
    assert "token_type_ids" in load_tokenizer(tmp_path / "b")("x")


def fetched(place, out, **more):
    out.mkdir()
    arguments = {"load": str(place), "revision": "", "random_weights": False, "seed": 1, "content": ""}
    fetch(arguments | more, {}, out, Context(out))
    return out


def without(folder, out, part):
    """A copy of a model folder without the weights whose names have `part` in them."""
    shutil.copytree(folder, out)
    file = out / "model.safetensors"
    save_file({name: t for name, t in load_file(file).items() if part not in name}, file, {"format": "pt"})
    return out


def test_the_pooler_of_an_encoder_is_kept_and_each_training_draws_a_missing_one(encoder_folder, tokenizer, tmp_path):
    base = transformers.AutoModel.from_pretrained(encoder_folder("bert"))
    for name, has_pooler in (("with", True), ("without", False)):
        base.pooler = base.pooler if has_pooler else None
        save(base, tokenizer, tmp_path / name)
        out = fetched(tmp_path / name, tmp_path / f"{name}-out")
        poolers = [with_head(out, HEAD, LABELS, seed=seed).bert.pooler.dense.weight for seed in (5, 6)]
        assert torch.equal(*poolers) == has_pooler
        assert not has_pooler or torch.equal(poolers[0], base.pooler.dense.weight)


def test_a_study_can_replace_settings_of_a_loaded_configuration(encoder_folder, tmp_path):
    folder = encoder_folder("bert")
    out = fetched(folder, tmp_path / "out", config={"hidden_dropout_prob": 0.0})
    assert with_head(out, HEAD, LABELS, seed=1).config.hidden_dropout_prob == 0
    assert equal_weights(load_file(out / "model.safetensors"), load_file(folder / "model.safetensors"))
    with pytest.raises(XstiltsError) as error:
        fetched(folder, tmp_path / "other", config={"hidden_dropout": 0.0})
    assert error.value.kind == "bad-setting" and "hidden_dropout_prob" in error.value.hint


def test_an_encoder_that_changed_since_the_plan_is_not_stored_as_the_planned_one(encoder_folder, tmp_path):
    folder = shutil.copytree(encoder_folder("bert"), tmp_path / "encoder")
    planned = folder_digest(folder)
    fetched(folder, tmp_path / "as planned", content=planned)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"hidden_dropout_prob": 0.3}))
    with pytest.raises(XstiltsError) as error:
        fetched(folder, tmp_path / "changed", content=planned)
    assert error.value.kind == "inconsistent" and not any((tmp_path / "changed").iterdir())


def test_who_may_read_the_configuration_may_read_the_weights(encoder_folder, tokenizer, tmp_path):
    save(transformers.AutoModel.from_pretrained(encoder_folder("bert")), tokenizer, tmp_path)
    assert len({file.stat().st_mode for file in tmp_path.iterdir()}) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_an_encoder_without_a_masked_language_model_head_gets_none(kind, encoder_folder, tokenizer, tmp_path):
    """A sentence encoder: it can be fine-tuned as before, and masked language modelling refuses it."""
    whole = transformers.AutoModelForMaskedLM.from_pretrained(encoder_folder(kind))
    save(whole.base_model, tokenizer, tmp_path / "sentences")
    out = fetched(tmp_path / "sentences", tmp_path / "out")
    for folder in (tmp_path / "sentences", out):
        with pytest.raises(XstiltsError) as error:
            with_mlm_head(folder)
        assert error.value.kind == "unsupported"
    tuned, same = (with_head(folder, HEAD, LABELS, seed=5) for folder in (out, encoder_folder(kind)))
    assert equal_weights(weights_of(tuned), weights_of(same))
    assert equal_weights(weights_of(with_mlm_head(encoder_folder(kind))), weights_of(whole))


def test_the_head_of_deberta_v3_is_read_under_its_own_name(tokenizer, tmp_path):
    """Its checkpoints name the head `lm_predictions`, and their configuration does not say so."""
    config = {"model_type": "deberta-v2", **SMALL, "max_position_embeddings": 128, "legacy": False}
    model = new_encoder(config, tokenizer, seed=1)
    save(model, tokenizer, tmp_path / "hub")
    stored = json.loads((tmp_path / "hub" / "config.json").read_text())
    del stored["legacy"]
    (tmp_path / "hub" / "config.json").write_text(json.dumps(stored))
    again = with_mlm_head(fetched(tmp_path / "hub", tmp_path / "out"))
    assert "lm_predictions.lm_head.dense.weight" in weights_of(again)
    assert equal_weights(weights_of(again), weights_of(model))


def test_an_encoder_with_missing_weights_is_refused(encoder_folder, tmp_path):
    broken = without(encoder_folder("bert"), tmp_path / "broken", "layer.1.output.dense.weight")
    for load in (load_base, with_mlm_head, lambda folder: fetched(folder, tmp_path / "out")):
        with pytest.raises(XstiltsError) as error:
            load(broken)
        assert error.value.kind == "bad-file" and "layer.1.output.dense.weight" in error.value.why


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_encoder_whose_weights_are_not_finite_is_refused(encoder_folder, tmp_path, value):
    shutil.copytree(encoder_folder("bert"), tmp_path / "broken")
    file = tmp_path / "broken" / "model.safetensors"
    tensors = load_file(file)
    tensors["bert.encoder.layer.0.output.dense.bias"][3] = value
    save_file(tensors, file, {"format": "pt"})
    for load in (load_base, with_mlm_head, lambda folder: fetched(folder, tmp_path / "out")):
        with pytest.raises(XstiltsError) as error:
            load(tmp_path / "broken")
        assert error.value.kind == "not-finite" and "encoder.layer.0.output.dense.bias" in error.value.why
    assert not (tmp_path / "out" / "config.json").exists()


def test_an_encoder_without_a_class_for_a_task_is_refused(tokenizer, tmp_path):
    types = ["classification", "tagging", "qa", "multiple_choice", "retrieval", "mlm"]
    assert missing_heads("xlm-roberta", types) == []
    assert missing_heads("eurobert", types) == ["qa", "multiple_choice"]
    config = {"model_type": "eurobert", **SMALL, "num_key_value_heads": 2, "max_position_embeddings": 128}
    save(new_encoder(config, tokenizer, seed=1), tokenizer, tmp_path)
    assert with_head(tmp_path, HEAD, LABELS, seed=1).config.num_labels == 3
    with pytest.raises(XstiltsError) as error:
        with_head(tmp_path, "AutoModelForQuestionAnswering", (), seed=1)
    assert error.value.kind == "unsupported" and "QuestionAnswering" in error.value.what


EVIL = """
import pathlib, transformers
pathlib.Path("{marker}").touch()
class Config(transformers.PretrainedConfig):
    model_type = "evil"
class Model(transformers.BertModel):
    pass
class Tokenizer(transformers.PreTrainedTokenizerFast):
    pass
"""


@pytest.mark.parametrize("load", [
    load_tokenizer,
    load_base,
    with_mlm_head,
    lambda folder: load_model(HEAD, folder),
    lambda folder: fetched(folder, folder / "out"),
    lambda folder: translators.fetch({"load": str(folder), "revision": ""}, {}, folder, Context(folder)),
])  # fmt: skip
def test_code_that_comes_with_an_encoder_never_runs(load, tmp_path, monkeypatch):
    """Not even if the user answers `y` to the question that `transformers` asks by default."""
    marker = tmp_path / "ran"
    classes = {"AutoConfig": "evil.Config", "AutoTokenizer": [None, "evil.Tokenizer"]}
    models = ("AutoModel", "AutoModelForMaskedLM", HEAD, "AutoModelForSeq2SeqLM")
    auto_map = classes | dict.fromkeys(models, "evil.Model")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto_map}))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "Evil", "auto_map": auto_map}))
    (tmp_path / "evil.py").write_text(EVIL.format(marker=marker))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n" * 9))
    with pytest.raises(XstiltsError) as error:
        load(tmp_path)
    assert error.value.kind == "unsafe"
    assert not marker.exists()
