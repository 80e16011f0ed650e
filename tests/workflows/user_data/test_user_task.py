"""Tables understood as tasks: what is inferred, what a person's options change, and what is refused."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from xstilts.errors import XstiltsError
from xstilts.workflows.user_data.tables import read_table
from xstilts.workflows.user_data.user_task import describe_duplicates, duplicates, split, understand

N = 24
TEXT = [f"A review that is number {i}" for i in range(N)]
STARS = [str(i % 3 + 9) for i in range(N)]
WORDS = [["bad", "good"][i % 2] for i in range(N)]
LONG = [f"{text}, and some more words that follow" for text in TEXT]
KEYS = [f"{i:032x}" for i in range(N)]


def error_of(*args, **options) -> XstiltsError:
    with pytest.raises(XstiltsError) as caught:
        understand(*args, **options)
    assert caught.value.what and caught.value.why and caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    ("columns", "kind", "chosen", "labels"),
    [
        ({"review": TEXT, "stars": STARS}, "classification", {"text_a": "review", "label": "stars"}, ("9", "10", "11")),
        ({"stars": STARS, "Text": TEXT, "title": LONG}, "classification", {"text_a": "Text", "label": "stars"}, None),
        ({"Review_Text": TEXT, "Class": WORDS}, "classification", {"text_a": "Review_Text", "label": "Class"}, None),
        ({"key": KEYS, "was": LONG, "kurz": TEXT, "y": WORDS}, "classification", {"text_a": "was", "label": "y"}, None),
        ({"text": TEXT, "id": list(range(N)), "mood": WORDS}, "classification", {"text_a": "text", "label": "mood"},
         None),
        ({"text": TEXT, "label": [1.0, 2.0] * 12}, "classification", {"text_a": "text", "label": "label"}, ("1", "2")),
        ({"text": TEXT, "label": [True, False] * 12}, "classification", None, ("false", "true")),
        ({"text": TEXT, "label": ["B", "a", "C 10", "C 9"] * 6}, "classification", None, ("B", "C 9", "C 10", "a")),
        ({"premise": TEXT, "hypothesis": LONG, "label": WORDS}, "pair",
         {"text_a": "premise", "text_b": "hypothesis", "label": "label"}, ("bad", "good")),
        ({"idx": KEYS, "sentence1": TEXT, "Sentence 2": LONG, "gold_label": WORDS}, "pair",
         {"text_a": "sentence1", "text_b": "Sentence 2", "label": "gold_label"}, None),
        ({"text": TEXT, "labels": [["a"], ["b", "a"], []] * 8}, "multilabel", {"text_a": "text", "label": "labels"},
         ("a", "b")),
        ({"text": TEXT, "labels": ["a", "b|a", "c"] * 8}, "multilabel", None, ("a", "b", "c")),
        ({"text": TEXT, "label": ["a|b", "c|d"] * 12}, "classification", None, ("a|b", "c|d")),
        ({"text": TEXT, "toxic": ["0", "1"] * 12, "rude": ["1", "0", "0"] * 8}, "multilabel",
         {"text_a": "text", "label": "toxic,rude"}, ("rude", "toxic")),
        ({"tokens": [["a", "b"]] * N, "ner_tags": [["O", "B-X"]] * N}, "tagging",
         {"tokens": "tokens", "tags": "ner_tags"}, ("B-X", "I-X", "O")),
        ({"context": TEXT, "question": LONG, "answers": [[{"text": "A", "answer_start": 0}]] * N}, "qa",
         {"context": "context", "question": "question", "answers": "answers"}, ()),
        ({"question": TEXT, "choices": [["x", "y"]] * N, "answer": [0, 1] * 12}, "choice",
         {"question": "question", "choices": "choices", "label": "answer"}, ("0", "1")),
        ({"context": LONG, "question": TEXT, "answerA": TEXT, "answerB": LONG, "correct": ["A", "B"] * 12}, "choice",
         {"context": "context", "question": "question", "choices": "answerA,answerB", "label": "correct"}, ("A", "B")),
    ],
)  # fmt: skip
def test_kind_columns_and_labels_are_inferred(columns, kind, chosen, labels):
    task = understand(pa.table(columns))
    assert task.kind == kind
    assert chosen is None or dict(task.columns) == chosen
    assert labels is None or task.labels == labels
    assert len(task.examples) == len(columns[next(iter(columns))])
    for names in task.columns.values():
        assert any(names.replace(",", ", ") in note for note in task.notes)


def test_a_column_with_the_name_of_labels_but_too_many_values_is_passed_over():
    columns = {"text": TEXT * 50, "topic": [str(i) for i in range(50 * N)], "stars": STARS * 50}
    assert understand(pa.table(columns)).columns["label"] == "stars"


def test_examples_have_words_ids_and_languages():
    table = pa.table({"uid": KEYS, "review": [f" {text}\n" for text in TEXT], "stars": [1, 5] * 12})
    examples = understand(table, language="swahili").examples
    assert examples.schema.names == ["id", "language", "text_a", "label"]
    assert examples.to_pylist()[1] == {"id": KEYS[1], "language": "sw", "text_a": TEXT[1], "label": "5"}
    repeated = table.set_column(0, "uid", pa.array(["x"] * N))
    assert understand(repeated).examples["id"].to_pylist() == [str(i) for i in range(1, N + 1)]


def test_answers_are_checked_and_given_as_text_and_start():
    rows = {"context": [" Mto ni mrefu"] * N, "question": TEXT}
    lists = pa.table(rows | {"answers": [{"text": ["Mto", "Mto ni"], "answer_start": [1, 1]}] * N})
    answers = [{"text": "Mto", "start": 1}, {"text": "Mto ni", "start": 1}]
    task = understand(lists)
    assert task.examples["answers"].to_pylist() == [answers] * N and task.examples["context"][0].as_py()[0] == " "
    wrong = [[{"text": "Mto", "answer_start": 1}]] * (N - 1) + [[{"text": "Mto", "answer_start": 0}]]
    error = error_of(pa.table(rows | {"answers": wrong}))
    assert error.kind == "bad-row" and f"row {N}" in error.what


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ([0, 1, 2], [0, 1, 2]), (["1", "2", "3"], [0, 1, 2]), (["c", "a", "b"], [2, 0, 1]),
        (["z", "x", "y"], [2, 0, 1]), (["0", "1", "4"], "bad-row"), (["A", "B", "x"], "bad-row"),
    ],
)  # fmt: skip
def test_the_right_choice_is_a_number_a_letter_or_a_text(labels, numbers):
    table = pa.table({"question": TEXT, "choices": [["x", "y", "z"]] * N, "label": labels * 8})
    if isinstance(numbers, str):
        assert error_of(table).kind == numbers
    else:
        assert understand(table).examples["label"].to_pylist() == numbers * 8


@pytest.mark.parametrize(
    ("options", "chosen"),
    [
        ({"text": "title"}, {"text_a": "title", "label": "label"}),
        ({"text": ["title", "text"]}, {"text_a": "title", "text_b": "text", "label": "label"}),
        ({"text": "title,text", "kind": "pair"}, {"text_a": "title", "text_b": "text", "label": "label"}),
        ({"label": "a, b"}, {"text_a": "a, b", "label": "label"}),
        ({"label": "stars"}, {"text_a": "text", "label": "stars"}),
        ({"label": "flag,other", "kind": "multilabel"}, {"text_a": "text", "label": "flag,other"}),
        ({"kind": "classification"}, {"text_a": "text", "label": "label"}),
    ],
)
def test_options_win(options, chosen):
    columns = {"text": TEXT, "title": LONG, "label": WORDS, "stars": STARS, "flag": [0, 1] * 12, "other": [1, 0] * 12}
    if options == {"label": "a, b"}:  # a column whose name has a comma
        columns, options = {"a, b": TEXT, "label": WORDS}, {"text": "a, b"}
    assert dict(understand(pa.table(columns), **options).columns) == chosen


@pytest.mark.parametrize("option", ["text", "label"])
def test_an_unknown_column_names_all_and_the_nearest(option):
    error = error_of(pa.table({"review": TEXT, "stars": STARS}), **{option: "revew" if option == "text" else "star"})
    assert error.kind == "unknown-name" and "review, stars" in error.why
    assert ("'review'" if option == "text" else "'stars'") in error.hint


@pytest.mark.parametrize(
    ("columns", "options", "kind", "words"),
    [
        ({"text": TEXT, "lable": KEYS}, {}, "bad-argument", ["text, lable", "'lable'"]),
        ({"text": TEXT, "mood": WORDS, "shop": STARS}, {}, "bad-argument", ["mood", "--label"]),
        ({"id": KEYS, "label": WORDS}, {}, "bad-argument", ["id, label", "--text"]),
        ({"It was good": TEXT, "bad": WORDS}, {}, "bad-argument", ["column names"]),
        ({"text": TEXT, "label": ["a"] * N}, {}, "too-few", ["label", "'a'", "2"]),
        ({"text": TEXT, "label": [None, ""] * 12}, {}, "too-few", ["label"]),
        ({"text": TEXT, "label": ["a", "b"] * 11 + ["c", "d"]}, {}, "too-few", ["c, d", "2"]),
        ({"text": TEXT[:5], "label": WORDS[:5]}, {}, "too-few", ["5", "10"]),
        (
            {"text": TEXT * 100, "label": [str(i % 1200) for i in range(100 * N)]},
            {},
            "bad-argument",
            ["1,200", "1,000"],
        ),
        ({"text": TEXT, "label": WORDS}, {"kind": "clasification"}, "bad-argument", ["'classification'"]),
        ({"text": TEXT, "label": WORDS}, {"kind": "pair"}, "bad-argument", ["text"]),
        ({"text": TEXT, "label": WORDS}, {"kind": "qa"}, "bad-argument", ["text, label"]),
        ({"text": TEXT, "label": WORDS}, {"language": "swahly"}, "unknown-name", ["'swahly'"]),
        ({"text": TEXT, "lang": ["en"] * 23 + ["qqq"], "label": WORDS}, {"language": "lang"}, "bad-row", ["row 24"]),
        ({"text": TEXT, "labels": [["a"], ["b"]] * 12}, {"kind": "classification"}, "bad-argument", ["labels"]),
        ({"tokens": [["a", "b"]] * N, "tags": [["O", "X"]] * 23 + [["O"]]}, {}, "bad-row", ["row 24"]),
        ({"text": [""] * N, "label": WORDS}, {"text": "text"}, "too-few", ["label"]),
    ],
)
def test_what_cannot_be_learned_is_refused(columns, options, kind, words):
    error = error_of(pa.table(columns), **options)
    assert error.kind == kind and all(word in str(error) for word in words), str(error)


def test_an_empty_table_is_refused():
    assert error_of(pa.table({"text": pa.array([], pa.string())})).kind == "too-few"


@pytest.mark.parametrize(
    ("columns", "options", "language", "column", "note"),
    [
        ({}, {}, "en", "", "--language COLUMN|CODE"),
        ({"text": [f"ดีมาก {i}" for i in range(N)]}, {}, "th", "", "--language"),
        ({"text": [f"とても良い {i}" for i in range(N)]}, {}, "ja", "", "--language"),
        ({"lang": ["eng_Latn", "sw"] * 12}, {}, "", "lang", "lang (en, sw)"),
        ({"locale": ["sw-KE"] * N}, {}, "sw", "locale", "locale"),
        ({"language": ["Python", "Java"] * 12}, {}, "en", "", "'Python'"),
        ({"spoken": ["Thai", "English"] * 12}, {"language": "spoken"}, "", "spoken", "spoken"),
        ({"lang": ["en", "sw"] * 12}, {"language": "th"}, "th", "", "language: th"),
        ({"text": ["Nzuri sana", "ดีมาก", "очень хорошо", "it is good"] * 6}, {}, "en", "", "several scripts"),
    ],
)
def test_languages_are_given_in_a_column_or_assumed(columns, options, language, column, note):
    task = understand(pa.table({"text": TEXT, "label": WORDS} | columns), **options)
    assert (task.language, task.language_column) == (language, column)
    assert any(note in line for line in task.notes)
    codes = {"lang": {"en", "sw"}, "spoken": {"en", "th"}}.get(column, {language})
    assert set(task.examples["language"].to_pylist()) == codes


def test_rows_that_cannot_be_used_are_counted():
    texts, labels = ["", "  ", None, *TEXT[3:]], [*WORDS[:-1], None]
    task = understand(pa.table({"text": texts, "label": labels}))
    assert len(task.examples) == N - 4 and task.examples["id"][0].as_py() == "4"
    notes = " ".join(task.notes)
    assert "3 rows without a text" in notes and "1 row without a label" in notes


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"label": ["a"] * 22 + ["b"] * 2}, "91.7%"),
        ({"label": ["good", "Good"] * 12}, "good"),
        ({"text": ["same", *TEXT[:-2], " same"]}, "1 text with different labels"),
        ({"sentiment": STARS}, "sentiment"),
        ({"title": LONG}, "title"),
    ],
)
def test_notes_tell_what_a_person_would_want_to_check(columns, word):
    plain, odd = ({"text": TEXT, "label": WORDS} | more for more in ({}, columns))
    assert word in " ".join(understand(pa.table(odd)).notes)
    assert word not in " ".join(understand(pa.table(plain)).notes).replace("bad, good", "")


def test_test_rows_may_be_few_but_have_known_labels():
    table = pa.table({"text": ["one text"], "label": ["good"]})
    options = {"text": "text", "label": "label", "kind": "classification", "labels": ("bad", "good")}
    task = understand(table, **options)
    assert task.labels == ("bad", "good") and len(task.examples) == 1
    assert error_of(table, **options | {"labels": ("bad", "worse")}).kind == "bad-row"
    assert error_of(table.set_column(0, "text", pa.array([""])), **options).kind == "too-few"


def examples_of(labels, texts=None):
    return pa.table(
        {
            "id": [str(i) for i in range(len(labels))],
            "text_a": texts or [f"t{i}" for i in range(len(labels))],
            "label": labels,
        }
    )


def test_a_split_is_stratified_and_repeats():
    examples = examples_of(["a"] * 700 + ["b"] * 200 + ["c"] * 2)
    train, dev = split(examples)
    assert Counter(dev["label"].to_pylist()) == {"a": 70, "b": 20, "c": 1}
    assert sorted(train["id"].to_pylist() + dev["id"].to_pylist()) == sorted(examples["id"].to_pylist())
    assert split(examples)[1].equals(dev)
    shuffled = examples.take(pa.array(np.random.default_rng(0).permutation(len(examples))))
    assert set(split(shuffled)[1]["id"].to_pylist()) == set(dev["id"].to_pylist())
    assert set(split(examples, seed=2)[1]["id"].to_pylist()) != set(dev["id"].to_pylist())
    assert len(split(examples, share=0.5)[1]) == 451


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5])
def test_a_share_lies_between_0_and_1(share):
    with pytest.raises(XstiltsError):
        split(examples_of(["a", "b"]), share)


def test_equal_texts_stay_on_one_side():
    texts = [f"text  {i % 40}{' ' * (i % 3)}" for i in range(400)]
    train, dev = split(examples_of([WORDS[i % 3] for i in range(400)], texts), 0.2)
    assert 60 <= len(dev) <= 100 and duplicates(train, dev) == []
    train, dev = split(examples_of(["a"] * 20, ["same"] * 20))
    assert len(train) == 20 and len(dev) == 0


def test_questions_of_one_context_stay_on_one_side():
    contexts = [f"context {i // 4}" for i in range(80)]
    examples = pa.table({"context": contexts, "question": [f"q{i}" for i in range(80)], "answers": [[]] * 80})
    train, dev = split(examples)
    assert len(dev) == 8 and not set(train["context"].to_pylist()) & set(dev["context"].to_pylist())
    assert duplicates(train, dev) == [] and len(duplicates(examples, dev)) == 2


def test_duplicates_are_counted_and_named():
    train, test = examples_of(["x"] * 5, list("abcde")), examples_of(["x"] * 6, ["z", " e", "d", "c", "b", "e"])
    assert duplicates(train, test) == ["e", "d", "c", "b"]
    assert describe_duplicates(duplicates(train, test)) == "4 texts are in both: 'e', 'd', 'c', …"


@pytest.mark.parametrize(
    ("file", "kind", "columns", "labels", "rows"),
    [
        ("sib200/tha_Thai/train.tsv", "classification", {"text_a": "text", "label": "category"}, 7, 701),
        ("mnli_taxinli/taxinli10k.tsv", "pair", {"text_a": "prem", "text_b": "hyp", "label": "label"}, 3, 10071),
        ("panx/dev-sw.tsv", "tagging", {"tokens": "tokens", "tags": "tags"}, 7, 1000),
        ("squad/dev-v2.0.rebuilt.json", "qa", None, 0, 11873),
        ("farstail/Val-word.csv", "pair", {"text_a": "premise", "text_b": "hypothesis", "label": "label"}, 3, 1537),
        ("jglue/jcommonsenseqa-v1.3-valid-v1.3.json", "choice", None, 5, 1119),
    ],
)  # fmt: skip
def test_real_files_are_understood(real_data, file, kind, columns, labels, rows):
    task = understand(read_table(real_data / file))
    assert task.kind == kind and (columns is None or dict(task.columns) == columns)
    assert (len(task.labels), len(task.examples)) == (labels, rows)
    train, dev = split(task.examples)
    assert len(train) + len(dev) == rows and 0.09 < len(dev) / rows < 0.11


def test_real_files_without_a_header_are_not_misread(real_data):
    assert error_of(read_table(real_data / "xnli/dev-sw.tsv")).kind == "bad-argument"


def choices(answers, options=("yes", "no", "maybe")):
    return pa.table({"question": [f"q {i}" for i in range(len(answers))], "choices": [list(options)] * len(answers),
                     "answer": answers})  # fmt: skip


def test_test_rows_may_name_choices_by_their_text():
    task = understand(choices([str(1 + i % 3) for i in range(N)]))
    assert task.labels == ("1", "2", "3")
    test = understand(choices(["no", "yes"]), kind="choice", columns=task.columns, labels=task.labels)
    assert test.examples["label"].to_pylist() == [1, 0]


@pytest.mark.parametrize(
    ("table", "named"),
    [
        (choices(["A", "B"] * 12, ("B", "A")), "places"),
        (choices(["0", "1", "2", "3"] * 6), "row 4 "),
        (pa.table({"text": TEXT, "toxic": ["yes", "no"] * 12, "rude": ["1", "0"] * 12}), "row 1 has 'yes'"),
        (pa.table({"text": TEXT, "label": WORDS, "language": ["sw", "en", "xx"] * 8}), "row 3 has 'xx'"),
    ],
)
def test_data_that_can_be_read_in_two_ways_are_refused(table, named):
    options = {"label": "toxic,rude"} if "toxic" in table.column_names else {}
    error = error_of(table, **options)
    assert error.kind == "bad-row" and named in error.what


def test_rows_without_labels_are_left_out_of_data_with_several_labels():
    task = understand(pa.table({"text": TEXT, "labels": [["a"], ["b"], None] * 8}))
    assert len(task.examples) == 16 and any("left out: 8 rows without a label" in note for note in task.notes)
