"""Task types: encoding of examples, predictions, baselines and scores."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from support import TEXTS
from xstilts.data.examples import load_examples
from xstilts.tasks import classification, mlm, qa, retrieval, tagging
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import IGNORED, pad
from xstilts.tasks.metrics import chunks, macro_f1
from xstilts.tasks.task import Task
from xstilts.tasks.task_types import SCHEMAS

NOWHERE = WorldSource(world=1, kind="nli", rows={"train": 1})
TAGS = ("NOUN", "PROPN", "VERB", "DET", "ADP", "PUNCT")


def span_f1(gold, predicted):
    sums = tagging.statistics(pa.table({"gold": [gold.split()], "prediction": [predicted.split()]}), "span_f1").sum(0)
    return float(tagging.score(sums, "span_f1"))


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-PER I-PER O B-LOC", {(0, 1, "PER"), (3, 3, "LOC")}),
        ("O I-PER I-PER", {(1, 2, "PER")}),
        ("B-PER B-PER I-PER", {(0, 0, "PER"), (1, 2, "PER")}),
        ("B-PER I-LOC I-LOC", {(0, 0, "PER"), (1, 2, "LOC")}),
        ("B-PER O I-PER", {(0, 0, "PER"), (2, 2, "PER")}),
        ("NOUN NOUN VERB", {(0, 1, "NOUN"), (2, 2, "VERB")}),
        ("INTJ INTJ", {(0, 1, "INTJ")}),
        ("SYM SYM SCONJ", {(0, 0, "SYM"), (1, 1, "SYM"), (2, 2, "SCONJ")}),
        ("BIRD BIRD", {(0, 0, "BIRD"), (1, 1, "BIRD")}),
        ("OTHER NOUN OTHER", {(1, 1, "NOUN")}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_chunks_follow_the_rule_of_the_official_scorer(tags, expected):
    assert chunks(tags.split()) == expected


def test_equal_neighbouring_parts_of_speech_count_as_one_chunk():
    assert span_f1("NOUN NOUN VERB", "NOUN PROPN VERB") == pytest.approx(40.0)


def test_cconj_and_sconj_are_different_chunks():
    assert span_f1("SCONJ VERB", "CCONJ VERB") == pytest.approx(50.0)


def test_span_f1_is_micro_averaged_and_defined_without_any_chunk():
    gold, predicted = [["B-PER", "O"], ["B-LOC", "I-LOC"], ["O"]], [["B-PER", "B-LOC"], ["B-LOC", "O"], ["O"]]
    statistics = tagging.statistics(pa.table({"gold": gold, "prediction": predicted}), "span_f1")
    assert statistics.tolist() == [[1, 2, 1, 1, 2], [0, 1, 1, 1, 2], [0, 0, 0, 1, 1]]
    assert tagging.score(statistics.sum(0), "span_f1") == pytest.approx(100 * 2 * 1 / (3 + 2))
    assert tagging.score(statistics.sum(0), "token_accuracy") == pytest.approx(60.0)
    assert tagging.score(statistics[2], "span_f1") == 0.0


@pytest.fixture
def tagged():
    text = "The old river runs past the wide town of Thebes near ... กำแพง 国王"
    words = text.split()
    sentences = [words * 4, ["river"], [], [*words[:3], "riverwallriverwallriverwallriverwall", *words[3:]]]
    rng = np.random.default_rng(0)
    tags = [[TAGS[i] for i in rng.integers(0, len(TAGS), len(s))] for s in sentences]
    names = [str(i) for i in range(len(sentences))]
    table = pa.table(
        {"id": names, "cluster_id": names, "language": ["en"] * len(names), "tokens": sentences, "tags": tags},
        tagging.SCHEMA,
    )
    return table, Task(name="pos", type="tagging", labels=TAGS, source=NOWHERE)


def tag_by_first_piece(encoded, table, task, order):
    """Predictions of a 'model' that depends on each token alone, in batches of any order."""
    extracted = [None] * len(encoded)
    for part in np.array_split(order, max(1, len(order) // 3)):
        ids = torch.from_numpy(pad(encoded, part, 0)["input_ids"])
        logits = torch.nn.functional.one_hot(ids % len(TAGS), len(TAGS)).float()
        for index, tags in zip(part, tagging.extract(logits, encoded, part), strict=True):
            extracted[index] = tags
    return tagging.predict(extracted, encoded, table, task)


def test_every_word_is_predicted_whatever_the_maximum_length(tagged, tokenizer):
    table, task = tagged
    results = []
    for max_length in (8, 16, 128):
        encoded = tagging.encode(table, task, tokenizer, max_length)
        assert encoded.lengths.max() <= max_length
        gold = [encoded.labels[encoded.offsets[i] : encoded.offsets[i + 1]] for i in range(len(encoded))]
        perfect = tagging.predict([g[g != IGNORED] for g in gold], encoded, table, task)
        assert perfect["prediction"] == perfect["gold"] == table["tags"].to_pylist()
        order = np.random.default_rng(max_length).permutation(len(encoded))
        results.append(tag_by_first_piece(encoded, table, task, order)["prediction"])
    assert results[0] == results[1] == results[2]
    assert len({tag for sentence in results[0] for tag in sentence}) > 2


def test_a_sentence_that_fits_is_encoded_as_the_tokenizer_does(tagged, tokenizer):
    table, task = tagged
    encoded = tagging.encode(table, task, tokenizer, 128)
    expected = tokenizer(table["tokens"][0].as_py(), is_split_into_words=True)["input_ids"]
    assert encoded.ids[: encoded.offsets[1]].tolist() == expected


def test_a_word_without_sub_words_still_gets_a_tag(tokenizer):
    names = ["0"]
    columns = {"id": names, "cluster_id": names, "language": ["en"], "tokens": [["river", "\u200b", " ", "wall"]]}
    table = pa.table({**columns, "tags": [["NOUN", "PUNCT", "PUNCT", "NOUN"]]}, tagging.SCHEMA)
    encoded = tagging.encode(table, Task(name="pos", type="tagging", labels=TAGS, source=NOWHERE), tokenizer, 32)
    assert (encoded.labels != IGNORED).sum() == 4


def test_the_baseline_predicts_the_most_frequent_tag_and_the_tag_of_rare_words_for_unknown_ones(tagged):
    _, task = tagged
    train = pa.table(
        {"tokens": [["run", "run", "run", "Bo", "Al", "the"], ["the"]],
         "tags": [["VERB", "NOUN", "VERB", "PROPN", "PROPN", "DET"], ["DET"]]}
    )  # fmt: skip
    table = pa.table({"tokens": [["the", "run", "Zed"]], "tags": [["DET", "NOUN", "PROPN"]]})
    assert tagging.baseline(train, table, task)["prediction"] == [["DET", "VERB", "PROPN"]]


LABELS = ("entailment", "neutral", "contradiction")
NLI = Task(name="nli", type="classification", labels=LABELS, source=NOWHERE)


def pairs(texts_a, texts_b, labels):
    names = [str(i) for i in range(len(labels))]
    columns = {"id": names, "cluster_id": names, "language": ["en"] * len(names)}
    return pa.table({**columns, "text_a": texts_a, "text_b": texts_b, "label": labels}, classification.SCHEMA)


def test_truncating_a_pair_keeps_the_shorter_text(tokenizer):
    table = pairs(["the old river runs past the wide town " * 10], ["a king built it"], ["neutral"])
    encoded = classification.encode(table, NLI, tokenizer, 32)
    short = tokenizer("a king built it", add_special_tokens=False)["input_ids"]
    assert encoded.lengths.tolist() == [32]
    assert encoded.ids[-1 - len(short) : -1].tolist() == short
    assert encoded.labels.tolist() == [1]


def test_probabilities_become_labels_and_a_score():
    table = pairs(["a"] * 3, [None] * 3, ["neutral", "entailment", "contradiction"])
    logits = torch.tensor([[0.0, 2.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 1.0]])
    columns = classification.predict(classification.extract(logits, None, None), None, table, NLI)
    assert columns["prediction"] == ["neutral", "neutral", "contradiction"]
    assert columns["score"][0] == pytest.approx(np.exp(2) / (np.exp(2) + 2))
    sums = classification.statistics(pa.table(columns), "accuracy").sum(0)
    assert classification.score(sums, "accuracy") == pytest.approx(200 / 3)


def test_the_majority_label_is_that_of_the_training_examples():
    train = pairs(["a"] * 5, ["b"] * 5, ["neutral", "contradiction", "contradiction", "neutral", "entailment"])
    columns = classification.baseline(train, pairs(["a"] * 2, ["b"] * 2, ["entailment"] * 2), NLI)
    assert columns["prediction"] == ["neutral", "neutral"]
    assert columns["score"].tolist() == pytest.approx([0.4, 0.4])


def text_table(texts, languages, second=None):
    names = [str(i) for i in range(len(texts))]
    columns = {"id": names, "cluster_id": names, "language": languages, "text": texts}
    return pa.table({**columns, "text_b": second or [None] * len(texts)}, mlm.SCHEMA)


MLM = Task(name="text", type="mlm", source=NOWHERE)


def test_sentences_of_one_language_are_joined_up_to_the_maximum_length(tokenizer):
    texts = ["the old river", "the wide wall", "le mur", "la ville", "the river runs past the old town " * 9]
    encoded = mlm.encode(text_table(texts, ["en", "en", "fr", "fr", "en"]), MLM, tokenizer, 32)
    sequences = [encoded.ids[encoded.offsets[i] : encoded.offsets[i + 1]].tolist() for i in range(len(encoded))]
    ids = [tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids for text in texts]
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert sequences[0] == [start, *ids[0], end, *ids[1], end]
    assert sequences[1] == [start, *ids[2], end, *ids[3], end]
    assert sequences[2] == [start, *ids[4][:30], end]
    assert encoded.examples.tolist() == [0, 2, 4]
    assert tokenizer.backend_tokenizer.truncation is None, "its file would depend on what was tokenized before"


def test_tokens_are_masked_in_the_stated_shares_except_special_ones(tokenizer):
    rng = np.random.default_rng(0)
    special = np.array(tokenizer.all_special_ids)
    ids = rng.integers(0, len(tokenizer), (400, 100))
    batch = {"input_ids": ids.copy()}
    mlm.corruption(tokenizer, 0.15)(batch, rng)
    chosen = batch["labels"] != IGNORED
    ordinary = ~np.isin(ids, special)
    assert not chosen[~ordinary].any()
    assert (batch["labels"][chosen] == ids[chosen]).all()
    assert (batch["input_ids"][~chosen] == ids[~chosen]).all()
    assert chosen.sum() / ordinary.sum() == pytest.approx(0.15, abs=0.01)
    hidden = batch["input_ids"][chosen]
    assert (hidden == tokenizer.mask_token_id).mean() == pytest.approx(0.8, abs=0.02)
    assert (hidden == ids[chosen]).mean() == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize("kind", ["bert", "xlm-roberta", "modernbert", "deberta-v2"])
def test_logits_of_masked_positions_alone_equal_those_of_all_positions(kind, encoder_folder, tokenizer):
    model = transformers.AutoModelForMaskedLM.from_pretrained(encoder_folder(kind)).eval()
    encoded = mlm.encode(text_table(["the old river runs", "the wall"], ["en", "fr"]), MLM, tokenizer, 32)
    batch = pad(encoded, np.arange(len(encoded)), tokenizer.pad_token_id)
    mlm.corruption(tokenizer, 0.5)(batch, np.random.default_rng(1))
    tensors = {name: torch.from_numpy(array) for name, array in batch.items()}
    with torch.no_grad():
        few = mlm.forward(model, tensors)
        everything = model(input_ids=tensors["input_ids"], attention_mask=tensors["attention_mask"]).logits
        hidden = tensors["labels"] != IGNORED
        assert hidden.sum() > 2
        torch.testing.assert_close(few, everything[hidden], rtol=1e-5, atol=1e-5)
        expected = torch.nn.functional.cross_entropy(everything[hidden], tensors["labels"][hidden], reduction="sum")
        torch.testing.assert_close(mlm.loss_sum(few, tensors["labels"]), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "source"),
    [("classification", "nli"), ("classification", "paws"), ("qa", "qa"), ("retrieval", "retrieval"), ("mlm", "text")],
)
def test_artificial_examples_have_the_schema_of_their_task_type_and_can_be_encoded(kind, source, tokenizer):
    labels = {"nli": LABELS, "paws": ("0", "1")}.get(source, ())
    task = Task(name="t", type=kind, labels=labels, source=WorldSource(world=1, kind=source, rows={"train": 20}))
    table = load_examples(task, "train", "tr", None, {}).table
    assert table.schema == SCHEMAS[kind]
    module = {"classification": classification, "qa": qa, "retrieval": retrieval, "mlm": mlm}[kind]
    encoded = module.encode(table, task, tokenizer, 64)
    assert set(encoded.examples.tolist()) == set(range(len(table)))


def test_classification_scores_computed_from_sums_equal_their_definitions():
    rng = np.random.default_rng(0)
    gold, predicted = rng.choice(["a", "b", "c", "d"], 400), rng.choice(["a", "b", "c"], 400)
    confidence = rng.random(400).astype(np.float32)
    table = pa.table({"gold": gold, "prediction": predicted, "score": confidence})
    correct = gold == predicted
    bins = [(confidence > k / 15) & (confidence <= (k + 1) / 15) for k in range(15)]
    gaps = [abs(confidence[b].astype(float).mean() - correct[b].mean()) * b.mean() for b in bins if b.any()]
    expected = {
        "accuracy": 100 * correct.mean(),
        "macro_f1": macro_f1(gold.tolist(), predicted.tolist()),
        "calibration_error": 100 * sum(gaps),
    }
    for metric in classification.METRICS:
        statistics = classification.statistics(table, metric)
        parts = statistics[:150].sum(0) + statistics[150:].sum(0)
        assert classification.score(parts, metric) == pytest.approx(expected[metric], rel=1e-9)
        assert classification.score(np.stack([parts, 2 * parts]), metric).shape == (2,)


def byte_level():
    """Like RoBERTa and ModernBERT: the space before a word is part of its first sub-word."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return made, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, special_tokens=SPECIAL)


def gemma_like():
    """Like Gemma and mmBERT: spaces become marks, and the first word has none."""
    made = Tokenizer(models.BPE(unk_token="[UNK]"))
    made.normalizer = normalizers.Replace(" ", "▁")
    made.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    return made, trainers.BpeTrainer(vocab_size=300, special_tokens=SPECIAL)


SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


@pytest.mark.parametrize("make", [byte_level, gemma_like])
def test_words_have_the_sub_words_of_running_text(make):
    made, trainer = make()
    made.train_from_iterator([text for text in TEXTS for _ in range(5)], trainer)
    numbered = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=numbered)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=made, **names)
    for text in TEXTS:
        words = text.split()
        columns = {
            "id": ["1"],
            "cluster_id": ["1"],
            "language": ["en"],
            "tokens": [words],
            "tags": [["DET"] * len(words)],
        }
        table = pa.table(columns, tagging.SCHEMA)
        encoded = tagging.encode(table, Task(name="pos", type="tagging", labels=TAGS, source=NOWHERE), tokenizer, 512)
        running = tokenizer(" " + text)["input_ids"]
        assert encoded.ids.tolist() == running
        spaced = tokenizer([f" {word}" for word in words], is_split_into_words=True)
        starts = [i for i, w in enumerate(spaced.word_ids()) if w is not None and w != spaced.word_ids()[i - 1]]
        assert np.flatnonzero(encoded.labels != IGNORED).tolist() == starts
