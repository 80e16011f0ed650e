"""Examples from local files: what is read, and which errors bad files give."""

import json

import pyarrow as pa
import pytest

from xstilts.context import Context
from xstilts.data.examples import available, content_digest, load_examples
from xstilts.data.prepare import accept, prepare, read_examples
from xstilts.errors import XstiltsError
from xstilts.tasks.data_source import FileSource, TextSource, WorldSource
from xstilts.tasks.sentences import candidate_spans
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCHEMAS

NLI = ("entailment", "neutral", "contradiction")
COLUMNS = {"text_a": 0, "text_b": 1, "label": 2}


def task(kind="classification", labels=NLI, parallel=False, unanswerable=False, **source):
    return Task(name="t", type=kind, labels=labels, parallel=parallel, unanswerable=unanswerable,
                source=FileSource(**source))  # fmt: skip


def table_task(**more):
    return task(**{"format": "table", "files": {"train": "{lang}.tsv"}, "columns": COLUMNS, **more})


def read(task, folder, code="en", split="train"):
    examples = load_examples(task, split, code, folder, {})
    accept(task, split, code, examples, withheld=False)
    assert examples.table.schema == SCHEMAS[task.type]
    return examples.table


def refused(task, folder, code="en", split="train"):
    with pytest.raises(XstiltsError) as caught:
        read(task, folder, code, split)
    return caught.value


def test_a_table_without_a_header_is_read_by_position(tmp_path):
    (tmp_path / "en.tsv").write_text('a\tb\tneutral\r\nc “"q" d\te\tentailment\n', encoding="utf-8")
    table = read(table_task(), tmp_path)
    assert table["text_a"].to_pylist() == ["a", 'c “"q" d']
    assert table["label"].to_pylist() == ["neutral", "entailment"]
    assert table["language"].to_pylist() == ["en", "en"]


def test_splits_of_one_file_are_disjoint(tmp_path):
    (tmp_path / "en.tsv").write_text("".join(f"{i}\tb\tneutral\n" for i in range(6)))
    mine = table_task(files={"train": "{lang}.tsv", "test": "{lang}.tsv"}, rows={"train": (2, 6), "test": (0, 2)})
    assert read(mine, tmp_path)["text_a"].to_pylist() == ["2", "3", "4", "5"]
    assert read(mine, tmp_path, split="test")["text_a"].to_pylist() == ["0", "1"]


def test_a_table_with_a_header_is_read_by_name_and_csv_is_unquoted(tmp_path):
    text = '\ufeffgold,prem,hyp\nneutral,"a, ""b""\nc",d\nentailment,e,f\n'
    (tmp_path / "en.csv").write_text(text, encoding="utf-8")
    mine = table_task(files={"train": "{lang}.csv"}, columns={"text_a": "prem", "text_b": "hyp", "label": "gold"})
    table = read(mine, tmp_path)
    assert table["text_a"].to_pylist() == ['a, "b"\nc', "e"]
    assert table["label"].to_pylist() == ["neutral", "entailment"]


def test_tagged_words_are_read_with_and_without_a_trailing_empty_line(tmp_path):
    mine = task("tagging", ("O", "B-PER", "I-PER"), format="tagged", files={"train": "{lang}.tsv"})
    text = "Ada\tB-PER\nKing\tI-PER\n\n\nวัน\tO"
    for end in ("", "\n", "\n\n"):
        (tmp_path / "en.tsv").write_text(text + end, encoding="utf-8")
        assert read(mine, tmp_path)["tokens"].to_pylist() == [["Ada", "King"], ["วัน"]]
        assert read(mine, tmp_path)["tags"].to_pylist() == [["B-PER", "I-PER"], ["O"]]


def squad(folder, code, articles):
    paragraphs = [
        [{"context": f"{c} {code}", "qas": [{"id": f"{a}{c}{q}", "question": "who?", "answers": [
            {"text": c, "answer_start": 0}]} for q in range(2)]} for c in article]
        for a, article in enumerate(articles)
    ]  # fmt: skip
    (folder / f"{code}.json").write_text(json.dumps({"data": [{"paragraphs": p} for p in paragraphs]}))


@pytest.mark.parametrize("parallel", [True, False])
def test_the_questions_of_an_article_are_one_cluster(tmp_path, parallel):
    mine = task("qa", (), parallel, format="squad", files={"train": "{lang}.json"})
    clusters = []
    for code in ("en", "tr"):
        squad(tmp_path, code, [["Ada", "Bo"], ["Cy"]])
        table = read(mine, tmp_path, code)
        assert table["answers"][0].as_py() == [{"text": "Ada", "start": 0}]
        clusters.append(table["cluster_id"].to_pylist())
    first, second = clusters
    assert len(first) == 6
    assert first[0] == first[3] != first[4] == first[5]
    assert (first == second) == parallel
    assert bool(set(first) & set(second)) == parallel


def test_an_answer_that_is_not_at_its_offset_is_refused(tmp_path):
    mine = task("qa", (), format="squad", files={"train": "{lang}.json"})
    squad(tmp_path, "en", [["Ada"]])
    broken = (tmp_path / "en.json").read_text().replace('"answer_start": 0', '"answer_start": 1', 1)
    (tmp_path / "en.json").write_text(broken)
    error = refused(mine, tmp_path)
    assert "en.json, question 1 (en)" in error.why and "'Ada' at 1" in error.why


@pytest.mark.parametrize("text", ["not json", "[1]", '{"data": [{"title": "x"}]}', '{"data": [{"paragraphs": [{}]}]}'])
def test_json_of_the_wrong_shape_is_refused(tmp_path, text):
    (tmp_path / "en.json").write_text(text)
    error = refused(task("qa", (), format="squad", files={"train": "{lang}.json"}), tmp_path)
    assert error.kind == "bad-file" and "en.json" in error.what and "Error" not in error.why


def test_answers_are_withheld_if_questions_have_no_answers_field(tmp_path):
    questions = [{"id": "1", "question": "who?"}, {"id": "2", "question": "what?"}]
    content = {"data": [{"paragraphs": [{"context": "c", "qas": questions}]}]}
    (tmp_path / "en.json").write_text(json.dumps(content))
    for unanswerable in (False, True):
        mine = task("qa", (), unanswerable=unanswerable, format="squad", files={"train": "{lang}.json"})
        examples = load_examples(mine, "train", "en", tmp_path, {})
        assert (len(examples.table), examples.withheld, examples.rejected) == (2, True, [])


def lines_task(parallel=False, **more):
    patterns = {"files": {"test": "{iso3}.txt"}, "english": "{iso3}.eng", "codes": {"tr": "TUR"}}
    return task("retrieval", (), parallel, format="lines", **{**patterns, **more})


def test_parallel_lines_become_queries_whose_gold_is_the_translation(tmp_path):
    (tmp_path / "fin.txt").write_text("yksi\u2028a\nkaksi\n", encoding="utf-8")
    (tmp_path / "fin.eng").write_text("one\ntwo\n", encoding="utf-8")
    table = read(lines_task(), tmp_path, "fi", "test").to_pylist()
    queries = {row["gold"]: row["text"] for row in table if row["side"] == "query"}
    candidates = {row["id"]: row["text"] for row in table if row["side"] == "candidate"}
    assert {candidates[gold]: text for gold, text in queries.items()} == {"yksi\u2028a": "one", "kaksi": "two"}


def test_parallel_files_of_unequal_length_are_refused(tmp_path):
    (tmp_path / "TUR.txt").write_text("bir\niki\n")
    (tmp_path / "TUR.eng").write_text("one\n")
    error = refused(lines_task(), tmp_path, "tr", "test")
    assert error.kind == "bad-file"
    assert "TUR.txt has 2 lines" in error.what and "TUR.eng has 1" in error.what


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a\tb\tneutral\na\tb\tmaybe\n", "line 2", "maybe"),
        ("a\tb\tneutral\n\tb\tneutral\n", "line 2", "empty text_a"),
        ("a\tb\tneutral\na\tb\n", "line 2", "no label"),
        ("a\tb\tneutral\n\na\tb\tneutral\n", "line 2", "empty line"),
    ],
)
def test_a_bad_row_of_a_table_is_listed_with_file_line_and_content(tmp_path, text, line, found):
    (tmp_path / "en.tsv").write_text(text)
    error = refused(table_task(), tmp_path)
    assert f"en.tsv, {line} (en)" in error.why and found in error.why
    assert error.kind == "bad-row"


def test_an_unknown_tag_or_a_line_without_a_tab_is_listed_with_file_and_line(tmp_path):
    mine = task("tagging", ("O",), format="tagged", files={"train": "{lang}.tsv"})
    for text, found in [
        ("\na\tB-PER\n", "B-PER"),
        ("\na\tO\nb O\n", "no tag for 'b O'"),
        ("a\tO\n\tO\n", "empty token"),
    ]:
        (tmp_path / "en.tsv").write_text(text)
        error = refused(mine, tmp_path)
        assert "en.tsv, line 2 (en)" in error.why and found in error.why


def test_columns_of_tagged_words_may_be_separated_by_spaces(tmp_path):
    mine = task("tagging", ("O", "B-PER"), format="tagged", files={"train": "{lang}.txt"})
    (tmp_path / "en.txt").write_text("Ada NNP B-PER\nran VBD O\n\nBo NNP B-PER\n")
    table = read(mine, tmp_path)
    assert table["tokens"].to_pylist() == [["Ada", "ran"], ["Bo"]]
    assert table["tags"].to_pylist() == [["B-PER", "O"], ["B-PER"]]


def test_untagged_tokens_may_contain_spaces(tmp_path):
    mine = task("tagging", ("O",), format="tagged", files={"train": "{lang}.txt"})
    (tmp_path / "vi.txt").write_text("thực sự\nlà\n\nHà Nội\n", encoding="utf-8")
    examples = load_examples(mine, "train", "vi", tmp_path, {})
    assert examples.withheld and examples.table["tokens"].to_pylist() == [["thực sự", "là"], ["Hà Nội"]]


def test_docstart_begins_a_cluster_and_is_not_a_sentence(tmp_path):
    mine = task("tagging", ("O",), format="tagged", files={"train": "{lang}.txt"})
    (tmp_path / "en.txt").write_text("-DOCSTART- O\n\na O\n\nb O\n\n-DOCSTART- O\n\nc O\n")
    table = read(mine, tmp_path)
    assert table["tokens"].to_pylist() == [["a"], ["b"], ["c"]]
    clusters = table["cluster_id"].to_pylist()
    assert clusters[0] == clusters[1] != clusters[2]


def test_gold_pairs_of_unknown_sentences_are_bad_rows(tmp_path):
    (tmp_path / "de.de").write_text("de-1\teins\n")
    (tmp_path / "de.en").write_text("en-1\tone\nen-2\ttwo\n")
    (tmp_path / "de.gold").write_text("de-1\ten-1\nde-99\ten-2\nde-1\ten-99\n")
    patterns = {"files": {"dev": "{lang}.de"}, "english": "{lang}.en", "gold": "{lang}.gold"}
    examples = load_examples(task("retrieval", (), format="bitext", **patterns), "dev", "de", tmp_path, {})
    assert [row.found for row in examples.rejected] == ["the gold file names 'en-99'", "the gold file names 'de-99'"]


def test_a_label_column_beyond_the_width_of_the_table_is_noted(tmp_path):
    (tmp_path / "en.tsv").write_text("a\tb\tneutral\nc\td\tneutral\n")
    examples = load_examples(table_task(columns={**COLUMNS, "label": 3}), "train", "en", tmp_path, {})
    assert examples.withheld and "no row has a column 3" in examples.note and "3 columns" in examples.note


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_file_in_utf_16_is_refused(tmp_path, encoding):
    (tmp_path / "en.tsv").write_bytes("premise\thyp\tlabel\na\tb\tneutral\n".encode(encoding))
    for columns in (COLUMNS, {"text_a": "premise", "text_b": "hyp", "label": "label"}):
        error = refused(table_task(columns=columns), tmp_path)
        assert error.kind == "bad-file" and "UTF-16" in error.what + error.why and "line 1" in error.what + error.why


def test_an_invalid_header_is_an_error_and_the_next_line_does_not_replace_it(tmp_path):
    (tmp_path / "en.tsv").write_bytes(b"pr\xe9mise\thyp\tlabel\na\tb\tneutral\n")
    error = refused(table_task(columns={"text_a": "premise", "text_b": "hyp", "label": "label"}), tmp_path)
    assert error.kind == "bad-file" and "line 1" in error.what and "0xe9" in error.what


def test_an_empty_sentence_of_a_pair_is_listed_with_file_and_line(tmp_path):
    (tmp_path / "fin.txt").write_text("yksi\n \n")
    (tmp_path / "fin.eng").write_text("one\ntwo\n")
    error = refused(lines_task(), tmp_path, "fi", "test")
    assert "fin.txt, line 2 (fi): empty text" in error.why


@pytest.mark.parametrize("name", ["en.tsv", "en.csv"])
def test_bytes_that_are_not_utf8_are_listed_with_file_and_line(tmp_path, name):
    separator = b"," if name.endswith("csv") else b"\t"
    good, bad = separator.join([b"a", b"b", b"neutral"]), separator.join([b"caf\xe9", b"b", b"neutral"])
    (tmp_path / name).write_bytes(good + b"\n" + bad + b"\n")
    error = refused(table_task(files={"train": "{lang}" + name[2:]}), tmp_path)
    assert f"{name}, line 2 (en): not UTF-8 (byte 0xe9" in error.why


def test_a_missing_column_is_named_with_the_closest(tmp_path):
    columns = {"text_a": "premise", "text_b": "hyp", "label": "label"}
    (tmp_path / "en.tsv").write_text("premises\thyp\tlabel\na\tb\tneutral\n")
    error = refused(table_task(columns=columns), tmp_path)
    assert error.kind == "bad-file"
    assert "en.tsv" in error.what and "'premise'" in error.what and "did you mean 'premises'" in error.what
    (tmp_path / "en.tsv").write_text("")
    assert "en.tsv" in refused(table_task(columns=columns), tmp_path).what


def test_a_missing_language_split_or_folder_is_refused(tmp_path):
    error = refused(table_task(), tmp_path, "sw")
    assert error.kind == "missing-data" and "sw.tsv" in error.what
    error = refused(table_task(), tmp_path, split="trian")
    assert error.kind == "unknown-name" and "'train'" in error.hint
    assert refused(table_task(), None).kind == "missing-data"


@pytest.mark.parametrize("pattern", ["../{lang}.tsv", "/etc/{lang}.tsv", "x/../../{lang}.tsv"])
def test_a_path_outside_the_data_folder_is_refused(tmp_path, pattern):
    (tmp_path / "en.tsv").write_text("a\tb\tneutral\n")
    data = tmp_path / "data"
    (data / "x").mkdir(parents=True)
    assert refused(table_task(files={"train": pattern}), data).kind == "unsafe"
    (data / "en.tsv").symlink_to(tmp_path / "en.tsv")
    assert refused(table_task(), data).kind == "unsafe"


def test_only_parallel_tasks_share_ids_and_clusters_across_languages(tmp_path):
    for code in ("en", "tr"):
        (tmp_path / f"{code}.tsv").write_text("p\ta\tneutral\np\tb\tentailment\nq\tc\tneutral\np\td\tneutral\n")
    for parallel in (True, False):
        mine = table_task(parallel=parallel, cluster="text_a")
        english, turkish = (read(mine, tmp_path, code) for code in ("en", "tr"))
        clusters = english["cluster_id"].to_pylist()
        assert clusters[0] == clusters[1]
        assert len(set(clusters)) == 3
        assert len(set(english["id"].to_pylist())) == 4
        for name in ("id", "cluster_id"):
            assert (english[name].to_pylist() == turkish[name].to_pylist()) == parallel
            assert bool(set(english[name].to_pylist()) & set(turkish[name].to_pylist())) == parallel


@pytest.fixture
def corpus(tmp_path):
    """Sentences for two languages, some of them scored by a tagging task."""
    (tmp_path / "raw.en.txt").write_text("free text\n\nAda King\nfree text\n")
    (tmp_path / "ner.en.test.tsv").write_text("Ada\tO\nKing\tO\n")
    (tmp_path / "ner.en.train.tsv").write_text("Bo\tO\nran\tO\n")
    tags = FileSource(format="tagged", files={s: f"ner.{{lang}}.{s}.tsv" for s in ("train", "test")})
    ner = Task(name="ner", type="tagging", labels=("O",), source=tags)
    raw = FileSource(format="lines", files={"train": "raw.{lang}.txt"})
    source = TextSource(files=(raw,), of_tasks={"ner": "train"}, without={"ner": "test"})
    return tmp_path, Task(name="text", type="mlm", source=source), {"ner": ner}


def test_raw_text_has_every_sentence_once_except_scored_ones(corpus):
    folder, text, tasks = corpus
    table = load_examples(text, "train", "en", folder, tasks).table
    assert table.schema == SCHEMAS["mlm"]
    assert sorted(table["text"].to_pylist()) == ["Bo ran", "free text"]


def test_the_digest_of_the_data_depends_on_every_file(corpus):
    folder, text, tasks = corpus
    seen = {content_digest(text, "train", "en", folder, tasks)}
    for name in ("raw.en.txt", "ner.en.train.tsv", "ner.en.test.tsv"):
        (folder / name).write_text((folder / name).read_text() + "\nmore\tO\n")
        seen.add(content_digest(text, "train", "en", folder, tasks))
    assert len(seen) == 4


def test_raw_text_can_come_from_a_task_without_files(corpus):
    folder, _, _ = corpus
    source = WorldSource(world=1, kind="nli", rows={"train": 3})
    world = Task(name="w", type="classification", labels=NLI, source=source)
    text = Task(name="text", type="mlm", source=TextSource(of_tasks={"w": "train"}))
    assert len(load_examples(text, "train", "en", folder, {"w": world}).table)
    assert content_digest(text, "train", "en", folder, {"w": world})


def test_a_language_is_available_if_its_file_exists(tmp_path):
    (tmp_path / "tr.tsv").write_text("a\tb\tneutral\n")
    assert available(table_task(), "train", ("en", "tr"), tmp_path, {}) == ["tr"]
    assert available(table_task(languages=("en",)), "train", ("en", "tr"), tmp_path, {}) == []


def test_prepared_examples_are_read_in_the_given_order_and_an_empty_file_is_refused(tmp_path):
    out = {code: tmp_path / "out" / code for code in ("en", "tr", "fi")}
    for code, folder in out.items():
        folder.mkdir(parents=True)
        (tmp_path / f"{code}.tsv").write_text(f"{code}\tb\tneutral\n" if code != "fi" else "")
    common = {"task": table_task().model_dump(mode="json"), "tasks": {}, "split": "train", "data": str(tmp_path)}
    for code in ("en", "tr"):
        prepare({**common, "language": code}, {}, out[code], Context(tmp_path))
    assert read_examples([out["tr"], out["en"]])["text_a"].to_pylist() == ["tr", "en"]
    with pytest.raises(XstiltsError, match="'fi'") as caught:
        prepare({**common, "language": "fi"}, {}, out["fi"], Context(tmp_path))
    assert caught.value.kind == "missing-data"


PARTS_OF_SPEECH = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
TAGGED = {
    "panx": (("O", *(f"{p}-{t}" for p in "BI" for t in ("PER", "LOC", "ORG"))), "panx/{split}-{lang}.tsv"),
    "udpos": (
        tuple(PARTS_OF_SPEECH.split()),
        "udpos_xtreme/{split}-{lang}.tsv",
    ),
}


@pytest.mark.parametrize(
    ("name", "split", "counts"),
    [("panx", "dev", {"en": 2000, "zh": 2000, "ur": 1000, "qu": 100}), ("udpos", "dev", {"ar": 909, "ta": 80})],
)
def test_real_tagged_files_are_read_completely(real_data, name, split, counts):
    tags, pattern = TAGGED[name]
    mine = task("tagging", tags, format="tagged", files={split: pattern.replace("{split}", split)})
    for code, count in counts.items():
        table = read(mine, real_data, code, split)
        assert len(table) == count
        lines = (real_data / mine.source.files[split].format(lang=code)).read_text(encoding="utf-8").split("\n")
        assert sum(map(len, table["tokens"].to_pylist())) == sum(bool(line.strip()) for line in lines)


def test_real_parallel_test_sets_keep_items_and_clusters_together_in_all_languages(real_data):
    expected = {"xnli": 2490, "pawsx": 2000}
    pairs = {
        "xnli": table_task(files={"dev": "xnli/dev-{lang}.tsv"}, cluster="text_a", parallel=True),
        "pawsx": table_task(files={"dev": "pawsx/dev-{lang}.tsv"}, labels=("0", "1"), parallel=True),
    }
    for name, mine in pairs.items():
        codes = ("en", "sw", "th", "zh") if name == "xnli" else ("en", "ko", "zh")
        tables = [read(mine, real_data, code, "dev") for code in codes]
        assert {len(table) for table in tables} == {expected[name]}
        for column in ("id", "cluster_id"):
            assert all(table[column].equals(tables[0][column]) for table in tables)
        assert len(set(tables[0]["cluster_id"].to_pylist())) == {"xnli": 830, "pawsx": 2000}[name]


def test_real_sentence_pairs_and_questions_are_read_completely(real_data):
    patterns = {"files": {"test": "tatoeba/tatoeba.{iso3}-eng.{iso3}"}, "english": "tatoeba/tatoeba.{iso3}-eng.eng"}
    tatoeba = lines_task(**patterns, codes={"sw": "swh", "zh": "cmn"})
    for code, pairs in {"sw": 390, "te": 234, "th": 548, "zh": 1000}.items():
        assert len(read(tatoeba, real_data, code, "test")) == 2 * pairs
    xquad = task("qa", (), True, format="squad", files={"test": "xquad/xquad.{lang}.json"})
    tables = [read(xquad, real_data, code, "test") for code in ("en", "th", "zh")]
    assert {len(table) for table in tables} == {1190}
    assert {len(set(table["cluster_id"].to_pylist())) for table in tables} == {48}
    assert all(table["cluster_id"].equals(tables[0]["cluster_id"]) for table in tables)
    squad = task("qa", (), format="squad", files={"test": "squad/dev-v1.1.rebuilt.json"}, languages=("en",))
    assert len(read(squad, real_data, "en", "test")) == 10570


def test_real_unanswerable_questions_are_read(real_data):
    mine = task(
        "qa", (), unanswerable=True, format="squad", files={"test": "squad/dev-v2.0.rebuilt.json"}, languages=("en",)
    )
    answers = read(mine, real_data, "en", "test")["answers"].to_pylist()
    assert len(answers) == 11873
    assert sum(not a for a in answers) == 5945


def test_raw_text_of_real_data_has_no_scored_sentences(real_data):
    tags, pattern = TAGGED["panx"]
    source = FileSource(format="tagged", files={s: pattern.replace("{split}", s) for s in ("train", "dev")})
    panx = Task(name="panx", type="tagging", labels=tags, source=source)
    text = Task(name="text", type="mlm", source=TextSource(of_tasks={"panx": "train"}, without={"panx": "dev"}))
    table: pa.Table = load_examples(text, "train", "sw", real_data, {"panx": panx}).table
    scored = {" ".join(t) for t in read(panx, real_data, "sw", "dev")["tokens"].to_pylist()}
    raw = [" ".join(t) for t in read(panx, real_data, "sw", "train")["tokens"].to_pylist()]
    assert not scored & set(table["text"].to_pylist())
    assert set(table["text"].to_pylist()) == set(raw) - scored


def test_deprecated_language_codes_become_canonical_and_still_name_the_files(tmp_path):
    (tmp_path / "iw.tsv").write_text("a\tb\tneutral\n")
    source = {"format": "table", "files": {"train": "{lang}.tsv"}, "columns": COLUMNS}
    mine = Task(name="t", type="classification", labels=NLI, languages=["iw"], source=source)
    assert mine.languages == ("he",)
    assert available(mine, "train", ("he",), tmp_path, {}) == ["he"]
    assert read(mine, tmp_path, "he")["language"].to_pylist() == ["he"]
    with pytest.raises(ValueError, match="klingonese"):
        Task(name="t", type="classification", labels=NLI, languages=["klingonese"], source=source)


# Questions about contexts as retrieval from one pool

CONTEXT = "He came in 1912. Dr. Lee left. He came in 1912."
QUESTIONS = [{"id": "1", "question": "When?", "answers": [{"text": "1912", "answer_start": 11}]},
             {"id": "2", "question": "Who left?", "answers": [{"text": "Dr. Lee", "answer_start": 17}]}]  # fmt: skip


def pooled(**source):
    return Task(name="t", type="retrieval", pooled=True, parallel=True, metrics=("map_at_20",),
                source=FileSource(**{"format": "squad", "files": {"test": "{lang}.json"}, **source}))  # fmt: skip


def squad_file(folder, paragraphs, code="en"):
    (folder / f"{code}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))


def sides(table):
    """Queries {id: gold}, and candidates {id: text}."""
    rows = table.to_pylist()
    queries, candidates = ([row for row in rows if row["side"] == side] for side in ("query", "candidate"))
    return {row["id"]: row["gold"] for row in queries}, {row["id"]: row["text"] for row in candidates}


def test_questions_are_queries_and_sentences_of_their_contexts_are_candidates(tmp_path):
    other = {
        "context": "谁赢了？他赢了。",
        "qas": [{**QUESTIONS[0], "id": "3", "answers": [{"text": "他", "answer_start": 4}]}],
    }
    squad_file(tmp_path, [{"context": CONTEXT, "qas": QUESTIONS}, other])
    queries, candidates = sides(read(pooled(), tmp_path, split="test"))
    assert candidates == {"en_1_0": "He came in 1912.", "en_1_1": "Dr. Lee left.", "en_1_2": "He came in 1912.",
                          "en_2_0": "谁赢了？", "en_2_1": "他赢了。"}  # fmt: skip
    assert queries == {"1": "en_1_0|en_1_2", "2": "en_1_1", "3": "en_2_1"}  # equal sentences answer equally


def test_sentence_breaks_of_the_data_are_taken(tmp_path):
    squad_file(tmp_path, [{"context": CONTEXT, "qas": QUESTIONS, "sentence_breaks": [[0, 30], [31, 47]]}])
    queries, candidates = sides(read(pooled(), tmp_path, split="test"))
    assert candidates == {"en_1_0": "He came in 1912. Dr. Lee left.", "en_1_1": "He came in 1912."}
    assert queries == {"1": "en_1_0", "2": "en_1_0"}
    for breaks in ([[0, 99]], [[5, 5]], "0-5", []):
        squad_file(tmp_path, [{"context": CONTEXT, "qas": QUESTIONS, "sentence_breaks": breaks}])
        assert refused(pooled(), tmp_path, split="test").kind == "bad-row"


def test_a_question_that_is_left_out_leaves_its_context_in_the_pool(tmp_path):
    squad_file(tmp_path, [{"context": CONTEXT, "qas": [{**QUESTIONS[0], "question": ""}, QUESTIONS[1]]}])
    examples = load_examples(pooled(), "test", "en", tmp_path, {})
    queries, candidates = sides(examples.table)
    assert len(examples.rejected) == 1 and queries == {"2": "en_1_1"} and len(candidates) == 3


def test_clusters_of_questions_are_shared_by_languages_whose_contexts_have_other_sentences(tmp_path):
    two = [
        {"context": "A b. C d.", "qas": [QUESTIONS[0] | {"answers": []}]},
        {"context": CONTEXT, "qas": QUESTIONS[1:]},
    ]
    squad_file(tmp_path, two)
    squad_file(tmp_path, [{**two[0], "context": "A b c d."}, two[1]], "de")
    task = pooled(cluster="context")
    clusters = [
        {
            row["id"]: row["cluster_id"]
            for row in read(task, tmp_path, code, "test").to_pylist()
            if row["side"] == "query"
        }
        for code in ("en", "de")
    ]
    assert clusters[0] == clusters[1] and len(set(clusters[0].values())) == 2


def test_thai_text_is_split_at_white_space_into_long_sentences():
    clause = "ก" * 70
    text = " ".join([clause] * 6)
    assert [stop - start for start, stop in candidate_spans(text)] == [141, 141, 141]
    assert candidate_spans(f"{clause} {clause}") == [(0, 141)]
    assert len(candidate_spans(" ".join(["word" * 20] * 6))) == 1  # other scripts have punctuation


def test_a_query_names_its_relevant_candidates_in_a_list_or_a_text(tmp_path):
    query, candidate = {"side": "query", "text": "?"}, {"side": "candidate", "text": "A"}
    rows = [{**query, "id": "q", "gold": ["a", "b"]}, {**query, "id": "p", "gold": "a|b"}]
    rows += [{**candidate, "id": "a"}, {**candidate, "id": "b"}]
    (tmp_path / "en.json").write_text(json.dumps(rows))
    mine = Task(name="t", type="retrieval", pooled=True, metrics=("map_at_20",),
                source=FileSource(format="json", files={"test": "{lang}.json"}))  # fmt: skip
    assert sides(read(mine, tmp_path, split="test")) == ({"q": "a|b", "p": "a|b"}, {"a": "A", "b": "A"})
    for bad in ({**rows[0], "gold": ["a|b"]}, {"id": "q", "text": "?"}):
        (tmp_path / "en.json").write_text(json.dumps([bad]))
        assert refused(mine, tmp_path, split="test").kind == "bad-row"
