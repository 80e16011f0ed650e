"""Updates that are filled with padding to few shapes compute what they did."""

from itertools import combinations

import numpy as np
import pytest
import torch

from support import make_packable, one_sequence_each
from xstilts.models.batching import to_tensors
from xstilts.models.filling import capacities, fill, frame_of
from xstilts.models.packing import packed
from xstilts.tasks import classification, multilabel, qa, tagging
from xstilts.tasks.encoding import IGNORED, pad

PAD = 1


@pytest.mark.parametrize("most", [1, 2, 3, 6])
def test_capacities_waste_as_little_as_any_choice(most):
    rng = np.random.default_rng(most)
    for _ in range(20):
        tokens = rng.integers(1, 80, 15)
        found = capacities(tokens, most, step=10)
        limits = np.unique(-(-tokens // 10) * 10)
        choices = [c for k in range(1, most + 1) for c in combinations(limits, k) if c[-1] == limits[-1]]
        total = [np.array(c)[np.searchsorted(c, tokens)].sum() for c in choices]
        assert len(found) <= most
        assert found[np.searchsorted(found, tokens)].sum() == min(total)


@pytest.mark.parametrize("longest", [2, 9, 60, 400])
def test_filled_updates_have_the_shapes_of_the_frame_and_hold_their_sequences(longest):
    rng = np.random.default_rng(longest)
    encoded = one_sequence_each(rng.integers(1, longest + 1, 300), rng)
    updates = np.split(rng.permutation(300), [40, 80, 90, 130, 170, 210, 250, 290])
    frame = frame_of(encoded.lengths, updates)
    for indices in updates:
        batch = pad(encoded, indices, PAD)
        filled = fill(batch, frame, PAD, False)
        lengths = filled["attention_mask"].sum(1)
        assert filled["input_ids"].shape == (frame.rows, frame.width)
        assert lengths.sum() in frame.capacities
        assert lengths.min() >= 1
        assert lengths.max() <= frame.width
        count, width = batch["input_ids"].shape
        assert (filled["input_ids"][:count, :width] == batch["input_ids"]).all()
        assert (filled["input_ids"][count:] == PAD).all()
        assert filled["labels"].tolist() == [*batch["labels"], *[IGNORED] * (frame.rows - count)]
    assert len(frame.capacities) <= 6


KINDS = {
    "SequenceClassification": (classification, lambda n, rng: rng.integers(0, 3, len(n))),
    "TokenClassification": (tagging, lambda n, rng: rng.integers(0, 3, n.sum())),
    "QuestionAnswering": (qa, lambda n, rng: np.stack([rng.integers(0, n), rng.integers(0, n)], 1)),
    "multilabel": (multilabel, lambda n, rng: rng.integers(0, 2, (len(n), 3))),
}


@pytest.mark.parametrize("head", KINDS)
@pytest.mark.parametrize("model_type", ["xlm-roberta", "bert", "modernbert"])
def test_filling_changes_neither_the_loss_nor_a_gradient(model_type, head, always_packed, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # losses are computed in float32 otherwise
    kind, labels = KINDS[head]
    model = make_packable(model_type, head if head != "multilabel" else "SequenceClassification").double()
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, 10)
    encoded = one_sequence_each(lengths, rng, labels(lengths, rng))
    frame, found = frame_of(lengths, [np.arange(10), np.arange(3)]), []
    with packed(model) as pack:
        for filled in (False, True):
            batch = pad(encoded, np.arange(10), PAD)
            if filled:
                batch = fill(batch, frame, PAD, encoded.labelled_per_token)
            tensors = to_tensors(pack(batch), torch.device("cpu"))
            loss = kind.loss_sum(kind.forward(model, tensors), tensors["labels"])
            model.zero_grad()
            loss.backward()
            found.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
            found[-1]["loss"] = loss.detach()
    assert found[0].keys() == found[1].keys()
    for name, expected in found[0].items():
        assert torch.allclose(found[1][name], expected, rtol=1e-12, atol=1e-12), name
