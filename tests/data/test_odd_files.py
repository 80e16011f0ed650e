"""Files as people have them: what is read, and that nothing odd becomes a wrong number without a word."""

import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from support import invoke
from xstilts.data.check import check
from xstilts.data.examples import load_examples
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task
from xstilts.workflows.user_data.entry import infer_entry

NLI = ["entailment", "neutral", "contradiction"]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
PAIR = {"text_a": 0, "text_b": 1, "label": 2}


def facts_of(folder, content, kind="classification", labels=NLI, name="sw.txt", more=(), parallel=False, **source):
    """What `data check` finds in files of one task, by language (a list of facts and rejected rows)."""
    files = {name: content, **dict(more)}
    for file, text in files.items():
        (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
    source = {"format": "table", "files": {"test": name}, **({} if "format" in source else {"columns": PAIR}), **source}
    codes = ["de", "sw"] if "{lang}" in source["files"]["test"] else ["sw"]
    task = Task(name="t", type=kind, labels=labels, languages=codes, parallel=parallel, source=source)
    return [(facts, [str(row) for row in bad]) for facts, bad in check(task, "test", codes, folder, {})]


def tagged(folder, content, labels=TAGS, **source):
    """The tokens, tags and rejected rows of a tagged file."""
    (folder / "sw.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    source = {"format": "tagged", "files": {"test": "sw.txt"}, **source}
    task = Task(name="t", type="tagging", labels=labels, languages=["sw"], source=source)
    examples = load_examples(task, "test", "sw", folder, {})
    assert not examples.withheld
    return examples.table["tokens"].to_pylist(), examples.table["tags"].to_pylist(), examples.rejected


CONLL = {
    "spaces": ("Anna B-PER\nran O\n", {}),
    "several spaces": ("Anna   B-PER\nran   O \n", {}),
    "tabs": ("Anna\tB-PER\nran\tO\t\n", {}),
    "CRLF and BOM": ("\ufeffAnna\tB-PER\r\nran\tO\r\n\r\n", {}),
    "CoNLL-2003": ("-DOCSTART- -X- -X- O\n\nAnna NNP B-NP B-PER\nran VBD B-VP O\n", {}),
    "comments": ("# id = 4\n# text = Anna ran\nAnna B-PER\nran O\n", {}),
    "numbers": ("1 Anna B-PER\n2 ran O\n", {}),
    "nested entities": ("#\turl\t[2010]\n1\tAnna\tB-PER\tO\n2\tran\tO\tB-LOC\n", {"tokens": 1, "tags": 2}),
    "annotators": ("# sent_id = 1\n1\tAnna\tB-PER\t-\tme\n2-3\tim\t_\t-\tme\n2\tran\tO\t-\tme\n",
                   {"tokens": 1, "tags": 2}),
    "OntoNotes": ("#begin document (a); part 000\na 0 0 Anna B-PER *\na 0 1 ran O * *\n#end document\n",
                  {"tokens": 3, "tags": 4}),
}  # fmt: skip


@pytest.mark.parametrize("form", CONLL)
def test_conll_of_any_width_gives_the_same_words(tmp_path, form):
    content, columns = CONLL[form]
    assert tagged(tmp_path, content, columns=columns) == ([["Anna", "ran"]], [["B-PER", "O"]], [])


def test_a_hash_is_a_word_and_a_token_may_hold_a_no_break_space(tmp_path):
    tokens, _, bad = tagged(tmp_path, "# O\n1 O\n\n10\u00a0000 O\n#x O\n")
    assert (tokens, bad) == ([["#", "1"], ["10\u00a0000", "#x"]], [])


def test_marks_of_documents_begin_clusters(tmp_path):
    text = "#begin document (a)\nx O\n\n#end document\n#begin document (b)\ny O\n\n# newdoc\nz O\n"
    (tmp_path / "sw.txt").write_text(text)
    task = Task(name="t", type="tagging", labels=TAGS, languages=["sw"],
                source={"format": "tagged", "files": {"test": "sw.txt"}})  # fmt: skip
    assert len(set(load_examples(task, "test", "sw", tmp_path, {}).table["cluster_id"].to_pylist())) == 3


def test_a_line_with_other_columns_is_a_bad_row_and_hides_no_tags(tmp_path):
    tokens, _, bad = tagged(tmp_path, "Anna Maria B-PER\nran O\n\nin O\nBonn B-LOC\n")
    assert tokens == [["in", "Bonn"]] and bad[0].line == 1
    tokens, _, bad = tagged(tmp_path, "Anna\tB-PER\nin O\n\nBonn\tB-LOC\nx\tO\n")
    assert tokens == [["Bonn", "x"]] and "no tag" in bad[0].found


@pytest.mark.parametrize(("content", "kind"), [
    ("1\tAnna\tB-PER\tO\n2\tran\tO\tO\n", "bad-setting"),  # two columns fit
    ("Anna B-PER me\nran O me\n", "bad-setting"),  # another than the last fits
    ("Anna von B-PER\nBonn am Rhein x\nran\nhere\nthen\n", "bad-file"),  # tags are parts of tokens
    ("Anna\tO\rran\tO\r\rx\tO\r", "bad-file"),
])  # fmt: skip
def test_tags_in_an_unclear_column_are_refused(tmp_path, content, kind):
    with pytest.raises(XstiltsError) as error:
        tagged(tmp_path, content)
    assert error.value.kind == kind


def test_columns_of_conllu_are_named_also_inside_misc(tmp_path):
    text = ("# newdoc\n1-2\tim\t_\t_\t_\t_\t_\t_\t_\t_\n"
            "1\tAnna\ta\tPROPN\tNE\t_\t0\troot\t_\tSpaceAfter=No|name=B-PER\n"
            "2\tran\tr\tVERB\tVV\t_\t1\tdep\t_\tname=O\n2.1\te\te\tX\t_\t_\t_\t_\t_\t_\n")  # fmt: skip
    read = {"format": "conllu", "columns": {"tags": "misc.name"}}
    assert tagged(tmp_path, text, **read) == ([["Anna", "ran"]], [["B-PER", "O"]], [])
    tokens, tags, _ = tagged(tmp_path, text, ["NE", "VV"], format="conllu", columns={"tokens": "lemma", "tags": 4})
    assert (tokens, tags) == ([["a", "r"]], [["NE", "VV"]])
    plus = "# global.columns = ID FORM NER\n1\tAnna\tB-PER\n2\tran\tO\n"
    assert tagged(tmp_path, plus, format="conllu", columns={"tags": "ner"})[1] == [["B-PER", "O"]]
    with pytest.raises(XstiltsError, match="misc"):
        tagged(tmp_path, text, format="conllu", columns={"tags": "mics.name"})


@pytest.mark.parametrize("columns", [{"token": 0}, {"tokens": "form"}, {"tags": [1, 2]}])
def test_columns_that_tagged_files_do_not_have_are_refused(columns):
    with pytest.raises(ValidationError):
        Task(name="t", type="tagging", source={"format": "tagged", "files": {"test": "x"}, "columns": columns})


@pytest.mark.parametrize(("labels", "odd"), [
    (["o", "b-per", "i-per"], True), (["O", "PER-B", "PER-I"], True), (["O", "B_PER"], True), (TAGS, False),
    (["NOUN", "X-Y"], False),
])  # fmt: skip
def test_tags_that_are_not_read_as_chunks_are_noted(tmp_path, labels, odd):
    [(facts, _)] = facts_of(tmp_path, f"a\t{labels[0]}\n", "tagging", labels, format="tagged")
    assert bool(facts.get("notes")) == odd


@pytest.mark.parametrize(("name", "content"), [
    ("sw.tsv.gz", gzip.compress(b"a\tb\tneutral\n", mtime=0)),
    ("sw.CSV.gz", gzip.compress(b'a,"b",neutral\n', mtime=0)),
    ("sw.tsv", "\ufeffa\tb\tneutral\r\n\r\n\n"), ("sw.csv", "a;b;neutral\n"),
])  # fmt: skip
def test_tables_that_are_compressed_marked_or_delimited_otherwise_are_read(tmp_path, name, content):
    more = {"delimiter": "semicolon"} if b";" in (content if isinstance(content, bytes) else content.encode()) else {}
    [(facts, bad)] = facts_of(tmp_path, content, name=name, **more)
    assert (facts["examples"], facts["labels"], bad) == (1, {"neutral": 1}, [])


@pytest.mark.parametrize("content", [
    gzip.compress(b"a\tb\tneutral\n" * 999, mtime=0)[:-12], b"PK\x03\x04x\n", "a\tb\tneutral\n".encode("utf-32"),
    b"a\tb\tneutral\n\0\tb\tneutral\n", b"a\tb\tneutral\rc\td\tneutral\r",
])  # fmt: skip
def test_what_is_no_text_is_refused_as_a_whole(tmp_path, content):
    [(facts, bad)] = facts_of(tmp_path, content)
    assert facts["examples"] == 0 and len(bad) == 1


def test_parquet_with_text_that_is_not_utf_8_is_refused(tmp_path):
    texts = pa.array([b"a river", b"\xb1"] * 4, pa.binary()).view(pa.string())
    file = tmp_path / "en.parquet"
    pq.write_table(pa.table({"text_a": texts, "label": ["yes", "no"] * 4}), file)
    source = {"format": "parquet", "files": {"train": "{lang}.parquet"}}
    task = Task(name="t", type="classification", labels=["yes", "no"], source=source)
    for read in (lambda: infer_entry(file, "en"), lambda: load_examples(task, "train", "en", tmp_path, {})):
        with pytest.raises(XstiltsError) as error:
            read()
        assert error.value.kind == "bad-file"


def test_a_text_with_a_tab_and_a_line_without_content_are_bad_rows(tmp_path):
    rows = "neutral\ta\tb\nneutral\tc\tx\td\n\nneutral\te\tf\n"
    [(facts, bad)] = facts_of(tmp_path, rows, columns={"label": 0, "text_a": 1, "text_b": 2})
    assert facts["examples"] == 2 and ["line 2" in bad[0], "line 3" in bad[1]] == [True, True] and facts["empty"] == 1


@pytest.mark.parametrize(("content", "columns"), [
    ("x\tx\tlabel\na\tb\tneutral\n", {"text_a": "x", "label": "label"}),
    ('x,"y\na,b,neutral\nc,d,neutral\n', {"text_a": "a"}),
])  # fmt: skip
def test_a_header_that_repeats_a_name_or_cannot_be_read_is_refused(tmp_path, content, columns):
    [(facts, bad)] = facts_of(tmp_path, content, name="sw.csv" if "," in content else "sw.tsv", columns=columns)
    assert facts["examples"] == 0 and "header" in bad[0]


@pytest.mark.parametrize(("label", "says"), [
    ("Neutral", "'neutral'"), ("neu-tral", "'neutral'"), ("contradictory", "'contradiction'"), ("-", "unlabelled"),
    ("neutral\u200b", "U+200B"), ("\ufeffneutral", "U+FEFF"), ("neu\u00adtral", "U+00AD"), ("\u200fneutral", "U+200F"),
])  # fmt: skip
def test_a_label_that_looks_like_a_known_one_is_told_apart(tmp_path, label, says):
    [(facts, bad)] = facts_of(tmp_path, f"a\tb\tneutral\nc\td\t{label}\n")
    assert facts["examples"] == 1 and says in bad[0]


def test_a_text_of_invisible_characters_is_empty_and_minus_one_may_be_a_label(tmp_path):
    [(facts, _)] = facts_of(tmp_path, "\u200b\ufeff\tb\tneutral\nc\td\tneutral\n")
    assert (facts["examples"], facts["empty"]) == (1, 1)
    [(facts, bad)] = facts_of(tmp_path, "a\tb\t-1\nc\td\t1\n", labels=["-1", "0", "1"])
    assert facts["labels"] == {"-1": 0.5, "1": 0.5} and not bad


@pytest.mark.parametrize(("content", "text"), [
    ("a\tNS\t0\nb\tNS\t1\nNS\tc\t0\nd\te\t1\n", "'NS'"),
    ("[deleted]\tb\t0\n[deleted]\tc\t0\nx [deleted]\t[deleted]\t1\n", "'[del"),
    ("nan\tb\t0\nc\td\t1\n", "'nan'"), ("a\tN/A\t0\nc\td\t1\n", "'N/A'"),
])  # fmt: skip
def test_placeholders_are_noted(tmp_path, content, text):
    [(facts, _)] = facts_of(tmp_path, content, labels=["0", "1"])
    assert [note for note in facts["notes"] if text in note]


def test_premises_that_stand_in_three_pairs_are_no_placeholders(tmp_path):
    [(facts, _)] = facts_of(tmp_path, "".join(f"premise {i // 3}\thypothesis {i}\tneutral\n" for i in range(90)))
    assert "notes" not in facts


@pytest.mark.parametrize(("name", "content"), [
    ("sw.tsv", '"a ""x"" b"\tb\tneutral\n'), ("sw.csv", '"a,b,neutral\nc,d,neutral\ne",f,neutral\n'),
])  # fmt: skip
def test_quotes_that_are_kept_or_swallow_rows_are_noted(tmp_path, name, content):
    [(facts, _)] = facts_of(tmp_path, content, name=name)
    assert "quote" in facts["notes"][0]


def test_parallel_files_that_differ_are_noted(tmp_path):
    files = {"test": "{lang}.tsv"}
    for other, count in (("c\td\tcontradiction\n", 2), ("c\td\tneutral\nx\ty\tneutral\n", 0)):
        [_, (facts, _)] = facts_of(tmp_path, "a\tb\tneutral\nc\td\tneutral\n", name="de.tsv", files=files,
                                   more={"sw.tsv": other}, parallel=True)  # fmt: skip
        assert len(facts.get("notes", ())) == count
    [_, (facts, _)] = facts_of(tmp_path, "a\tb\tneutral\n", name="de.tsv", files=files, more={"sw.tsv": other})
    assert "notes" not in facts


@pytest.mark.parametrize(("context", "answer", "start", "says"), [
    ("😀😀 Anna ran", "Anna", 5, "UTF-16"), ("Ääö Anna ran", "Anna", 7, "bytes"),
    ("a\nb Anna", "Anna", 5, "CR and LF"),  ("cafe\u0301 bar", "caf\u00e9", 0, "normal form"),
    ("a\u200cb", "ab", 0, "invisible"), ("x Anna", "Anna", 0, "at 2"),
])  # fmt: skip
def test_an_offset_in_other_units_is_explained(tmp_path, context, answer, start, says):
    question = {"id": "1", "question": "q", "answers": [{"text": answer, "answer_start": start}]}
    text = json.dumps({"data": [{"paragraphs": [{"context": context, "qas": [question]}]}]})
    [(facts, bad)] = facts_of(tmp_path, text, "qa", [], format="squad")
    assert facts["examples"] == 0 and says in bad[0]


def test_a_question_without_id_and_a_repeated_key_are_bad_rows(tmp_path):
    questions = [{"question": "q"}, {"id": "2", "question": "q"}]
    text = json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": questions}]}]})
    [(facts, bad)] = facts_of(tmp_path, text, "qa", [], format="squad")
    assert (facts["examples"], len(bad)) == (1, 1)
    [(facts, bad)] = facts_of(tmp_path, '{"text_a": "a", "text_a": "b", "label": "neutral"}', format="jsonl")
    assert (facts["examples"], len(bad)) == (0, 1)


def test_a_second_partner_of_an_english_sentence_is_a_bad_row(tmp_path):
    more = {"en": "en-1\tx\n", "gold": "sw-1\ten-1\nsw-2\ten-1\nsw-1\ten-1\n"}
    source = {"format": "bitext", "english": "en", "gold": "gold"}
    [(facts, bad)] = facts_of(tmp_path, "sw-1\ta\nsw-2\tb\n", "retrieval", [], more=more, **source)
    assert len(bad) == 1 and "sw-2" in bad[0] and facts["labels"] == {}


def test_languages_without_a_file_and_files_without_an_example_end_data_check_with_an_error(tmp_path):
    entry = {"type": "classification", "labels": NLI, "languages": ["de", "fr"],
             "source": {"format": "table", "files": {"test": "{lang}.tsv"}, "columns": PAIR}}  # fmt: skip
    (tmp_path / "t.yaml").write_text(json.dumps({"t": entry}))
    (tmp_path / "de.tsv").write_text("a\tb\tneutral\n")
    arguments = ("data", "check", "t", "--tasks", tmp_path / "t.yaml", "--data", tmp_path)
    assert "no data for language 'fr'" in invoke(*arguments, code=2)
    (tmp_path / "fr.tsv").write_text("")
    invoke(*arguments, code=2)
    (tmp_path / "fr.tsv").write_text("a\tb\tneutral\n")
    invoke(*arguments)


def test_data_check_without_a_name_lists_what_a_folder_has(tmp_path):
    source = {"format": "table", "files": {"test": "{lang}.tsv"}, "columns": PAIR}
    entry = {"type": "classification", "labels": NLI, "languages": ["de", "fr"], "source": source}
    (tmp_path / "t.yaml").write_text(json.dumps({"t": entry}))
    (tmp_path / "de.tsv").write_text("a\tb\tneutral\n")
    listed = json.loads(invoke("data", "check", "--tasks", tmp_path / "t.yaml", "--data", tmp_path, "--json"))
    assert [fact["splits"] for fact in listed if fact["task"] == "t"] == [{"test": ["de"]}]
    assert len(listed) > 20


FILES = {
    "a.tsv": ("".join(f"Satz {i} hier.\tUnd {i} da.\t{i % 2}\n" for i in range(8)),
              {"format": "table", "columns": {"text_a": 0, "text_b": 1, "label": 2}}),
    "b.csv": ("text;label\nGut so.;ja\nNicht gut.;nein\n",
              {"format": "table", "delimiter": "semicolon", "columns": {"text_a": "text", "label": "label"}}),
    "c.iob2": ("# sent_id = 1\n1\tAnna\tB-PER\t-\tme\n2\tran\tO\t-\tme\n\n1\tx\tO\t-\tme\n",
               {"format": "tagged", "columns": {"tokens": 1, "tags": 2}}),
    "d.txt": ("Anna B-PER\nran O\n\nx O\n", {"format": "tagged"}),
    "e.json": (json.dumps({"data": [{"paragraphs": [{"context": "c d", "qas": [
        {"id": "1", "question": "q", "answers": [{"text": "c", "answer_start": 0}]}]}]}]}), {"format": "squad"}),
    "f.jsonl": ('{"id": "1", "premise": "a", "hypothesis": "b", "label": "no"}\n'
                '{"id": "2", "premise": "c", "hypothesis": "d", "label": "yes"}\n',
                {"format": "jsonl",
                 "columns": {"id": "id", "text_a": "premise", "text_b": "hypothesis", "label": "label"}}),
    "g.txt": ("Ein Satz.\nNoch einer.\n", {"format": "lines"}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_entry_of_a_file_is_inferred_and_reads_it(tmp_path, name):
    content, expected = FILES[name]
    (tmp_path / name).write_text(content)
    entry, _ = infer_entry(tmp_path / name, "de")
    assert entry["source"] == {**expected, "files": {"test": name}}
    result = json.loads(invoke("data", "check", tmp_path / name, "--languages", "no", "--json"))
    assert "'no'" in result["entry"] and result["problems"] == [] and result["languages"][0]["examples"] > 0
