"""Labels of a classification that count by how rare they are."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from support import tuning
from xstilts.context import Context
from xstilts.models.encoders import with_head
from xstilts.tasks import classification
from xstilts.tasks.encoding import IGNORED, Encoded, pad, ragged
from xstilts.tasks.task import Task
from xstilts.training.loop import train
from xstilts.training.phases import fine_tune
from xstilts.training.schedule import Recipe
from xstilts.training.task_data import balanced_weights
from xstilts.training.update import Part

LABELS = ("entailment", "neutral", "contradiction")
COUNTS = (14, 7, 3)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.repeat([0, 1, 3], [14, 7, 3])
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 3]), y=labels)
    weights = balanced_weights(np.append(labels, IGNORED), 5)
    assert weights[[0, 1, 3]] == pytest.approx(expected) and weights[[2, 4]].tolist() == [0, 0]
    assert weights[labels].mean() == pytest.approx(1)


def test_the_loss_is_torchs_weighted_cross_entropy_however_an_update_is_cut(encoder_folder, tmp_path):
    rng = np.random.default_rng(0)
    ids, offsets = ragged([[2, *rng.integers(5, 200, rng.integers(2, 20)), 3] for _ in range(24)])
    encoded = Encoded(ids, offsets, np.arange(24), np.repeat([0, 1, 2], COUNTS))
    weights, everything = balanced_weights(encoded.labels, 3), np.arange(24)
    results = []
    for budget in (16, 60, 10**6):
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
        model = with_head(encoder_folder("xlm-roberta"), classification.AUTO_CLASS, LABELS, 7, **off)
        batch = {name: torch.from_numpy(array) for name, array in pad(encoded, everything, 1).items()}
        with torch.no_grad():
            expected = torch.nn.functional.cross_entropy(
                classification.forward(model, batch), batch["labels"], torch.from_numpy(weights)
            )
        part = Part(model, classification, encoded, class_weights=weights)
        recipe, context = Recipe(0.0, micro_tokens=budget), Context(tmp_path)
        entry = train([part], [{0: everything}], recipe, 3, 1, context).history[0]
        assert entry["loss"] == pytest.approx(float(expected), rel=1e-5)
        results.append(entry["gradient_norm"])
    assert results == pytest.approx([results[0]] * 3, rel=1e-5)


def test_a_balanced_training_differs_only_if_its_labels_are_not_equally_frequent(encoder_folder, tmp_path):
    task = Task(
        name="nli", type="classification", labels=LABELS, source={"format": "table", "files": {"train": "x.csv"}}
    )

    def loss(counts, **more):
        labels, folder = np.repeat(LABELS, counts).tolist(), tmp_path / f"{sum(counts)}{len(more)}"
        ids = [str(i) for i in range(len(labels))]
        columns = {"id": ids, "cluster_id": ids, "language": ["en"] * len(ids), "text_a": ids, "text_b": ids}
        folder.mkdir()
        pq.write_table(pa.table(columns | {"label": labels}, classification.SCHEMA), folder / "examples.parquet")
        arguments = tuning(task.model_dump(mode="json"), batch_size=sum(counts))
        arguments["tasks"]["nli"] |= more
        inputs = {"encoder": encoder_folder("bert"), "train.nli.en": folder, "dev.nli": folder}
        fine_tune(arguments, inputs, folder, Context(folder))
        return json.loads((folder / "history.json").read_text())["history"][0]["loss"]

    assert loss((4, 4, 4), class_weights="balanced") == loss((4, 4, 4))
    assert loss(COUNTS, class_weights="balanced") != pytest.approx(loss(COUNTS), rel=1e-3)
