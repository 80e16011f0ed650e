"""Fixtures that several test files share: small tokenizers, tiny encoders, and the folder of real data."""

import os
import subprocess
from pathlib import Path

import pytest

from support import CONFIGS, TEXTS, attention_between, changed, make_tokenizer
from xstilts.config.load import load_study
from xstilts.engine import Store, run_step
from xstilts.models import packing
from xstilts.models.encoders import new_encoder, save
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.results import gather
from xstilts.study.run import freeze_plan
from xstilts.training import replay, update


@pytest.fixture(autouse=True, scope="session")
def no_rates_of_the_user(tmp_path_factory):
    """Tests neither read nor write the rates in the user's configuration folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


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
def finished_study(tmp_path_factory, encoder_folder):
    """A finished study of two arms: its plan, its store and its run folder."""
    folder = tmp_path_factory.mktemp("finished")
    small = {"examples": 16, "epochs": 1, "recipe": {"learning_rate": 0.001}}
    path = changed(
        folder, replicates=2, encoders={"mine": {"load": str(encoder_folder("xlm-roberta"))}},
        languages={"candidates": ["de", "nl", "tr", "ja", "sw", "ar"], "minimum": 2},
        intermediate={"nli": {"task": "pocket-nli-hard", **small}},
        arms={"none": {}, "near": {"intermediate": "nli", "languages": "near", "count": 2}},
        targets={"pocket-nli": {"training": small}, "pocket-tatoeba": {"layers": [1]}},
        contrasts=["near - none"], controls=[],
    )  # fmt: skip
    planned, store = build_plan(freeze(load_study(path), None, "cpu")), Store(folder / "store")
    for step in planned.plan.steps.values():
        run_step(step, store)
    freeze_plan(planned, folder)
    gather(planned, store, folder)
    return planned, store, folder


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", disk]
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("cannot mount a small disk here")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.fixture(scope="session")
def real_data():
    folder = os.environ.get("XSTILTS_REAL_DATA", "")
    if not folder or not Path(folder).is_dir():
        pytest.skip("XSTILTS_REAL_DATA names no folder of real data")
    return Path(folder)


@pytest.fixture
def always_packed(monkeypatch):
    """Packs even if the hidden size is too small for packing to pay."""
    monkeypatch.setitem(packing.PACKED_FROM, "cpu", 0)


@pytest.fixture
def one_call(monkeypatch):
    """Attention of packed bf16 batches is one call, as on a GPU: a product under a mask stands in for the kernel."""
    monkeypatch.setattr(packing, "takes_one_call", lambda device, precision, width: precision == "bf16")
    monkeypatch.setattr(packing, "one_call", attention_between)


@pytest.fixture
def replayed(monkeypatch, always_packed, one_call):
    """Updates are filled and replayed, as on a GPU: a recording calls the recorded function again."""
    monkeypatch.setattr(update, "REPLAYED", {"cpu"})
    monkeypatch.setattr(replay, "cuda_recorder", lambda: lambda call: call)
