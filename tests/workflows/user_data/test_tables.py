"""A person's own files and objects, read as they are or refused with the place."""

import io
import json
import sys
from pathlib import Path

import datasets
import numpy as np
import pandas
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.errors import XstiltsError
from xstilts.workflows.user_data.tables import read_batches, read_table

ROWS = [{"text": "Nzuri sana", "stars": 5}, {"text": 'Mbaya, "mno"', "stars": 1}, {"text": "ดี\nมาก", "stars": 4}]
QUOTED = 'text,stars\nNzuri sana,5\n"Mbaya, ""mno""",1\n"ดี\nมาก",4\n'
TEXT = [{**row, "stars": str(row["stars"])} for row in ROWS]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)
SQUAD = {"data": [{"title": "a", "paragraphs": [{"context": "Mto mrefu.", "qas": [
    {"id": 7, "question": "Nini?", "answers": [{"text": "Mto", "answer_start": 0}]},
    {"id": 8, "question": "Wapi?", "answers": [], "is_impossible": True},
]}]}]}  # fmt: skip
CONLL = "-DOCSTART-\tO\n\nShujaa\tO\nSudan\tB-LOC\n\nDar es Salaam\tB-LOC\n"
SENTENCES = [{"tokens": ["Shujaa", "Sudan"], "tags": ["O", "B-LOC"]}, {"tokens": ["Dar es Salaam"], "tags": ["B-LOC"]}]


def kind_of(action) -> XstiltsError:
    with pytest.raises(XstiltsError) as caught:
        action()
    assert caught.value.what and caught.value.why and caught.value.hint
    return caught.value


def write(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return file


@pytest.mark.parametrize(
    ("name", "content", "rows"),
    [
        ("a.csv", QUOTED, TEXT),
        ("bom.csv", "\ufeff" + QUOTED, TEXT),
        ("crlf.csv", QUOTED.replace("\n", "\r\n").replace("ดี\r\n", "ดี\n"), TEXT),
        ("semicolon.csv", QUOTED.replace(",", ";"), [{**r, "text": r["text"].replace(",", ";")} for r in TEXT]),
        ("tabs.csv", QUOTED.replace(",", "\t"), [{**r, "text": r["text"].replace(",", "\t")} for r in TEXT]),
        ("end.csv", "text,y\n\na,b\n\n  \nc,", [{"text": "a", "y": "b"}, {"text": "c", "y": ""}]),
        ("commas in one.csv", "id;text\n1;a, b\n2;c\n", [{"id": "1", "text": "a, b"}, {"id": "2", "text": "c"}]),
        ("one.csv", 'text\n"a, b"\nc\n', [{"text": "a, b"}, {"text": "c"}]),
        ("index.csv", ",text\n0,a\n", [{"column 1": "0", "text": "a"}]),
        ("inches.csv", 'text,y\n5" disk,a\n', [{"text": '5" disk', "y": "a"}]),
        ("plain.TSV", 'text\ty\n"Ah," he said.\ta\n"b\tc\n', [
            {"text": '"Ah," he said.', "y": "a"}, {"text": '"b', "y": "c"},
        ]),
        ("two quotes.tsv", 'text\ty\n"a\tb\nc"\td\n', [{"text": '"a', "y": "b"}, {"text": 'c"', "y": "d"}]),
        ("quoted.tsv", 'text\ty\n"a ""b""\nc"\td\n', [{"text": 'a "b"\nc', "y": "d"}]),
        ("commas.tsv", "text,y\na,b\n", [{"text": "a", "y": "b"}]),
        ("a.jsonl", LINES, ROWS),
        ("a.ndjson", "\ufeff" + LINES.replace("\n", "\r\n\r\n"), ROWS),
        ("gaps.jsonl", '{"a": 1}\n{"b": [2.5]}', [{"a": 1, "b": None}, {"a": None, "b": [2.5]}]),
        ("a.json", json.dumps(ROWS, indent=1), ROWS),
        ("lines.json", LINES, ROWS),
        ("a.txt", "one text\n\nand, another\r\n", [{"text": "one text"}, {"text": ""}, {"text": "and, another"}]),
        ("conll.txt", CONLL.replace("Dar es ", "").replace("\t", " "), [
            SENTENCES[0], {"tokens": ["Salaam"], "tags": ["B-LOC"]},
        ]),
        ("conll.tsv", CONLL, SENTENCES),
        ("custom.conll", "a\tx\n", [{"tokens": ["a"], "tags": ["x"]}]),
        ("ud.conllu", "# text = a\n1\ta\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\n", [{"tokens": ["a"], "tags": ["NOUN"]}]),
        ("squad.json", json.dumps(SQUAD), [
            {"id": "7", "context": "Mto mrefu.", "question": "Nini?", "answers": [{"text": "Mto", "answer_start": 0}]},
            {"id": "8", "context": "Mto mrefu.", "question": "Wapi?", "answers": []},
        ]),
    ],
)  # fmt: skip
def test_a_file_is_read_as_it_is(tmp_path, name, content, rows):
    file = write(tmp_path, name, content)
    assert read_table(str(file)).to_pylist() == rows
    batches = list(read_batches(file, size=1))
    assert [len(batch) for batch in batches] == [1] * len(rows)
    read = [row for batch in batches for row in batch.to_pylist()]
    assert read == rows or (
        name == "gaps.jsonl" and [{**row, **part} for row, part in zip(rows, read, strict=True)] == rows
    )


def test_parquet_keeps_types_and_is_read_in_batches(tmp_path):
    columns = {"text": ["a", "b", "c"], "stars": [1, None, 3], "kind": pa.array(["x", "y", "x"]).dictionary_encode()}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    table = read_table(tmp_path / "a.parquet")
    assert table["stars"].to_pylist() == [1, None, 3] and table["kind"].type == pa.string()
    assert [len(batch) for batch in read_batches(tmp_path / "a.parquet", size=2)] == [2, 1]


def test_standard_input_has_a_text_on_each_line(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("a\n\nç".encode())))
    assert [row["text"] for batch in read_batches("-", size=2) for row in batch.to_pylist()] == ["a", "", "ç"]


@pytest.mark.parametrize(
    "data",
    [
        ROWS,
        {"text": [row["text"] for row in ROWS], "stars": np.array([5, 1, 4])},
        pa.Table.from_pylist(ROWS),
        pandas.DataFrame(ROWS, index=[7, 7, 7]),
        pandas.DataFrame(ROWS).astype({"text": "category"}),
        datasets.Dataset.from_list([*ROWS, ROWS[0]]).select([0, 1, 2]),
    ],
)
def test_objects_of_common_libraries_have_columns(data):
    assert read_table(data).to_pylist() == ROWS


def test_missing_values_of_pandas_are_missing():
    frame = pandas.DataFrame({"text": ["a", None], "stars": [1.0, float("nan")], 3: [True, False]})
    assert read_table(frame).to_pydict() == {"text": ["a", None], "stars": [1.0, None], "3": [True, False]}


def test_class_numbers_of_a_dataset_become_words():
    names = datasets.ClassLabel(names=["bad", "good"])
    features = datasets.Features({"label": names, "tags": datasets.List(names)})
    data = datasets.Dataset.from_dict({"label": [1, -1], "tags": [[0, 1], []]}, features=features)
    assert read_table(data).to_pydict() == {"label": ["good", None], "tags": [["bad", "good"], []]}


@pytest.mark.parametrize(
    ("name", "content", "kind", "place"),
    [
        ("latin.csv", "text,y\na,b\nça,b\n".encode("latin-1"), "bad-file", "line 3"),
        ("windows.jsonl", '{"a": "x"}\n{"a": "“"}'.encode("cp1252"), "bad-file", "line 2"),
        ("late.json", '[\n{"a": "ç"}]'.encode("latin-1"), "bad-file", "line 2"),
        ("late.conll", "a\tO\n\nç\tO\n".encode("latin-1"), "bad-file", "line 3"),
        ("utf16.csv", QUOTED.encode("utf-16"), "bad-file", "UTF-16"),
        ("utf32.tsv", QUOTED.encode("utf-32"), "bad-file", "UTF-32"),
        ("unmarked.csv", QUOTED.encode("utf-16-le"), "bad-file", "line 1"),
        ("nul.csv", "text,y\na,b\n\0,c\n", "bad-file", "line 3"),
        ("excel.csv", b"PK\x03\x04\x14\x00", "bad-file", "Excel"),
        ("packed.tsv", b"\x1f\x8b\x08", "bad-file", "gzip"),
        ("ragged.csv", 'text,y\n"a\nb",c\nd, e,f\ng\n', "bad-row", "line 4 has 3, line 5 has 1"),
        ("ragged.tsv", "text\ty\na\tb\nc\n", "bad-row", "line 3"),
        ("open.csv", 'text,y\na,b\n"c,d\ne,f\n', "bad-file", "line 3"),
        ("stray.csv", 'text,y\na,b\n"c" d,e\n', "bad-file", "line 3"),
        ("mac.csv", "text,y\ra,b\rc,d\r", "bad-file", "line 1"),
        ("endless.csv", 'text,y\n"a\n' + "b,c\n" * 20_000 + '",d\n', "bad-file", "line 2"),
        ("twice.csv", "text,y, text\na,b,c\n", "bad-file", "'text'"),
        ("unclear.csv", "a,b;c\nd,e;f\n", "bad-file", "delimiter"),
        ("unclear ragged.csv", "a,b;c,d\nd;e;f\n", "bad-file", "delimiter"),
        ("empty.csv", "", "bad-file", "empty.csv"),
        ("empty.json", "", "bad-file", "empty.json"),
        ("empty.txt", "", "bad-file", "empty.txt"),
        ("no objects.json", "[]", "bad-file", "no rows"),
        ("no columns.jsonl", "{}\n{}\n", "bad-file", "no rows"),
        ("header.csv", "text,y\n", "bad-file", "no rows"),
        ("header.tsv", "text\ty\n\n", "bad-file", "no rows"),
        ("broken.jsonl", '{"a": 1}\n{"a": \n', "bad-row", "line 2"),
        ("number.jsonl", '{"a": 1}\n2\n', "bad-row", "line 2"),
        ("mixed.jsonl", '{"a": 1}\n{"a": 2.5}\n{"a": "x"}\n', "bad-row", "row 3"),
        ("half.jsonl", '{"a": "x"}\n{"a": "\\ud800"}\n', "bad-row", "row 2"),
        ("huge.jsonl", f'{{"a": {2**70}}}', "bad-row", "'a'"),
        ("deep.jsonl", "[" * 100_000, "bad-row", "line 1"),
        ("object.json", '{"text": {"0": "a"}}', "bad-file", "object.json"),
        ("broken.json", '[{"a": 1},', "bad-file", "broken"),
        ("not squad.json", '{"data": [{"text": "a"}]}', "bad-file", "SQuAD"),
        ("untagged.conll", "a\tO\nb\n", "bad-row", "line 1"),
        ("not.parquet", "text,y\n", "bad-file", "Parquet"),
        ("a.xlsx", "", "bad-file", "a.xlsx"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, name, content, kind, place):
    file = write(tmp_path, name, content)
    error = kind_of(lambda: read_table(file))
    assert error.kind == kind and place in f"{error.what} {error.why}"


def test_the_fix_for_another_encoding_can_be_copied(tmp_path):
    file = write(tmp_path, "my reviews.csv", "text,y\nça,b\n".encode("cp1252"))
    assert (
        f"iconv -f WINDOWS-1252 -t UTF-8 '{file}' > '{tmp_path}/my reviews-utf8.csv'"
        in kind_of(lambda: read_table(file)).hint
    )
    file = write(tmp_path, "a.csv", QUOTED.encode("utf-16"))
    assert "iconv -f UTF-16 -t UTF-8" in kind_of(lambda: read_table(file)).hint


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (42, "bad-argument"),
        ([], "bad-argument"),
        ({"text": []}, "bad-argument"),
        ({"text": "abc"}, "bad-argument"),
        ({"text": ["a"], "label": [1, 2]}, "bad-argument"),
        ({"text": ["a", 1]}, "bad-row"),
        (["a", "b"], "bad-argument"),
        (pandas.DataFrame([["a", "b"]], columns=["text", "text"]), "bad-file"),
        (datasets.DatasetDict({"train": datasets.Dataset.from_list(ROWS)}), "bad-argument"),
        (datasets.Dataset.from_list(ROWS).to_iterable_dataset(), "bad-argument"),
    ],
)
def test_objects_without_columns_are_refused(data, kind):
    assert kind_of(lambda: read_table(data)).kind == kind


def test_a_missing_file_names_the_nearest_one(tmp_path):
    write(tmp_path, "reviews.csv", QUOTED)
    error = kind_of(lambda: read_table(tmp_path / "review.csv"))
    assert error.kind == "missing-file" and "reviews.csv" in error.hint
    assert kind_of(lambda: read_table(tmp_path)).kind == "bad-file"
    assert kind_of(lambda: next(read_batches(tmp_path / "reviews.csv", size=0))).kind == "bad-argument"


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_long_texts_and_many_columns(tmp_path, name):
    long, many = "ก " * 100_000, [f"c{i}" for i in range(2000)]
    content = {
        "a.csv": ",".join(["text", *many]) + f"\n{long}" + ",x" * 2000 + "\n",
        "a.tsv": "\t".join(["text", *many]) + f"\n{long}" + "\tx" * 2000 + "\n",
        "a.jsonl": json.dumps({"text": long} | dict.fromkeys(many, "x")),
        "a.txt": long,
    }[name]
    assert read_table(write(tmp_path, name, content))["text"].to_pylist() == [long]


def test_a_late_mistake_is_found_although_rows_before_it_are_read(tmp_path):
    file = write(tmp_path, "a.csv", "text,y\n" + "a,b\n" * 3000 + "c\n")
    batches = read_batches(file, size=1000)
    assert [len(next(batches)) for _ in range(2)] == [1000, 1000]
    assert "line 3002" in kind_of(lambda: list(batches)).why


ALPHABET = [
    '"',
    ",",
    ";",
    "\t",
    "\n",
    "\r\n",
    "\r",
    "a",
    "b c",
    "ç",
    "\ufeff",
    "{",
    "}",
    ":",
    "[",
    "]",
    "O",
    "B-X",
    "1",
    "\0",
    "",
]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt", "jsonl", "json", "conll", "conllu", "parquet"])
def test_anything_is_a_table_or_an_error_with_a_hint(tmp_path, suffix):
    rng = np.random.default_rng(1)
    tables = 0
    for i in range(250):
        if i % 5 == 0:
            content = rng.bytes(int(rng.integers(60)))
        else:
            few = rng.choice(ALPHABET, int(rng.integers(2, 9)))
            content = "".join(rng.choice(few, int(rng.integers(60)))).encode()
        if suffix == "parquet":
            content = b"PAR1" + content + b"PAR1"
        try:
            table = read_table(write(tmp_path, f"a.{suffix}", content))
        except XstiltsError as error:
            assert error.what and error.why and error.hint
        else:
            assert (
                len(table)
                and table.num_columns
                and sum(map(len, read_batches(tmp_path / f"a.{suffix}", 3))) == len(table)
            )
            tables += 1
    assert tables or suffix in ("conllu", "parquet", "json", "jsonl")


def test_csv_that_python_writes_is_read_back(tmp_path):
    import csv

    rng = np.random.default_rng(2)
    cells = ['"', ",", ";", "\t", "\n", " ", "a", "ç", "it's", "", "'"]
    for delimiter, suffix in ((",", "csv"), (";", "csv"), ("\t", "csv"), ("\t", "tsv")):
        for _ in range(100):
            rows = [["x" + "".join(rng.choice(cells, 5)) for _ in range(3)] for _ in range(int(rng.integers(2, 9)))]
            with (tmp_path / f"a.{suffix}").open("w", newline="", encoding="utf-8") as stream:
                csv.writer(stream, delimiter=delimiter).writerows([["first", "second", "third"], *rows])
            assert [list(row.values()) for row in read_table(tmp_path / f"a.{suffix}").to_pylist()] == rows
