"""Micro-batches, budgets, the training loop, and trainings that resume after an interruption."""

import json
import multiprocessing
import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from support import SMALL, equal_weights, tuning, weights_of
from xstilts.context import Context
from xstilts.data.prepare import prepare
from xstilts.engine import Plan, Step, Store
from xstilts.engine.scheduler import Scheduler
from xstilts.errors import XstiltsError
from xstilts.models.batching import epochs, micro_batches, mixture, sorted_batches
from xstilts.models.encoders import with_head
from xstilts.tasks import classification, mlm
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.encoding import Encoded, ragged
from xstilts.tasks.task import Task
from xstilts.training.budget import choose_rows, join, updates
from xstilts.training.checkpoint import State, checksum
from xstilts.training.loop import train
from xstilts.training.phases import fine_tune, pretrain
from xstilts.training.schedule import AVERAGE, Recipe, averaged_updates
from xstilts.training.update import Part

LABELS = ("entailment", "neutral", "contradiction")
HEAD = "AutoModelForSequenceClassification"


def make_encoded(count=24, seed=0, longest=20):
    rng = np.random.default_rng(seed)
    ids, offsets = ragged([[2, *rng.integers(5, 200, rng.integers(2, longest)), 3] for _ in range(count)])
    labels = np.array([int(ids[a + 1]) % 3 for a in offsets[:-1]], np.int64)
    return Encoded(ids, offsets, np.arange(count), labels)


def test_micro_batches_hold_every_sequence_once_within_the_budget():
    rng = np.random.default_rng(0)
    encoded = make_encoded(100, longest=60)
    lengths = encoded.lengths
    indices = rng.permutation(100)[:70]
    for budget in (30, 64, 500, 10**6):
        groups = micro_batches(encoded, indices, budget)
        assert sorted(np.concatenate(groups)) == sorted(indices)
        assert all(len(g) == 1 or len(g) * lengths[g].max() <= budget for g in groups)
    assert len(groups) == 1
    encoded = make_encoded()
    seen = []
    for part, batch in sorted_batches(encoded, 0, 64, torch.device("cpu"), None, print):
        for index, row, mask in zip(part, batch["input_ids"], batch.get("attention_mask", [None] * 99), strict=False):
            kept = row if mask is None else row[mask == 1]
            assert kept.tolist() == encoded.ids[encoded.offsets[index] : encoded.offsets[index + 1]].tolist()
        seen += part.tolist()
    assert sorted(seen) == list(range(len(encoded)))


def test_epochs_and_mixtures_draw_every_sequence_before_they_repeat_one():
    rng = np.random.default_rng(0)
    assert all(sorted(part) == list(range(7)) for part in epochs(7, 3, rng).reshape(3, 7))
    assert len(epochs(7, 0, rng)) == 0
    groups = np.repeat([0, 1, 3], [4, 40, 400])
    for exponent, shares in ((0.0, [1 / 3] * 3), (0.5, None), (1.0, [4 / 444, 40 / 444, 400 / 444])):
        drawn = mixture(groups, 30_000, np.bincount(groups).astype(float) ** exponent, rng)
        found = np.bincount(groups[drawn], minlength=4)[[0, 1, 3]] / 30_000
        sizes = np.array([4, 40, 400]) ** exponent
        assert found == pytest.approx(shares or sizes / sizes.sum(), abs=0.015)
        for group in (0, 1, 3):
            counts = np.bincount(drawn[groups[drawn] == group], minlength=444)[groups == group]
            assert counts.max() - counts.min() <= 1


def tables(sizes, parallel=True):
    def ids(code, n):
        return [f"{i}" if parallel else f"{code}-{i}" for i in range(n)]

    return [pa.table({"id": ids(c, n), "language": [c] * n}) for c, n in sizes.items()]


def test_arms_in_different_languages_train_on_the_same_items_in_the_same_order():
    chosen = {}
    for codes in (["en"], ["tr", "fi"], ["tr", "fi", "sw"]):
        parts = tables(dict.fromkeys(codes, 50))
        picked = choose_rows(parts, 31, True, np.random.default_rng(3))
        assert [part for part, _ in picked] == [i % len(codes) for i in range(31)]
        chosen[len(codes)] = [parts[part]["id"][row].as_py() for part, row in picked]
    assert chosen[1] == chosen[2] == chosen[3]
    assert len(set(chosen[1])) == 31


def test_languages_without_common_items_get_equal_shares_and_too_few_examples_are_an_error():
    parts = tables({"en": 20, "tr": 9}, parallel=False)
    picked = choose_rows(parts, 17, False, np.random.default_rng(0))
    assert len(set(picked)) == 17
    assert np.bincount([part for part, _ in picked]).tolist() == [9, 8]
    everything = choose_rows(parts, None, False, np.random.default_rng(0))
    assert np.bincount([part for part, _ in everything]).tolist() == [20, 9]
    with pytest.raises(XstiltsError, match="'tr'"):
        choose_rows(parts, 30, False, np.random.default_rng(0))
    with pytest.raises(XstiltsError, match="51 examples"):
        choose_rows(tables({"en": 50, "tr": 60}), 51, True, np.random.default_rng(0))


def test_joined_parts_hold_tokens_and_labels_of_the_chosen_examples():
    parts = [make_encoded(6, seed=1), make_encoded(8, seed=2)]
    chosen = [(1, 7), (0, 4), (0, 0)]
    whole = join(parts, chosen)
    for i, (part, row) in enumerate((parts[p], row) for p, row in chosen):
        assert whole.ids[whole.offsets[i] : whole.offsets[i + 1]].tolist() == (
            part.ids[part.offsets[row] : part.offsets[row + 1]].tolist()
        )
        assert whole.labels[i] == part.labels[row]
    assert whole.examples.tolist() == [0, 1, 2]


def test_an_example_of_several_sequences_counts_as_one_in_an_update():
    pieces = Encoded(np.arange(10, dtype=np.int32), np.array([0, 2, 4, 7, 10]), np.array([0, 0, 1, 2]), np.arange(10))
    whole = join([pieces], [(0, 2), (0, 0), (0, 1)])
    assert [batch[0].tolist() for batch in updates([whole], np.array([1, 0, 2]), 2)] == [[1, 2, 0], [3]]
    both = updates([whole, whole], np.array([1, 4, 0, 3]), 2)
    assert [{part: drawn.tolist() for part, drawn in batch.items()} for batch in both] == [
        {0: [1, 2], 1: [1, 2]}, {0: [0], 1: [0]}
    ]  # fmt: skip
    assert whole.ids.tolist() == [7, 8, 9, 0, 1, 2, 3, 4, 5, 6]


def start(folder, dropout=0.0, seed=7):
    off = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    return with_head(folder, HEAD, LABELS, seed, **off)


def updates_of(encoded, size=8, repeats=4):
    return [{0: part} for part in epochs(len(encoded), repeats, np.random.default_rng(1)).reshape(-1, size)]


def test_the_size_of_micro_batches_does_not_change_an_update(encoder_folder, tmp_path):
    encoded, results = make_encoded(), []
    for number, budget in enumerate((16, 60, 10**6)):
        model = start(encoder_folder("xlm-roberta"))
        context = Context(tmp_path / str(number))
        recipe = Recipe(1e-3, micro_tokens=budget, weight_decay=0.01)
        history = train([Part(model, classification, encoded)], updates_of(encoded)[:2], recipe, 3, 1, context).history
        results.append((weights_of(model), [entry[name] for entry in history for name in ("loss", "gradient_norm")]))
    for weights, numbers in results[1:]:
        assert numbers == pytest.approx(results[0][1], rel=2e-6)
        worst = max(float((weights[name] - results[0][0][name]).abs().max()) for name in weights)
        assert worst <= 1e-6


class Stopped(Exception):
    pass


def run(folder, scratch, stop_after=0, choose_by=("score", "opposite"), note=print, every=3, averaged=()):
    """Train with dropout and scores that follow from the weights; raise `Stopped` after `stop_after` updates.

    Returns the last weights and those of each snapshot, the history, and the scores with their weights."""
    encoded, model, scores = make_encoded(), start(folder, dropout=0.2), []

    def score():
        value = float(torch.sin(700 * model.classifier.out_proj.weight.detach().sum()))
        scores.append((value, weights_of(model)))
        return {"score": value, "opposite": -value}

    def progress(share):
        if stop_after and round(share * 12) == stop_after:
            raise Stopped

    scratch.mkdir(exist_ok=True)
    state = train(
        [Part(model, classification, encoded)], updates_of(encoded), Recipe(5e-3), 3, 1,
        Context(scratch, progress, note=note), score, every, choose_by, averaged, checkpoint_seconds=0.0,
    )  # fmt: skip
    weights = {"last": weights_of(model)}
    for name in state.snapshots:
        state.restore(name)
        weights[name] = weights_of(model)
    return weights, state.history, scores


@pytest.fixture(scope="module")
def uninterrupted(encoder_folder, tmp_path_factory):
    """The results of `run` without an interruption, with and without scores that choose weights."""
    root, folder = tmp_path_factory.mktemp("uninterrupted"), encoder_folder("xlm-roberta")
    return {names: run(folder, root / str(len(names)), choose_by=names) for names in (("score", "opposite"), ())}


@pytest.mark.parametrize("choose_by", [("score", "opposite"), ()])
@pytest.mark.parametrize("stop_after", [2, 7, 12])
def test_interrupted_runs_resume_bit_identically(stop_after, choose_by, uninterrupted, encoder_folder, tmp_path):
    expected, history, _ = uninterrupted[choose_by]
    with pytest.raises(Stopped):
        run(encoder_folder("xlm-roberta"), tmp_path, stop_after, choose_by)
    assert (tmp_path / "checkpoint.safetensors").is_file()
    torch.manual_seed(99)
    resumed, resumed_history, scores = run(encoder_folder("xlm-roberta"), tmp_path, choose_by=choose_by)
    assert len(scores) < 4 or stop_after == 2
    assert list(resumed) == ["last", *choose_by]
    assert all(equal_weights(resumed[name], expected[name]) for name in expected)
    assert resumed_history == history


def test_an_average_is_the_mean_of_its_checkpoints_and_resumes_bit_identically(encoder_folder, tmp_path):
    folder, averaged = encoder_folder("xlm-roberta"), averaged_updates(12)
    whole, _, scores = run(folder, tmp_path / "whole", choose_by=(), every=1, averaged=averaged)
    for name, mean in whole[AVERAGE].items():
        expected = torch.stack([scores[update - 1][1][name].double() for update in averaged]).mean(0)
        assert torch.allclose(mean.double(), expected, rtol=1e-6, atol=1e-7), name
    assert not equal_weights(whole[AVERAGE], whole["last"])
    scratch = tmp_path / "stopped"
    with pytest.raises(Stopped):
        run(folder, scratch, 10, choose_by=(), averaged=averaged)
    with safe_open(scratch / "checkpoint.safetensors", "pt") as stored:
        assert json.loads(stored.metadata()["notes"])["snapshots"] == {AVERAGE: [[8, 9], None]}
    resumed, _, _ = run(folder, scratch, choose_by=(), averaged=averaged)
    assert equal_weights(resumed[AVERAGE], whole[AVERAGE])


@pytest.fixture(scope="module")
def checkpoint(encoder_folder, tmp_path_factory):
    """The checkpoint of a run that stopped after 7 of 12 updates: it holds the state after 6."""
    scratch = tmp_path_factory.mktemp("stopped")
    with pytest.raises(Stopped):
        run(encoder_folder("xlm-roberta"), scratch, 7)
    return scratch / "checkpoint.safetensors"


def state_from(file, folder):
    """The state that is read from a checkpoint, and the weights of its model before."""
    models = torch.nn.ModuleList([start(folder, dropout=0.2)])
    before = weights_of(models)
    return State(models, torch.optim.AdamW(models.parameters()), file), before


WEIGHT = "0.classifier.out_proj.weight"


@pytest.mark.parametrize("damage", [
    lambda tensors, notes: tensors.pop(f"model.{WEIGHT}"),
    lambda tensors, notes: tensors.pop(f"exp_avg.{WEIGHT}"),
    lambda tensors, notes: tensors.pop(f"snapshot.score.{WEIGHT}"),
    lambda tensors, notes: tensors.update({"model.extra": torch.zeros(3)}),
    lambda tensors, notes: tensors.update({f"model.{WEIGHT}": torch.zeros(5, 32)}),
    lambda tensors, notes: tensors.update({f"exp_avg_sq.{WEIGHT}": torch.zeros(32, 3)}),
    lambda tensors, notes: tensors.update({f"model.{WEIGHT}": tensors[f"model.{WEIGHT}"].bfloat16()}),
    lambda tensors, notes: notes.pop("snapshots"),
    lambda tensors, notes: notes.update(update="seven"),
    lambda tensors, notes: notes.update(history=[1]),
    lambda tensors, notes: notes.clear(),
    lambda content: content[:-100],
    lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    lambda content: content.replace(b'"update\\": 6', b'"update\\": 7'),
])  # fmt: skip
def test_a_checkpoint_that_is_damaged_or_does_not_fit_is_discarded_whole(damage, checkpoint, encoder_folder, tmp_path):
    file = tmp_path / "checkpoint.safetensors"
    if damage.__code__.co_argcount == 2:
        tensors = load_file(checkpoint)
        with safe_open(checkpoint, "pt") as stored:
            notes = json.loads(stored.metadata()["notes"])
        damage(tensors, notes)
        text = json.dumps(notes)
        save_file(tensors, file, {"notes": text, "checksum": checksum(text, tensors)})
    else:
        file.write_bytes(damage(checkpoint.read_bytes()))
        assert file.read_bytes() != checkpoint.read_bytes()
    state, before = state_from(file, encoder_folder("xlm-roberta"))
    assert state.discarded
    assert equal_weights(state.parameters, before)
    assert (state.update, state.history, state.snapshots, state.losses, dict(state.optimizer.state)) == (
        0,
        [],
        {},
        [],
        {},
    )


def test_a_checkpoint_that_fits_is_used(checkpoint, encoder_folder):
    state, before = state_from(checkpoint, encoder_folder("xlm-roberta"))
    assert (state.discarded, state.update, list(state.snapshots)) == ("", 6, ["score", "opposite"])
    assert not equal_weights(state.parameters, before)


@pytest.mark.parametrize("put", [
    lambda place, checkpoint: place.write_bytes(checkpoint.read_bytes()[:-100]),
    lambda place, checkpoint: place.mkdir(),
    lambda place, checkpoint: place.symlink_to("nowhere"),
], ids=["cut", "a folder", "a link that leads nowhere"])  # fmt: skip
def test_a_training_whose_checkpoint_is_discarded_starts_again_and_notes_it(
    put, checkpoint, uninterrupted, encoder_folder, tmp_path
):
    put(tmp_path / "checkpoint.safetensors", checkpoint)
    notes = []
    weights, _, scores = run(encoder_folder("xlm-roberta"), tmp_path, note=notes.append)
    expected, _, _ = uninterrupted["score", "opposite"]
    assert len(scores) == 4, "it makes all twelve updates"
    assert all(equal_weights(weights[name], expected[name]) for name in expected)
    assert len(notes) == 1 and "checkpoint" in notes[0]


def test_the_notes_of_a_step_are_events_of_the_run(tmp_path):
    step = Step("train", "xstilts.training.noting:step", 1, {}, label="a training")
    plan, store, events = Plan(), Store(tmp_path), []
    scheduler = Scheduler(plan, store, [plan.add(step)], events.append, 1, alone=True)
    scheduler.take({})
    scheduler.settle(
        step.fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 0.1, "notes": ["it starts again"]}
    )
    assert {"event": "note", "step": step.fingerprint, "why": "a training: it starts again"} in events


def test_each_score_chooses_the_weights_of_its_best_evaluation(uninterrupted):
    weights, history, scores = uninterrupted["score", "opposite"]
    values = [value for value, _ in scores]
    assert len(values) == 4
    assert max(values) > values[-1]
    assert equal_weights(weights["score"], scores[values.index(max(values))][1])
    assert equal_weights(weights["opposite"], scores[values.index(min(values))][1])
    assert equal_weights(weights["last"], scores[-1][1])
    assert [entry["score"] for entry in history if "score" in entry] == values


def test_dropout_differs_between_seeds_and_updates(encoder_folder, tmp_path):
    encoded, folder = make_encoded(), encoder_folder("xlm-roberta")
    same = [{0: np.arange(8)}] * 2
    losses = []
    for seed in (3, 4):
        model = start(folder, dropout=0.2)
        history = train(
            [Part(model, classification, encoded)], same, Recipe(0.0), seed, 1, Context(tmp_path / str(seed))
        ).history
        losses += [entry["loss"] for entry in history]
    assert len(set(losses)) == 4


def test_a_training_that_diverges_is_an_error(encoder_folder, tmp_path):
    part = Part(start(encoder_folder("xlm-roberta")), classification, make_encoded())
    with pytest.raises(XstiltsError) as error:
        train([part], updates_of(part.encoded), Recipe(1e30), 3, 1, Context(tmp_path))
    assert (error.value.kind, error.value.code) == ("not-finite", 4)


def test_one_gradient_norm_that_is_not_finite_fails_the_training(encoder_folder, tmp_path):
    """Even if all weights stay finite: clipping by an infinite norm makes the gradients zero."""
    part, calls = Part(start(encoder_folder("xlm-roberta")), classification, make_encoded()), []

    def loss_sum(logits, labels):
        calls.append(len(calls))
        return classification.loss_sum(logits, labels) * (1e38 if len(calls) == 3 else 1.0)

    part = replace(part, kind=SimpleNamespace(forward=classification.forward, loss_sum=loss_sum))
    with pytest.raises(XstiltsError) as error:
        train([part], [{0: np.arange(2)}] * 60, Recipe(1e-3), 3, 1, Context(tmp_path))
    assert error.value.kind == "not-finite" and "update 3" in error.value.what
    assert len(calls) == 3, "a twentieth of the run is three updates"


def test_weights_that_are_not_finite_are_neither_saved_nor_used(encoder_folder, tmp_path):
    """One update with an enormous learning rate: its loss and its gradients are still finite."""
    nli = prepared(tmp_path / "nli", "classification", "nli", 8)
    inputs = {"encoder": encoder_folder("bert"), "train.nli.en": tmp_path / "nli", "dev.nli": tmp_path / "nli"}
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(XstiltsError) as error:
        fine_tune(tuning(nli, examples=8, recipe={"learning_rate": 1e38}), inputs, out, Context(tmp_path))
    assert error.value.kind == "not-finite"
    assert not list(out.iterdir())
    text = prepared(tmp_path / "text", "mlm", "text", 20)
    arguments = {
        "config": {"model_type": "bert", **SMALL}, "task": text, "languages": ["en"], "updates": 1, "batch_size": 8,
        "masked": 0.3, "exponent": 1.0, "max_length": 64, "recipe": {"learning_rate": 1e38, "warmup": 0.0}, "seed": 1,
        "device": "cpu",
    }  # fmt: skip
    with pytest.raises(XstiltsError) as error:
        pretrain(
            arguments, {"vocabulary": encoder_folder("bert"), "rows.en": tmp_path / "text"}, out, Context(tmp_path)
        )
    assert error.value.kind == "not-finite"
    assert not list(out.iterdir())


def test_the_learning_rate_rises_then_falls_towards_zero(encoder_folder, tmp_path):
    encoded = make_encoded()
    history = train([Part(start(encoder_folder("xlm-roberta")), classification, encoded)], updates_of(encoded, 4, 2),
                    Recipe(1e-3, warmup=0.25), 3, 1, Context(tmp_path)).history  # fmt: skip
    rates = [entry["learning_rate"] for entry in history]
    assert rates[:4] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3, 1e-3])
    assert np.diff(rates[3:]) == pytest.approx(np.full(8, -1e-3 / 9))
    assert rates[-1] == pytest.approx(1e-3 / 9)


def prepared(folder, kind, source, rows, code="en", split="train"):
    labels = LABELS if kind == "classification" else ()
    task = Task(name=source, type=kind, labels=labels, parallel=True,
                source=WorldSource(world=1, kind=source, rows={split: rows}))  # fmt: skip
    folder.mkdir()
    entry = task.model_dump(mode="json")
    prepare({"task": entry, "tasks": {}, "split": split, "language": code}, {}, folder, Context(folder))
    return entry


def test_phases_do_not_depend_on_the_random_state_of_the_process(tokenizer, encoder_folder, tmp_path):
    text = prepared(tmp_path / "text", "mlm", "text", 60)
    nli = prepared(tmp_path / "nli", "classification", "nli", 40)
    vocabulary = tmp_path / "vocabulary"
    tokenizer.save_pretrained(vocabulary)
    config = json.loads((encoder_folder("bert") / "config.json").read_text())
    sizes = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    recipe = {"learning_rate": 1e-3}
    pretraining = {
        "config": {"model_type": "bert", **{name: config[name] for name in sizes}}, "task": text, "languages": ["en"],
        "updates": 3, "batch_size": 8, "masked": 0.15, "exponent": 0.5, "max_length": 64, "recipe": recipe, "seed": 1,
        "device": "cpu",
    }  # fmt: skip
    arguments = tuning(nli, examples=32, seed=2, checkpoint="best", evaluate_every=2)
    made = []
    for number in (1, 2):
        torch.manual_seed(number)
        base, tuned = tmp_path / f"base{number}", tmp_path / f"tuned{number}"
        for folder in (base, tuned, tmp_path / f"scratch{number}"):
            folder.mkdir()
        context = Context(tmp_path / f"scratch{number}")
        pretrain(pretraining, {"vocabulary": vocabulary, "rows.en": tmp_path / "text"}, base, context)
        inputs = {"encoder": base, "train.nli.en": tmp_path / "nli", "dev.nli": tmp_path / "nli"}
        fine_tune(arguments, inputs, tuned, context)
        made.append((load_file(base / "model.safetensors"), load_file(tuned / "model.safetensors")))
        summary = json.loads((tuned / "history.json").read_text())
        assert (summary["updates"], summary["examples"]) == (4, 32)
    assert equal_weights(made[0][0], made[1][0])
    assert equal_weights(made[0][1], made[1][1])


def test_masks_differ_between_updates_and_not_between_equal_runs(tokenizer, encoder_folder, tmp_path):
    model = transformers.AutoModelForMaskedLM.from_pretrained(encoder_folder("bert"))
    ids = np.tile(np.arange(10, 40, dtype=np.int32), 4)
    encoded = Encoded(ids, np.arange(0, 121, 30), np.arange(4), np.full(120, -100, np.int64))
    seen = []

    def corrupt(batch, rng):
        mlm.corruption(tokenizer, 0.3)(batch, rng)
        seen.append(batch["labels"].tobytes())

    for _ in range(2):
        train(
            [Part(model, mlm, encoded, corrupt=corrupt)], [{0: np.arange(4)}] * 3, Recipe(0.0), 1, 0, Context(tmp_path)
        )
    assert len(set(seen[:3])) == 3
    assert seen[:3] == seen[3:]


def test_masks_do_not_depend_on_the_size_of_micro_batches(encoder_folder, tmp_path):
    encoded, seen = make_encoded(), []
    encoded = Encoded(encoded.ids, encoded.offsets, encoded.examples, np.full(len(encoded.ids), -100))

    def corrupt(batch, rng):
        batch["labels"] = np.where(rng.random(batch["input_ids"].shape) < 0.3, batch["input_ids"], -100)
        seen.append(batch["labels"].tobytes())

    losses = []
    for budget in (20, 10**6):
        model = transformers.AutoModelForMaskedLM.from_pretrained(encoder_folder("bert"))
        recipe = Recipe(1e-3, micro_tokens=budget)
        scratch = tmp_path / str(budget)
        scratch.mkdir()
        model.config.hidden_dropout_prob = 0.0
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        history = train(
            [Part(model, mlm, encoded, corrupt=corrupt)], updates_of(encoded)[:3], recipe, 1, 0, Context(scratch)
        ).history
        losses.append([entry["loss"] for entry in history])
    assert seen[:3] == seen[3:]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_a_training_one_of_whose_processes_is_killed_says_so_and_ends(encoder_folder, tmp_path):
    nli = prepared(tmp_path / "nli", "classification", "nli", 24)
    arguments = tuning(nli, examples=24, epochs=2, recipe={"learning_rate": 1e-3, "micro_tokens": 64}, seed=2)
    inputs = {"encoder": encoder_folder("xlm-roberta"), "train.nli.en": tmp_path / "nli", "dev.nli": tmp_path / "nli"}

    def kill_one(share):
        os.kill(multiprocessing.active_children()[-1].pid, signal.SIGKILL)

    with pytest.raises(XstiltsError) as caught:
        fine_tune(arguments, inputs, tmp_path, Context(tmp_path, kill_one, ranks=2))
    assert caught.value.kind == "process-died"
    assert multiprocessing.active_children() == []


def test_two_processes_train_the_same_model_as_one(tokenizer, encoder_folder, tmp_path):
    nli = prepared(tmp_path / "nli", "classification", "nli", 24)
    base = tmp_path / "base"
    shutil.copytree(encoder_folder("xlm-roberta"), base)
    config = json.loads((base / "config.json").read_text())
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (base / "config.json").write_text(json.dumps(config | off))
    recipe = {"learning_rate": 1e-3, "micro_tokens": 64}
    arguments = tuning(nli, examples=24, epochs=2, recipe=recipe, seed=2)
    inputs = {"encoder": base, "train.nli.en": tmp_path / "nli", "dev.nli": tmp_path / "nli"}
    made, histories, shares = [], [], []
    for ranks in (1, 2):
        out, scratch = tmp_path / f"out{ranks}", tmp_path / f"scratch #{ranks}?"
        out.mkdir()
        scratch.mkdir()
        fine_tune(arguments, inputs, out, Context(scratch, shares.append, ranks))
        made.append(load_file(out / "model.safetensors"))
        histories.append([entry["loss"] for entry in json.loads((out / "history.json").read_text())["history"]])
    start = load_file(base / "model.safetensors")
    assert histories[1] == pytest.approx(histories[0], rel=1e-5)
    assert max(float((made[1][n] - made[0][n]).abs().max()) for n in made[0]) < 1e-5
    assert max(float((made[0][n] - start[n]).abs().max()) for n in start if n in made[0]) > 1e-3
    assert shares
