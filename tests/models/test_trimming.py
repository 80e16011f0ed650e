"""Training on a trimmed vocabulary equals training on the whole one."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch

from xstilts.context import Context
from xstilts.models.encoders import with_head
from xstilts.models.trimming import merged, trim
from xstilts.tasks import classification
from xstilts.tasks.encoding import Encoded, ragged
from xstilts.training.loop import train
from xstilts.training.schedule import Recipe, decay
from xstilts.training.update import Part

LABELS = ("a", "b", "c")
RECIPE = Recipe(learning_rate=1e-3, weight_decay=0.01, clip=1.0, micro_tokens=200)


def sequences(seed, low, high, count=40):
    rng = np.random.default_rng(seed)
    ids, offsets = ragged([[2, *rng.integers(low, high, rng.integers(3, 20)), 3] for _ in range(count)])
    return Encoded(ids, offsets, np.arange(count), rng.integers(0, 3, count))


def trained(folder, encoded, tmp_path, name, trimmed, updates=20, recipe=RECIPE, dropout=0.1):
    """Weights and losses of a training on the whole vocabulary or on the tokens of the sequences."""
    settings = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout, "embedding_dropout": dropout}
    model = with_head(folder, classification.AUTO_CLASS, LABELS, seed=1, **settings)
    scratch = tmp_path / name
    scratch.mkdir()
    whole = len(model.get_input_embeddings().weight)
    part = trim(model, [encoded], 0, scratch) if trimmed else None
    batches = [{0: np.random.default_rng(u).permutation(len(encoded))[:8]} for u in range(updates)]
    history = train([Part(model, classification, part.encoded(encoded) if part else encoded)], batches, recipe, 7, 0,
                    Context(scratch)).history  # fmt: skip
    with merged(part, decay(recipe, updates, updates)) if part else nullcontext():
        assert len(model.get_input_embeddings().weight) == whole
        weights = {n: p.detach().clone() for n, p in model.named_parameters()}
    if part:
        assert len(model.get_input_embeddings().weight) == len(part.token_ids) < whole
    return weights, [entry["loss"] for entry in history]


@pytest.mark.parametrize("kind", ["xlm-roberta", "bert", "modernbert", "deberta-v2"])
def test_training_on_a_trimmed_vocabulary_is_bit_identical(encoder_folder, tmp_path, kind):
    encoded = sequences(0, 20, 90)
    whole, losses = trained(encoder_folder(kind), encoded, tmp_path, "whole", False)
    part, same = trained(encoder_folder(kind), encoded, tmp_path, "part", True)
    assert losses == same
    (name,) = [n for n in whole if n.endswith(("word_embeddings.weight", "tok_embeddings.weight"))]
    used = np.union1d(encoded.ids, [0])
    unused = np.setdiff1d(np.arange(len(whole[name])), used)
    assert len(unused) > 100
    for key in whole:
        rows = (used,) if key == name else (slice(None),)
        assert torch.equal(whole[key][rows], part[key][rows]), key
    assert torch.allclose(whole[name][unused], part[name][unused], rtol=1e-5, atol=0)
    without_decay, _ = trained(encoder_folder(kind), encoded, tmp_path, "plain", False, recipe=Recipe(1e-3, clip=1.0))
    assert not torch.equal(whole[name][unused], without_decay[name][unused])


def test_without_weight_decay_all_embeddings_are_bit_identical(encoder_folder, tmp_path):
    encoded, plain = sequences(0, 20, 90), Recipe(learning_rate=1e-3)
    whole, _ = trained(encoder_folder("bert"), encoded, tmp_path, "whole", False, 5, plain)
    part, _ = trained(encoder_folder("bert"), encoded, tmp_path, "part", True, 5, plain)
    assert all(torch.equal(whole[name], part[name]) for name in whole)


def test_decay_counts_the_updates_up_to_the_saved_weights():
    recipe = Recipe(learning_rate=0.1, warmup=0.0, weight_decay=0.5)
    assert decay(recipe, 2, 2) == pytest.approx((1 - 0.05) * (1 - 0.025))
    assert decay(recipe, 2, 1) == pytest.approx(1 - 0.05)
