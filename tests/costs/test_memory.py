"""The memory that a plan gives to its steps, compared with what they take, and what lowers it."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import yaml

from support import ON_THE_HUB, invoke
from xstilts.config.load import load_study
from xstilts.costs import devices
from xstilts.costs.devices import rates
from xstilts.costs.estimate import estimates
from xstilts.costs.shapes import TORCH, peak, shape_of
from xstilts.costs.sizes import Size
from xstilts.engine import Plan, Step, Store, run_step
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import Task

RECIPE = {"learning_rate": 1e-4, "micro_tokens": None, "precision": "fp32", "gradient_checkpointing": False}
BASE = shape_of("FacebookAI/xlm-roberta-base")
SIZES = [Size(100_000, 100_000, 4e6)]


@pytest.fixture
def hub_study(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    file = tmp_path / "hub.yaml"
    file.write_text(yaml.safe_dump(ON_THE_HUB))
    return file


def trained(device="cuda", masked=0.0, shape=BASE, ranks=1, **recipe):
    arguments = {"device": device, "recipe": RECIPE | recipe}
    step = Step("train", "x:y", 1, arguments, {"encoder": "x"}, resources={"ranks": ranks})
    return peak(shape, step, SIZES, 32 * 40.0, masked)


def test_a_training_takes_about_what_was_estimated(tmp_path):
    store, plan = Store(tmp_path / "store"), Plan()
    source = WorldSource(world=1, kind="text", rows={"train": 300})
    text = Task(name="text", type="mlm", max_length=32, source=source).model_dump(mode="json")
    wanted = {"task": text, "tasks": {}, "split": "train", "language": "en", "content": ""}
    rows = plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, wanted))
    words = {"model": "words", "size": 1000, "alphabet": 1000, "segments": False}
    vocabulary = plan.add(Step("vocabulary", "xstilts.models.vocabulary:train_vocabulary", 1, words, {"rows.en": rows}))
    for fingerprint in (rows, vocabulary):
        run_step(plan.steps[fingerprint], store)
    config = {"model_type": "bert", "hidden_size": 512, "num_hidden_layers": 10, "num_attention_heads": 8,
              "intermediate_size": 2048, "max_position_embeddings": 32}  # fmt: skip
    arguments = {"config": config, "task": text, "languages": ["en"], "updates": 3, "batch_size": 16, "masked": 0.15,
                 "exponent": 1.0, "max_length": 32, "recipe": RECIPE, "seed": 1, "device": "cpu"}  # fmt: skip
    inputs = {"vocabulary": vocabulary, "rows.en": rows}
    step = plan.steps[plan.add(Step("pretrain", "xstilts.training.phases:pretrain", 1, arguments, inputs))]
    code = (
        "import json, sys; from xstilts.engine.work import work; "
        "print(json.dumps(work(json.loads(sys.argv[1]), sys.argv[2], lambda share: None)))"
    )
    command = [sys.executable, "-c", code, json.dumps(step.to_json()), store.place]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    measured = json.loads(output.splitlines()[-1])["memory"]
    estimate = estimates(plan, rates("cpu"))[step.fingerprint].memory
    torch = TORCH / 1e9
    assert estimate - torch > 0.4, "weights and moments outweigh the interpreter"
    assert (measured - torch) / (estimate - torch) == pytest.approx(1.0, abs=0.5)


def test_trimming_checkpointing_and_smaller_passes_lower_it():
    whole, plain = trained(masked=0.15)[1], trained()[1]
    assert plain < whole - 16 * 0.5 * BASE.vocabulary * BASE.hidden / 1e9
    assert trained(gradient_checkpointing=True)[1] < plain - 0.3
    assert trained(micro_tokens=256)[1] < plain
    assert trained(device="cpu", gradient_checkpointing=True)[0] < trained(device="cpu")[0]


def test_lora_has_no_gradients_and_moments_of_frozen_weights():
    step = Step("train", "x:y", 1, {"device": "cuda", "recipe": RECIPE, "lora": {"rank": 8}}, {"encoder": "x"})
    saved = trained()[1] - peak(BASE, step, SIZES, 32 * 40.0)[1]
    assert 12 * BASE.body / 1e9 < saved < 12 * BASE.parameters / 1e9


def test_layers_of_retrieval_and_processes_of_a_training_add_up():
    single, three = (
        peak(BASE, Step("predict", "x:y", 1, {"device": "cpu", "precision": "fp32", "layers": n}), SIZES)
        for n in ([7], [6, 7, 8])
    )
    assert three[0] - single[0] > 2 * 4 * 100_000 * BASE.hidden / 1e9
    assert 1.5 < trained("cpu", ranks=2)[0] / trained("cpu")[0] < 2, "each holds all weights, and half a batch"
    assert trained(ranks=2)[1] <= trained()[1]


def test_a_plan_gives_memory_to_every_step_and_no_fingerprint_changes(hub_study):
    plan = build_plan(freeze(load_study(str(hub_study)), None, "cpu")).plan
    assert all(step.resources["memory"] > 0.1 for step in plan.steps.values())
    assert all(replace(step, resources={}).fingerprint == f for f, step in plan.steps.items())
    most = {
        kind: max(s.resources["memory"] for s in plan.steps.values() if s.kind == kind) for kind in ("rows", "train")
    }
    assert most["rows"] < 1.2 < 2 < most["train"] < 20


def test_the_plan_shows_memory_and_warns_of_a_device_that_is_too_small(hub_study, monkeypatch):
    here = json.loads(invoke("plan", hub_study, "--device", "cpu", "--json"))
    assert here["device_memory_gb"] == 0 and here["memory_gb"] > 2
    facts = json.loads(invoke("plan", hub_study, "--device", "h100", "--json"))
    assert 2 < facts["device_memory_gb"] < 80
    training = next(row for row in facts["kinds"] if row["kind"] == "train")
    assert 2 < training["device_memory_gb"] <= facts["device_memory_gb"]
    assert training["memory_gb"] < facts["memory_gb"] + 0.1 and not facts["device_memory_warning"]
    monkeypatch.setattr(
        devices, "rates", lambda name: rates("h100").model_copy(update={"name": "small", "memory": (2.0, 80.0)})
    )
    text = " ".join(invoke("plan", hub_study, "--device", "small").split())
    assert "of GPU memory, small has 2 or 80" in text
    assert "train" in text[text.index("steps of kind") : text.index("need up to")]
