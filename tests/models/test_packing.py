"""Batches without padding equal padded ones, for every model type and head that can be packed."""

import json

import numpy as np
import pytest
import torch
import transformers

from support import SMALL
from xstilts.context import Context
from xstilts.evaluation.predict import run_model
from xstilts.evaluation.retrieve import embed
from xstilts.models import packing
from xstilts.models.batching import micro_batches
from xstilts.models.hardware import PACKED_TYPES
from xstilts.models.packing import cheap_dropout, dropout, packed
from xstilts.tasks import classification, mlm
from xstilts.tasks.encoding import Encoded, pad, ragged
from xstilts.training.loop import Part, train
from xstilts.training.schedule import Recipe

HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice", "MaskedLM")
PAD = 1


def make_model(kind, head, dropout=0.0):
    torch.manual_seed(3)
    windows = {"local_attention": 16, "global_attn_every_n_layers": 2} if kind == "modernbert" else {}
    off = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    config = transformers.AutoConfig.for_model(
        kind, vocab_size=100, max_position_embeddings=80, pad_token_id=PAD, bos_token_id=0, eos_token_id=2,
        cls_token_id=0, sep_token_id=2, num_labels=2 if head == "QuestionAnswering" else 3, initializer_range=0.3,
        **SMALL, **windows, **off,
    )  # fmt: skip
    return getattr(transformers, f"AutoModelFor{head}").from_config(config)


def make_encoded(count=12, kind=""):
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, count)
    lengths[3:6] = 20
    ids, offsets = ragged([rng.integers(5, 100, n) for n in lengths])
    segments = (np.arange(len(ids)) % 7 > 3).astype(np.uint8) if kind == "bert" else None
    return Encoded(ids, offsets, np.arange(count), rng.integers(0, 3, count), segments)


@pytest.fixture
def always(monkeypatch):
    """Packs even if the hidden size is too small for packing to pay."""
    monkeypatch.setitem(packing.PACKED_FROM, "cpu", 0)


def output(model, head, batch):
    """Logits, zero for padding, and gradients."""
    tensors = {name: torch.from_numpy(array) for name, array in batch.items() if name != "labels"}
    mask = tensors["attention_mask"]
    if head == "MultipleChoice":
        tensors = {name: tensor[:, None] for name, tensor in tensors.items()}
    model.zero_grad()
    outputs = model(**tensors)
    logits = outputs.start_logits + 2 * outputs.end_logits if head == "QuestionAnswering" else outputs.logits
    if logits.shape[:2] == mask.shape:
        logits = logits * (mask if logits.ndim == 2 else mask[..., None])
    (logits**2).sum().backward()
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return logits.detach(), gradients


@pytest.mark.parametrize("slack", [0.0, 0.3])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("kind", sorted(PACKED_TYPES))
def test_packed_equals_padded(kind, head, slack, always, monkeypatch):
    monkeypatch.setitem(packing.SLACK, "cpu", slack)
    model = make_model(kind, head).eval()
    encoded = make_encoded(kind=kind)
    batch = pad(encoded, np.arange(len(encoded)), PAD)
    logits, gradients = output(model, head, batch)
    with packed(model) as inside:
        packed_logits, packed_gradients = output(model, head, batch)
    assert inside
    assert torch.allclose(packed_logits, logits, atol=1e-5, rtol=1e-5)
    assert packed_gradients.keys() == gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, gradient in gradients.items():  # that of a key's bias is 0 but for rounding
        assert float((packed_gradients[name] - gradient).abs().max()) < 1e-5 * largest, name
    again, _ = output(model, head, batch)
    assert torch.equal(again, logits)  # an ordinary model once more


def test_attention_stays_within_a_sequence(always):
    """Otherwise the other sequence of the batch would change the result."""
    model, encoded = make_model("xlm-roberta", "SequenceClassification").eval(), make_encoded()
    with packed(model), torch.inference_mode():
        alone = model(**{n: torch.from_numpy(a) for n, a in pad(encoded, np.array([4]), PAD).items() if n != "labels"})
        for other in (0, 7):
            batch = pad(encoded, np.array([4, other]), PAD)
            logits = model(**{n: torch.from_numpy(a) for n, a in batch.items() if n != "labels"}).logits
            assert torch.allclose(logits[0], alone.logits[0], atol=1e-6)


def test_small_models_and_models_of_other_types_are_not_packed(monkeypatch):
    with packed(make_model("xlm-roberta", "SequenceClassification")) as inside:
        assert not inside
    monkeypatch.setitem(packing.PACKED_FROM, "cpu", 0)
    config = transformers.AutoConfig.for_model("deberta-v2", vocab_size=100, **SMALL)
    with packed(transformers.AutoModelForSequenceClassification.from_config(config)) as inside:
        assert not inside


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_training_and_prediction_equal_those_with_padding(kind, monkeypatch, tmp_path):
    encoded, results, packings = make_encoded(24), [], []
    updates = [{0: np.random.default_rng(u).permutation(24)[:8]} for u in range(12)]
    packing_of = packing.packing_of
    monkeypatch.setattr(packing, "packing_of", lambda *of: packings.append(len(of[0])) or packing_of(*of))
    for smallest in (10**6, 0):
        monkeypatch.setitem(packing.PACKED_FROM, "cpu", smallest)
        model = make_model(kind, "SequenceClassification")
        scratch = tmp_path / str(smallest)
        scratch.mkdir()
        recipe, context = Recipe(1e-3, weight_decay=0.01), Context(scratch)
        history = train([Part(model, classification, encoded)], updates, recipe, 1, PAD, context).history
        predicted = np.stack(run_model(model, classification, encoded, PAD, torch.device("cpu"), "fp32"))
        hidden = embed(model.base_model, encoded, PAD, torch.device("cpu"), [0, 1, 2])
        results.append(([entry["loss"] for entry in history], predicted, hidden))
        assert sum(packings) == (0 if smallest else 12 * 8 + 24 + 24)
    (losses, logits, states), (packed_losses, packed_logits, packed_states) = results
    assert packed_losses == pytest.approx(losses, rel=1e-4)
    assert np.ptp(logits, 0).max() > 0.05, "outputs differ between sequences"
    assert packed_logits == pytest.approx(logits, abs=1e-4)
    assert packed_states == pytest.approx(states, abs=1e-3)


def test_gradient_checkpointing_does_not_change_losses(always, tmp_path):
    encoded, losses = make_encoded(24), []
    for twice in (False, True):
        model = make_model("xlm-roberta", "SequenceClassification", dropout=0.1)
        scratch = tmp_path / str(twice)
        scratch.mkdir()
        recipe = Recipe(1e-3, gradient_checkpointing=twice)
        history = train(
            [Part(model, classification, encoded)], [{0: np.arange(24)}] * 4, recipe, 1, PAD, Context(scratch)
        ).history
        losses.append([entry["loss"] for entry in history])
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_masked_language_modelling_learns_on_packed_batches(always, tmp_path):
    encoded = make_encoded(8)
    encoded = Encoded(encoded.ids, encoded.offsets, encoded.examples, np.full(len(encoded.ids), -100))

    def corrupt(batch, rng):
        batch["labels"] = np.where((batch["input_ids"] != PAD) & (rng.random(batch["input_ids"].shape) < 0.3),
                                   batch["input_ids"], -100)  # fmt: skip

    model = make_model("xlm-roberta", "MaskedLM")
    history = train([Part(model, mlm, encoded, corrupt=corrupt)], [{0: np.arange(8)}] * 30, Recipe(5e-3), 1, PAD,
                    Context(tmp_path)).history  # fmt: skip
    assert history[-1]["loss"] < history[0]["loss"] - 1


def test_micro_batches_without_padding_hold_each_sequence_once_and_are_about_equal():
    encoded = make_encoded(100)
    for budget in (30, 200, 10**6):
        for ranks in (1, 4):
            groups = micro_batches(encoded, np.arange(100), budget, padded=False, ranks=ranks)
            assert sorted(np.concatenate(groups)) == list(range(100))
            tokens = [int(encoded.lengths[group].sum()) for group in groups]
            assert len(groups) >= ranks
            assert max(tokens) < budget + 60


def test_dropout_sets_its_share_to_zero_and_preserves_the_mean():
    torch.manual_seed(0)
    values = torch.ones(300, 1000, requires_grad=True)
    dropped = dropout(values, 0.1)
    assert float((dropped == 0).float().mean()) == pytest.approx(0.1, abs=0.003)
    assert float(dropped.detach().mean()) == pytest.approx(1, abs=0.003)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())
    lagged = (dropped[:, 1:] == 0) & (dropped[:, :-1] == 0)
    assert float(lagged.float().mean()) == pytest.approx(0.01, abs=0.001)  # neighbours in one word are independent
    assert torch.equal(dropout(values, 0.0), values)


def test_dropout_layers_are_ordinary_again_afterwards():
    model = make_model("bert", "SequenceClassification", dropout=0.3)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    values = torch.ones(50, 50)
    with cheap_dropout(model):
        assert all(float((layer(values) == 0).float().mean()) > 0.2 for layer in layers)
        model.eval()
        assert all(torch.equal(layer(values), values) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
    json.dumps(model.config.to_dict())  # nothing of it stays in the configuration
