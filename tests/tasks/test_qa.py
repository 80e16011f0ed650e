"""Question answering: windows and offsets in every script, the best spans, unanswerable questions, and metrics."""

import json
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from pydantic import ValidationError
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from support import tuning
from xstilts.context import Context
from xstilts.data.examples import load_examples
from xstilts.errors import XstiltsError
from xstilts.evaluation.predict import baseline, predict
from xstilts.models.encoders import load_tokenizer
from xstilts.tasks import metrics, qa
from xstilts.tasks.data_source import FileSource, WorldSource
from xstilts.tasks.qa import fit_threshold, withhold
from xstilts.tasks.task import Task
from xstilts.training.phases import fine_tune

NOWHERE = WorldSource(world=1, kind="qa", rows={"train": 1})
QA = Task(name="qa", type="qa", source=NOWHERE)
SQUAD_V2 = Task(name="squad", type="qa", unanswerable=True, source=NOWHERE)
QUESTIONS = [
    ("Who built it?", "The old river runs past the town of Thebes. A king built the wide wall near it.", "A king"),
    ("ใคร", "แม่น้ำกว้าง กษัตริย์สร้างกำแพงใกล้เมืองเก่า", "กษัตริย์"),
    ("谁修建了城墙？", "河很宽。国王在老城附近修建了城墙，河很宽。", "国王"),
    ("من بنى الجدار؟", "والنهر واسع. بنى الملك الجدار قرب المدينة القديمة.", "الملك"),
    ("Who?", "near Thebes near Thebes near the wall near Thebes", "near the wall"),
]
NORMALISED = [
    ("Who?", "ＴＨＥ ＫＩＮＧ built ㎞㎞㎞ of walls", "walls"),  # wide letters, and one letter that becomes two
    ("Who?", "ﷺ built the wall near the town ﷺ", "the wall"),  # one letter that becomes eighteen
    ("Who?", "ﻻ ﺍﻟﻤﻠﻚ built walls", "ﺍﻟﻤﻠﻚ"),  # presentation forms of Arabic
    ("Who?", "cafe\u0301 cafe\u0301 n\u0303o built cafe\u0301 walls", "n\u0303o"),  # two letters that become one
    ("Who?", "ｶﾞｷﾞｸﾞ ｺﾞが王 built", "ｺﾞが王"),
    ("Who?", "น้ำคำนำ กำแพงนำ built", "กำแพง"),  # sara am, one letter that becomes two
    ("Who?", "क\u093cखड\u093cा की दीवार built", "दीवार"),  # a letter with a nukta
    ("Who?", "½ of the Ⅷ walls, ① king", "① king"),
]


def questions(items, answers=None, language="en"):
    names = [str(i) for i in range(len(items))]
    given = answers or [[{"text": a, "start": c.index(a)}] for _, c, a in items]
    columns = {"id": names, "cluster_id": names, "language": [language] * len(items)}
    texts = {"context": [c for _, c, _ in items], "question": [q for q, _, _ in items]}
    return pa.table({**columns, **texts, "answers": given}, qa.SCHEMA)


@pytest.fixture(scope="session")
def like_xlmr():
    """A function that makes a tokenizer like XLM-R's: unigrams, NFKC, words marked at their start."""

    def make(texts, size):
        special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
        backend = Tokenizer(models.Unigram())
        steps = [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
        backend.normalizer = normalizers.Sequence(steps)
        backend.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
        trainer = trainers.UnigramTrainer(
            vocab_size=size, special_tokens=special, unk_token="<unk>", show_progress=False
        )
        backend.train_from_iterator(texts, trainer)
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
        )
        names = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
        wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
        wrapped.model_input_names = ["input_ids"]
        return wrapped

    return make


@pytest.fixture(scope="session")
def like_bert():
    """Lower-case word pieces without accents, and segments; no token covers the marks of Thai and Hindi."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    backend = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    backend.normalizer, backend.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    texts = [text for item in QUESTIONS + NORMALISED for text in item]
    backend.train_from_iterator(texts, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    backend.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"cls_token": "[CLS]", "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]"}
    wrapped = transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **names)
    wrapped.model_input_names = ["input_ids", "token_type_ids"]
    return wrapped


# Windows


def cuts(encoded, table):
    """For each window with the answer, its row and the text between its labels."""
    windows = np.flatnonzero(encoded.labels[:, 0] > 0)
    best = [np.array([(0, 0, 0), (1, *encoded.labels[i])], np.float32) for i in windows]
    starts, stops = encoded.offsets[windows], encoded.offsets[windows + 1]
    tokens = np.concatenate([np.arange(a, b) for a, b in zip(starts, stops, strict=True)])
    offsets = np.concatenate([[0], np.cumsum(stops - starts)])
    rows = np.arange(len(windows))
    alone = qa.Encoded(encoded.ids[tokens], offsets, rows, encoded.labels[windows], None, encoded.spans[tokens])
    texts = qa.n_best(best, alone, table.take(encoded.examples[windows]))
    return [(int(row), options[0][1]) for row, options in zip(encoded.examples[windows], texts, strict=True)]


@pytest.mark.parametrize("max_length", [40, 128])
@pytest.mark.parametrize("items", [QUESTIONS, NORMALISED])
def test_labels_point_at_the_exact_answer_in_every_script(letters, max_length, items):
    table = questions(items)
    encoded = qa.encode(table, QA, letters, max_length)
    assert encoded.lengths.max() <= max_length
    answers = cuts(encoded, table)
    assert {row for row, _ in answers} == set(range(len(items)))
    assert all(text == items[row][2] for row, text in answers)
    assert (len(encoded) > len(table)) == (max_length == 40)


@pytest.mark.parametrize("items", [QUESTIONS, NORMALISED])
def test_sub_words_that_overlap_the_edges_of_an_answer_cover_it(tokenizer, like_xlmr, items):
    table = questions(items)
    for each in (tokenizer, like_xlmr([text for item in QUESTIONS for text in item] * 4, 150)):
        answers = cuts(qa.encode(table, QA, each, 64), table)
        assert {row for row, _ in answers} == set(range(len(items)))
        for row, text in answers:
            assert items[row][2] in text
            assert text in items[row][1]


def test_combining_marks_that_a_tokenizer_drops_stay_in_the_answer(like_bert):
    items = [QUESTIONS[1], ("ใคร", "กำแพงสี่ สร้าง", "สี่"), ("कौन", "जॉन एलवे दीवार", "एलवे")]
    table = questions(items)
    assert cuts(qa.encode(table, QA, like_bert, 64), table) == [(i, answer) for i, (*_, answer) in enumerate(items)]


def test_windows_equal_those_of_transformers(tokenizer, like_xlmr, like_bert):
    max_length = 64
    table = questions([(q, " ".join([c] * 5), a) for q, c, a in QUESTIONS + NORMALISED])
    for each in (tokenizer, like_xlmr([text for item in QUESTIONS for text in item] * 4, 150), like_bert):
        encoded = qa.encode(table, QA, each, max_length)
        assert len(encoded) > 2 * len(table)
        expected = each(
            table["question"].to_pylist(), table["context"].to_pylist(), truncation="only_second",
            max_length=max_length, stride=max_length // 3, return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )  # fmt: skip
        assert encoded.examples.tolist() == expected["overflow_to_sample_mapping"]
        for i in range(len(encoded)):
            tokens = slice(encoded.offsets[i], encoded.offsets[i + 1])
            assert encoded.ids[tokens].tolist() == expected["input_ids"][i]
            spans = zip(expected["offset_mapping"][i], expected.sequence_ids(i), strict=True)
            assert encoded.spans[tokens].tolist() == [list(s) if text == 1 else [-1, -1] for s, text in spans]
            if each is like_bert:
                assert encoded.segments[tokens].tolist() == expected["token_type_ids"][i]


def test_windows_of_384_tokens_overlap_by_128(letters):
    table = questions([("Who?", "wall " * 199 + "river", "river")])
    encoded = qa.encode(table, QA, letters, 384)
    edges = [encoded.spans[encoded.offsets[i] : encoded.offsets[i + 1]] for i in range(len(encoded))]
    inside = [spans[spans[:, 0] >= 0] for spans in edges]
    assert encoded.lengths.tolist()[:-1] == [384] * (len(encoded) - 1)
    for before, after in pairwise(inside):
        assert (before[-128:] == after[:128]).all()
    assert inside[-1][-1, 1] == 1000


def test_the_encoding_of_an_example_does_not_depend_on_the_others(letters):
    long = ("why " * 40, QUESTIONS[0][1], QUESTIONS[0][2])
    together = qa.encode(questions([QUESTIONS[0], long]), QA, letters, 60)
    alone = qa.encode(questions(QUESTIONS[:1]), QA, letters, 60)
    assert together.ids[: len(alone.ids)].tolist() == alone.ids.tolist()
    assert together.labels[: len(alone)].tolist() == alone.labels.tolist()
    assert (together.examples == 0).sum() == len(alone)


def test_a_question_longer_than_the_sequence_is_truncated_and_answered(letters):
    table = questions([("why " * 40, QUESTIONS[0][1], QUESTIONS[0][2]), QUESTIONS[0]])
    answers = cuts(qa.encode(table, QA, letters, 48), table)
    assert {row for row, _ in answers} == {0, 1}
    assert {text for _, text in answers} == {QUESTIONS[0][2]}


def test_a_window_without_the_whole_answer_is_a_null_window(letters):
    table = questions([*QUESTIONS[:1], ("Who?", QUESTIONS[0][1], "")], answers=[[{"text": "A king", "start": 44}], []])
    encoded = qa.encode(table, QA, letters, 40)
    for i, row in enumerate(encoded.examples):
        spans = encoded.spans[encoded.offsets[i] : encoded.offsets[i + 1]]
        inside = spans[spans[:, 0] >= 0]
        whole = row == 0 and inside[0, 0] <= 44 and inside[-1, 1] >= 50
        assert (encoded.labels[i].tolist() != [0, 0]) == whole
    has = encoded.labels[:, 0] > 0
    assert (
        has[encoded.examples == 0].any()
        and not has[encoded.examples == 0].all()
        and not has[encoded.examples == 1].any()
    )


def test_a_masked_question_is_encoded_as_an_empty_text(letters):
    table = questions([QUESTIONS[0], ("", *QUESTIONS[0][1:])])
    hidden = table.set_column(table.column_names.index("question"), "question", pa.nulls(2, pa.string()))
    encoded = qa.encode(hidden, QA, letters, 128)
    assert encoded.lengths[0] == encoded.lengths[1] == qa.encode(table, QA, letters, 128).lengths[1]
    assert cuts(encoded, hidden) == [(0, "A king"), (1, "A king")]


XQUAD = ("xquad/xquad.{lang}.json", "ar de el en es hi ru th tr vi zh")
MLQA = ("mlqa/dev-context-{lang}-question-{lang}.json", "ar de en es hi vi zh")
TYDIQA = ("tydiqa/tydiqa.goldp.{lang}.train.json", "en ko sw")
JSQUAD = ("jglue/jsquad-v1.3-valid.part.json", "ja")
SQUAD = ("squad/dev-v1.1.rebuilt.json", "en")


def test_spans_of_real_answers_cover_them_and_are_mostly_exact(real_data, letters, like_xlmr):
    tables = {}
    for pattern, codes in (XQUAD, MLQA, TYDIQA, JSQUAD, SQUAD):
        settings = {"files": {"test": pattern}, "languages": tuple(codes.split()), "numbered": ("test",)}
        source = FileSource(format="squad", **settings)
        for code in codes.split():
            table = load_examples(Task(name="q", type="qa", source=source), "test", code, real_data, {}).table
            tables[pattern.partition("/")[0], code] = table.take(np.arange(0, len(table), len(table) // 120))
    texts = [text for table in tables.values() for text in table["context"].to_pylist()[::6]]
    for tokenizer, floor in ((letters, 1.0), (like_xlmr(texts, 3000), 0.85)):
        for name, table in tables.items():
            gold = [answers[0]["text"].strip() for answers in table["answers"].to_pylist()]
            answers_of = cuts(qa.encode(table, QA, tokenizer, 384), table)
            missed = set(range(len(table))) - {row for row, _ in answers_of}
            assert all(len(gold[row]) > qa.OVERLAP for row in missed), name  # no window needs to have it whole
            # A zero-width space at the edge of an answer belongs to no token in XLM-R.
            assert all(gold[row].strip("\u200b") in text for row, text in answers_of), name
            assert np.mean([text.strip("\u200b") == gold[row].strip("\u200b") for row, text in answers_of]) >= floor, (
                name
            )


# The best span


def test_the_best_spans_equal_those_of_an_exhaustive_search(letters):
    table = questions([QUESTIONS[0], QUESTIONS[2]])
    encoded = qa.encode(table, QA, letters, 128)
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(2, int(encoded.lengths.max()), 2)))
    for i, answers in enumerate(qa.extract(logits.float(), encoded, np.arange(2))):
        inside = np.flatnonzero(encoded.spans[encoded.offsets[i] : encoded.offsets[i + 1], 0] >= 0)
        spans = [(a, b) for a in inside for b in inside if a <= b < a + 30]
        spans.sort(key=lambda span: -float(logits[i, span[0], 0] + logits[i, span[1], 1]))
        assert answers[0].tolist() == pytest.approx([float(logits[i, 0].sum()), 0, 0])
        assert answers[1:, 1:].astype(int).tolist() == [list(map(int, span)) for span in spans[:20]]
        assert answers[1:, 0] == pytest.approx([float(logits[i, a, 0] + logits[i, b, 1]) for a, b in spans[:20]])


def test_answers_come_from_the_context_and_have_a_maximum_length(letters):
    table = questions(QUESTIONS[:1])
    encoded = qa.encode(table, QA, letters, 128)
    logits = torch.zeros(1, len(encoded.ids), 2)
    logits[0, 2, :] = 99.0
    inside = np.flatnonzero(encoded.spans[:, 0] >= 0)
    logits[0, inside[0], 0] = logits[0, inside[-1], 1] = 5.0
    for _, first, last in qa.extract(logits, encoded, np.array([0]))[0][1:]:
        assert encoded.spans[int(first), 0] >= 0 and encoded.spans[int(last), 0] >= 0
        assert first <= last < first + qa.LONGEST_ANSWER


def windows(*spans_of_windows, text="red cat sat"):
    """One question whose windows each hold [CLS] and the three words, with what was extracted from them."""
    count = len(spans_of_windows)
    spans = np.tile([[-1, -1], [0, 3], [3, 7], [7, 11]], (count, 1)).astype(np.int32)
    encoded = qa.Encoded(np.zeros(4 * count, np.int32), 4 * np.arange(count + 1), np.zeros(count, np.int64),
                         np.zeros((count, 2), np.int64), None, spans)  # fmt: skip
    table = questions([("?", text, text[:3])])
    return [np.array(spans, np.float32) for spans in spans_of_windows], encoded, table


def test_windows_of_a_question_are_merged_by_the_best_score_of_each_text_and_the_smallest_null_score():
    made = windows([(4, 0, 0), (5, 1, 1), (2, 2, 2)], [(-1, 0, 0), (7, 2, 3), (6, 1, 1)], [(3, 0, 0), (7, 3, 3)])
    assert qa.n_best(*made) == [[(7.0, "cat sat"), (7.0, "sat"), (6.0, "red"), (2.0, "cat")]]
    columns = qa.predict(*made, SQUAD_V2)
    assert (columns["prediction"], columns["score"].tolist(), columns["null_score"].tolist()) == (
        ["cat sat"],
        [7],
        [-1],
    )
    assert "null_score" not in qa.predict(*made, QA)


def test_a_span_of_white_space_is_not_an_answer():
    made = windows([(0, 0, 0), (9, 2, 2), (1, 1, 1)], text="red    sat!")
    assert qa.predict(*made, QA)["prediction"] == ["red"]


def test_the_answer_to_an_empty_context_is_empty(letters):
    table = questions([("Who?", "", "")], answers=[[]])
    encoded = qa.encode(table, QA, letters, 64)
    assert len(encoded) == 1
    extracted = qa.extract(torch.ones(1, len(encoded.ids), 2), encoded, np.array([0]))
    columns = qa.predict(extracted, encoded, table, QA)
    assert (columns["prediction"], columns["score"].tolist()) == ([""], [2.0])


# No answer


def scored(gold, margin, prediction="cat"):
    size = len(gold)
    columns = {"gold": pa.array(gold, pa.list_(pa.string())), "prediction": [prediction] * size,
               "score": np.zeros(size, np.float32), "null_score": np.array(margin, np.float32)}  # fmt: skip
    return pa.table({"language": ["en"] * size, **columns})


def test_an_answer_is_withheld_if_no_answer_scores_better_by_more_than_the_threshold():
    table = scored([["cat"]] * 3, [-1.0, 0.5, 2.0])
    assert withhold(table, 0.5)["prediction"].to_pylist() == ["cat", "cat", ""]
    assert withhold(table, -1.5)["prediction"].to_pylist() == ["", "", ""]
    assert withhold(table, 0.5).column_names == table.column_names
    plain = table.drop_columns("null_score")
    assert withhold(plain, -9.0).equals(plain)


@pytest.mark.parametrize(
    ("gold", "margin", "threshold"),
    [
        ([["cat"], ["cat"], [], []], [-3, -1, 1, 3], -1),
        ([["cat"], [], ["cat"], []], [-3, -1, 1, 3], -3),  # equal at 1: the smallest
        ([["cat"], [], ["cat"], ["cat"]], [-3, -1, 1, 3], 3),
        ([[], []], [-3, -1], -4),  # below all: nothing is answered
        ([["cat"], ["cat"]], [5, -1], 5),
        ([["cat"], ["cat"], []], [0, 0, 0], 0),  # equal margins stand or fall together
        ([["cat"], [], []], [0, 0, 0], -1),
        ([["red cat sat"], []], [1, 2], 1),  # half an answer is better than none
    ],
)
def test_the_threshold_gives_the_highest_f1(gold, margin, threshold):
    assert fit_threshold(scored(gold, margin)) == threshold


def test_no_other_threshold_is_better():
    rng = np.random.default_rng(3)
    gold = [[["cat"], ["a cat sat"], ["dog"], []][i] for i in rng.integers(0, 4, 60)]
    table = scored(gold, rng.integers(-9, 10, 60))

    def f1(threshold):
        return qa.statistics(withhold(table, threshold), "f1")[:, 0].mean()

    best = fit_threshold(table)
    assert f1(best) == pytest.approx(max(f1(t) for t in np.arange(-11, 11, 0.5)))
    assert all(f1(t) < f1(best) - 1e-9 for t in np.arange(-11, best, 0.5))


def test_only_question_answering_can_be_unanswerable():
    with pytest.raises(ValidationError, match="only a `qa` task can have `unanswerable`"):
        Task(name="nli", type="classification", unanswerable=True, source=NOWHERE)


@pytest.fixture(scope="module")
def squad_run(tmp_path_factory, encoder_folder):
    """A model fine-tuned on questions of which every third has no answer, with its predictions; the same after it for
    the task as if all had one."""
    root = tmp_path_factory.mktemp("squad")
    items = [(q, c, a) for q, c, a in QUESTIONS[:3] for _ in range(8)]
    golds = [[] if i % 3 == 0 else [{"text": a, "start": c.index(a)}] for i, (_, c, a) in enumerate(items)]
    (root / "rows").mkdir()
    pq.write_table(questions(items, golds), root / "rows" / "examples.parquet")
    common = {"languages": ["en"], "max_length": 48, "mask_column": "", "weights": "", "device": "cpu"}
    encoder = encoder_folder("bert")
    for task in (SQUAD_V2, QA):
        entry = task.model_dump(mode="json", exclude_defaults=True)
        folders = {name: root / f"{name}-{task.name}" for name in ("model", "predictions", "baseline")}
        for folder in folders.values():
            folder.mkdir()
        inputs = {"encoder": encoder, f"train.{task.name}.en": root / "rows", f"dev.{task.name}": root / "rows"}
        arguments = tuning(
            entry, epochs=4, max_length=48, recipe={"learning_rate": 2e-3}, checkpoint="best", evaluate_every=4
        )
        fine_tune(arguments, inputs, folders["model"], Context(root / f"scratch-{task.name}"))
        scored = {"model": folders["model"], "rows.en": root / "rows"}
        predict({**common, "task": entry, "precision": "fp32"}, scored, folders["predictions"], Context(root))
        encoder = folders["model"]
        given = {"train": root / "rows", "rows.en": root / "rows"}
        baseline({"task": entry, "languages": ["en"]}, given, folders["baseline"], Context(root))
    return root


def test_the_threshold_is_fitted_on_dev_stored_in_the_model_and_applied(squad_run):
    config = transformers.AutoConfig.from_pretrained(squad_run / "model-squad")
    table = pq.read_table(squad_run / "predictions-squad" / "predictions.parquet")
    margin = np.array(table["null_score"], float) - np.array(table["score"], float)
    withheld = np.array([not text for text in table["prediction"].to_pylist()])
    assert (withheld == (margin > config.null_threshold)).all()
    history = json.loads((squad_run / "model-squad" / "history.json").read_text())["history"]
    f1 = float(qa.score(qa.statistics(table, "f1").sum(0), "f1"))
    assert f1 == pytest.approx(max(entry.get("score", 0) for entry in history))
    assert f1 >= 100 / 3  # what never answering gives
    assert load_tokenizer(squad_run / "model-squad").pad_token_id is not None


def test_without_unanswerable_questions_there_is_no_threshold_and_every_question_is_answered(squad_run):
    assert not hasattr(transformers.AutoConfig.from_pretrained(squad_run / "model-qa"), "null_threshold")
    table = pq.read_table(squad_run / "predictions-qa" / "predictions.parquet")
    assert "null_score" not in table.column_names and all(table["prediction"].to_pylist())


def test_the_baseline_answers_with_the_context_or_with_nothing(squad_run):
    for name in ("squad", "qa"):
        schemas = [
            pq.read_schema(squad_run / f"{kind}-{name}" / "predictions.parquet") for kind in ("predictions", "baseline")
        ]
        assert schemas[0].equals(schemas[1])
    given = [
        pq.read_table(squad_run / f"baseline-{n}" / "predictions.parquet")["prediction"][0].as_py()
        for n in ("squad", "qa")
    ]
    assert given == ["", QUESTIONS[0][1]]


# Metrics


def test_answer_scores_take_the_best_gold_answer_and_count_repeated_words():
    gold = [["in the year 1066", "1066"], ["a b b"], ["Paris"]]
    predictions = pa.table({"language": ["en"] * 3, "gold": gold, "prediction": ["1066.", "b b b c", "London"]})
    assert qa.statistics(predictions, "f1")[:, 0].tolist() == pytest.approx([1.0, 2 * 2 / (4 + 2), 0.0])
    assert qa.statistics(predictions, "exact_match").tolist() == [[1, 1], [0, 1], [0, 1]]
    assert qa.statistics(predictions, "f1_em")[:, 0].tolist() == pytest.approx([1.0, 1 / 3, 0.0])
    assert qa.score(qa.statistics(predictions, "exact_match").sum(0), "exact_match") == pytest.approx(100 / 3)


@pytest.mark.parametrize("language", ["ar", "de", "en", "es", "hi", "vi", "zh", "ja", "th", "sw"])
def test_metrics_equal_the_benchmarks_on_the_same_examples(language):
    words = ["the", "cat", "der", "la", "của", "البيت", "एक", "北京", "東京タワー", "ไทย", ",", "।", "a-b", ""]
    rng = np.random.default_rng(7)

    def text():
        return " ".join(words[i] for i in rng.integers(0, len(words), rng.integers(1, 5)))

    gold = [[text() for _ in range(rng.integers(1, 4))] for _ in range(300)]
    prediction = [golds[0] if rng.random() < 0.2 else text() for golds in gold]
    predictions = pa.table({"language": [language] * 300, "gold": gold, "prediction": prediction})
    keyed = [(str(i), golds) for i, golds in enumerate(gold)], {str(i): p for i, p in enumerate(prediction)}
    cut = metrics.segmented if language in ("zh", "ja", "th") else metrics.squad_normal
    forms = {"": metrics.squad_normal, "segmented_": cut}
    if language in metrics.ARTICLES:
        forms["mlqa_"] = lambda answer: metrics.mlqa_normal(answer, language)
    for metric in qa.METRICS:
        prefix, part = next((p, metric.removeprefix(p)) for p in ("mlqa_", "segmented_", "") if metric.startswith(p))
        if prefix in forms:
            expected = metrics.answer_scores(*keyed, forms[prefix])
            expected["f1_em"] = (expected["f1"] + expected["exact_match"]) / 2
            score = qa.score(qa.statistics(predictions, metric).sum(0), metric)
            assert score == pytest.approx(expected[part], abs=1e-9)
            assert 5 < score < 95


def test_each_example_is_compared_by_the_normal_form_of_its_language():
    gold, given = ["die Katze", "北京市", "die Katze"], ["Katze", "北京", "Katze"]
    predictions = pa.table({"language": ["de", "zh", "en"], "gold": [[g] for g in gold], "prediction": given})
    assert qa.statistics(predictions, "mlqa_f1")[:, 0].tolist() == pytest.approx([1, 0.8, 2 / 3])
    assert qa.statistics(predictions, "segmented_f1")[:, 0].tolist() == pytest.approx([2 / 3, 0.8, 2 / 3])
    assert qa.statistics(predictions, "f1")[:, 0].tolist() == pytest.approx([2 / 3, 0, 2 / 3])


def test_a_language_that_mlqa_does_not_have_is_refused():
    predictions = pa.table({"language": ["en", "sw"], "gold": [["x"], ["x"]], "prediction": ["x", "x"]})
    with pytest.raises(XstiltsError, match="'sw'"):
        qa.statistics(predictions, "mlqa_f1_em")


@pytest.mark.parametrize("metric", qa.METRICS)
def test_a_question_without_an_answer_is_right_only_if_the_prediction_is_empty(metric):
    gold = pa.array([[], [], ["cat"]], pa.list_(pa.string()))
    predictions = pa.table({"language": ["en"] * 3, "gold": gold, "prediction": ["", "cat", ""]})
    assert qa.statistics(predictions, metric).tolist() == [[1, 1], [0, 1], [0, 1]]
