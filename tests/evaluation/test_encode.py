"""Token sequences that are kept beside the finished steps."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.evaluation.encode import encoded_rows
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task

ARRAYS = ("ids", "offsets", "examples", "labels")


@pytest.fixture
def nli(tmp_path):
    task = Task(name="nli", type="classification", labels=("entailment", "neutral", "contradiction"),
                source=WorldSource(world=1, kind="nli", rows={"train": 20}))  # fmt: skip
    entry = task.model_dump(mode="json")
    folder = tmp_path / "rows"
    folder.mkdir()
    prepare({"task": entry, "tasks": {}, "split": "train", "language": "en"}, {}, folder, Context(folder))
    return folder, entry


def encode(nli, tokenizer, store, max_length=40, hidden="") -> Encoded:
    folder, entry = nli
    encoded_rows.__globals__["_encoded"].cache_clear()  # as another worker would find it
    return encoded_rows([folder], entry, tokenizer, max_length, store, hidden)[1]


def same(one: Encoded, other: Encoded) -> bool:
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)


def results(store):
    return sorted(path.parent for path in store.glob("results/*/*/manifest.json"))


def test_sequences_are_kept_mapped_and_equal(nli, tokenizer, tmp_path):
    store = tmp_path / "store"
    fresh = encode(nli, tokenizer, None)
    first, second = encode(nli, tokenizer, store), encode(nli, tokenizer, store)
    assert same(fresh, first) and same(fresh, second)
    assert isinstance(second.ids, np.memmap)
    assert len(results(store)) == 1
    encode(nli, tokenizer, store, max_length=9)
    assert len(encode(nli, tokenizer, store, hidden="text_a")) == 20
    assert len(results(store)) == 3


def test_other_rows_in_the_same_place_are_encoded_anew(nli, tokenizer, tmp_path):
    before = encode(nli, tokenizer, tmp_path / "store")
    table = pq.read_table(nli[0] / "examples.parquet")
    pq.write_table(table.slice(5), nli[0] / "examples.parquet")
    after = encode(nli, tokenizer, tmp_path / "store")
    assert (len(before), len(after)) == (20, 15)


def test_a_damaged_file_is_made_again(nli, tokenizer, tmp_path):
    store = tmp_path / "store"
    before = np.array(encode(nli, tokenizer, store).ids)
    file = results(store)[0] / "ids.npy"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    assert np.array_equal(encode(nli, tokenizer, store).ids, before)
