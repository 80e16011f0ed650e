"""Sources of examples: the hub's format and cache, the benchmark's folder, file formats, and bad rows."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import constants

from support import invoke
from xstilts.context import Context
from xstilts.data.check import check, texts_of
from xstilts.data.examples import available, content_digest, has_fallback, load_examples
from xstilts.data.prepare import accept, prepare, read_examples
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task, catalogue, from_xtreme_folder

NLI = ["entailment", "neutral", "contradiction"]


def entry(source, kind="classification", **more):
    return Task(name="t", type=kind, source=source, **({"labels": NLI} if kind == "classification" else {}), **more)


def table(task, split="train", code="en", data=None, tasks=None, withheld=False):
    examples = load_examples(task, split, code, data, tasks or {})
    accept(task, split, code, examples, withheld)
    return examples.table


def refused(kind, *arguments):
    """The text of the error of a given kind that loading a task raises."""
    with pytest.raises(XstiltsError) as caught:
        table(*arguments)
    assert caught.value.kind == kind
    return str(caught.value)


def class_names(column, names, inner=False):
    """Schema metadata as in the hub's Parquet files."""
    feature = {"names": names, "_type": "ClassLabel"}
    feature = {"feature": feature, "_type": "List"} if inner else feature
    return feature


def write_split(folder, config, split, columns, features=None):
    """One Parquet file in the hub's layout, with the features that its schema metadata declare."""
    (folder / config).mkdir(parents=True, exist_ok=True)
    written = pa.table(columns)
    kinds = {
        name: {"dtype": "int64" if pa.types.is_integer(written[name].type) else "string", "_type": "Value"}
        if not pa.types.is_list(written[name].type)
        else {"feature": {"dtype": "string", "_type": "Value"}, "_type": "List"}
        for name in written.column_names
    }
    info = {"info": {"features": {**kinds, **(features or {})}}}
    pq.write_table(
        written.replace_schema_metadata({"huggingface": json.dumps(info)}),
        folder / config / f"{split}-00000-of-00001.parquet",
    )


def write_card(folder, configs):
    lines = ["---", "configs:"]
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:"]
        lines += [line for s in splits for line in (f"  - split: {s}", f"    path: {config}/{s}-*")]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A data folder with copies of repositories in the hub's format, and nothing else: no network, empty caches."""
    for name, value in (("HF_HUB_OFFLINE", True), ("HF_HUB_CACHE", "hub"), ("HF_ASSETS_CACHE", "assets")):
        monkeypatch.setattr(constants, name, str(tmp_path / value) if isinstance(value, str) else value)
    data = tmp_path / "data"
    xnli = data / "facebook" / "xnli"
    for code in ("en", "sw"):
        columns = {"premise": [f"p {code}", f"p {code}", f"q {code}"], "hypothesis": [f"{i} {code}" for i in range(3)]}
        names = {"label": class_names("label", NLI)}
        write_split(xnli, code, "train", {**columns, "label": [2, 0, 1]}, names)
        write_split(xnli, code, "validation", {**columns, "label": [0, -1, 1]}, names)
        write_split(xnli, code, "test", {**columns, "label": [-1, -1, -1]}, names)
    write_card(xnli, {code: ["train", "validation", "test"] for code in ("en", "sw")})
    return data


def test_a_local_copy_of_a_repository_is_read_as_the_catalogue_describes(hub):
    xnli = catalogue()["xnli"]
    examples = table(xnli, "train", "sw", hub)
    assert examples["text_a"].to_pylist() == ["p sw", "p sw", "q sw"]
    assert examples["label"].to_pylist() == ["contradiction", "entailment", "neutral"]
    english = table(xnli, "train", "en", hub)
    assert english["id"].equals(examples["id"]) and english["cluster_id"].equals(examples["cluster_id"])
    clusters = examples["cluster_id"].to_pylist()
    assert clusters[0] == clusters[1] != clusters[2]
    assert content_digest(xnli, "train", "sw", hub, {}) != content_digest(xnli, "train", "en", hub, {})


@pytest.mark.parametrize(
    "path", ["../../../secret.jsonl", "/{data}/../secret.jsonl", "https://example.com/x.jsonl", "hf://datasets/a/b/x.jsonl",
             "zip://a::../x.zip", "link.jsonl"],
)  # fmt: skip
@pytest.mark.parametrize("card", ["README.md", ".huggingface.yaml"])
def test_a_repository_cannot_name_files_elsewhere(hub, tmp_path, path, card):
    (tmp_path / "secret.jsonl").write_text('{"premise": "a", "hypothesis": "b", "label": "neutral"}\n')
    folder = hub / "facebook/xnli"
    (folder / "README.md").unlink()
    (folder / "link.jsonl").symlink_to("../../../secret.jsonl")
    files = [{"split": "train", "path": [path.format(data=hub)]}]
    text = json.dumps({"configs": [{"config_name": "sw", "data_files": files}]})
    (folder / card).write_text(text if card.endswith("yaml") else f"---\n{text}\n---\n")
    refused("unsafe", catalogue()["xnli"], "train", "sw", hub)


def test_a_repository_of_archives_is_refused(hub):
    folder = hub / "facebook/xnli"
    (folder / "README.md").write_text("---\nconfigs:\n- {config_name: sw, data_files: x.tar}\n---\n")
    (folder / "x.tar").write_bytes(b"")
    refused("unsupported", catalogue()["xnli"], "train", "sw", hub)


def test_withheld_labels_of_the_hub_are_refused_unless_only_predictions_are_wanted(hub):
    assert "no gold labels in 'sw'" in refused("inconsistent", catalogue()["xnli"], "test", "sw", hub)
    assert table(catalogue()["xnli"], "test", "sw", hub, withheld=True)["label"].null_count == 3


def test_a_single_missing_label_is_a_bad_row(hub):
    examples = load_examples(catalogue()["xnli"], "validation", "sw", hub, {})
    assert [str(problem) for problem in examples.rejected] == [
        "facebook/xnli sw validation, row 2 (sw): no label; expected a gold label, as other rows have"
    ]
    assert len(examples.table) == 2 and not examples.withheld


def test_missing_languages_splits_columns_and_repositories_are_refused(hub):
    xnli = catalogue()["xnli"]
    assert "'th' not found" in refused("missing-data", xnli, "train", "th", hub)
    assert "did you mean 'train'" in refused("unknown-name", xnli, "trian", "sw", hub)
    wrong = xnli.model_copy(update={"source": xnli.source.model_copy(update={"columns": {"text_a": "premises"}})})
    assert "did you mean 'premise'" in refused("bad-file", wrong, "train", "sw", hub)
    assert "'stanfordnlp/snli'" in refused("network", catalogue()["snli"], "train", "en", hub)


def test_a_union_has_the_examples_of_its_parts_under_distinct_ids(hub):
    for repository, config, splits in (
        ("stanfordnlp/snli", "plain_text", ["train"]),
        ("nyu-mll/glue", "mnli", ["train"]),
        ("facebook/anli", "plain_text", ["train_r1", "train_r2", "train_r3"]),
    ):
        for number, split in enumerate(splits):
            columns = {"uid": [f"{number}-0", f"{number}-1"], "premise": ["a", "b"], "hypothesis": ["c", "d"]}
            labels = [-1, 0] if "snli" in repository else [0, 2]
            write_split(hub / repository, config, split, {**columns, "label": labels}, {"label": class_names("", NLI)})
        write_card(hub / repository, {config: splits})
    known = catalogue()
    examples = load_examples(known["anli_plus"], "train", "en", hub, known)
    assert examples.unlabelled == 1 and not examples.rejected
    assert [i.split("-")[0] for i in examples.table["id"].to_pylist()] == ["snli", *["mnli"] * 2, *["anli"] * 6]
    assert examples.table["label"].to_pylist() == ["entailment", *["entailment", "contradiction"] * 4]


def test_tags_choices_answers_and_prefixes_are_read_from_the_hub(hub):
    known = catalogue()
    tags = list(known["panx"].labels)
    panx = {"tokens": [["Ada", "ran"]], "ner_tags": [[1, 0]]}
    write_split(hub / "google/xtreme", "PAN-X.sw", "test", panx, {"ner_tags": class_names("", tags, inner=True)})
    write_card(hub / "google/xtreme", {"PAN-X.sw": ["test"]})
    assert table(known["panx"], "test", "sw", hub)["tags"].to_pylist() == [["B-PER", "O"]]
    answers = [{"text": ["Ada"], "answer_start": [0]}] * 3
    squad = {"id": ["english-1", "swahili-2", "swahili-3"], "title": ["x", "y", "y"], "context": ["Ada ran"] * 3,
             "question": ["who?"] * 3, "answers": answers}  # fmt: skip
    feature = {"answers": {name: {"feature": {"dtype": kind, "_type": "Value"}, "_type": "List"}
                           for name, kind in (("text", "string"), ("answer_start", "int64"))}}  # fmt: skip
    folder = hub / "google-research-datasets/tydiqa"
    write_split(folder, "secondary_task", "validation", squad, feature)
    write_card(folder, {"secondary_task": ["validation"]})
    examples = table(known["tydiqa"], "test", "sw", hub)
    assert examples["id"].to_pylist() == ["swahili-2", "swahili-3"]
    assert len(set(examples["cluster_id"].to_pylist())) == 1
    assert examples["answers"].to_pylist() == [[{"text": "Ada", "start": 0}]] * 2


def test_raw_text_can_come_from_hub_tasks_alone(hub):
    xnli = catalogue()["xnli"]
    text = entry({"of_tasks": {"xnli": "train"}, "without": {"xnli": "test"}}, "mlm")
    refused("missing-data", text, "train", "sw", hub, {"xnli": xnli})
    text = entry({"of_tasks": {"xnli": "train"}}, "mlm")
    assert len(table(text, "train", "sw", hub, {"xnli": xnli})) == 5
    refused("network", text, "train", "sw", None, {"xnli": xnli})


def test_plain_files_of_a_repository_are_read_from_its_local_copy(hub):
    folder = hub / "azarijafari/FarsTail/data"
    folder.mkdir(parents=True)
    (folder / "Train-word.csv").write_text('premise\thypothesis\tlabel\n"a ""b"""\tc\te\nd\te\tn\n', encoding="utf-8")
    examples = table(catalogue()["farstail"], "train", "fa", hub)
    assert examples["text_a"].to_pylist() == ['a "b"', "d"]
    assert examples["label"].to_pylist() == ["entailment", "neutral"]


def write_configs(folder, files):
    """A card that names the data file of each configuration and split, and these files."""
    lines, configs = ["---", "configs:"], {}
    for (config, split, name), content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
        configs.setdefault(config, []).extend([f"  - split: {split}", f"    path: {name}"])
    for config, splits in configs.items():
        lines += [f"- config_name: {config}", "  data_files:", *splits]
    (folder / "README.md").write_text("\n".join([*lines, "---", ""]))


def test_json_lines_and_tables_of_the_hub_are_read_by_configuration(hub):
    """Belebele's layout, whose languages have questions in another order, and those of SIB-200 and AfriXNLI."""
    rows = [
        {"link": "a", "question_number": n, "flores_passage": "Rain.", "question": f"{n}?", "correct_answer_num": "3",
         **{f"mc_answer{i}": f"answer {i}" for i in range(1, 5)}} for n in (1, 2)
    ]  # fmt: skip
    texts = ["".join(json.dumps(row) + "\n" for row in some) for some in (rows, rows[::-1])]
    names = [(code, "test", f"data/{code}.jsonl") for code in ("eng_Latn", "swh_Latn")]
    write_configs(hub / "facebook/belebele", dict(zip(names, texts, strict=True)))
    english, swahili = (table(catalogue()["belebele"], "test", code, hub) for code in ("en", "sw"))
    assert english["id"].to_pylist() == swahili["id"].to_pylist()[::-1]
    assert english["label"].to_pylist() == [2, 2] and len(set(english["cluster_id"].to_pylist())) == 1
    sib = {("zho_Hans", "train", "data/zho_Hans/train.tsv"): "index_id\tcategory\ttext\n7\tscience/technology\t雨\n"}
    write_configs(hub / "Davlan/sib200", sib)
    assert table(catalogue()["sib200"], "train", "zh", hub)["label"].to_pylist() == ["science/technology"]
    nli = {("swa", "test", "data/swa/test.tsv"): "premise\thypothesis\tlabel\na\tb\t2\na\tc\t0\n"}
    write_configs(hub / "masakhane/afrixnli", nli)
    assert table(catalogue()["afrixnli"], "test", "sw", hub)["label"].to_pylist() == ["contradiction", "entailment"]


@pytest.mark.parametrize("named", [True, False])
def test_a_treebank_has_its_own_names_of_splits_and_class_numbers(hub, named):
    words = "NOUN PUNCT ADP NUM SYM SCONJ ADJ PART DET CCONJ PROPN PRON X _ ADV INTJ VERB AUX"
    classes = words.split()
    features = {"upos": class_names("upos", classes, inner=True)} if named else {"upos": numbers()}
    folder = hub / "commul/universal_dependencies"
    write_split(folder, "en_ewt", "dev", {"tokens": [["Rain", "can't", "fall"]], "upos": [[0, 13, 16]]}, features)
    write_card(folder, {"en_ewt": ["dev"]})
    examples = table(catalogue()["udpos"], "validation", "en", hub)
    assert examples["tokens"].to_pylist() == [["Rain", "fall"]] and examples["tags"].to_pylist() == [["NOUN", "VERB"]]


def numbers():
    return {"feature": {"dtype": "int64", "_type": "Value"}, "_type": "List"}


def test_the_authors_files_take_the_place_of_a_repository(hub, tmp_path):
    """Without them the repository is asked for; with them neither the network nor a commit is needed."""
    indonli = catalogue()["indonli"]
    refused("network", indonli, "train", "id", hub)
    assert not content_digest(indonli, "train", "id", hub, {}) and not has_fallback(indonli, hub)
    (hub / "indonli").mkdir()
    for name, label in (("train", "e"), ("val", "n"), ("test_lay", "c")):
        row = json.dumps({"premise": "hujan", "hypothesis": "basah", "label": label})
        (hub / f"indonli/{name}.jsonl").write_text(row + "\n")
    labels = [table(indonli, split, "id", hub)["label"].to_pylist() for split in ("train", "validation", "test")]
    assert labels == [["entailment"], ["neutral"], ["contradiction"]]
    assert content_digest(indonli, "train", "id", hub, {}) and has_fallback(indonli, hub)


def test_the_error_for_licensed_data_says_where_to_get_them():
    assert "LDC2005T13" in refused("missing-data", catalogue()["ccg"])


@pytest.fixture
def xtreme(tmp_path):
    """A small version of the benchmark's download folder: two languages, test sets without labels."""
    for name, text in {
        "xnli/train-en.tsv": 'a\t"say ""b"""\tneutral\n',
        "xnli/dev-sw.tsv": "a\tb\tneutral\na\tc\tentailment\n",
        "xnli/test-sw.tsv": "a\tb\na\tc\n",
        "panx/test-sw.tsv": "Ada\nran\n\nBo\n",
        "panx/dev-sw.tsv": "Ada\tB-PER\nran\tO\n\nBo\tB-PER\n",
        "tatoeba/sw-en.sw": "moja\nmbili\n",
        "tatoeba/sw-en.en": "a two\nb one\n",
        "bucc2018/de-en.dev.de": "de-1\teins\nde-2\tzwei\n",
        "bucc2018/de-en.dev.en": "en-7\tone\nen-8\tthree\n",
        "bucc2018/de-en.dev.gold": "de-1\ten-7\n",
        "bucc2018/de-en.test.de": "de-1\teins\n",
        "bucc2018/de-en.test.en": "en-7\tone\n",
        "xquad/xquad.de.json": json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": [
            {"id": "q1", "question": "who?", "answers": [{"answer_start": 0, "text": ""}]}]}]}]}),
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_test_sets_in_the_benchmarks_folder_have_withheld_labels(xtreme):
    known = {name: from_xtreme_folder(task) for name, task in catalogue().items()}
    assert table(known["xnli"], "train", "en", xtreme)["text_b"].to_pylist() == ['say "b"']
    assert table(known["xnli"], "validation", "sw", xtreme)["label"].to_pylist() == ["neutral", "entailment"]
    assert table(known["panx"], "validation", "sw", xtreme)["tags"].to_pylist() == [["B-PER", "O"], ["B-PER"]]
    assert table(known["bucc2018"], "dev", "de", xtreme)["gold"].to_pylist() == [None, None, "de-1", None]
    for name, split, code in (("xnli", "test", "sw"), ("panx", "test", "sw"), ("tatoeba", "test", "sw"),
                              ("bucc2018", "test", "de"), ("xquad", "test", "de")):  # fmt: skip
        refused("inconsistent", known[name], split, code, xtreme)
        assert len(table(known[name], split, code, xtreme, withheld=True))
    assert available(known["xnli"], "test", ("en", "sw", "th"), xtreme, known) == ["sw"]


FORMATS = {
    "jsonl": ('{"q": {"stem": "who?", "options": [{"t": "a"}, {"t": "b"}]}, "key": "B"}\n', "x.jsonl"),
    "json": ('[{"q": {"stem": "who?", "options": [{"t": "a"}, {"t": "b"}]}, "key": "B"}]', "x.json"),
}


def test_a_sorted_file_is_shuffled_before_it_is_cut_into_splits(tmp_path):
    (tmp_path / "a.tsv").write_text("".join(f"{i}\tb\t{NLI[i // 20]}\n" for i in range(60)))
    columns = {"text_a": 0, "text_b": 1, "label": 2}
    source = {"format": "table", "files": {"train": "a.tsv", "dev": "a.tsv"}, "columns": columns, "shuffled": True,
              "rows": {"train": [0, 40], "dev": [40, 60]}}  # fmt: skip
    train, dev = (table(entry(source), split, data=tmp_path) for split in ("train", "dev"))
    assert set(dev["label"].to_pylist()) == set(NLI)
    assert sorted([*train["text_a"].to_pylist(), *dev["text_a"].to_pylist()], key=int) == [str(i) for i in range(60)]
    assert train.equals(table(entry(source), data=tmp_path))


@pytest.mark.parametrize("kind", FORMATS)
def test_nested_fields_are_read_by_paths(tmp_path, kind):
    text, name = FORMATS[kind]
    (tmp_path / name).write_text(text)
    columns = {"question": "q.stem", "choices": "q.options.t", "label": "key"}
    mine = entry({"format": kind, "files": {"train": name}, "columns": columns}, "multiple_choice", labels=["A", "B"])
    (row,) = table(mine, data=tmp_path).to_pylist()
    assert (row["question"], row["choices"], row["label"], row["context"]) == ("who?", ["a", "b"], 1, None)


def test_several_columns_and_blocks_of_lines_become_choices(tmp_path):
    (tmp_path / "a.csv").write_text('id,c,x,y,label\n7,"in, out",one,two,0\n')
    mine = entry({"format": "table", "files": {"train": "a.csv"}, "columns": {
        "id": "id", "context": "c", "choices": ["x", "y"], "label": "label"}}, "multiple_choice")  # fmt: skip
    (row,) = table(mine, data=tmp_path).to_pylist()
    assert (row["id"], row["context"], row["choices"], row["label"]) == ("7", "in, out", ["one", "two"], 0)
    (tmp_path / "b.txt").write_text("scene\n1\nfirst\nsecond\n" * 2 + "scene\n")
    blocks = {"format": "blocks", "block": 4, "files": {"train": "b.txt"}}
    mine = entry({**blocks, "columns": {"context": 0, "label": 1, "choices": [2, 3]}}, "multiple_choice")
    examples = load_examples(mine, "train", "en", tmp_path, {})
    assert examples.table["choices"].to_pylist() == [["first", "second"]] * 2
    assert [problem.found for problem in examples.rejected] == ["1 lines at the end"]


def test_parquet_files_and_conllu_sentences_are_read(tmp_path):
    pq.write_table(pa.table({"a": ["x"], "l": [1]}), tmp_path / "a.parquet")
    mine = entry({"format": "parquet", "files": {"train": "a.parquet"}, "columns": {"text_a": "a", "label": "l"},
                 "relabel": {"1": "neutral"}})  # fmt: skip
    assert table(mine, data=tmp_path)["label"].to_pylist() == ["neutral"]
    (tmp_path / "a.conllu").write_text(
        "# newdoc id = 1\n# sent_id = 1\n1-2\tvámonos\t_\t_\t_\t_\t_\t_\t_\t_\n"
        "1\tvamos\tir\tVERB\t_\t_\t0\troot\t_\t_\n2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_\n"
        "2.1\tx\t_\tNOUN\t_\t_\t_\t_\t_\t_\n\n1\tsí\tsí\tINTJ\t_\t_\t0\troot\t_\t_\n\n"
        "# newdoc\n1\tno\tno\tINTJ\t_\t_\t0\troot\t_\t_\n"
    )
    mine = entry({"format": "conllu", "files": {"train": "a.conllu"}}, "tagging", labels=["VERB", "PRON", "INTJ"])
    examples = table(mine, data=tmp_path)
    assert examples["tokens"].to_pylist() == [["vamos", "nos"], ["sí"], ["no"]]
    assert examples["tags"].to_pylist() == [["VERB", "PRON"], ["INTJ"], ["INTJ"]]
    clusters = examples["cluster_id"].to_pylist()
    assert clusters[0] == clusters[1] != clusters[2]


BROKEN = [
    (b"a\tb\tneutral\t1\n", ""),
    (b"a\tb\tmaybe\t2\n", "label 'maybe'"),
    (b"\tb\tneutral\t3\n", "empty text_a"),
    (b"a\t \tneutral\t4\n", "empty text_b"),
    (b"a\tb\t\t5\n", "no label"),
    (b"caf\xe9\tb\tneutral\t6\n", "not UTF-8"),
    (b"a\tb\tneutral\t1\n", "id '1' a second time"),
    (b"a\n", "1 columns"),
    (b"a\tb\tNeutral\t9\n", "label 'Neutral'"),
    (b"\t\tneutral\t10\n", "empty text_b"),
    (b"a\tb\tentailment \t11\n", ""),
    (b"a\tb\t-1\t12\n", "no label"),
]


@pytest.fixture
def broken(tmp_path):
    (tmp_path / "en.tsv").write_bytes(b"".join(line for line, _ in BROKEN))
    columns = {"text_a": 0, "text_b": 1, "label": 2, "id": 3}
    return tmp_path, {"format": "table", "files": {"train": "{lang}.tsv"}, "columns": columns}


def test_every_bad_row_of_a_file_is_listed_at_once(broken):
    folder, source = broken
    examples = load_examples(entry(source), "train", "en", folder, {})
    named = {problem.line: problem.found for problem in examples.rejected}
    for number, (_, fault) in enumerate(BROKEN, 1):
        assert named.get(number, "").startswith(fault) and bool(fault) == (number in named)
    assert len(named) == 10
    with pytest.raises(XstiltsError) as caught:
        table(entry(source), data=folder)
    assert all(f"line {line} (en): {named[line]}" in caught.value.why for line in (2, 3, 4, 5, 6, 7, 8, 9))
    assert "line 5 (en): no label; expected a gold label, as other rows have (and 1 more such row)" in caught.value.why


def test_skipped_rows_are_listed_and_do_not_shift_ids(broken, tmp_path):
    folder, source = broken
    arguments = {"task": entry(source, on_bad_row="skip").model_dump(), "tasks": {}, "split": "train",
                 "language": "en", "content": "", "data": str(folder)}  # fmt: skip
    out = tmp_path / "out"
    out.mkdir()
    prepare(arguments, {}, out, Context(tmp_path))
    assert read_examples([out])["id"].to_pylist() == ["1", "11"]
    left_out = json.loads((out / "left-out.json").read_text())
    assert len(left_out["problems"]) == 10
    assert left_out["problems"][0] == {"file": str(folder / "en.tsv"), "line": 2, "language": "en", "unit": "line",
                                       "found": "label 'maybe'", "expected": "one of " + ", ".join(NLI)}  # fmt: skip
    columns = {"text_a": 0, "label": 2}
    mine = entry({**source, "columns": columns}, on_bad_row="skip")
    assert table(mine, data=folder)["id"].to_pylist() == ["en-train-0", "en-train-3", "en-train-6", "en-train-10"]


def test_a_check_describes_the_data_of_each_language(tmp_path):
    (tmp_path / "en.tsv").write_text("one two\tx\tneutral\none  Two\tX\tneutral\nthree\ty\tentailment\n")
    (tmp_path / "sw.tsv").write_text("moja\tz\tneutral\nmbili\t\tneutral\n")
    (tmp_path / "other-en.tsv").write_text("THREE\tw\tneutral\n")
    source = {"format": "table", "files": {"train": "{lang}.tsv"}, "columns": {"text_a": 0, "text_b": 1, "label": 2}}
    other = entry({**source, "files": {"train": "other-{lang}.tsv"}})
    task = entry(source)
    count = lambda texts: [2 * len(text.split()) for text in texts]  # noqa: E731
    seen = texts_of(other, ["train"], "en", tmp_path, {})
    english, swahili, thai = check(
        task, "train", ("en", "sw", "th"), tmp_path, {}, count, lambda code: seen if code == "en" else set()
    )
    facts, problems = english
    assert (facts["examples"], facts["duplicates"], facts["overlap"], problems) == (3, 1, 1, [])
    assert facts["labels"] == {"entailment": 1 / 3, "neutral": 2 / 3}
    assert (facts["median"], facts["longest"], facts["per_word"]) == (6, 6, 2)
    facts, problems = swahili
    assert (facts["examples"], facts["bad"], facts["empty"], facts["overlap"]) == (1, 1, 1, 0)
    assert "sw.tsv, line 2 (sw): empty text_b" in str(problems[0])
    facts, problems = thai
    assert facts["examples"] == 0 and "th.tsv does not exist" in problems[0].file


def test_a_check_lists_declared_languages_without_data(tmp_path):
    (tmp_path / "en.train.tsv").write_text("one\tx\tneutral\n")
    for code in ("en", "sw"):
        (tmp_path / f"{code}.test.tsv").write_text("one\tx\tneutral\n")
    mine = {"type": "classification", "labels": NLI, "languages": ["en", "sw", "th"], "source": {
        "format": "table", "files": {split: f"{{lang}}.{split}.tsv" for split in ("train", "test")},
        "columns": {"text_a": 0, "text_b": 1, "label": 2}}}  # fmt: skip
    (tmp_path / "tasks.yaml").write_text(yaml.safe_dump({"mine": mine}))
    words = ("data", "check", "mine", "--tasks", str(tmp_path / "tasks.yaml"), "--data", str(tmp_path), "--json")
    result = json.loads(invoke(*words, code=2))
    rows = sorted((row["split"], row["language"], row["examples"]) for row in result["languages"])
    assert rows == [("test", "en", 1), ("test", "sw", 1), ("test", "th", 0), ("train", "en", 1)]
    assert "th.test.tsv" in result["problems"][0]["file"]
    assert json.loads(invoke(*words, "--languages", "en,sw"))["problems"] == []
