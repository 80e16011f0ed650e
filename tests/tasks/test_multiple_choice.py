"""Multiple choice: encoding, loss, and batches that keep the choices of a question together."""

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers

from xstilts.context import Context
from xstilts.evaluation.predict import run_model
from xstilts.models.batching import micro_batches
from xstilts.models.encoders import with_head
from xstilts.tasks import multiple_choice
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import IGNORED, pad
from xstilts.tasks.task import BadRow, Task
from xstilts.training.budget import join, updates
from xstilts.training.loop import train
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

TASK = Task(name="m", type="multiple_choice", source=WorldSource(world=1, kind="nli", rows={"train": 1}))
IDENTITY = {"id": "1", "cluster_id": "1", "language": "en"}
ROWS = [
    ("The old river", "who?", ["a king", "the wide wall of the old town", "Thebes"], 1),
    ("The old river runs", None, ["past the town", "is wide"], 0),
    (None, "who built the wide wall near the old town?", ["a king", "le roi", "the river", "国王", "x"], 3),
    ("A king", "what?", ["the wall", "the river"], 1),
]
KINDS = ("xlm-roberta", "bert", "modernbert", "deberta-v2")


def make_table(rows=ROWS):
    names = ("context", "question", "choices", "label")
    ids = [str(i) for i in range(len(rows))]
    columns = {"id": ids, "cluster_id": ids, "language": ["en"] * len(rows)}
    return pa.table({**columns, **dict(zip(names, zip(*rows, strict=True), strict=True))}, multiple_choice.SCHEMA)


@pytest.fixture
def encoded(tokenizer):
    return multiple_choice.encode(make_table(), TASK, tokenizer, 64)


def tensors(encoded, indices):
    return {name: torch.from_numpy(array) for name, array in pad(encoded, indices, 0).items()}


def test_a_choice_is_encoded_after_the_context_and_the_question(encoded, tokenizer):
    texts = [tokenizer.decode(encoded.ids[a:b]) for a, b in zip(encoded.offsets[:-1], encoded.offsets[1:], strict=True)]
    assert encoded.examples.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3, 3]
    assert encoded.labels.tolist() == [1, -100, -100, 0, -100, 3, *[-100] * 4, 1, -100]
    plain = tokenizer.decode(tokenizer("The old river", "who? a king")["input_ids"])
    assert texts[0] == plain
    assert texts[4] == tokenizer.decode(tokenizer("The old river runs", "is wide")["input_ids"])
    assert texts[5] == tokenizer.decode(tokenizer(ROWS[2][1], "a king")["input_ids"])


@pytest.mark.parametrize(("kind", "settings"), [*((kind, {}) for kind in KINDS),
                                                ("modernbert", {"classifier_pooling": "mean"})])  # fmt: skip
def test_the_loss_equals_that_of_the_transformers_class(encoder_folder, encoded, kind, settings):
    model = with_head(encoder_folder(kind), multiple_choice.AUTO_CLASS, (), seed=1, **settings).eval()
    two = np.array([3, 4, 10, 11])
    batch = tensors(encoded, two)
    shaped = {n: t.view(2, 2, -1) for n, t in batch.items() if n != "labels"}
    with torch.inference_mode():
        expected = model(**shaped, labels=torch.tensor([0, 1]))
        logits = multiple_choice.forward(model, batch)
        loss = multiple_choice.loss_sum(logits, batch["labels"])
    assert torch.allclose(logits, expected.logits.flatten(), atol=1e-6)
    assert loss.item() / 2 == pytest.approx(expected.loss.item(), rel=1e-5)
    full = tensors(encoded, np.array([0]))
    assert "attention_mask" not in full
    with torch.inference_mode():
        assert torch.allclose(multiple_choice.forward(model, full), multiple_choice.forward(model, tensors(
            encoded, np.array([0, 1])))[:1], atol=1e-5)  # fmt: skip


def test_the_loss_sums_over_examples_with_different_numbers_of_choices():
    logits = torch.tensor([1.0, 2.0, 500.0, 498.0, 0.0, 0.0, 0.0, 0.0], requires_grad=True)
    labels = torch.tensor([1, IGNORED, 0, IGNORED, 2, IGNORED, IGNORED, IGNORED])
    loss = multiple_choice.loss_sum(logits, labels)
    single = [(logits[0:2], 1), (logits[2:4], 0), (logits[4:8], 2)]
    expected = sum(torch.nn.functional.cross_entropy(part, torch.tensor(gold)) for part, gold in single)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    ours, theirs = torch.autograd.grad(loss, logits)[0], torch.autograd.grad(expected, logits)[0]
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_batch_has_all_choices_of_a_question(encoded):
    for indices in (np.arange(12), np.array([10, 11, 0, 1, 2, 5, 6, 7, 8, 9])):
        for budget in (1, 40, 80, 10**6):
            groups = micro_batches(encoded, indices, budget)
            assert sorted(np.concatenate(groups)) == sorted(indices)
            for group in groups:
                rows = encoded.examples[group]
                first = encoded.labels[group] != IGNORED
                assert all(
                    (group[rows == row] == np.flatnonzero(encoded.examples == row)).all() and first[rows == row][0]
                    for row in np.unique(rows)
                )
                width = encoded.lengths[group].max()
                assert len(np.unique(rows)) == 1 or width * len(group) <= budget
    assert len(groups) == 1


def test_predictions_are_probabilities_over_the_choices_of_each_example(encoder_folder, encoded, tokenizer):
    model = with_head(encoder_folder("bert"), multiple_choice.AUTO_CLASS, (), seed=1)
    extracted = run_model(model, multiple_choice, encoded, tokenizer.pad_token_id, torch.device("cpu"), "fp32")
    columns = multiple_choice.predict(extracted, encoded, make_table(), TASK)
    assert columns["gold"] == [1, 0, 3, 1]
    for row, (_, _, choices, _) in enumerate(ROWS):
        logits = np.array(extracted)[encoded.examples == row]
        probabilities = np.exp(logits) / np.exp(logits).sum()
        assert len(logits) == len(choices)
        assert columns["prediction"][row] == probabilities.argmax()
        assert columns["score"][row] == pytest.approx(probabilities.max(), rel=1e-5)
    table = pa.table({"gold": [1, 0, 3, 1], "prediction": [1, 1, 3, 0]})
    assert multiple_choice.score(multiple_choice.statistics(table, "accuracy").sum(0), "accuracy") == 50
    assert multiple_choice.baseline(make_table(), make_table(), TASK)["prediction"] == [1, 0, 2, 1]


def test_training_learns_which_choice_is_right(encoder_folder, tokenizer, tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(60):
        choices = ["the river"] * int(rng.integers(2, 5))
        label = int(rng.integers(len(choices)))
        choices[label] = "a king"
        rows.append(("Who built the wall?", None, choices, label))
    encoded = multiple_choice.encode(make_table(rows), TASK, tokenizer, 32)
    chosen = join([encoded], [(0, row) for row in rng.permutation(60)])
    model = with_head(encoder_folder("bert"), multiple_choice.AUTO_CLASS, (), seed=1)
    batches = updates([chosen], np.tile(np.arange(60), 8), 10)
    history = train([Part(model, multiple_choice, chosen)], batches, Recipe(learning_rate=3e-3, micro_tokens=200), 1, 0,
                    Context(tmp_path)).history  # fmt: skip
    assert history[-1]["loss"] < 0.05 < 0.5 < history[0]["loss"]
    assert isinstance(model, transformers.BertForMultipleChoice)


@pytest.mark.parametrize(
    ("record", "found"),
    [
        ({"context": "a", "choices": ["x"], "label": 0}, "1 choices"),
        ({"context": "a", "choices": ["x", " "], "label": 0}, "empty choice"),
        ({"context": "", "choices": ["x", "y"], "label": 0}, "neither context nor question"),
        ({"context": "a", "choices": ["x", "y"], "label": 2}, "label '2'"),
    ],
)
def test_an_incomplete_record_is_a_bad_row(record, found):
    with pytest.raises(BadRow) as caught:
        multiple_choice.complete({**IDENTITY, **record}, TASK)
    assert caught.value.found == found


def test_label_words_name_the_choices_in_order():
    task = TASK.model_copy(update={"labels": ("A", "B", "C")})
    record = {**IDENTITY, "question": "who?", "choices": ["x", "y"]}
    labels = [multiple_choice.complete({**record, "label": word}, task)[0]["label"] for word in ("B", "", None, -1)]
    assert labels == [1, None, None, None]
