"""Exported models compute what the originals do, for any batch and length, or are not written."""

import importlib
import json
import sys

import numpy as np
import onnxruntime
import pytest
import torch
import transformers

import xstilts
from support import TEXTS, invoke
from xstilts.errors import XstiltsError
from xstilts.models.encoders import save, with_head
from xstilts.tasks import classification, multiple_choice, qa, tagging

module = importlib.import_module("xstilts.workflows.export")  # the package has a function of this name


@pytest.fixture
def model_folder(tmp_path, encoder_folder, tokenizer):
    """Writes a model with a random head and an encoder of a type, and returns its folder."""

    def write(kind, head, labels=("a", "b", "c")):
        folder = tmp_path / "model"
        save(with_head(encoder_folder(kind), head, labels, seed=1), tokenizer, folder)
        return folder

    return write


def outputs_of_both(folder, exported, auto_class, texts):
    """The outputs of the original and of the exported model for one padded batch, and its mask."""
    batch = transformers.AutoTokenizer.from_pretrained(exported)(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        expected = getattr(transformers, auto_class).from_pretrained(folder)(**batch)
    session = onnxruntime.InferenceSession(f"{exported}/model.onnx")
    names = [output.name for output in session.get_outputs()]
    actual = session.run(names, {name: tensor.numpy() for name, tensor in batch.items()})
    return {name: (expected[name].numpy(), logits) for name, logits in zip(names, actual, strict=True)}, batch


@pytest.mark.parametrize(
    ("kind", "head", "labels", "names", "longest"),
    [
        ("bert", tagging.AUTO_CLASS, ("O", "B"), ["logits"], 128),
        ("xlm-roberta", qa.AUTO_CLASS, (), ["start_logits", "end_logits"], 129),
    ],
)
def test_exported_models_of_each_head_compute_the_same(kind, head, labels, names, longest, model_folder):
    folder = model_folder(kind, head, labels)
    result = xstilts.export(folder)
    assert result.folder == f"{folder}-onnx" and result.difference <= result.limit and result.longest == longest
    both, batch = outputs_of_both(folder, result.folder, head, [TEXTS[0], TEXTS[3][:9], TEXTS[2]])
    assert list(both) == names
    inside = batch["attention_mask"].bool().numpy()
    for expected, actual in both.values():
        np.testing.assert_allclose(actual[inside], expected[inside], atol=1e-5)


def test_the_command_writes_a_folder_for_other_tools_and_no_paths_of_this_machine(model_folder, tmp_path):
    folder, out = model_folder("xlm-roberta", classification.AUTO_CLASS), tmp_path / "new" / "out"
    (folder / "LICENSE").write_text("free")
    result = json.loads(invoke("export", folder, "--onnx", "-o", out, "--json"))
    names = {"LICENSE", "config.json", "model.onnx", "tokenizer.json", "tokenizer_config.json"}
    assert set(result["files"]) == names == {path.name for path in out.iterdir()}
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert result["inputs"] == ["input_ids", "attention_mask"] and 0 < result["difference"] <= result["limit"]
    assert (out / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()
    assert b"site-packages" not in (out / "model.onnx").read_bytes()
    both, _ = outputs_of_both(folder, out, classification.AUTO_CLASS, TEXTS)
    np.testing.assert_allclose(both["logits"][1], both["logits"][0], atol=1e-5)
    assert "exists already" in invoke("export", folder, "--onnx", "-o", out, code=2)
    assert "add --onnx" in invoke("export", folder, "-o", tmp_path / "other", code=2)


def test_an_export_that_differs_is_not_written(model_folder, tmp_path, monkeypatch):
    folder = model_folder("bert", classification.AUTO_CLASS)
    monkeypatch.setattr(module, "TOLERANCE", 0)
    with pytest.raises(XstiltsError) as caught:
        xstilts.export(folder, tmp_path / "out")
    assert caught.value.kind == "inconsistent" and [path.name for path in tmp_path.iterdir()] == ["model"]


def test_predictions_change_by_more_than_ties_and_padding_does_not_count():
    logits = np.array([[4.0, 1.0], [2.0, 2.0 - 1e-6]])
    swapped = logits[:, ::-1]
    assert module.compare(list(logits), list(swapped))["changed"] == 1
    broken = module.compare(list(logits), list(logits * np.nan))
    assert not broken["difference"] <= broken["limit"]
    inside, ends = np.array([[True, False], [True, True]]), np.array([[1.0, 9.0], [2.0, 3.0]])
    assert [row.tolist() for row in module.decisions(ends, inside, "ends")] == [[1.0], [2.0, 3.0]]
    sigmoids = [module.decisions(np.array([[value]]), inside, "sigmoids") for value in (0.5, -0.5)]
    assert module.compare(*sigmoids)["changed"] == 1, "a label that is no longer predicted"
    assert len(module.decisions(ends[..., None], inside, "labels")) == 3


@pytest.mark.parametrize("head", [multiple_choice.AUTO_CLASS, None])
def test_other_heads_are_refused(head, model_folder, encoder_folder, tmp_path):
    folder = model_folder("bert", head, ()) if head else encoder_folder("bert")
    with pytest.raises(XstiltsError) as caught:
        xstilts.export(folder, tmp_path / "out")
    assert caught.value.kind == "unsupported"


def test_what_to_install_is_said(model_folder, monkeypatch):
    folder = model_folder("bert", classification.AUTO_CLASS)
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    printed = invoke("export", folder, "--onnx", code=3)
    assert "pip install 'xstilts[onnx]'" in printed
