"""Batches without padding equal padded ones, for every model type and head that can be packed."""

import json

import numpy as np
import pytest
import torch
import transformers
from transformers.models.xlm_roberta.modeling_xlm_roberta import XLMRobertaEmbeddings

from support import PAD, SMALL, make_packable
from xstilts.context import Context
from xstilts.evaluation.predict import run_model
from xstilts.evaluation.retrieve import embed
from xstilts.models import packing
from xstilts.models.batching import in_one_copy, micro_batches, to_tensors
from xstilts.models.hardware import PACKED_TYPES
from xstilts.models.packing import cheap_dropout, dropout, packed, packing_of
from xstilts.tasks import classification, mlm
from xstilts.tasks.encoding import Encoded, pad, ragged
from xstilts.training.loop import train
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part

HEADS = ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice", "MaskedLM")


def make_encoded(count=12, kind=""):
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, 60, count)
    lengths[3:6] = 20
    ids, offsets = ragged([rng.integers(5, 100, n) for n in lengths])
    segments = (np.arange(len(ids)) % 7 > 3).astype(np.uint8) if kind == "bert" else None
    return Encoded(ids, offsets, np.arange(count), rng.integers(0, 3, count), segments)


def inputs_of(batch):
    """The tensors of a batch that a model takes."""
    return {name: value for name, value in to_tensors(batch, torch.device("cpu")).items() if name != "labels"}


def output(model, head, batch):
    """Logits, zero for padding, and gradients."""
    tensors = inputs_of(batch)
    mask = tensors["attention_mask"]
    if head == "MultipleChoice":
        tensors = {name: tensor if name == "packing" else tensor[:, None] for name, tensor in tensors.items()}
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
def test_packed_equals_padded(kind, head, slack, always_packed, monkeypatch):
    monkeypatch.setitem(packing.SLACK, "cpu", slack)
    model = make_packable(kind, head).eval()
    encoded = make_encoded(kind=kind)
    batch = pad(encoded, np.arange(len(encoded)), PAD)
    logits, gradients = output(model, head, batch)
    with packed(model) as pack:
        packed_logits, packed_gradients = output(model, head, pack(batch))
    assert torch.allclose(packed_logits, logits, atol=1e-5, rtol=1e-5)
    assert packed_gradients.keys() == gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in gradients.values())
    for name, gradient in gradients.items():  # that of a key's bias is 0 but for rounding
        assert float((packed_gradients[name] - gradient).abs().max()) < 1e-5 * largest, name
    again, _ = output(model, head, batch)
    assert torch.equal(again, logits)  # an ordinary model once more


def test_attention_stays_within_a_sequence(always_packed):
    """Otherwise the other sequence of the batch would change the result."""
    model, encoded = make_packable("xlm-roberta", "SequenceClassification").eval(), make_encoded()
    with packed(model) as pack, torch.inference_mode():
        alone = model(**inputs_of(pack(pad(encoded, np.array([4]), PAD)))).logits
        for other in (0, 7):
            logits = model(**inputs_of(pack(pad(encoded, np.array([4, other]), PAD)))).logits
            assert torch.allclose(logits[0], alone[0], atol=1e-6)


def test_small_models_and_models_of_other_types_are_not_packed(monkeypatch):
    with packed(make_packable("xlm-roberta", "SequenceClassification")) as pack:
        assert pack is None
    monkeypatch.setitem(packing.PACKED_FROM, "cpu", 0)
    config = transformers.AutoConfig.for_model("deberta-v2", vocab_size=100, **SMALL)
    with packed(transformers.AutoModelForSequenceClassification.from_config(config)) as pack:
        assert pack is None


@pytest.mark.parametrize("kind", ["xlm-roberta", "modernbert"])
def test_training_and_prediction_equal_those_with_padding(kind, monkeypatch, tmp_path):
    encoded, results, packings = make_encoded(24), [], []
    updates = [{0: np.random.default_rng(u).permutation(24)[:8]} for u in range(12)]
    monkeypatch.setattr(packing, "packing_of", lambda *of: packings.append(len(of[0]["input_ids"])) or packing_of(*of))
    for smallest in (10**6, 0):
        monkeypatch.setitem(packing.PACKED_FROM, "cpu", smallest)
        model = make_packable(kind, "SequenceClassification")
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


def test_gradient_checkpointing_does_not_change_losses(always_packed, tmp_path):
    encoded, losses = make_encoded(24), []
    for twice in (False, True):
        model = make_packable("xlm-roberta", "SequenceClassification", dropout=0.1)
        scratch = tmp_path / str(twice)
        scratch.mkdir()
        recipe = Recipe(1e-3, gradient_checkpointing=twice)
        history = train(
            [Part(model, classification, encoded)], [{0: np.arange(24)}] * 4, recipe, 1, PAD, Context(scratch)
        ).history
        losses.append([entry["loss"] for entry in history])
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)


def test_masked_language_modelling_learns_on_packed_batches(always_packed, tmp_path):
    encoded = make_encoded(8)
    encoded = Encoded(encoded.ids, encoded.offsets, encoded.examples, np.full(len(encoded.ids), -100))

    def corrupt(batch, rng):
        batch["labels"] = np.where((batch["input_ids"] != PAD) & (rng.random(batch["input_ids"].shape) < 0.3),
                                   batch["input_ids"], -100)  # fmt: skip

    model = make_packable("xlm-roberta", "MaskedLM")
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
    model = make_packable("bert", "SequenceClassification", dropout=0.3)
    layers = [m for m in model.modules() if isinstance(m, torch.nn.Dropout)]
    values = torch.ones(50, 50)
    with cheap_dropout(model):
        assert all(float((layer(values) == 0).float().mean()) > 0.2 for layer in layers)
        model.eval()
        assert all(torch.equal(layer(values), values) for layer in layers)
    assert not any("forward" in vars(layer) for layer in layers)
    json.dumps(model.config.to_dict())  # nothing of it stays in the configuration


@pytest.mark.parametrize("padding", [None, PAD])
def test_a_packing_takes_the_real_tokens_the_longest_sequence_first(padding):
    encoded = make_encoded()
    encoded.ids[encoded.offsets[2] + 1] = PAD  # a text that names the padding token
    batch = pad(encoded, np.arange(12), PAD)
    order = sorted(range(12), key=lambda i: -encoded.lengths[i])
    expected = [encoded.ids[encoded.offsets[i] : encoded.offsets[i + 1]] for i in order]
    for slack in (None, 0.0, 0.5, 1.0):
        packing = packing_of(batch, padding, slack)
        assert batch["input_ids"].ravel()[packing.where].tolist() == np.concatenate(expected).tolist()
        if slack is None:
            assert packing.starts.tolist() == [0, *np.cumsum([len(ids) for ids in expected])]
        else:
            sizes = [size for group in packing.groups for size in [group.longest] * group.sequences]
            assert len(sizes) == 12
            assert all((1 - slack) * size <= len(ids) <= size for size, ids in zip(sizes, expected, strict=True))
        ids = torch.from_numpy(batch["input_ids"])
        if padding is None:
            positions = torch.arange(ids.shape[1]).expand(ids.shape)
        else:
            positions = XLMRobertaEmbeddings.create_position_ids_from_input_ids(ids, padding)
        assert packing.positions[0].tolist() == positions.flatten()[packing.where].tolist()


@pytest.mark.parametrize("model_type", sorted(PACKED_TYPES))
def test_one_call_of_attention_gives_what_groups_give(model_type, always_packed, one_call):
    model, encoded = make_packable(model_type, "SequenceClassification").eval(), make_encoded()
    batch, found = pad(encoded, np.arange(12), PAD), []
    for precision in ("fp32", "bf16"):  # the kernel is for bf16 alone
        with packed(model, precision) as pack, torch.inference_mode():
            assert (pack(batch)["packing"].starts is None) == (precision == "fp32")
            found.append(model(**inputs_of(pack(batch))).logits)
    assert torch.allclose(found[0], found[1], atol=1e-5)


def test_a_copy_to_a_device_keeps_the_arrays():
    arrays = [
        np.arange(5),
        np.array([True, False, True]),
        np.array(0.5, np.float32),
        np.zeros((0, 3)),
        np.ones((2, 3, 1)),
    ]
    for array, tensor in zip(arrays, in_one_copy(arrays, torch.device("cpu")), strict=True):
        assert (tensor.numpy().dtype, tensor.shape, tensor.tolist()) == (array.dtype, array.shape, array.tolist())
