"""Fixtures that several test files share: small tokenizers, tiny encoders, and the folder of real data."""

import os
from pathlib import Path

import pytest

from support import CONFIGS, TEXTS, make_tokenizer
from xstilts.models.encoders import new_encoder, save


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
