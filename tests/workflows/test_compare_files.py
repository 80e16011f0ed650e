"""Two systems compared by files that other tools wrote: formats, names of files, and what does not belong together."""

import doctest
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from support import invoke
from xstilts import compare
from xstilts.errors import XstiltsError
from xstilts.workflows.compare_files import compare_files
from xstilts.workflows.predictions.prediction_files import read_names, split_arguments

GOLD = [
    (["John", "Lewis", "alizaliwa", "Troy", "."], ["B-PER", "I-PER", "O", "B-LOC", "O"]),
    (["Barack", "Obama", "alihudhuria"], ["B-PER", "I-PER", "O"]),
    (["Ibada", "ilifanyika", "Atlanta"], ["O", "O", "B-LOC"]),
    (["Alhamisi"], ["O"]),
]
WRONG = {1: ["B-PER", "O", "O"], 2: ["O", "O", "O"], 3: ["B-LOC"]}
"""Predictions of sentences that miss gold spans, by number of the sentence."""


def tagged(*wrong, change=None, columns=1, sep=" ", end="\n"):
    """The text of a CoNLL file: gold tags, but the wrong predictions in some sentences, and other tokens in others."""
    blocks = []
    for i, (tokens, gold) in enumerate(GOLD):
        tags = WRONG[i] if i in wrong else gold
        rows = zip((change or {}).get(i, tokens), gold, tags, strict=False)
        blocks.append(end.join(sep.join([token, *([g] * (columns > 1)), tag]) for token, g, tag in rows))
    return (end * 2).join(blocks) + end


@pytest.fixture
def write(tmp_path):
    """Write files below the test's folder, and return it."""

    def files(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("__", "/")
            path = path if path.suffix else path.with_suffix(".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, list):
                content = "\n".join(json.dumps(row) for row in content)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return files


@pytest.fixture
def three_seeds(write):
    """Two systems with three seeds each, in Swahili and Yoruba, and gold."""
    wrong = {"A": [(1,), (), (2,)], "B": [(1, 2), (2, 3), (1,)]}
    for code in ("swa", "yor"):
        write(**{f"gold__{code}": tagged()})
        for system, seeds in wrong.items():
            write(**{f"{system}__{code}.{seed}.txt": tagged(*each) for seed, each in enumerate(seeds, 1)})
    return write()


def kind(call, *arguments, **options):
    with pytest.raises(XstiltsError) as error:
        call(*arguments, **options)
    assert error.value.what and error.value.why and error.value.hint
    return error.value.kind


def test_the_example_is_true():
    failed, tried = doctest.testmod(sys.modules[compare_files.__module__])
    assert tried and not failed


def test_tagged_words_of_several_seeds_and_languages(three_seeds):
    result = compare_files(three_seeds / "A", str(three_seeds / "B/*.txt"), three_seeds / "gold")
    assert result.names == ("A", "B") and result.metrics == {"": "span_f1"}
    assert [row.language for row in result.languages] == ["sw", "yo"] and result.difference.replicates == 3
    # Spans of gold: 4. Sentence 1 wrong: 3 of 4 right, 4 predicted. Sentence 2: 3 right, 3 predicted.
    f1 = {(): 100, (1,): 75, (2,): 100 * 6 / 7, (1, 2): 100 * 4 / 7, (2, 3): 75.0}
    scores = [file.score for file in result.files if file.system == "A" and file.language == "sw"]
    assert scores == pytest.approx([f1[1,], f1[()], f1[2,]])
    assert result.left == pytest.approx(np.mean(scores)) and result.difference.low < result.difference.estimate
    sides = [sorted((three_seeds / system).glob("*.txt")) for system in "AB"]
    assert compare_files(*sides, three_seeds / "gold").difference == result.difference


def test_labels_give_the_same_interval_as_arrays(write):
    rng = np.random.default_rng(1)
    gold = {code: rng.integers(0, 3, 60) for code in ("sw", "th")}
    correct = {"A": {}, "B": {}}
    for code, labels in gold.items():
        write(**{f"gold__{code}": "\n".join(map(str, labels))})
        for system, share in (("A", 0.8), ("B", 0.6)):
            right = rng.random((3, 60)) < share
            correct[system][code] = right
            for seed, row in enumerate(right, 1):
                predicted = np.where(row, labels, (labels + 1) % 3)
                write(**{f"{system}__{code}-seed{seed}.txt": "\n".join(map(str, predicted)) + "\n\n"})
    folder = write()
    result = compare_files(folder / "A", folder / "B", folder / "gold", level=0.9, equivalence=1.0)
    expected = compare(correct["A"], correct["B"], level=0.9, equivalence=1.0)
    for name in ("estimate", "low", "high", "verdict", "clusters", "replicates"):
        assert getattr(result.difference, name) == pytest.approx(getattr(expected, name))
    numbers = {code: np.arange(60) for code in gold}
    translated = compare_files(folder / "A", folder / "B", folder / "gold", parallel=True)
    expected = compare(correct["A"], correct["B"], clusters=numbers)
    assert (translated.difference.low, translated.difference.clusters) == pytest.approx((expected.low, 60))


def test_gold_tags_next_to_the_predicted_ones(write):
    folder = write(a=tagged(1, columns=2, sep="\t"), b=tagged(1, 2, columns=2, sep="\t"), g=tagged())
    inside = compare_files(folder / "a.txt", folder / "b.txt")
    apart = compare_files(folder / "a.txt", folder / "b.txt", folder / "g.txt")
    assert inside.difference == apart.difference and inside.names == ("a", "b")
    assert (inside.left, inside.right) == pytest.approx((75, 400 / 7))
    assert (inside.difference.low, inside.verdict) == (None, "undetermined")  # one seed
    assert kind(compare_files, folder / "g.txt", folder / "a.txt") == "bad-argument"


RECORDS = [
    {"guid": code + str(i), "label": "yes" if i % 2 else "no", "lang": code, "run": run, "doc": i // 2}
    for code in ("de", "th")
    for run in (1, 2)
    for i in range(6)
]
NAMES = {"id": "guid", "prediction": "label", "gold": "label", "language": "lang", "seed": "run"}


def flipped(places):
    return [
        {**row, "label": "no" if row["label"] == "yes" else "yes"} if i in places else row
        for i, row in enumerate(RECORDS)
    ]


def table(rows, sep):
    return "\n".join(sep.join(map(str, cells)) for cells in [rows[0], *(row.values() for row in rows)])


def test_records_with_columns_of_language_and_seed_in_any_order(write):
    left, right, gold = flipped({3, 17}), flipped({0, 9, 21}), [row for row in RECORDS if row["run"] == 1]
    folder = write(
        **{
            "a.jsonl": left[::-1],
            "b.jsonl": right,
            "gold.jsonl": gold,
            "a.csv": table(left, ","),
            "b.tsv": table(right, "\t"),
        }
    )
    paths = folder / "a.jsonl", folder / "b.jsonl", folder / "gold.jsonl"
    options = {"columns": NAMES, "task_type": "classification"}
    result = compare_files(*paths, **options)
    assert [(row.language, row.items) for row in result.languages] == [("th", 6), ("de", 6)]
    assert (result.left, result.right, result.difference.clusters) == pytest.approx((100 * 22 / 24, 100 * 21 / 24, 12))
    assert compare_files(folder / "a.csv", folder / "b.tsv", paths[2], **options).left == pytest.approx(result.left)
    documents = compare_files(*paths, task_type="classification", columns={**NAMES, "cluster": "doc"})
    assert documents.difference.clusters == 3
    macro = compare_files(*paths, metric="macro_f1", **options)
    assert macro.metrics == {"": "macro_f1"} and macro.left != result.left
    assert kind(compare_files, *paths, columns=NAMES) == "bad-argument"  # labels or answers?
    assert kind(compare_files, *paths, task_type="classification") == "bad-file"  # the columns have other names
    assert kind(compare_files, *paths, task_type="tagging", columns={"di": "guid"}) == "unknown-name"
    twice = write(**{"twice.jsonl": [*left, left[4]]}) / "twice.jsonl"
    assert kind(compare_files, twice, *paths[1:], **options) == "bad-file"


def test_records_of_tags_are_compared_by_tokens_and_by_number(write):
    gold = [{"id": i, "tokens": tokens, "gold": tags} for i, (tokens, tags) in enumerate(GOLD)]
    left = [{"id": i, "tokens": tokens, "prediction": WRONG.get(i, tags)} for i, (tokens, tags) in enumerate(GOLD)]
    cells = "\n".join(["id,prediction", *(f"{i},{' '.join(tags)}" for i, (_, tags) in enumerate(GOLD))])
    folder = write(**{"a.jsonl": left, "b.csv": cells, "gold.jsonl": gold})
    paths = folder / "a.jsonl", folder / "b.csv", folder / "gold.jsonl"
    result = compare_files(*paths)
    assert result.metrics == {"": "span_f1"} and (result.left, result.right) == (50, 100)
    for change in ({"tokens": ["x", *GOLD[0][0][1:]]}, {"prediction": ["O"]}):
        write(**{"a.jsonl": [{**left[0], **change}, *left[1:]]})
        assert kind(compare_files, *paths) == "inconsistent"
        assert compare_files(*paths, skip_mismatched=True).languages[0].left_out == 1


def test_several_labels_are_lists_or_cells_with_bars_in_any_order(write):
    gold = [["joy", "fear"], [], ["joy"], ["anger"]]
    left = [["fear", "joy"], [], ["joy", "anger"], ["anger"]]
    cells = "id,prediction\n0,joy | fear\n1,\n2,anger|joy\n3,anger\n"
    rows = [{"id": i, "prediction": labels, "gold": gold[i]} for i, labels in enumerate(left)]
    folder = write(**{
        "a.jsonl": rows, "a.csv": cells, "none.json": json.dumps({key: [] for key in "0123"}),
        "gold.jsonl": [{"id": i, "gold": labels} for i, labels in enumerate(gold)],
    })  # fmt: skip
    paths, options = (folder / "a.jsonl", folder / "none.json", folder / "gold.jsonl"), {"task_type": "multilabel"}
    result = compare_files(*paths, **options)
    assert result.metrics == {"": "micro_f1"} and (result.left, result.right) == pytest.approx((100 * 8 / 9, 0))
    assert any("none.json predicts no label" in note for note in result.notes)
    assert compare_files(folder / "a.csv", *paths[1:], **options).left == result.left
    assert compare_files(*paths, metric="exact_match", **options).left == 75
    write(**{"b.jsonl": [*rows[:3], {**rows[3], "prediction": ["anger", "joy"]}]})
    inside = compare_files(folder / "a.jsonl", folder / "b.jsonl", **options)
    assert (inside.left, inside.right) == pytest.approx((100 * 8 / 9, 80))
    assert kind(compare_files, *paths) == "inconsistent"  # lists of other lengths are taken for tags
    lines = write(c="joy\nfear\njoy\nanger\n") / "c.txt"
    assert kind(compare_files, lines, *paths[1:], **options) == "bad-file"


def test_answers_with_squad_gold(write):
    answers = {"q1": "the river Nile", "q2": "Cairo", "q3": ""}
    questions = [
        {"id": key, "question": "?", "answers": [{"text": text, "answer_start": 0}] if text else []}
        for key, text in (("q1", "Nile"), ("q2", "Cairo"), ("q3", ""))
    ]
    squad = {"data": [{"paragraphs": [{"context": "", "qas": [question]}]} for question in questions]}
    folder = write(
        **{
            "a.json": json.dumps(answers),
            "b.json": json.dumps({**answers, "q2": "Giza"}),
            "gold.json": json.dumps(squad),
        }
    )
    result = compare_files(folder / "a.json", folder / "b.json", folder / "gold.json")
    assert result.metrics == {"": "f1"} and result.left == pytest.approx(100 * (2 / 3 + 1 + 1) / 3)  # SQuAD drops "the"
    exact = compare_files(folder / "a.json", folder / "b.json", folder / "gold.json", metric="exact_match")
    assert exact.left == pytest.approx(200 / 3)
    write(**{"b.json": '{"q1": "x", "q2": "x", "q1": "x"}'})
    assert kind(compare_files, folder / "a.json", folder / "b.json", folder / "gold.json") == "bad-file"
    write(**{"b.json": json.dumps({"q1": "x", "q2": "x"})})
    assert kind(compare_files, folder / "a.json", folder / "b.json", folder / "gold.json") == "inconsistent"
    skipped = compare_files(folder / "a.json", folder / "b.json", folder / "gold.json", skip_mismatched=True)
    assert [(row.items, row.left_out) for row in skipped.languages] == [(2, 1)]


def test_folders_in_the_layout_of_xtreme(write):
    nli, tags = ["neutral", "entailment", "contradiction", "neutral"], ["B-PER", "I-PER", "", "O", "B-LOC", ""]
    for seed in (1, 2):
        for system, wrong in (("a", {0: "entailment"}), ("b", {0: "entailment", seed: "neutral"})):
            for code in ("sw", "th"):
                predicted = [wrong.get(i, label) for i, label in enumerate(nli)]
                write(**{f"{system}__seed-{seed}__xnli__test-{code}.tsv": "\n".join(predicted)})
            write(
                **{
                    f"{system}__seed-{seed}__panx__test-sw.tsv": "\n".join(
                        ["O" if system == "b" else tags[0], *tags[1:]]
                    )
                }
            )
    write(**{f"gold__xnli__test-{code}.tsv": "\n".join(nli) for code in ("sw", "th")})
    folder = write(**{"gold__panx__test-sw.tsv": "\n".join(tags)})
    result = compare_files(folder / "a", folder / "b", folder / "gold")
    assert result.metrics == {"xnli": "accuracy", "panx": "span_f1"} and len(result.seeds) == 2
    assert {(row.task, row.language): (row.left, row.right) for row in result.languages} == {
        ("xnli", "sw"): (75, 50), ("xnli", "th"): (75, 50), ("panx", "sw"): (100, 50),
    }  # fmt: skip
    assert (result.left, result.difference.estimate) == pytest.approx((87.5, 37.5)), "tasks count equally"
    xnli = compare_files(str(folder / "a/*/xnli/*"), str(folder / "b/*/xnli/*"), folder / "gold")
    assert xnli.difference.clusters == 4, "XNLI is parallel: its languages share items"
    write(**{"a__seed-1__xnli__test-sw.tsv": "\n".join([*nli, "maybe"])})
    assert kind(compare_files, folder / "a", folder / "b", folder / "gold") == "bad-file"
    write(**{"a__seed-1__xnli__test-sw.tsv": "\n".join(nli)})
    (folder / "b/seed-1/panx/test-sw.tsv").unlink()
    assert kind(compare_files, folder / "a", folder / "b", folder / "gold") == "inconsistent"


def test_questions_of_xtreme_without_an_answer_score_zero(write):
    paragraphs = [{"context": "", "qas": [{"id": f"q{i}", "answers": [{"text": "Nile"}]} for i in range(4)]}]
    folder = write(
        **{
            "gold__xquad__test-th.json": json.dumps({"data": [{"paragraphs": paragraphs}]}),
            "a__xquad__test-th.json": json.dumps({f"q{i}": "the Nile" for i in range(4)}),
            "b__xquad__test-th.json": json.dumps({f"q{i}": "Nile" for i in range(3)}),
            "b__bucc2018__test-de.tsv": "",
            "a__bucc2018__test-de.tsv": "",
        }
    )
    result = compare_files(folder / "a", folder / "b", folder / "gold")
    assert result.metrics == {"xquad": "f1_em"} and (result.left, result.right) == (100, 75)
    assert any("1 question" in note for note in result.notes) and any("bucc2018" in note for note in result.notes)
    assert kind(compare_files, folder / "a", folder / "b") == "bad-argument"


def test_sentences_with_other_tokens_than_gold_are_named_and_can_be_left_out(three_seeds, write):
    whole = compare_files(three_seeds / "A", three_seeds / "B", three_seeds / "gold")
    write(
        **{
            "A__yor.2.txt": tagged(change={2: ["Ibada", "ilifanyika", "ATLANTA"]}),
            "B__yor.3.txt": tagged(1, change={0: ["John", "Lewis", "Troy"]}),  # shorter than gold
        }
    )
    with pytest.raises(XstiltsError) as error:
        compare_files(three_seeds / "A", three_seeds / "B", three_seeds / "gold")
    assert error.value.kind == "inconsistent" and "yo 2" in error.value.what
    for part in ("A/yor.2.txt, line 13 (sentence 3)", "ATLANTA", "B/yor.3.txt, line 3 (sentence 1)", "alizaliwa"):
        assert part in error.value.why
    rest = compare_files(three_seeds / "A", three_seeds / "B", three_seeds / "gold", skip_mismatched=True)
    assert [(row.language, row.items, row.left_out) for row in rest.languages] == [("sw", 4, 0), ("yo", 2, 2)]
    assert rest.languages[0].difference == whole.languages[0].difference
    # Without sentences 0 and 2 there is one gold span, which A misses in its first run and B in two.
    assert (rest.languages[1].left, rest.languages[1].right) == pytest.approx((200 / 3, 200 / 9))


def test_a_token_may_be_composed_in_another_way(write):
    folder = write(
        a=tagged(1, change={3: ["\u00c9k\u00f3"]}),
        b=tagged(change={3: ["E\u0301ko\u0301"]}),
        g=tagged(change={3: ["\u00c9ko\u0301"]}),
    )
    assert compare_files(folder / "a.txt", folder / "b.txt", folder / "g.txt").languages[0].left_out == 0


@pytest.mark.parametrize(
    "content",
    [
        tagged(1, end="\r\n").encode(),
        b"\xef\xbb\xbf" + tagged(1).encode(),
        tagged(1).encode() + b"\n\n \n\n",
        tagged(1).strip().encode(),
        tagged(1, sep="\t").encode(),
        tagged(1).replace("\n\n", "\n\n\n").encode(),
        tagged(1, columns=2).encode(),  # another column between token and tag
    ],
)
def test_harmless_variants_of_a_file_read_the_same(write, content):
    folder = write(a=tagged(1), b=tagged(2), g=tagged(), v=content)
    plain, variant = (compare_files(folder / f"{name}.txt", folder / "b.txt", folder / "g.txt") for name in "av")
    assert plain.difference.estimate == variant.difference.estimate


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "bad-file"),
        (b"\n \n", "bad-file"),
        (tagged().replace("Troy", "Tr\u00f6y").encode("latin-1"), "bad-file"),
        (tagged().encode("utf-16"), "bad-file"),
        (tagged().replace("B-LOC", "LOC").encode(), "bad-file"),
        (tagged().replace("B-LOC", "L-LOC").encode(), "bad-file"),  # BILOU
        (tagged().replace("B-LOC", "nan").encode(), "bad-file"),
        (tagged().replace("Troy B-LOC", "Troy").encode(), "bad-file"),
        (tagged().replace("\n\n", "\n", 1).encode(), "inconsistent"),  # other sentences
        (tagged().encode() + b"\nx O\n", "inconsistent"),
        (b"O\nB-PER\n", "inconsistent"),  # one label a line
        (b"a\tb\nc\td\n", "bad-file"),  # no format is like this
        (b'{"id": 1, "prediction": NaN}', "bad-file"),
        (b'{"id": 1, "prediction": 0.3}', "bad-file"),
        (b'{"id": 1, "prediction": null}', "bad-file"),
        (b'{"id": 1, "prediction"', "bad-file"),
        (b'{"id": 1, "label": "x"}', "bad-file"),
        (b'{"id": 1, "prediction": ["O"]}\n{"id": 1, "prediction": ["O"]}', "bad-file"),
        (b'{"id": 1, "prediction": ["O"]}\n{"prediction": ["O"]}', "bad-file"),
        (b"id\tprediction\n1\tx\ty\n", "bad-file"),
        (b"id\tprediction\n", "bad-file"),
    ],
)
def test_broken_files_are_refused(write, content, expected):
    folder = write(a=content, b=tagged(2), g=tagged())
    assert kind(compare_files, folder / "a.txt", folder / "b.txt", folder / "g.txt") == expected
    assert kind(compare_files, folder / "b.txt", folder / "a.txt", folder / "g.txt") == expected


@pytest.mark.parametrize("gold", ["yes\nno\nno", "yes\n\nno\nyes", "Yes\nNo\nNo\nYes", "yes\nno\nno\nnan\n"])
def test_labels_that_do_not_fit_the_gold_labels_are_refused(write, gold):
    folder = write(a="yes\nno\nyes\nyes\n", b="no\nno\nno\nyes\n", g=gold)
    if "nan" in gold:
        folder = write(a="yes\nno\nyes\n\nyes", g="yes\nno\nno\nyes")
    assert kind(compare_files, folder / "a.txt", folder / "b.txt", folder / "g.txt") in ("bad-file", "inconsistent")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"metric": "spanf1"}, "unknown-name"),
        ({"metric": "calibration_error"}, "unknown-name"),
        ({"task_type": "ner"}, "unknown-name"),
        ({"task_type": "qa"}, "bad-file"),
        ({"level": 95}, "bad-argument"),
        ({"equivalence": 0}, "bad-argument"),
        ({"columns": {"cluster": "doc"}}, "bad-argument"),
        ({"pattern": "{lang}-{seed}.txt"}, "bad-argument"),
        ({"pattern": "{language}.txt"}, "bad-argument"),
    ],
)
def test_options_that_do_not_fit_are_refused(three_seeds, options, expected):
    paths = (three_seeds / name for name in ("A", "B", "gold"))
    assert kind(compare_files, *paths, **options) == expected


@pytest.mark.parametrize(
    ("absent", "expected"),
    [
        (["B/yor.1.txt", "B/yor.2.txt", "B/yor.3.txt"], "inconsistent"),  # a language
        (["B/yor.3.txt", "B/swa.3.txt"], "inconsistent"),  # a seed
        (["B/yor.3.txt"], "inconsistent"),  # a seed of one language
        (["gold/yor.txt"], "missing-file"),
        (["gold/yor.txt", "gold/swa.txt"], "missing-file"),
    ],
)
def test_files_that_are_missing_are_noticed(three_seeds, absent, expected):
    for name in absent:
        (three_seeds / name).unlink()
    assert kind(compare_files, *(three_seeds / name for name in ("A", "B", "gold"))) == expected


def test_equally_many_seeds_with_other_numbers_are_paired_by_order(three_seeds):
    whole = compare_files(three_seeds / "A", three_seeds / "B", three_seeds / "gold")
    for file in list((three_seeds / "B").iterdir()):
        code, seed, _ = file.name.split(".")
        file.rename(file.with_name(f"{code}.{int(seed) * 40}.txt"))
    other = compare_files(three_seeds / "A", three_seeds / "B", three_seeds / "gold")
    assert other.seeds == (("1", "40"), ("2", "80"), ("3", "120")) and other.difference == whole.difference
    assert any("order" in note for note in other.notes)


def test_documents_are_clusters(write):
    documents = "-DOCSTART- O\n\n" + tagged().replace("\n\nIbada", "\n\n-DOCSTART- O\n\nIbada")
    folder = write(a=tagged(1), b=tagged(2), g=documents)
    assert compare_files(folder / "a.txt", folder / "b.txt", folder / "g.txt").difference.clusters == 2


def test_a_run_that_predicts_one_tag_is_noted(write):
    folder = write(
        a=tagged(), b="\n".join("" if not line else line.split()[0] + " O" for line in tagged().split("\n")), g=tagged()
    )
    result = compare_files(folder / "a.txt", folder / "b.txt", folder / "g.txt")
    assert result.right == 0 and any("b.txt" in note and "'O'" in note for note in result.notes)


@pytest.mark.parametrize(
    ("name", "language", "seed"),
    [
        ("swa.1.txt", "sw", "1"),
        ("test-sw.seed3.jsonl", "sw", "3"),
        ("seed-1/swahili.conll", "sw", "1"),
        ("seed_02/sw/test.predictions.txt", "sw", "2"),
        ("xlmr-base.zho_Hant.run7.tsv", "zh_Hant", "7"),
        ("swh_Latn.txt", "sw", ""),
        ("pos-pt-BR.txt", "pt", ""),
        ("predictions.csv", "", ""),
    ],
)
def test_language_and_seed_are_read_from_the_name(tmp_path, name, language, seed):
    (file,) = read_names(tmp_path, [tmp_path / name])
    assert (file.language, file.seed) == (language, seed)


def test_of_several_candidates_in_a_name_the_one_that_varies_counts(tmp_path):
    names = [f"en-{code}.2024.{seed}.txt" for code in ("sw", "yo") for seed in (1, 2)]
    files = read_names(tmp_path, [tmp_path / name for name in names])
    assert [(file.language, file.seed) for file in files] == [("sw", "1"), ("sw", "2"), ("yo", "1"), ("yo", "2")]
    assert kind(read_names, tmp_path, [tmp_path / names[0]]) == "bad-argument"
    assert kind(read_names, tmp_path, [tmp_path / "sw.1.txt", tmp_path / "yo.txt"]) == "bad-argument"
    (file,) = read_names(tmp_path, [tmp_path / names[0]], "en-{lang}.*.{seed}.txt")
    assert (file.language, file.seed) == ("sw", "1")


def test_arguments_are_two_sides(three_seeds, monkeypatch):
    monkeypatch.chdir(three_seeds)
    expanded = ["A/swa.1.txt", "A/yor.1.txt", "B/swa.1.txt", "B/yor.1.txt"]
    assert split_arguments(expanded) == (expanded[:2], expanded[2:])
    assert split_arguments(["x", "y"]) == ("x", "y")
    for wrong in (["A"], ["A/swa.1.txt", "A/swa.2.txt", "A/swa.3.txt"], [*expanded, "gold/swa.txt"], ["A", "B", "C"]):
        assert kind(split_arguments, wrong) == "bad-argument"
    assert kind(compare_files, "A", "A", "gold") == "bad-argument"
    assert kind(compare_files, "A", "B", "gold", names=("x", "x")) == "bad-argument"
    assert compare_files("A/swa.[12].txt", "B/swa.[12].txt", "gold/swa.txt").names == ("A", "B")
    assert kind(compare_files, "A", "no-such-folder", "gold") == "missing-file"
    assert kind(compare_files, "A", "B/*.csv", "gold") == "missing-file"


def test_files_of_one_language_whose_names_look_like_others(write):
    folder = write(old=tagged(1), nb=tagged(2), g=tagged(), sw=tagged(1), yo=tagged(2))
    for left, right in (("old", "nb"), ("sw", "yo")):
        result = compare_files(folder / f"{left}.txt", folder / f"{right}.txt", folder / "g.txt")
        assert [row.language for row in result.languages] == [""] and result.names == (left, right)


def test_the_command_prints_what_it_recognised_scores_and_verdict(three_seeds, monkeypatch):
    monkeypatch.chdir(three_seeds)
    shown = invoke("compare", "A/*.txt", "B/*.txt", "--gold", "gold", "--names", "ours,theirs")
    for part in ("CoNLL", "swa.1.txt", "sw yo", "1 2 3", "span_f1", "ours", "theirs", "mean", "is better than"):
        assert part in shown
    files = sorted(map(str, (*three_seeds.glob("A/*.txt"), *three_seeds.glob("B/*.txt"))))
    result = json.loads(invoke("compare", *files, "--gold", "gold", "--json"))
    expected = compare_files("A", "B", "gold")
    assert result["difference"]["estimate"] == pytest.approx(expected.difference.estimate, abs=1e-6)
    assert result["verdict"] == expected.verdict and len(result["files"]) == 12
    error = invoke("compare", "A", "B", code=2)
    assert error.startswith("error: ") and "\nwhy: " in error and "\nhint: " in error
    for wrong in (["--names", "one"], ["--columns", "id"], ["--columns", "id="], ["--metric", "f2"]):
        assert "hint: " in invoke("compare", "A", "B", "--gold", "gold", *wrong, code=2)


@pytest.fixture(scope="module")
def masakhaner(real_data):
    folder = real_data / "masakhaner2"
    paths = [str(folder / system / "[sw]*a.[12].txt") for system in ("afroxlmr", "xlmrlarge")]
    return SimpleNamespace(paths=paths, gold=folder / "gold")


def test_published_predictions_score_as_seqeval_scores_them(masakhaner):
    assert kind(compare_files, *masakhaner.paths, masakhaner.gold) == "inconsistent"
    result = compare_files(*masakhaner.paths, masakhaner.gold, skip_mismatched=True)
    assert [(row.language, row.items, row.left_out) for row in result.languages] == [("sn", 1753, 20), ("sw", 1829, 54)]
    scores = {(file.system, file.language, file.seed): file.score for file in result.files}
    # seqeval 1.2.2, f1_score of the sentences whose tokens are those of gold in all ten files of the language
    assert scores["afroxlmr", "sw", "1"] == pytest.approx(92.44663382594418)
    assert scores["xlmrlarge", "sn", "2"] == pytest.approx(94.37467294610151)
