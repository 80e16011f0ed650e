"""Updates that are replayed as a whole, with recordings that stand in for CUDA graphs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from support import PAD, equal_weights, make_packable, one_sequence_each, weights_of
from xstilts.context import Context
from xstilts.models import packing
from xstilts.models.packing import packed
from xstilts.tasks import classification, mlm
from xstilts.training import update
from xstilts.training.loop import train
from xstilts.training.replay import Replay
from xstilts.training.schedule import Recipe
from xstilts.training.update import Part, Updater, adamw

RECIPE = Recipe(1e-3, weight_decay=0.01, precision="bf16")
WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique2", "_unique2", "item"}
"""Operators for whose result the processor waits, because it decides about shapes or about what comes next."""


def make_part(count=120, seed=0, **more):
    rng = np.random.default_rng(seed)
    encoded = one_sequence_each(rng.integers(3, 60, count), rng)
    return Part(make_packable("xlm-roberta", "SequenceClassification", dropout=0.2), classification, encoded, **more)


def updates_of(part, number, size=8):
    rng = np.random.default_rng(1)
    return [{0: rng.permutation(len(part.encoded))[: size - (u % 7 == 3)]} for u in range(number)]


class Stopped(Exception):
    pass


def run(folder, stop_after=0, updates=50):
    """Trains with dropout; raises `Stopped` after `stop_after` updates, of which all are in the checkpoint but one."""
    part = make_part()

    def progress(share):
        if stop_after and round(share * updates) == stop_after:
            raise Stopped

    folder.mkdir(exist_ok=True)
    given = updates_of(part, updates)
    state = train([part], given, RECIPE, 3, PAD, Context(folder, progress), checkpoint_seconds=0.0)
    return weights_of(part.model), state.history


def test_replayed_updates_equal_direct_ones_also_after_an_interruption(replayed, monkeypatch, tmp_path):
    replays = []
    original = Replay.__call__

    def counted(self, *arguments):
        replays.append(self)
        return original(self, *arguments)

    monkeypatch.setattr(Replay, "__call__", counted)
    weights, history = run(tmp_path / "replayed")
    assert len(replays) == 50
    assert 2 <= len(replays[0].recorded) <= 6
    assert len(replays[0].seen) <= 6
    with pytest.raises(Stopped):
        run(tmp_path / "stopped", stop_after=23)
    torch.manual_seed(99)
    resumed, resumed_history = run(tmp_path / "stopped")
    assert equal_weights(resumed, weights)
    assert resumed_history == history
    monkeypatch.setattr(Replay, "__call__", lambda self, *arguments: self.function(*arguments))
    direct, direct_history = run(tmp_path / "direct")
    assert equal_weights(direct, weights)
    assert direct_history == history


def test_filled_updates_train_as_updates_without_filler(replayed, monkeypatch, tmp_path):
    """Up to the rounding of bf16 products and the masks of dropout, which are drawn for more tokens."""
    losses = []
    for devices in ({"cpu"}, set()):
        monkeypatch.setattr(update, "REPLAYED", devices)
        part = make_part()
        part = replace(part, model=make_packable("xlm-roberta", "SequenceClassification"))
        scratch = tmp_path / str(len(losses))
        scratch.mkdir()
        history = train([part], updates_of(part, 20), RECIPE, 3, PAD, Context(scratch)).history
        losses.append([entry["loss"] for entry in history])
    assert losses[0] == pytest.approx(losses[1], rel=5e-3)


class Trace(TorchDispatchMode):
    """The operators that are dispatched, with the shapes of their tensors; those that only make views are left out."""

    def __init__(self):
        super().__init__()
        self.operators = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        if not operator.is_view:
            shapes = [tuple(a.shape) if isinstance(a, torch.Tensor) else None for a in args]
            self.operators.append((operator._schema.name.removeprefix("aten::"), *shapes))
        return result


def traces(part, updates):
    """The traces of the recorded function for the updates, and of the first what capacity it has."""
    optimizer = adamw(part.model, RECIPE, torch.device("cpu"))
    part.model.train()
    found = []
    with packed(part.model, "bf16") as pack:
        updater = Updater([part], updates, optimizer, RECIPE, PAD, pack)
        for each in updates:
            passes = updater.prepare(each, np.random.default_rng(0))
            moved = update.to_tensors(tuple(passes), torch.device("cpu"))
            with Trace() as trace:
                updater._take(moved)
            found.append((len(passes[0].batch["packing"].where), trace.operators))
    return found


def test_the_recorded_function_does_the_same_for_all_updates_of_a_capacity_and_never_waits(replayed):
    part = make_part()
    found = traces(part, updates_of(part, 12))[1:]  # the first makes the optimizer's moments
    by_capacity = {}
    for capacity, operators in found:
        assert not WAITS & {name for name, *_ in operators}
        assert by_capacity.setdefault(capacity, operators) == operators
    assert 1 < len(by_capacity) < len(found)


def test_an_update_of_24_layers_starts_at_most_2050_operations(replayed, monkeypatch):
    """The kernel of attention counts as one operation forward and one backward, like torch's own."""

    class Kernel(torch.autograd.Function):
        @staticmethod
        def forward(context, query, key, value):
            return query.detach().add(0)

        @staticmethod
        def backward(context, gradient):
            return gradient.add(0), None, None

    monkeypatch.setattr(packing, "one_call", lambda query, key, value, *more: Kernel.apply(query, key, value))
    monkeypatch.setattr(packing, "dropout", lambda values, rate: torch.dropout(values, rate, True))
    part = make_part()
    config = part.model.config
    config.num_hidden_layers = 24
    part = replace(part, model=type(part.model)(config))
    assert len(traces(part, updates_of(part, 2))[1][1]) <= 2050


@pytest.mark.parametrize("change", ["fp32", "checkpointing", "masked text", "two tasks", "small passes", "none"])
def test_what_is_not_one_plain_forward_pass_is_not_replayed(change, replayed):
    part = make_part()
    updates = updates_of(part, 3)
    recipe, parts = RECIPE, [part]
    if change == "fp32":
        recipe = replace(recipe, precision="fp32")
    elif change == "checkpointing":
        recipe = replace(recipe, gradient_checkpointing=True)
    elif change == "small passes":
        recipe = replace(recipe, micro_tokens=100)
    elif change == "masked text":
        parts = [replace(part, kind=mlm, corrupt=lambda batch, rng: None)]
    elif change == "two tasks":
        parts = [part, replace(part, weight=2.0)]
    with packed(part.model, recipe.precision) as pack:
        updater = Updater(parts, updates, adamw(part.model, recipe, torch.device("cpu")), recipe, PAD, pack)
    assert (updater.replay is not None) == (change == "none")


def test_a_function_that_cannot_be_recorded_runs_each_time():
    calls = []

    def function(values):
        calls.append(len(values))
        return (values.sum(),)

    def record(call):
        raise RuntimeError("operation not permitted when stream is capturing")

    replay = Replay(function, record)
    assert [float(replay(torch.ones(n))[0]) for n in (2, 2, 3, 2)] == [2, 2, 3, 2]
    assert calls == [2, 2, 3, 2]
    assert "not permitted" in replay.why_not
