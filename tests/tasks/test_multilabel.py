"""Any number of labels per text: records, loss, metrics, a study from files, and a model that `transformers` loads."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import transformers
from sklearn.metrics import accuracy_score, f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from support import changed, invoke, tuning
from xstilts.context import Context
from xstilts.data.examples import load_examples
from xstilts.data.prepare import accept
from xstilts.errors import XstiltsError
from xstilts.evaluation.predict import run_model
from xstilts.models.encoders import with_head
from xstilts.runs.reader import read_run
from xstilts.tasks import classification, multilabel
from xstilts.tasks.encoding import IGNORED, pad
from xstilts.tasks.task import BadRow, Task
from xstilts.training.budget import join, updates
from xstilts.training.loop import train
from xstilts.training.phases import fine_tune
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

LABELS = ("anger", "joy", "fear")
WORDS = {"anger": "the wall", "joy": "the river", "fear": "a king"}
"""What a text of each label says."""
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
IDENTITY = {"id": "1", "cluster_id": "1", "language": "en"}


def entry(files, **settings):
    source = {"format": "jsonl", "files": files, **settings}
    return Task(name="emotions", type="multilabel", labels=LABELS, languages=("en", "de", "sw"), source=source)


TASK = entry({"train": "train-{lang}.jsonl"})


def table(texts, labels):
    ids = [str(i) for i in range(len(texts))]
    columns = {"id": ids, "cluster_id": ids, "language": ["en"] * len(ids), "text_a": texts}
    return pa.table({**columns, "text_b": [None] * len(ids), "label": labels}, multilabel.SCHEMA)


def draw(count, seed=0):
    """Texts that name their labels, of which some have none."""
    rng = np.random.default_rng(seed)
    labels = [[label for label in LABELS if rng.random() < 0.5] for _ in range(count)]
    return [" and ".join([WORDS[label] for label in each]) or "the old town" for each in labels], labels


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (["fear", "anger"], ["anger", "fear"]),
        (["joy", "joy"], ["joy"]),
        ("fear | anger|fear", ["anger", "fear"]),
        ("joy", ["joy"]),
        ([], []),
        ("", []),
        (None, None),
        (-1, None),
        ("-1", None),
    ],
)
def test_labels_are_a_list_or_a_text_in_the_order_of_the_task(label, expected):
    (example,) = multilabel.complete({**IDENTITY, "text_a": "x", "label": label}, TASK)
    assert example["label"] == expected


@pytest.mark.parametrize("label", [["joy", "hate"], "joy|hate", "Joy", ["joy", None], ["joy", ""], [["joy"]], {"a": 1}])
def test_unknown_or_empty_labels_are_bad_rows(label):
    with pytest.raises(BadRow):
        multilabel.complete({**IDENTITY, "text_a": "x", "label": label}, TASK)


def test_a_label_with_the_separator_is_refused():
    with pytest.raises(ValueError, match="multilabel"):
        Task(name="t", type="multilabel", labels=("a|b", "c"), source=TASK.source)


def read(folder, name, text, **settings):
    (folder / name).write_text(text, encoding="utf-8")
    return load_examples(entry({"train": name}, **settings), "train", "en", folder, {})


def test_files_give_lists_of_words_or_class_numbers_or_texts(tmp_path):
    words, expected = [["joy", "fear"], [], ["anger"]], [["joy", "fear"], [], ["anger"]]
    rows = [{"text_a": "x", "label": each} for each in words]
    lines = "\n".join(map(json.dumps, rows))
    assert read(tmp_path, "a.jsonl", lines).table["label"].to_pylist() == expected

    pq.write_table(pa.table({"t": ["x"] * 3, "l": [[1, 2], [], [0]]}), tmp_path / "a.parquet")
    numbers = {"columns": {"text_a": "t", "label": "l"}, "relabel": {str(i): each for i, each in enumerate(LABELS)}}
    parquet = entry({"train": "a.parquet"}, format="parquet", **numbers)
    assert load_examples(parquet, "train", "en", tmp_path, {}).table["label"].to_pylist() == expected

    columns = {"columns": {"text_a": "text", "label": "feelings"}, "format": "table"}
    cells = "text,feelings\nx,happy|fear\nx,\nx,anger\n"
    examples = read(tmp_path, "a.csv", cells, relabel={"happy": "joy"}, **columns)
    assert examples.table["label"].to_pylist() == expected and not examples.withheld
    unlabelled = read(tmp_path, "b.csv", cells + "x,joy|unclear\n", unlabelled=["", "unclear"], **columns,
                      relabel={"happy": "joy"})  # fmt: skip
    assert unlabelled.table["label"].to_pylist() == [["joy", "fear"], ["anger"]] and unlabelled.unlabelled == 2


def test_withheld_labels_are_not_mistaken_for_no_labels(tmp_path):
    for name, text, settings in (
        ("a.jsonl", '{"text_a": "x", "label": null}\n', {}),
        ("b.tsv", "x\ny\n", {"format": "table", "columns": {"text_a": 0, "label": 1}}),
    ):
        examples = read(tmp_path, name, text, **settings)
        assert examples.withheld
        with pytest.raises(XstiltsError) as caught:
            accept(TASK, "train", "en", examples, withheld=False)
        assert caught.value.kind == "inconsistent"
    some = read(tmp_path, "c.jsonl", '{"text_a": "x", "label": null}\n{"text_a": "y", "label": []}\n')
    assert some.table["label"].to_pylist() == [[]] and [row.line for row in some.rejected] == [1]


def test_texts_are_encoded_as_in_classification_with_a_row_of_labels_each(tokenizer):
    examples = table(["The old river", "Who built it?", "a king"], [["fear", "anger"], None, []])
    encoded = multilabel.encode(examples, TASK, tokenizer, 64)
    assert encoded.labels.tolist() == [[1, 0, 1], [IGNORED] * 3, [0, 0, 0]] and not encoded.labelled_per_token
    words = examples.set_column(5, "label", pa.array(["joy"] * 3))
    same = classification.encode(words, TASK.model_copy(update={"type": "classification"}), tokenizer, 64)
    assert encoded.ids.tolist() == same.ids.tolist() and encoded.offsets.tolist() == same.offsets.tolist()
    assert join([encoded], [(0, 2), (0, 0)]).labels.tolist() == [[0, 0, 0], [1, 0, 1]]


def test_the_loss_is_that_of_the_transformers_class_and_skips_withheld_labels(encoder_folder, tokenizer):
    texts, labels = draw(6)
    encoded = multilabel.encode(table(texts, labels), TASK, tokenizer, 64)
    settings = {"problem_type": multilabel.PROBLEM_TYPE}
    model = with_head(encoder_folder("bert"), multilabel.AUTO_CLASS, LABELS, seed=1, **settings).eval()
    batch = {name: torch.from_numpy(array) for name, array in pad(encoded, np.arange(6), 0).items()}
    expected = model(**{**batch, "labels": batch["labels"].float()})
    logits = multilabel.forward(model, batch)
    loss = multilabel.loss_sum(logits, batch["labels"]) / batch["labels"].numel()
    assert loss.item() == pytest.approx(expected.loss.item(), rel=1e-6)

    logits = torch.randn(3, 3, requires_grad=True)
    golds = torch.tensor([[1, 0, 1], [IGNORED] * 3, [0, 0, 0]])
    loss = multilabel.loss_sum(logits, golds)
    some = torch.nn.BCEWithLogitsLoss(reduction="sum")(logits[[0, 2]], golds[[0, 2]].float())
    assert loss.item() == pytest.approx(some.item(), rel=1e-6)
    (slope,) = torch.autograd.grad(loss, logits)
    assert not slope[1].any() and slope[[0, 2]].all()


def test_an_update_has_the_mean_loss_of_its_examples_however_it_is_cut(encoder_folder, tokenizer, tmp_path):
    texts, labels = draw(10, seed=1)
    encoded = multilabel.encode(table(texts, labels), TASK, tokenizer, 64)
    losses = []
    for size in (20, 10_000):
        model = with_head(encoder_folder("bert"), multilabel.AUTO_CLASS, LABELS, seed=1, **NO_DROPOUT)
        batch = {name: torch.from_numpy(array) for name, array in pad(encoded, np.arange(10), 0).items()}
        with torch.no_grad():
            logits = multilabel.forward(model.eval(), batch)
        expected = torch.nn.BCEWithLogitsLoss()(logits, batch["labels"].float())
        recipe = Recipe(learning_rate=1e-3, micro_tokens=size)
        parts = [Part(model, multilabel, encoded)]
        losses.append(train(parts, updates([encoded], np.arange(10), 10), recipe, 1, 0, Context(tmp_path / str(size))))
        assert losses[-1].history[0]["loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert losses[0].history[0]["gradient_norm"] == pytest.approx(losses[1].history[0]["gradient_norm"], rel=1e-4)


def test_labels_above_one_half_are_predicted_with_their_probabilities():
    logits = torch.tensor([[2.0, -1.0, 0.1], [-3.0, -3.0, -3.0]])
    examples = table(["x", "y"], [["anger"], None])
    columns = multilabel.predict(multilabel.extract(logits, None, None), None, examples, TASK)
    predictions = pa.table(columns).to_pylist()
    assert [row["prediction"] for row in predictions] == [["anger", "fear"], []]
    assert [row["gold"] for row in predictions] == [["anger"], None]
    assert predictions[0]["score"] == pytest.approx(torch.tensor([2.0, 0.1]).sigmoid().tolist())
    assert predictions[1]["score"] == []


def test_a_table_without_any_label_has_the_types_of_one_with_labels():
    none, all_three = (
        pa.table(multilabel.predict([np.full(3, share)], None, table(["x"], [gold]), TASK))
        for share, gold in ((0.1, []), (0.9, ["joy"]))
    )
    assert none.schema == all_three.schema
    for metric, expected in (("micro_f1", 0), ("macro_f1", 0), ("exact_match", 100)):
        sums = multilabel.statistics(none, metric).sum(0)
        assert len(sums) and multilabel.score(sums, metric) == expected


@pytest.mark.parametrize(
    ("labels", "expected", "scores"),
    [
        ([["joy", "fear"], ["joy", "fear"], ["fear", "joy"], []], ["joy", "fear"], [0.75, 0.75]),
        ([["joy"], ["fear"], ["fear"], ["anger"], []], ["fear"], [0.4]),
        ([["joy"], [], []], ["joy"], [1 / 3]),
    ],
)
def test_the_baseline_predicts_what_most_examples_have_or_the_most_frequent_label(labels, expected, scores):
    columns = multilabel.baseline(table(["x"] * len(labels), labels), table(["y"] * 2, [[], ["joy"]]), TASK)
    rows = pa.table(columns).to_pylist()
    assert [row["prediction"] for row in rows] == [expected] * 2 and [row["gold"] for row in rows] == [[], ["joy"]]
    assert rows[1]["score"] == pytest.approx(scores)


def test_scores_computed_from_sums_equal_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    known = ["a", "b", "c", "d", "e"]  # `d` is never predicted, `e` never gold
    gold = [[label for label in known[:4] if rng.random() < 0.3] for _ in range(300)]
    predicted = [[label for label in (*known[:3], "e") if rng.random() < 0.3] for _ in range(300)]
    both = MultiLabelBinarizer(classes=[*known, "f"]).fit([known])
    matrices = both.transform(gold), both.transform(predicted)
    present = (0, 1, 2, 3, 4)
    expected = {
        "micro_f1": f1_score(*matrices, average="micro"),
        "macro_f1": f1_score(*matrices, average="macro", labels=present, zero_division=0),
        "exact_match": accuracy_score(*matrices),
    }
    predictions = pa.table({"gold": gold, "prediction": [each[::-1] for each in predicted]})
    for metric in multilabel.METRICS:
        statistics = multilabel.statistics(predictions, metric)
        parts = statistics[:100].sum(0) + statistics[100:].sum(0)
        assert multilabel.score(parts, metric) == pytest.approx(100 * expected[metric], rel=1e-12)
        assert multilabel.score(np.stack([parts, 2 * parts]), metric).shape == (2,)
    assert 0 < expected["macro_f1"] < expected["micro_f1"] < 1


def test_training_learns_which_labels_a_text_has(encoder_folder, tokenizer, tmp_path):
    texts, labels = draw(40)
    examples = table(texts, labels)
    encoded = multilabel.encode(examples, TASK, tokenizer, 32)
    model = with_head(encoder_folder("bert"), multilabel.AUTO_CLASS, LABELS, seed=1, **NO_DROPOUT)
    batches = updates([encoded], np.tile(np.arange(40), 25), 20)
    train([Part(model, multilabel, encoded)], batches, Recipe(learning_rate=1e-2), 1, 0, Context(tmp_path))
    extracted = run_model(model, multilabel, encoded, 0, torch.device("cpu"), "fp32")
    predictions = pa.table(multilabel.predict(extracted, encoded, examples, TASK))
    sums = multilabel.statistics(predictions, "exact_match").sum(0)
    assert multilabel.score(sums, "exact_match") > 75


SMALL = {"examples": 32, "epochs": 3, "recipe": {"learning_rate": 0.003}}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, encoder_folder):
    """The run folder and the store of a study whose intermediate and target task have several labels per text."""
    folder = tmp_path_factory.mktemp("emotions")
    splits = [("train", "en", 32), *((split, code, 12) for split in ("dev", "test") for code in ("en", "de", "sw"))]
    splits += [("train", code, 32) for code in ("tr", "nl")]
    for number, (split, code, count) in enumerate(splits):
        rows = [{"text_a": text, "label": each} for text, each in zip(*draw(count, number), strict=True)]
        (folder / f"{split}-{code}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = {split: split + "-{lang}.jsonl" for split in ("train", "dev", "test")}
    emotions = {"type": "multilabel", "labels": list(LABELS), "metrics": list(multilabel.METRICS),
                "source": {"format": "jsonl", "files": files}}  # fmt: skip
    training = {"task": "emotions", "dev": "dev", **SMALL}
    path = changed(
        folder, replicates=2, encoders={"mine": {"load": str(encoder_folder("bert"))}}, tasks={"emotions": emotions},
        languages={"candidates": ["de", "nl", "tr", "sw"], "always_held_out": ["de", "sw"],
                   "never_held_out": ["nl", "tr"], "minimum": 2},
        intermediate={"feelings": training}, arms={"none": {}, "near": {"intermediate": "feelings", "languages": "near",
                                                                        "count": 1}},
        targets={"emotions": {"test": "test", "training": training}}, primary=["emotions"],
        contrasts=["near - none"], controls=[],
    )  # fmt: skip
    invoke("study", path, "--data", folder, "--out", folder / "run", "--store", folder / "store", "--allow-few")
    return folder / "run", folder / "store"


def test_a_study_trains_and_scores_arms_on_several_labels_per_text(folders):
    run = read_run(folders[0])
    result = json.loads((folders[0] / "analysis.json").read_text())
    assert not result["missing"]
    names = {row["arm"] for row in result["scores"]}
    assert names == {"none", "near", "baseline"}
    for metric in multilabel.METRICS:
        scores = run.score_table("emotions", metric)
        assert set(scores.languages) == {"en", "de", "sw"}
        for arm in ("none", "near"):
            cells = run.predictions("emotions", arm, replicate=1).to_pylist()
            rows = [row for row in cells if row["language"] == "sw"]
            one = pa.table({name: [row[name] for row in rows] for name in ("gold", "prediction")})
            expected = multilabel.score(multilabel.statistics(one, metric).sum(0), metric)
            (encoder,) = run.encoders
            assert scores.score((arm, encoder, 1), "sw") == pytest.approx(expected)
    assert "micro_f1" in (folders[0] / "report.html").read_text()


def test_the_pipeline_of_transformers_gives_the_labels_of_the_predictions(encoder_folder, tmp_path):
    texts, labels = draw(40)
    files = {}
    for name in ("train", "dev"):
        files[name] = tmp_path / name
        files[name].mkdir()
        pq.write_table(table(texts, labels), files[name] / "examples.parquet")
    entry = TASK.model_dump(mode="json")
    inputs = {"encoder": encoder_folder("bert"), "train.emotions.en": files["train"], "dev.emotions": files["dev"]}
    (out := tmp_path / "model").mkdir()
    fine_tune(tuning(entry, epochs=6, recipe={"learning_rate": 3e-3}), inputs, out, Context(tmp_path))

    classify = transformers.pipeline("text-classification", str(out), top_k=None, device="cpu")
    model, tokenizer = classify.model, classify.tokenizer
    encoded = multilabel.encode(table(texts, labels), TASK, tokenizer, 64)
    extracted = run_model(model, multilabel, encoded, tokenizer.pad_token_id, torch.device("cpu"), "fp32")
    rows = pa.table(multilabel.predict(extracted, encoded, table(texts, labels), TASK)).to_pylist()
    assert len({tuple(row["prediction"]) for row in rows}) > 2
    for row, outputs in zip(rows, classify(texts), strict=True):
        shares = {each["label"]: each["score"] for each in outputs if each["score"] > 0.5}
        assert [label for label in LABELS if label in shares] == row["prediction"]
        assert [shares[label] for label in row["prediction"]] == pytest.approx(row["score"], abs=1e-5)

    nli = Task(name="nli", type="classification", labels=("yes", "no"), source=TASK.source).model_dump(mode="json")
    words = table(texts, labels).set_column(5, "label", pa.array(["yes", "no"] * 20))
    for name in ("train", "dev"):
        pq.write_table(words, files[name] / "examples.parquet")
    inputs = {"encoder": out, "train.nli.en": files["train"], "dev.nli": files["dev"]}
    (second := tmp_path / "second").mkdir()
    fine_tune(tuning(nli), inputs, second, Context(tmp_path / "scratch"))
    assert json.loads((second / "config.json").read_text()).get("problem_type") is None
