"""What several test files need that is no fixture: texts, tiny encoders, studies on disk, and the command line."""

import io
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import yaml

from xstilts.cli import main
from xstilts.config.load import builtin_studies
from xstilts.context import Context
from xstilts.models.encoders import load_tokenizer
from xstilts.models.vocabulary import train_vocabulary
from xstilts.tasks import mlm

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
SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
CONFIGS = {
    "xlm-roberta": {**SMALL, "max_position_embeddings": 130},
    "bert": {**SMALL, "max_position_embeddings": 128},
    "modernbert": {**SMALL, "max_position_embeddings": 128, "global_attn_every_n_layers": 2, "local_attention": 16},
    "deberta-v2": {**SMALL, "max_position_embeddings": 128, "relative_attention": True, "pos_att_type": ["p2c", "c2p"]},
}


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
