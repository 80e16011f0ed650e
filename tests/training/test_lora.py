"""LoRA: what is trained, what is written, and what is refused."""

import sys

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

from support import equal_weights, tuning, weights_of
from xstilts.config.encoder_checks import WITH_LORA
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.errors import XstiltsError
from xstilts.models import packing
from xstilts.models.batching import epochs, to_tensors
from xstilts.models.encoders import with_head
from xstilts.models.lora import adapted_layers, adapters_merged, add_adapters
from xstilts.models.packing import packed
from xstilts.tasks import classification
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import Encoded, pad, ragged
from xstilts.tasks.task import Task
from xstilts.training.loop import train
from xstilts.training.phases import fine_tune
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

LABELS = ("entailment", "neutral", "contradiction")
LORA = {"rank": 2, "alpha": 4, "dropout": 0.1}


def make_encoded(count=24):
    rng = np.random.default_rng(0)
    ids, offsets = ragged([[2, *rng.integers(5, 200, rng.integers(2, 20)), 3] for _ in range(count)])
    return Encoded(ids, offsets, np.arange(count), np.arange(count) % 3)


def with_adapters(folder, **more):
    model = with_head(folder, classification.AUTO_CLASS, LABELS, 7)
    add_adapters(model, **{**LORA, **more}, seed=5)
    return model


def logits_of(model, unpadded=False):
    batch, cpu = pad(make_encoded(), np.arange(24), 1), torch.device("cpu")
    with torch.no_grad():
        if not unpadded:
            return classification.forward(model, to_tensors(batch, cpu))
        with packed(model) as pack:
            return classification.forward(model, to_tensors(pack(batch), cpu))


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "deberta-v2"])
def test_the_merged_model_computes_what_the_adapters_do(kind, encoder_folder, monkeypatch):
    monkeypatch.setitem(packing.PACKED_FROM, "cpu", 0)
    plain = with_head(encoder_folder(kind), classification.AUTO_CLASS, LABELS, 7).eval()
    model = with_adapters(encoder_folder(kind)).eval()
    assert torch.equal(logits_of(model), logits_of(plain)), "untrained adapters change nothing"
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=5.0)
    before, logits = weights_of(model), logits_of(model)
    assert not torch.allclose(logits, logits_of(plain), atol=1e-3)
    if kind != "deberta-v2":
        assert torch.allclose(logits_of(model, unpadded=True), logits, atol=1e-5)
    with adapters_merged(model):
        assert torch.allclose(logits_of(model), logits, atol=1e-5)
        assert model.state_dict().keys() == plain.state_dict().keys()
    assert equal_weights(weights_of(model), before)


class Stopped(Exception):
    pass


def run(folder, scratch, stop_after=0):
    """The weights after 12 updates with dropout in model and adapters; raises `Stopped` after `stop_after`."""

    def progress(share):
        if stop_after and round(share * 12) == stop_after:
            raise Stopped

    scratch.mkdir(exist_ok=True)
    encoded, model = make_encoded(), with_adapters(folder)
    batches = [{0: part} for part in epochs(24, 4, np.random.default_rng(1)).reshape(-1, 8)]
    part = Part(model, classification, encoded)
    train([part], batches, Recipe(5e-3), 3, 1, Context(scratch, progress), checkpoint_seconds=0.0)
    return weights_of(model)


def test_a_checkpoint_holds_adapters_and_head_alone_and_resumes_bit_identically(encoder_folder, tmp_path):
    folder = encoder_folder("xlm-roberta")
    whole = run(folder, tmp_path / "whole")
    with pytest.raises(Stopped):
        run(folder, tmp_path / "stopped", 7)
    with safe_open(tmp_path / "stopped" / "checkpoint.safetensors", "pt") as stored:
        names = {name for name in stored.keys() if name.startswith("model.")}  # noqa: SIM118
    assert names and all(".lora_" in name or ".classifier." in name for name in names)
    assert equal_weights(run(folder, tmp_path / "stopped"), whole)
    start = weights_of(with_adapters(folder))
    moved = {name for name in whole if not torch.equal(whole[name], start[name])}
    assert moved == {name.removeprefix("model.0.") for name in names}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared examples and text, and the entries of their tasks."""
    root, entries = tmp_path_factory.mktemp("data"), {}
    for name, kind in (("nli", "classification"), ("text", "mlm")):
        source = WorldSource(world=1, kind=name, rows={"train": 32})
        task = Task(name=name, type=kind, labels=LABELS if name == "nli" else (), parallel=True, source=source)
        entries[name] = task.model_dump(mode="json")
        (root / name).mkdir()
        request = {"task": entries[name], "tasks": {}, "split": "train", "language": "en"}
        prepare(request, {}, root / name, Context(root / name))
    return root, entries


def tuned(data, encoder, out, **more):
    root, entries = data
    out.mkdir()
    inputs = {"encoder": encoder, "train.nli.en": root / "nli", "dev.nli": root / "nli", "text.en": root / "text"}
    arguments = tuning(entries["nli"], recipe={"learning_rate": 5e-3, "weight_decay": 0.05}, **more)
    fine_tune(arguments, inputs, out, Context(out))
    return load_file(out / "model.safetensors")


@pytest.mark.parametrize("text", [False, True])
def test_a_training_writes_an_ordinary_model_of_frozen_and_merged_weights(text, data, encoder_folder, tmp_path):
    """Also with a head for masked text on the same encoder; neither training nor trimming nor decay moves the rest."""
    encoder = encoder_folder("bert")
    settings = {"task": data[1]["text"], "languages": ["en"], "share": 0.5, "masked": 0.15, "max_length": 64}
    written = tuned(data, encoder, tmp_path / "out", lora=LORA, mlm=settings if text else None)
    start = load_file(encoder / "model.safetensors")
    base = {name for name in written if name.startswith("bert.") and "pooler" not in name}
    assert base <= start.keys()
    moved = {name for name in base if not torch.equal(written[name], start[name])}
    assert moved == {name for name in base if name.endswith(("query.weight", "value.weight"))} and len(moved) == 4
    for name in moved:
        assert torch.linalg.matrix_rank(written[name] - start[name], rtol=1e-3) == LORA["rank"]
    model, info = transformers.AutoModelForSequenceClassification.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    assert not info["missing_keys"] and not info["unexpected_keys"] and model.config.id2label[0] == LABELS[0]


def test_the_oracle_and_the_best_weights_are_merged_as_well(data, encoder_folder, tmp_path):
    root, entries = data
    (tmp_path / "out").mkdir()
    inputs = {
        "encoder": encoder_folder("bert"),
        **dict.fromkeys(("train.nli.en", "dev.nli", "oracle.tr"), root / "nli"),
    }
    arguments = tuning(entries["nli"], checkpoint="best", oracle=["tr"], lora=LORA)
    fine_tune(arguments, inputs, tmp_path / "out", Context(tmp_path / "out"))
    both = [load_file(folder / "model.safetensors") for folder in (tmp_path / "out", tmp_path / "out" / "oracle")]
    assert equal_weights(*both), "one set of examples chooses one set of weights"


def test_a_model_type_without_known_layers_is_refused(encoder_folder):
    with pytest.raises(XstiltsError) as error:
        with_adapters(encoder_folder("modernbert"))
    assert error.value.kind == "unsupported" and "modernbert" in error.value.what


@pytest.mark.parametrize("kind", WITH_LORA)
def test_model_types_that_load_without_peft_are_known_to_it(kind):
    assert len(adapted_layers(kind)) == 2


def test_a_missing_peft_is_named_with_the_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft.utils.constants", None)
    with pytest.raises(XstiltsError) as error:
        adapted_layers("bert")
    assert error.value.kind == "missing-package" and "xstilts[lora]" in error.value.hint
