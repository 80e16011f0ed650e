"""What several test files need: small tokenizers of real scripts, tiny encoders, and the folder of real data."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.context import Context
from xstilts.models.encoders import load_tokenizer, new_encoder, save
from xstilts.models.vocabulary import train_vocabulary
from xstilts.tasks import mlm

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
    pq.write_table(table, folder / "text" / "rows.parquet")
    (folder / "made").mkdir()
    train_vocabulary(
        {"model": model, "size": size, "alphabet": 200}, {"text": folder / "text"}, folder / "made", Context(folder)
    )
    return load_tokenizer(folder / "made")


def tuning(entry, languages=("en",), examples=None, epochs=1, max_length=64, **more):
    """Arguments of a training on one task, whose name is that of the entry."""
    told = {"task": entry, "languages": list(languages), "examples": examples, "epochs": epochs,
            "max_length": max_length, "weight": 1.0}  # fmt: skip
    return {
        "tasks": {entry["name"]: told}, "sampling": {}, "mlm": None, "anchor_share": 0.0, "batch_size": 8,
        "recipe": {"learning_rate": 1e-3}, "seed": 1, "keep": "last", "evaluate_every": 0, "oracle": [], "hidden": "",
        "device": "cpu", **more,
    }  # fmt: skip


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory):
    """Sub-words of several letters."""
    return make_tokenizer(tmp_path_factory.mktemp("subwords"), TEXTS, 260)


@pytest.fixture(scope="session")
def letters(tmp_path_factory):
    """No merges at all: every letter is a token."""
    return make_tokenizer(tmp_path_factory.mktemp("letters"), TEXTS, 10)


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory, tokenizer):
    """Folder of a tiny masked language model of a given type, as `save_pretrained` writes it."""
    made = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            made[kind] = tmp_path_factory.mktemp(kind)
            save(new_encoder({"model_type": kind, **CONFIGS[kind]}, tokenizer, seed=1), tokenizer, made[kind])
        return made[kind]

    return folder


@pytest.fixture(scope="session")
def real_data():
    folder = os.environ.get("XSTILTS_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("XSTILTS_REAL_DATA names no folder of real data")
    return Path(folder)
