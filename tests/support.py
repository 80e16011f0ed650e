"""What several test files need that is no fixture: texts, tiny encoders, studies on disk, and the command line."""

import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import sentencepiece
import torch
import transformers
import yaml

from xstilts.cli import main
from xstilts.config.load import builtin_studies
from xstilts.context import Context
from xstilts.models.encoders import load_tokenizer
from xstilts.models.packing import dropout
from xstilts.models.vocabulary import train_vocabulary
from xstilts.tasks import mlm
from xstilts.tasks.encoding import Encoded, ragged

ROOT = Path(__file__).parents[1]
ON_THE_HUB = {
    "name": "hub", "question": "q", "replicates": 2,
    "languages": {"held_out": 0.6},
    "encoders": {"xlmr": {"load": "FacebookAI/xlm-roberta-base"}},
    "intermediate": {"mnli": {"recipe": {"learning_rate": 1e-5}}},
    "arms": {"none": {}, "english": {"intermediate": "mnli"}},
    "targets": {"xnli": {"training": {"task": "mnli", "recipe": {"learning_rate": 1e-5}}}, "tatoeba": {"layers": [7]}},
    "primary": ["xnli"], "contrasts": ["english - none"],
}  # fmt: skip


TEXTS = [
    "The old river runs past the town of Thebes, and the river is wide.",
    "Who built the wide wall near the old town? A king built it.",
    "Le roi a construit le mur de la vieille ville près du fleuve.",
    "กษัตริย์สร้างกำแพงใกล้เมืองเก่า แม่น้ำกว้าง",
    "国王在老城附近修建了城墙，河很宽。谁修建了城墙？",
    "بنى الملك الجدار قرب المدينة القديمة والنهر واسع. من بنى الجدار؟",
]
ENGLISH = "the old river runs past town king built wide wall near who is a and of"
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
PAD = 1
CONFIGS = {
    "xlm-roberta": {**SMALL, "max_position_embeddings": 130},
    "bert": {**SMALL, "max_position_embeddings": 128},
    "modernbert": {**SMALL, "max_position_embeddings": 128, "global_attn_every_n_layers": 2, "local_attention": 16},
    "deberta-v2": {**SMALL, "max_position_embeddings": 128, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}


def make_packable(kind, head, dropout=0.0):
    """A small random model of a type that is packed, equal at each call."""
    torch.manual_seed(3)
    windows = {"local_attention": 16, "global_attn_every_n_layers": 2} if kind == "modernbert" else {}
    off = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=100, max_position_embeddings=80, pad_token_id=PAD, bos_token_id=0, eos_token_id=2,
        cls_token_id=0, sep_token_id=2, num_labels=2 if head == "QuestionAnswering" else 3, initializer_range=0.3,
        **SMALL, **windows, **off,
    )  # fmt: skip
    return getattr(transformers, f"AutoModelFor{head}").from_config(config)


def one_sequence_each(lengths, rng, labels=None):
    """Examples of one sequence of these lengths; without labels, three classes."""
    ids, offsets = ragged([rng.integers(5, 100, n) for n in lengths])
    return Encoded(
        ids, offsets, np.arange(len(lengths)), rng.integers(0, 3, len(lengths)) if labels is None else labels
    )


def attention_between(query, key, value, starts, longest, rate, scale, window):
    """What the kernel for sequences between `starts` computes, by one product that masks the other sequences."""
    place = torch.arange(len(query))
    sequence = torch.searchsorted(starts[1:-1], place.int(), right=True)
    visible = sequence[:, None] == sequence
    if window is not None:
        visible &= (place[:, None] - place).abs() < window
    q, k, v = (tensor.transpose(0, 1) for tensor in (query, key, value))
    scores = ((q * scale) @ k.transpose(-1, -2)).masked_fill(~visible, torch.finfo(q.dtype).min)
    return (dropout(scores.softmax(-1), rate).to(v.dtype) @ v).transpose(0, 1)


def make_translator(folder: Path, kind: str = "m2m") -> Path:
    """A small random model of a family in the hub's own format."""
    (folder / "text").write_text("\n".join([ENGLISH, ENGLISH.upper()] * 20))
    spm = str(folder / "spm.model")
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "text"), model_prefix=spm.removesuffix(".model"), vocab_size=90, model_type="bpe",
        bos_id=0, pad_id=1, eos_id=2, unk_id=3, minloglevel=2,
    )  # fmt: skip
    pieces = [trained.id_to_piece(i) for trained in [sentencepiece.SentencePieceProcessor(spm)] for i in range(90)]
    special = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
    if kind == "opus":
        pieces = ["</s>", "<unk>", ">>tha<<", ">>zho_Hant<<", ">>cmn_Hans<<", ">>deu<<", *pieces[4:], "<pad>"]
        special = {"eos_token_id": 0, "pad_token_id": len(pieces) - 1, "decoder_start_token_id": len(pieces) - 1}
    (folder / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(pieces)}))
    vocab = str(folder / "vocab.json")
    tokenizer = {
        "m2m": lambda: transformers.M2M100Tokenizer(vocab, spm),
        "mbart": lambda: transformers.MBart50Tokenizer([(piece, -1.0) for piece in ["<unk>", "<s>", *pieces[2:]]]),
        "opus": lambda: transformers.MarianTokenizer(spm, spm, vocab, source_lang="en+fr_BE", target_lang="mul"),
    }[kind]()
    config = {"m2m": transformers.M2M100Config, "mbart": transformers.MBartConfig, "opus": transformers.MarianConfig}
    size = {"d_model": 32, "init_std": 0.5, "max_position_embeddings": 64}
    size |= {f"{side}_{name}": n for side in ("encoder", "decoder")
             for name, n in (("layers", 1), ("attention_heads", 2), ("ffn_dim", 32))}  # fmt: skip
    torch.manual_seed(1)
    placeholders = 108 if kind == "m2m" else 0  # languages and made-up words, beyond the tokenizer's count
    model = transformers.AutoModelForSeq2SeqLM.from_config(
        config[kind](
            vocab_size=len(tokenizer) + placeholders,
            forced_eos_token_id=special["eos_token_id"],
            **special,
            **size,
        )
    )
    model.generation_config.exponential_decay_length_penalty = (3, 3.0)
    model.save_pretrained(folder / "model")
    tokenizer.save_pretrained(folder / "model")
    return folder / "model"


def make_tokenizer(folder: Path, texts: list[str], size: int, model: str = "bpe"):
    columns = {name: [str(i) for i in range(len(texts))] for name in ("id", "cluster_id", "language")}
    table = pa.table({**columns, "text": texts, "text_b": pa.nulls(len(texts), pa.string())}, mlm.SCHEMA)
    (folder / "text").mkdir(parents=True)
    pq.write_table(table, folder / "text" / "examples.parquet")
    (folder / "made").mkdir()
    train_vocabulary(
        {"model": model, "size": size, "alphabet": 200}, {"text": folder / "text"}, folder / "made", Context(folder)
    )
    return load_tokenizer(folder / "made")


def tuning(entry, languages=("en",), examples=None, epochs=1, max_length=64, **more):
    """Arguments of a training on one task, whose name is that of the entry."""
    task = {"task": entry, "languages": list(languages), "examples": examples, "epochs": epochs,
            "max_length": max_length, "weight": 1.0}  # fmt: skip
    return {
        "tasks": {entry["name"]: task}, "sampling": {}, "mlm": None, "anchor_share": 0.0, "batch_size": 8,
        "recipe": {"learning_rate": 1e-3}, "seed": 1, "checkpoint": "last", "evaluate_every": 0, "oracle": [],
        "mask_column": "", "device": "cpu", **more,
    }  # fmt: skip


def weights_of(model):
    """A copy of all weights of a model, by name."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def equal_weights(first, second):
    """Whether two mappings hold the same tensors, bit by bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def changed(tmp_path: Path, **changes) -> str:
    raw = yaml.safe_load(builtin_studies()["pocket"].read_text())
    raw |= changes
    file = tmp_path / "changed.yaml"
    file.write_text(yaml.safe_dump(raw))
    return str(file)


def invoke(*words, code=0) -> str:
    """Run the command line in this process, expect an exit status, and return what it printed."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["xstilts", *map(str, words)]
    with mock.patch.object(sys, "argv", arguments), redirect_stdout(out), redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
    printed = out.getvalue() + err.getvalue()
    assert status == code, printed
    return printed
