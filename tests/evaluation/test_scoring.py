"""XTREME's metrics from their definitions, every oddity its own case; folders of predictions, whole and damaged."""

import json
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from xstilts.errors import XstiltsError
from xstilts.evaluation.scoring import check, score
from xstilts.tasks import classification, metrics
from xstilts.tasks.metrics import chunks, mlqa_normal, segmented, set_f1, squad_normal, token_f1
from xstilts.tasks.xtreme import GROUPS, TARGETS, VERSIONS, groups_of


def chunk_f1(gold, predicted):
    return set_f1(chunks(gold), chunks(predicted))


def tag_f1(gold: str, predicted: str) -> dict[str, float]:
    return chunk_f1([*gold.split(), "O"], [*predicted.split(), "O"])


def answers(gold: dict[str, list[str]], predicted: dict[str, str], normalise=squad_normal) -> tuple[float, float]:
    result = metrics.answer_scores(list(gold.items()), predicted, normalise)
    return result["exact_match"], result["f1"]


# Tags


@pytest.mark.parametrize(
    ("gold", "predicted", "precision", "recall", "f1"),
    [
        ("NOUN NOUN VERB", "NOUN PROPN VERB", 1 / 3, 1 / 2, 0.4),  # two equal neighbours are one chunk
        ("NOUN NOUN VERB", "NOUN NOUN VERB", 1, 1, 1),
        ("SCONJ SCONJ", "SCONJ CCONJ", 1 / 2, 1 / 2, 1 / 2),  # what starts with S never merges
        ("SYM SYM NOUN", "SYM SYM SYM", 2 / 3, 2 / 3, 2 / 3),
        ("SCONJ VERB", "CCONJ VERB", 1 / 2, 1 / 2, 1 / 2),  # seqeval 1.x would call this right
        ("INTJ INTJ", "INTJ INTJ", 1, 1, 1),  # I is a prefix, yet the types are equal: one chunk
        ("B-PER I-PER O B-LOC", "B-PER O O B-LOC", 1 / 2, 1 / 2, 1 / 2),
        ("O I-PER I-PER", "O B-PER I-PER", 1, 1, 1),  # an I- without a chunk before it opens one
        ("B-PER I-LOC", "B-PER B-LOC", 1, 1, 1),
        ("B-PER B-PER", "B-PER I-PER", 0, 0, 0),
        ("O O", "O B-PER", 0, 0, 0),
        ("O O", "O O", 0, 0, 0),  # no chunk at all is worth nothing, not everything
    ],
)
def test_chunk_scores(gold, predicted, precision, recall, f1):
    expected = {"f1": 100 * f1, "precision": 100 * precision, "recall": 100 * recall}
    assert tag_f1(gold, predicted) == pytest.approx(expected)


@pytest.mark.parametrize("tags", [
    "B-PER L-PER U-PER U-PER B-LOC", "B-PER E-PER S-PER S-PER B-LOC", "B-PER I-PER B-PER B-PER B-LOC",
    "I-PER I-PER B-PER B-PER I-LOC", "B-PER E-PER W-PER W-PER W-LOC",
])  # fmt: skip
def test_every_scheme_of_tags_has_the_same_chunks(tags):
    assert chunks(tags.split()) == {(0, 1, "PER"), (2, 2, "PER"), (3, 3, "PER"), (4, 4, "LOC")}


def test_the_end_of_a_sentence_parts_equal_tags():
    gold = ["NOUN", "O", "NOUN", "O"]
    assert chunk_f1(gold, gold) == chunk_f1(["NOUN", "O"], ["NOUN", "O"])
    assert chunk_f1(["NOUN", "NOUN", "O"], ["NOUN", "NOUN", "O"])["f1"] == 100
    assert chunk_f1(gold, ["NOUN", "O", "VERB", "O"])["f1"] == 50


def seqeval_chunks(tags):
    """As `get_entities` of seqeval 0.0.12, with its conditions one by one."""
    result, start, before, kind = [], 0, "O", ""
    for i, tag in enumerate([*tags, "O"]):
        prefix, name = tag[0], tag.split("-")[-1]
        pairs = [("B", "B"), ("B", "S"), ("B", "O"), ("I", "B"), ("I", "S"), ("I", "O")]
        if before in ("E", "S") or (before, prefix) in pairs or (before not in ("O", ".") and kind != name):
            result.append((start, i - 1, kind))
        pairs = [("E", "E"), ("E", "I"), ("S", "E"), ("S", "I"), ("O", "E"), ("O", "I")]
        if prefix in ("B", "S") or (before, prefix) in pairs or (prefix not in ("O", ".") and kind != name):
            start = i
        before, kind = prefix, name
    return set(result)


@pytest.mark.parametrize(
    "words",
    [TARGETS["udpos"].words, TARGETS["panx"].words, ("O", "B-A", "I-A", "E-A", "S-A", "I-B", "E-B", "A", ".", "X-O")],
)
def test_chunks_are_those_of_seqeval(words):
    rng = random.Random(1)
    for _ in range(200):
        gold, predicted = ([rng.choice(words) for _ in range(12)] for _ in range(2))
        wanted, given = seqeval_chunks(gold), seqeval_chunks(predicted)
        assert (chunks(gold), chunks(predicted)) == (wanted, given)
        result = chunk_f1(gold, predicted)
        assert result["precision"] == (100 * (len(wanted & given) / len(given)) if given else 0)
        assert result["recall"] == (100 * (len(wanted & given) / len(wanted)) if wanted else 0)


def test_a_million_predictions_take_seconds():
    rng = np.random.default_rng(0)
    gold, predicted = (
        np.array([*TARGETS["udpos"].words, "O"])[rng.integers(0, 18, 1_000_000)].tolist() for _ in range(2)
    )
    begin = time.process_time()
    chunk_f1(gold, predicted)
    metrics.accuracy(gold, predicted)
    metrics.macro_f1(gold, predicted)
    assert time.process_time() - begin < 5


# Labels


def test_accuracy_and_macro_f1():
    gold, predicted = ["a", "a", "a", "b"], ["a", "a", "a", "a"]
    assert metrics.accuracy(gold, predicted) == 75
    assert metrics.macro_f1(gold, predicted) == pytest.approx(100 * (6 / 7 + 0) / 2)
    assert metrics.macro_f1(gold, gold) == 100
    assert metrics.macro_f1(["a"], ["c"]) == 0


def test_calibration_error():
    def error(confidence, correct):
        columns = {"gold": ["a"] * len(correct), "prediction": ["a" if right else "b" for right in correct]}
        predictions = pa.table({**columns, "score": confidence})
        sums = classification.statistics(predictions, "calibration_error").sum(0)
        return float(classification.score(sums, "calibration_error"))

    confidence, correct = [0.9, 0.9, 0.9, 0.9, 0.6, 0.6], [True, True, True, False, True, False]
    assert error(confidence, correct) == pytest.approx(100 * (4 / 6 * abs(0.75 - 0.9) + 2 / 6 * abs(0.5 - 0.6)))
    assert error([1.0] * 3, [True] * 3) == 0
    assert error([0.0] * 2, [True] * 2) == pytest.approx(100)


# Answers


@pytest.mark.parametrize(
    ("answer", "normal"),
    [
        ("The Cat, a  dog and AN ox.", "cat dog and ox"),
        ("theatre another", "theatre another"),
        ("the-end", "theend"),  # punctuation goes before articles do
        ("$5 + 3", "5 3"),
        ("«Río» – ¿qué?", "«río» – ¿qué"),  # punctuation outside ASCII stays
        ("die Katze", "die katze"),  # English articles in every language, and no others
        ("北京，上海。", "北京，上海。"),
    ],
)
def test_squad_normal_form(answer, normal):
    assert squad_normal(answer) == normal


@pytest.mark.parametrize(
    ("language", "answer", "normal"),
    [
        ("en", "The cat, a dog", "cat dog"),
        ("en", "un gato", "un gato"),
        ("es", "El gato y la gata, unos y unas", "gato y gata y"),
        ("es", "lo del the", "lo del the"),
        ("de", "Die Katze des Nachbarn, einer von den anderen", "katze nachbarn von anderen"),
        ("de", "mein Haus keine", "mein haus keine"),
        ("vi", "Những chiếc lá của cây là", "lá cây"),
        ("hi", "एक the बिल्ली।", "एक the बिल्ली"),  # no articles; the danda is punctuation
        ("ar", "البيت الكبير", "بيت كبير"),
        ("ar", "سؤال", "سؤ"),  # the two letters go inside a word too
        ("ar", "حال السلام", "ح سلام"),
        ("ar", "ماذا؟ نعم، لا", "ماذا نعم لا"),
        ("zh", "北京市", "北 京 市"),
        ("zh", "the 在2010年Apple公司", "the 在 2010 年 apple 公 司"),
        ("zh", "《红楼梦》，作者。", "红 楼 梦 作 者"),
        ("zh", "龦龧龥", "龦龧 龥"),  # the range ends at U+9FA5
        ("zh", "㐀㐁 カナ", "㐀㐁 カナ"),  # neither the extension nor kana is segmented
    ],
)
def test_mlqa_normal_form(language, answer, normal):
    assert mlqa_normal(answer, language) == normal


@pytest.mark.parametrize("mark", list("!$+<=>^`|~") + list("«»“”‘’…–—¿¡、。，！？「」《》؟،؛।॥‹›・"))
def test_mlqa_removes_unicode_punctuation_and_ascii_symbols(mark):
    assert mlqa_normal(f"x{mark}y", "hi") == "xy"


@pytest.mark.parametrize("mark", list("€£°©×÷№"))
def test_mlqa_keeps_other_symbols(mark):
    assert mlqa_normal(f"x{mark}y", "hi") == f"x{mark}y".lower()


def test_a_language_that_mlqa_has_not_is_refused():
    with pytest.raises(KeyError):
        mlqa_normal("x", "sw")


def test_token_f1_counts_repeated_words():
    assert token_f1("a b b", "b b b") == pytest.approx(2 / 3)
    assert token_f1("x", "y") == 0
    assert token_f1("b a", "a b") == 1


@pytest.mark.parametrize(
    ("gold", "predicted", "exact", "f1"),
    [
        ({"q": ["red cat"]}, {"q": "The red cat!"}, 100, 100),
        ({"q": ["dog", "red cat"]}, {"q": "cat"}, 0, 200 / 3),  # the best gold answer
        ({"q": ["cat", "red cat", "cat"]}, {"q": "cat"}, 100, 100),
        ({"q": ["x y"], "r": ["z"]}, {"q": "x y"}, 50, 50),  # no answer scores 0
        ({"q": ["x"]}, {"s": "x"}, 0, 0),  # an id that is not asked for counts for nothing
        ({"q": ["x"]}, {"q": ""}, 0, 0),
        ({"q": ["the"]}, {"q": ""}, 100, 0),  # equal when normalised, yet no token is shared
        ({"q": ["北京市"]}, {"q": "北京"}, 0, 0),  # a whole white-space token or nothing
    ],
)
def test_answer_scores(gold, predicted, exact, f1):
    assert answers(gold, predicted) == pytest.approx((exact, f1))


def test_exact_match_and_f1_may_come_from_different_golds():
    assert answers({"q": ["a", "red cat"]}, {"q": "red cat a"}) == (100, 100)
    assert answers({"q": ["the", "red"]}, {"q": ""}) == (100, 0)


def test_chinese_answers_are_compared_by_character_in_mlqa_and_in_the_corrected_variant():
    gold, predicted = {"q": ["北京市"]}, {"q": "北京"}
    assert answers(gold, predicted, lambda text: mlqa_normal(text, "zh")) == pytest.approx((0, 80))
    assert answers(gold, predicted, segmented) == pytest.approx((0, 80))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("東京タワー、1958年", "東 京 タ ワ ー 1958 年"),
        ("ไทย Air", "ไ ท ย air"),
        ("㐀㐁", "㐀 㐁"),
        ("Ein Haus", "ein haus"),
    ],
)
def test_segmentation_of_scripts_without_spaces(answer, expected):
    assert segmented(answer) == expected


# Pairs


def test_pairs_are_sets():
    gold = [("de-1", "en-1"), ("de-2", "en-2"), ("de-2", "en-2")]
    predicted = [("de-1", "en-1"), ("de-1", "en-1"), ("de-3", "en-3")]
    assert set_f1(gold, predicted) == {"f1": 50, "precision": 50, "recall": 50}
    assert set_f1(gold, []) == {"f1": 0, "precision": 0, "recall": 0}
    assert set_f1(gold, [("en-1", "de-1")])["f1"] == 0


# The benchmark as data


def test_the_tasks_of_the_benchmark():
    counts = {"pawsx": 7, "xnli": 15, "panx": 40, "udpos": 33, "bucc2018": 4, "tatoeba": 36, "xquad": 11, "mlqa": 7,
              "tydiqa": 9}  # fmt: skip
    assert {name: len(target.languages) for name, target in TARGETS.items()} == counts
    assert all(len(set(target.languages)) == len(target.languages) for target in TARGETS.values())
    assert GROUPS == {"classification": ("pawsx", "xnli"), "tagging": ("panx", "udpos"),
                      "qa": ("xquad", "mlqa", "tydiqa"), "retrieval": ("bucc2018", "tatoeba")}  # fmt: skip
    assert [name for name, target in TARGETS.items() if "en" not in target.languages] == ["bucc2018", "tatoeba"]
    assert set(TARGETS["mlqa"].languages) == set(metrics.ARTICLES)


# Folders

LINES = {
    "labels": (["{0}", "{1}", "{0}", "{1}"], ["{0}", "{1}", "{1}", "{1}"]),  # 75% right
    "indices": (["0", "1", "2", "3"], ["0", "1", "1", "3"]),  # 75% right
    "tags": (["{1}", "{2}", "", "{1}"], ["{1}", "{1}", "", "{1}"]),
    "pairs": (["{lang}-1\ten-1", "{lang}-2\ten-2"], ["{lang}-1\ten-1", "{lang}-1\ten-1", "{lang}-2\ten-3"]),
}
"""Lines of labels and of predictions; {0}, {1}, … are the task's label words."""
GOLD = {"1": ["a red cat", "cat"], "2": ["dog"]}
ANSWERS = {"1": "The cat.", "2": "big dog"}


def squad(gold: dict[str, list[str]]) -> dict:
    questions = [
        {"id": k, "question": "?", "answers": [{"text": t, "answer_start": 0} for t in v]} for k, v in gold.items()
    ]
    return {"version": "1.1", "data": [{"title": "", "paragraphs": [{"context": "", "qas": questions}]}]}


def write(folder: Path, task: str, language: str, side: int) -> None:
    """One file of labels (side 0) or predictions (side 1)."""
    target = TARGETS[task]
    path = folder / task / target.file(language)
    path.parent.mkdir(parents=True, exist_ok=True)
    if target.kind == "answers":
        path.write_text(json.dumps(ANSWERS if side else squad(GOLD), indent=1))
    else:
        path.write_text("".join(line.format(*target.words, lang=language) + "\n" for line in LINES[target.kind][side]))


@pytest.fixture
def folders(tmp_path):
    """Predictions and labels of all tasks in all languages."""
    for side, name in enumerate(("labels", "predictions")):
        for task, target in TARGETS.items():
            for language in target.languages:
                write(tmp_path / name, task, language, side)
    return tmp_path / "predictions", tmp_path / "labels"


def test_a_whole_folder(folders):
    result = score(*folders)
    tasks = result["tasks"]
    assert tasks["xnli"]["accuracy"] == tasks["tatoeba"]["score"] == 75
    assert tasks["xnli"]["languages"]["sw"] == {"accuracy": 75, "macro_f1": pytest.approx(100 * (2 / 3 + 4 / 5) / 2)}
    # Gold has the chunks ADP | ADV | ADP, the prediction one chunk ADP ADP and one ADP.
    assert tasks["udpos"]["languages"]["yo"] == pytest.approx(
        {"f1": 40, "precision": 50, "recall": 100 / 3, "token_accuracy": 200 / 3}
    )
    assert tasks["panx"]["score"] == tasks["panx"]["f1"]
    assert tasks["bucc2018"]["languages"]["zh"] == {"f1": 50, "precision": 50, "recall": 50}
    # "cat" and "big dog": exact matches 1 and 0, F1 1 and 2/3; articles of German are others, but not here.
    for task in ("xquad", "tydiqa"):
        assert tasks[task]["exact_match"] == 50
        assert tasks[task]["f1"] == pytest.approx(100 * (1 + 2 / 3) / 2)
        assert tasks[task]["score"] == pytest.approx((50 + 100 * (1 + 2 / 3) / 2) / 2)
    # In MLQA "the" is no article outside English: "the cat" with "cat" and "a red cat".
    assert tasks["mlqa"]["languages"]["en"]["exact_match"] == 50
    assert tasks["mlqa"]["languages"]["es"] == pytest.approx({"exact_match": 0, "f1": 200 / 3, "segmented_f1": 200 / 3})
    assert tasks["mlqa"]["exact_match"] == pytest.approx(50 / 7)
    assert result["groups"]["classification"] == 75
    assert result["groups"]["qa"] == pytest.approx(sum(tasks[t]["score"] for t in ("xquad", "mlqa", "tydiqa")) / 3)
    assert result["all_task"] == pytest.approx(sum(tasks[task]["score"] for task in TARGETS) / 9)
    assert result["missing"] == result["ignored"] == [] and result["unanswered"] == {}


def test_what_is_missing_is_named_and_has_no_mean(folders):
    predictions, labels = folders
    (predictions / "xnli" / "test-sw.tsv").unlink()
    (labels / "xnli" / "test-ur.tsv").unlink()
    for file in (predictions / "panx").iterdir():
        file.unlink()
    (predictions / "panx").rmdir()
    result = score(predictions, labels)
    assert "panx" not in result["tasks"]
    assert result["tasks"]["xnli"]["accuracy"] is None
    assert set(result["tasks"]["xnli"]["languages"]) == set(TARGETS["xnli"].languages) - {"sw", "ur"}
    assert result["groups"] == {"classification": None, "tagging": None} | {
        group: pytest.approx(result["groups"][group]) for group in ("qa", "retrieval")
    }
    assert result["tasks"]["pawsx"]["accuracy"] == 75
    assert result["all_task"] is None
    assert result["missing"] == [
        {"task": "xnli", "in": "predictions", "languages": ["sw"]},
        {"task": "xnli", "in": "labels", "languages": ["ur"]},
        {"task": "panx", "in": "predictions", "languages": list(TARGETS["panx"].languages)},
    ]


def test_unanswered_questions_and_unexpected_files_are_named(folders):
    predictions, labels = folders
    (predictions / "tydiqa" / "test-te.json").write_text('{"1": "cat", "3": "x"}')
    write(predictions, "xnli", "sw", 1)
    (predictions / "xnli" / "test-swa.tsv").write_text("0\n")
    (predictions / "panxx").mkdir()
    result = score(predictions, labels)
    assert result["unanswered"] == {"tydiqa": {"te": 1}}
    assert result["tasks"]["tydiqa"]["languages"]["te"]["exact_match"] == 50
    assert "did you mean 'panx'" in result["ignored"][0] and "test-swa.tsv" in result["ignored"][1]


def test_empty_predictions_of_pairs_score_nothing(folders):
    predictions, labels = folders
    (predictions / "bucc2018" / "test-de.tsv").write_text("")
    assert score(predictions, labels)["tasks"]["bucc2018"]["languages"]["de"]["f1"] == 0


def test_the_other_forms_of_json_that_the_benchmark_reads(folders):
    predictions, labels = folders
    before = score(predictions, labels)
    (predictions / "xquad" / "test-th.json").write_text(json.dumps({"data": ANSWERS}))
    (labels / "xquad" / "test-th.json").write_text(json.dumps(squad(GOLD)["data"]))
    assert score(predictions, labels) == before


def test_line_ends_and_spaces_do_not_count(folders):
    predictions, labels = folders
    before = score(predictions, labels)
    for task, language in (("xnli", "th"), ("udpos", "th"), ("bucc2018", "zh")):
        file = predictions / task / f"test-{language}.tsv"
        file.write_bytes(file.read_bytes().replace(b"\n", b"  \r\n").rstrip())
    assert score(predictions, labels) == before


def test_a_byte_order_mark_is_not_part_of_the_first_line(folders):
    predictions, labels = folders
    before = score(predictions, labels)
    for folder, file in (
        (predictions, "xnli/test-th.tsv"),
        (labels, "pawsx/test-ko.tsv"),
        (labels, "xquad/test-th.json"),
    ):
        (folder / file).write_bytes(b"\xef\xbb\xbf" + (folder / file).read_bytes())
    assert score(predictions, labels) == before and check(predictions, labels) == (162, 162)


def test_a_file_of_another_code_of_the_language_is_not_taken_for_one_of_another_language(folders):
    (folders[0] / "panx/test-he.tsv").rename(folders[0] / "panx/test-iw.tsv")
    with pytest.raises(XstiltsError, match=r"test-iw.tsv: no file of panx, did you mean 'test-he.tsv'\?"):
        check(folders[0])


def test_how_many_files_were_compared_is_said(folders):
    for task in set(TARGETS) - {"xnli"}:
        for file in (folders[1] / task).iterdir():
            file.unlink()
    assert check(*folders) == (162, 15)
    assert "15 of them" in run("submit", "check", folders[0], "--labels", folders[1])


def test_labels_without_any_file_of_the_benchmark_are_an_error(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(XstiltsError) as error:
        check(folders[0], tmp_path / "empty")
    assert error.value.kind == "missing-file" and str(tmp_path / "empty") in error.value.what


DAMAGE = [
    ("xnli/test-th.tsv", "entailment\nneutral\nneutrall\nneutral\n", "line 3: unknown label 'neutrall'"),
    ("xnli/test-th.tsv", "0\n1\n0\n0\n", "line 1: unknown label '0', expected one of entailment neutral contradiction"),
    ("xnli/test-th.tsv", "neutral\n" * 3, "line 4: 3 lines, expected 4"),
    ("xnli/test-th.tsv", "neutral\n" * 4 + "\n", "line 5: unknown label ''"),
    ("xnli/test-th.tsv", "", "no example in it"),
    ("pawsx/test-ko.tsv", b"0\n\xff\n", "line 2: not UTF-8: byte 0xff"),
    ("udpos/test-th.tsv", "ADP\n\nADP\nADP\n", "line 2: a sentence ends where one goes on"),
    ("udpos/test-th.tsv", "ADP\nADP\nADP\n\nADP\n", "line 3: a tag where a sentence ends"),
    ("udpos/test-th.tsv", "ADP\nADP\n\nADP\n\nADP\n", "line 6: 3 sentences, expected 2"),
    ("udpos/test-th.tsv", "ADP\nthe\tADP\n\nADP\n", "line 2: unknown label"),
    ("panx/test-th.tsv", "B-PER\nE-PER\n\nO\n", "line 2: unknown label 'E-PER'"),
    ("tatoeba/test-th.tsv", "0\n1\n-1\n3\n", "line 3: '-1' is no index"),
    ("bucc2018/test-ru.tsv", "ru-1\ten-1\nru-2 en-2\n", "line 2: expected two ids with a tab"),
    (
        "xnli/test-th.tsv",
        "neutral\nneutral\u200b\nneutral\nneutral\n",
        "line 2: unknown label 'neutral' with the invisible U+200B",
    ),
    ("bucc2018/test-ru.tsv", "ru-1\ten-1\nru-2\u200b\ten-2\n", "line 2: an id has a space or an invisible"),
    ("xquad/test-th.json", '{"1": "a",\n "2": }', "line 2: broken JSON"),
    ("xquad/test-th.json", '["a"]', "expected a JSON object"),
    ("xquad/test-th.json", '{"1": "a",\n "2": null}', "line 2: the answer to question '2' is no text"),
    ("xquad/test-th.json", '{"2": "b",\n "1": "a", "1": "c"}', "line 2: question '1' is answered 2 times"),
]


@pytest.mark.parametrize(("name", "content", "says"), DAMAGE)
def test_a_damaged_file_is_refused_with_its_line(folders, name, content, says):
    predictions, labels = folders
    (predictions / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for attempt in (lambda: score(predictions, labels), lambda: check(predictions, labels)):
        with pytest.raises(XstiltsError) as caught:
            attempt()
        assert f"{predictions / name}" in caught.value.why and says in caught.value.why, caught.value.why
        assert caught.value.kind == "bad-file"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("xquad/test-th.json", '{"data": [{"paragraphs": 3}]}', "not SQuAD JSON"),
        ("xquad/test-th.json", json.dumps(squad({"1": []})), "question '1' has no gold answer"),
        ("xquad/test-th.json", '{"data": []}', "no question in it"),
        ("xquad/test-th.json", json.dumps(squad({"1": [None]})), "the gold answer to question '1' is no text"),
        ("bucc2018/test-de.tsv", "", "no pair in it"),
        ("xnli/test-th.tsv", "-\n-\n-\n-\n", "unknown label '-'"),  # withheld labels are no reason for a score of 0
    ],
)
def test_damaged_labels_are_refused(folders, name, content, says):
    (folders[1] / name).write_text(content)
    for attempt in (score, check):
        with pytest.raises(XstiltsError) as error:
            attempt(*folders)
        assert error.value.kind == "bad-file" and says in error.value.why


def test_a_whole_submission_passes(folders):
    assert check(folders[0]) == (162, 0) and check(*folders) == (162, 162)
    assert sum(len(target.languages) for target in TARGETS.values()) == 162


def test_every_mistake_of_a_submission_is_listed_at_once(folders):
    predictions, labels = folders
    damaged = {name: (content, says) for name, content, says in DAMAGE}
    for name, (content, _) in damaged.items():
        (predictions / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (predictions / "xnli" / "test-sw.tsv").unlink()
    (predictions / "xnli" / "test-sw.txt").write_text("")
    (predictions / "bucc2018" / "test-fr.tsv").write_text("en-1\tfr-1\n")
    (predictions / "tydiqa" / "test-ko.json").write_text('{"1": "x",\n "9": "y"}')
    for file in (predictions / "mlqa").iterdir():
        file.unlink()
    (predictions / "mlqa").rmdir()
    with pytest.raises(XstiltsError) as caught:
        check(predictions, labels)
    listed = caught.value.why
    expected = [says for _, says in damaged.values()] + [
        "xnli/test-sw.tsv: missing", "test-sw.txt: no file of xnli, did you mean 'test-sw.tsv'?",
        "bucc2018/test-fr.tsv, line 1: expected an id that begins with 'fr-'",
        "test-ko.json, line 2: '9' is no question", "test-ko.json: no answer to question '2'",
        "mlqa: missing, with all 7 languages",
    ]  # fmt: skip
    assert [says for says in expected if says not in listed] == []


def test_a_mistake_in_thousands_of_lines_is_listed_once(folders):
    (folders[0] / "xnli" / "test-th.tsv").write_text("yes\n" * 5000)
    with pytest.raises(XstiltsError) as caught:
        check(folders[0])
    assert caught.value.why.count("\n") == 0 and "(and 4,999 more times)" in caught.value.why


def test_unknown_versions_and_folders():
    with pytest.raises(XstiltsError) as error:
        score(Path("a"), Path("b"), "xtreme-2021")
    assert error.value.kind == "unknown-name" and "xtreme-2020" in error.value.hint
    for attempt in (lambda: score(Path("no-a"), Path("no-b")), lambda: check(Path("no-a"))):
        with pytest.raises(XstiltsError) as error:
            attempt()
        assert error.value.kind == "missing-file" and "no-a" in error.value.what


def test_nothing_in_common(tmp_path):
    with pytest.raises(XstiltsError) as error:
        score(tmp_path, tmp_path)
    assert error.value.kind == "missing-file"


# The command line


def run(*arguments, expect=0):
    """Runs the command line; prints whether torch was imported as the last line."""
    code = "import sys\nfrom xstilts.cli import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout if expect == 0 else done.stderr


def test_score_prints_json_and_words_without_torch(folders):
    assert json.loads(run("score", *folders, "--json")) == json.loads(json.dumps(score(*folders)))
    (folders[0] / "xnli" / "test-sw.tsv").unlink()
    printed = run("score", *folders, "--version", "xtreme-2020")
    assert "missing: xnli: no predictions for sw" in printed
    assert "all tasks  incomplete" in printed and "retrieval  62.50" in printed and "sw 83.33" in printed


def test_submit_check_on_the_command_line(folders):
    assert "162 files, no mistake" in run("submit", "check", folders[0], "--labels", folders[1])
    (folders[0] / "xnli" / "test-sw.tsv").unlink()
    printed = run("submit", "check", folders[0], expect=2)
    assert "1 mistake\n" in printed and "test-sw.tsv: missing" in printed and "Traceback" not in printed
    assert "did you mean 'check'?" in run("submit", "chekc", folders[0], expect=2)


# XTREME-R


@pytest.fixture
def xtreme_r(tmp_path):
    """Predictions and labels of all tasks of XTREME-R in all languages."""
    rankings = {"q1": ["a"], "q2": ["b", "c"]}, {"q1": ["x", "a"], "q2": ["b", "x", "c"]}
    for side, name in enumerate(("labels", "predictions")):
        for task, target in VERSIONS["xtreme-r-v1"].items():
            for code in target.languages:
                path = tmp_path / name / task / target.file(code)
                path.parent.mkdir(parents=True, exist_ok=True)
                if target.kind == "rankings":
                    path.write_text(json.dumps(rankings[side]))
                elif target.kind == "choices":
                    path.write_text("".join(f'{{"label": {label}}}\n' for label in (0, 1, 1, side)))
                else:
                    write(tmp_path / name, task, code, side)
    return tmp_path / "predictions", tmp_path / "labels"


def test_the_tasks_of_xtreme_r():
    counts = {"xnli": 15, "panx": 48, "udpos": 38, "tatoeba": 41, "xcopa": 11, "lareqa": 11, "mewslix": 11, "xquad": 12,
              "mlqa": 7, "tydiqa": 9}  # fmt: skip
    targets = VERSIONS["xtreme-r-v1"]
    assert {name: len(target.languages) for name, target in targets.items()} == counts
    assert all(len(set(target.languages)) == len(target.languages) for target in targets.values())
    groups = groups_of(targets)
    assert groups["classification"] == ("xnli", "xcopa") and groups["retrieval"] == ("tatoeba", "lareqa", "mewslix")
    assert groups["tagging"] == ("panx", "udpos") and groups["qa"] == ("xquad", "mlqa", "tydiqa")


def test_the_average_of_xtreme_r_is_over_its_ten_tasks(xtreme_r):
    result = score(*xtreme_r, "xtreme-r-v1")
    tasks = result["tasks"]
    assert tasks["xcopa"]["score"] == tasks["xnli"]["score"] == 75
    assert tasks["lareqa"]["score"] == tasks["mewslix"]["score"] == pytest.approx(100 * (1 / 2 + (1 + 2 / 3) / 2) / 2)
    assert result["groups"]["retrieval"] == pytest.approx((75 + 2 * tasks["lareqa"]["score"]) / 3)
    assert len(tasks) == 10 and result["all_task"] == pytest.approx(sum(task["score"] for task in tasks.values()) / 10)
    files = sum(len(target.languages) for target in VERSIONS["xtreme-r-v1"].values())
    assert check(*xtreme_r, "xtreme-r-v1") == (files, files)


def test_the_average_of_xtreme_r_needs_every_task(xtreme_r):
    predictions, labels = xtreme_r
    shutil.rmtree(predictions / "mewslix")
    result = score(predictions, labels, "xtreme-r-v1")
    assert result["all_task"] is None and result["groups"]["retrieval"] is None
    assert result["groups"]["classification"] == 75
    assert {part["task"] for part in result["missing"]} == {"mewslix"}
    assert "xcopa" not in score(predictions, labels)["tasks"]  # XTREME's own average is over other tasks


def test_queries_without_a_ranking_score_0_and_are_counted(xtreme_r):
    (xtreme_r[0] / "lareqa" / "test-th.json").write_text('{"q1": ["a"]}')
    result = score(*xtreme_r, "xtreme-r-v1")
    assert result["tasks"]["lareqa"]["languages"]["th"]["map_at_20"] == 50
    assert result["unanswered"] == {"lareqa": {"th": 1}}
    with pytest.raises(XstiltsError) as caught:
        check(*xtreme_r, "xtreme-r-v1")
    assert "no answer to question 'q2'" in caught.value.why


@pytest.mark.parametrize(("file", "text"), [
    ("lareqa/test-th.json", '{"q1": "a"}'), ("lareqa/test-th.json", '["q1"]'),
    ("lareqa/test-th.json", '{"q1": ["a"], "q1": []}'), ("xcopa/test-th.jsonl", '{"label": 2}\n'),
    ("xcopa/test-th.jsonl", '{"label": "0"}\n'), ("xcopa/test-th.jsonl", "0\n"), ("xcopa/test-th.jsonl", "{\n"),
    ("xcopa/test-th.jsonl", '{"label": 0}\n'),
])  # fmt: skip
def test_mistakes_in_files_of_xtreme_r_are_listed(xtreme_r, file, text):
    (xtreme_r[0] / file).write_text(text)
    with pytest.raises(XstiltsError) as caught:
        score(*xtreme_r, "xtreme-r-v1")
    assert caught.value.kind == "bad-file" and file in caught.value.why
