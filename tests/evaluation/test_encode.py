"""Token sequences are kept in the store next to finished steps."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.errors import XstiltsError
from xstilts.evaluation.encode import encode_examples, encode_table
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import Encoded
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import FINE_TUNED, READ

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


def encode(nli, tokenizer, store, max_length=40, mask_column="") -> Encoded:
    folder, entry = nli
    encode_examples.__globals__["_encode_examples"].cache_clear()  # as another worker would find it
    settings = {"task": entry, "max_length": max_length, "mask_column": mask_column}
    return encode_examples([folder], settings, tokenizer, store)[1]


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
    assert len(encode(nli, tokenizer, store, mask_column="text_a")) == 20
    assert len(results(store)) == 3


def test_other_rows_in_the_same_place_are_encoded_anew(nli, tokenizer, tmp_path):
    before = encode(nli, tokenizer, tmp_path / "store")
    table = pq.read_table(nli[0] / "examples.parquet")
    pq.write_table(table.slice(5), nli[0] / "examples.parquet")
    after = encode(nli, tokenizer, tmp_path / "store")
    assert (len(before), len(after)) == (20, 15)


def test_a_damaged_file_is_made_again_and_said(nli, tokenizer, tmp_path, caplog):
    store = tmp_path / "store"
    before = np.array(encode(nli, tokenizer, store).ids)
    file = results(store)[0] / "ids.npy"
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(bytes(content))
    assert np.array_equal(encode(nli, tokenizer, store).ids, before)
    [record] = caplog.records
    assert record.levelname == "WARNING" and "ids.npy" in record.getMessage()


def rows_of(kind, *rows):
    """A table of the type's schema and its task; columns that a row lacks are null."""
    schema = FINE_TUNED[kind].SCHEMA
    labels = {"classification": ("no", "yes"), "tagging": ("X",)}.get(kind, ())
    task = Task(name="masked", type=kind, labels=labels, source=WorldSource(world=1, kind="nli", rows={}))
    table = [
        {name: row.get(name) for name in schema.names} | {"id": str(i), "language": "en"} for i, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(table, schema), task.model_dump(mode="json")


ANSWERED = {"context": "the old river runs past the town", "question": "who built the wall",
            "answers": [{"text": "river", "start": 8}]}  # fmt: skip
CHOICES = {"context": "the old river", "question": "who built it", "choices": ["a king", "the town"], "label": 1}


@pytest.mark.parametrize(("kind", "column", "row", "shown"), [
    ("classification", "text_a", {"text_a": "the old river", "text_b": "a king", "label": "yes"}, [["a king"]]),
    ("classification", "text_b", {"text_a": "the old river", "text_b": "a king", "label": "yes"}, [["the old river"]]),
    ("qa", "question", ANSWERED, [["", "the old river runs past the town"]]),
    ("multiple_choice", "question", CHOICES, [["the old river", "a king"], ["the old river", "the town"]]),
    ("multiple_choice", "context", CHOICES, [["who built it", "a king"], ["who built it", "the town"]]),
    ("multiple_choice", "context", CHOICES | {"question": None}, [["", "a king"], ["", "the town"]]),
])  # fmt: skip
def test_a_masked_column_is_not_in_the_sequences_and_labels_stay(kind, column, row, shown, tokenizer):
    other = {"context": "a wide town", "question": "who", "choices": ["it", "a wall"], "label": 0}
    table, task = rows_of(kind, row, {**row, **other} if kind == "multiple_choice" and row["question"] else row)
    masked = encode_table(table, task, tokenizer, 64, column)
    expected = [tokenizer(*texts)["input_ids"] for texts in shown]
    sequences = [masked.ids[start:stop].tolist() for start, stop in pairwise(masked.offsets)]
    assert sequences[: len(expected)] == expected
    whole = encode_table(table, task, tokenizer, 64, "")
    assert np.array_equal(masked.examples, whole.examples)
    if kind == "qa":
        first, last = masked.labels[0]
        start, stop = masked.spans[first, 0], masked.spans[last, 1]
        assert row["context"][start:stop].strip() == "river"
    else:
        assert np.array_equal(masked.labels, whole.labels)


@pytest.mark.parametrize(("kind", "column", "row"), [
    ("classification", "text_a", {"text_a": "the old river", "label": "yes"}),
    ("classification", "text_b", {"text_a": "the old river", "label": "yes"}),
    ("classification", "label", {"text_a": "the old river", "text_b": "a king", "label": "yes"}),
    ("tagging", "tokens", {"tokens": ["the", "river"], "tags": ["X", "X"]}),
    ("qa", "context", ANSWERED),
    ("multiple_choice", "choices", CHOICES),
    ("multiple_choice", "question", CHOICES | {"question": None}),
])  # fmt: skip
def test_a_column_without_which_no_task_is_left_cannot_be_masked(kind, column, row, tokenizer):
    with pytest.raises(XstiltsError) as error:
        encode_table(*rows_of(kind, row), tokenizer, 64, column)
    assert error.value.kind == "unsupported" and column in error.value.what


@pytest.mark.parametrize("kind", ["mlm", "retrieval"])
def test_types_of_single_texts_have_no_column_to_mask(kind):
    assert READ[kind].MASKABLE == ()
