"""What a study costs, before it starts: estimates, schedules, graphs, rates of devices."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from support import ON_THE_HUB, invoke
from xstilts.config.load import load_study
from xstilts.costs import bench
from xstilts.costs.devices import PRIOR, START, rates, user_file
from xstilts.costs.estimate import PADDING, _Pricing, compared, comparison, estimates, record
from xstilts.costs.shapes import configured, shape_of
from xstilts.costs.sizes import Size, size_of
from xstilts.engine import Outcome, Plan, Step, Store
from xstilts.errors import XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.overview import bill, draw, grouped, simulate
from xstilts.study.plan import build_plan
from xstilts.study.run import run_study
from xstilts.tasks.encoding import cuts


@pytest.fixture(autouse=True)
def empty_configuration_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="session")
def pocket(tmp_path_factory):
    """A plan whose estimates know of no run: other tests leave rates in the configuration folder of the session."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        return build_plan(freeze(load_study("pocket", quick=True), None, "cpu"))


@pytest.fixture
def hub_study(tmp_path):
    file = tmp_path / "hub.yaml"
    file.write_text(yaml.safe_dump(ON_THE_HUB))
    return file


def chain(*seconds):
    """A plan of steps one after the other, and their seconds by fingerprint."""
    plan, names = Plan(), []
    for i, cost_ in enumerate(seconds):
        names.append(plan.add(Step("train", "x:y", 1, {"i": i}, {"x": names[-1]} if names else {}, cost=cost_)))
    return plan, dict(zip(names, seconds, strict=True))


def test_a_step_knows_how_many_examples_it_trains_on_or_predicts(pocket):
    steps = {step.function.rpartition(":")[2]: step for step in pocket.plan.steps.values()}
    training, prediction = steps["fine_tune"], steps["predict"]
    rows = [pocket.plan.steps[f].arguments for name, f in prediction.inputs.items() if name.startswith("rows.")]
    assert prediction.examples == sum(row["task"]["source"]["rows"][row["split"]] for row in rows)
    (part,), batch = training.arguments["tasks"].values(), training.arguments["batch_size"]
    assert training.examples == math.ceil(part["examples"] * part["epochs"] / batch) * batch
    assert steps["prepare"].examples == 0, "it reports no progress"


def test_operations_and_weights_of_published_encoders_are_what_their_cards_say():
    base, large = shape_of("FacebookAI/xlm-roberta-base"), shape_of("FacebookAI/xlm-roberta-large")
    assert base.parameters == pytest.approx(278e6, rel=0.01)
    assert large.parameters == pytest.approx(560e6, rel=0.01)
    assert shape_of("jhu-clsp/mmBERT-base").parameters == pytest.approx(307e6, rel=0.01)
    assert shape_of("jhu-clsp/mmBERT-base").body == pytest.approx(110e6, rel=0.01)
    assert shape_of("google/rembert").parameters == pytest.approx(575e6, rel=0.01)
    assert shape_of("EuroBERT/EuroBERT-210m").body + 2 * 128256 * 768 == pytest.approx(310e6, rel=0.02)
    assert not shape_of("somebody/something").known
    assert large.forward(1000, 0) == 2 * large.body * 1000


def test_operations_agree_with_what_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import XLMRobertaConfig, XLMRobertaModel

    config = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 160}
    model = XLMRobertaModel(XLMRobertaConfig(**config, vocab_size=100), add_pooling_layer=False)
    model.set_attn_implementation("eager")  # the counter knows its products
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.ones(5, 24, dtype=torch.long))
    assert configured(config).forward(5 * 24, 5 * 24**2) == counter.get_total_flops()


def test_operations_of_a_translator_agree_with_what_torch_counts():
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import M2M100Config, M2M100ForConditionalGeneration

    layers = {"encoder_layers": 3, "decoder_layers": 2, "encoder_ffn_dim": 160, "decoder_ffn_dim": 160}
    config = M2M100Config(d_model=64, vocab_size=100, encoder_attention_heads=4, decoder_attention_heads=4, **layers)
    shape, model = configured(config.to_dict()), M2M100ForConditionalGeneration(config).eval()
    model.set_attn_implementation("eager")
    texts, length = 5, 24
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(input_ids=torch.full((texts, length), 7), decoder_input_ids=torch.full((texts, length), 7))
    tokens, squares = texts * length, texts * length**2
    attention = 2 * 4 * shape.decoder_layers * shape.hidden * squares  # to what is written, and to what is read
    assert shape.forward(tokens, squares, written=tokens) + attention == counter.get_total_flops()
    matrices = sum(weight.numel() for weight in model.parameters() if weight.dim() == 2)
    assert shape.parameters == matrices


def translating(tmp_path, **settings):
    """A plan of MNLI translated into the languages of the pool, and the prices of its translations on an H200."""
    entry = {"load": "facebook/nllb-200-distilled-600M", "revision": "abc", **settings}
    arm = {"intermediate": "mnli", "languages": "all", "translated": "nllb"}
    study = ON_THE_HUB | {"translators": {"nllb": entry}, "arms": {**ON_THE_HUB["arms"], "all": arm}}
    file = tmp_path / "translating.yaml"
    file.write_text(yaml.safe_dump(study))
    plan = build_plan(freeze(load_study(str(file)), None, "cuda"))
    prices = estimates(plan.plan, rates("h200"))
    return file, [prices[f] for f, step in plan.plan.steps.items() if step.kind == "translate"]


def test_translation_is_priced_as_it_is_written_token_by_token(tmp_path):
    assert shape_of("facebook/nllb-200-distilled-600M").parameters == pytest.approx(615e6, rel=0.01)
    assert shape_of("facebook/nllb-200-3.3B").parameters == pytest.approx(3.3e9, rel=0.02)
    file, prices = translating(tmp_path)
    rows = json.loads(invoke("plan", file, "--json", "--device", "h200"))["kinds"]
    row = next(row for row in rows if row["kind"] == "translate")
    assert row["steps"] == len(prices) and row["seconds"] == pytest.approx(sum(price.seconds for price in prices))
    first = prices[0]
    dense = first.flops / rates("h200").flops_per_second("bf16", 1024)
    assert first.flops > 4 * 392_702 * 41 * 2 * 256_206 * 1024  # the output layer alone, for each of four beams
    assert first.seconds > 4 * dense
    greedy = translating(tmp_path, beams=1)[1][0]
    assert first.flops > 3 * greedy.flops
    # few sentences at a time: more positions, one after the other
    assert translating(tmp_path, batch_tokens=256)[1][0].seconds > 10 * first.seconds


@pytest.mark.parametrize(("batch", "limit"), [(16, 1024), (32, 1024), (32, 4096)])
@pytest.mark.parametrize(("mean", "deviation"), [(18, 4), (40, 14), (57, 23)])
def test_padding_is_priced_about_as_training_makes_it(batch, limit, mean, deviation):
    rng = np.random.default_rng(0)
    sigma = math.sqrt(math.log(1 + (deviation / mean) ** 2))
    tokens = computed = 0
    for _ in range(200):
        drawn = np.exp(rng.normal(math.log(mean) - sigma**2 / 2, sigma, batch))
        lengths = np.sort(np.minimum(np.ceil(drawn), 128).astype(int))[::-1]
        groups = [lengths[part] for part in cuts(lengths, limit)]
        tokens += lengths.sum()
        computed += sum(len(group) * group[0] for group in groups)
    assert pytest.approx(computed / tokens, rel=0.35) == PADDING


def test_inputs_of_a_task_are_not_taken_for_those_of_a_task_whose_name_begins_alike():
    plan, task = Plan(), {"name": "nli", "type": "classification", "source": {"own": ""}}
    rows = {}
    for name, split in (("dev.nli", "validation"), ("dev.nli-hard", "test"), ("train.nli.en", "train")):
        arguments = {"task": task, "tasks": {}, "split": split, "language": "en"}
        rows[name] = plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, arguments))
    step, pricing = Step("train", "x:y", 1, {}, rows), _Pricing(plan, rates("cpu"), None, padded=False)
    pricing.sizes = dict.fromkeys(rows.values(), Size(1, 1, 1))
    assert len(pricing.read(step, "dev.nli")) == len(pricing.read(step, "train.nli")) == 1
    assert len(pricing.read(step, "dev")) == 2


def test_a_study_on_the_hub_is_priced_without_data_or_weights(hub_study):
    facts = json.loads(invoke("plan", hub_study, "--json", "--gpus", 8, "--device", "h200"))
    assert (facts["device"], facts["precision"], facts["devices"]) == ("cuda", "bf16", 8)
    # 4 cells of xnli with a training each, 4 of tatoeba; half of them after an intermediate training
    assert facts["naive_runs"] == 4 + 2 + 2
    assert facts["training_runs"] == 4 + 2
    assert facts["cached_steps"] == 0
    assert facts["to_run"]["steps"] == facts["planned_steps"]
    # two epochs or more of 392,702 pairs of 41 tokens on average, six runs
    assert facts["tokens"] > 6 * 2 * 392_702 * 41
    training = next(row for row in facts["kinds"] if row["kind"] == "train")
    assert training["flops"] == pytest.approx(6 * 85e6 * training["tokens"], rel=0.15)
    assert facts["makespan_hours"] < facts["device_hours"]
    assert facts["makespan_hours"] >= facts["critical_path_hours"]
    assert facts["disk_bytes"] > 7 * 4 * 278e6
    text = invoke("plan", hub_study, "--device", "h200")
    assert "6 training runs, 8 with one pipeline per cell" in " ".join(text.split())
    assert "data sheet of the H200" in " ".join(text.split())


def test_lora_saves_the_products_for_gradients_of_weights(tmp_path, hub_study):
    """One third of a training; its evaluations and all predictions cost the same."""
    file, lora = tmp_path / "lora.yaml", {"lora": {}}
    changes = {"intermediate": {"mnli": lora}, "targets": {"xnli": {"training": lora}}}
    file.write_text(json.dumps({"extends": str(hub_study), **changes}))
    flops = []
    for path in (hub_study, file):
        planned = build_plan(freeze(load_study(str(path)), None, "cuda"))
        flops.append([(step.kind, planned.estimates[f].flops) for f, step in planned.plan.steps.items()])
    for (kind, before), (_, after) in zip(*flops, strict=True):
        assert after == pytest.approx(before * (2 / 3 if kind == "train" else 1), rel=0.03)


def test_fixed_padding_costs_over_five_times_as_many_operations(hub_study):
    plan = build_plan(freeze(load_study(str(hub_study)), None, "cuda"))
    real, padded = (estimates(plan.plan, rates("h100"), padded=p) for p in (False, True))
    train = [f for f, step in plan.plan.steps.items() if step.kind == "train"]
    # MNLI has 41 tokens a pair, and 256 are allowed
    assert sum(padded[f].flops for f in train) > 5 * sum(real[f].flops for f in train)


def test_the_plan_counts_steps_that_rest_on_an_unknown_encoder(tmp_path, hub_study):
    settings = ON_THE_HUB | {"encoders": {"mine": {"load": "somebody/something"}}}
    hub_study.write_text(yaml.safe_dump(settings))
    facts = json.loads(invoke("plan", hub_study, "--json"))
    assert facts["assumed_steps"] > 0
    assert "rest on an assumed size" in invoke("plan", hub_study)


def test_planning_does_not_import_torch(hub_study):
    code = "import atexit, sys; from xstilts.cli import main\n"
    code += "atexit.register(lambda: print('torch' in sys.modules)); main()"
    command = [sys.executable, "-c", code, "plan", hub_study, "--gpus", "2"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1] == "False"


def test_finished_steps_cost_nothing_more(pocket, tmp_path):
    prices, store = pocket.estimates, Store(tmp_path / "store")
    before = bill(pocket, prices, set(), 2)
    done = [f for f, step in pocket.plan.steps.items() if step.kind == "pretrain"]
    after = bill(pocket, prices, set(done), 2)
    assert after["cached_steps"] == 1
    assert after["device_hours"] == before["device_hours"]
    saved = before["to_run"]["device_hours"] - after["to_run"]["device_hours"]
    assert saved >= sum(prices[f].seconds for f in done) / 3600
    assert all(not store.has(f) for f in done)
    assert {row["kind"]: row["steps"] for row in after["kinds"]}["predict"] == 38


def test_shared_runs_are_counted_once_and_naive_ones_per_cell(pocket):
    cells = [cell for cell in pocket.cells if cell.arm != "baseline"]
    naive = bill(pocket, pocket.estimates, (), 1)["naive_runs"]
    assert naive == sum(1 for c in cells if c.training) + sum(1 for c in cells if c.intermediate)


def test_the_critical_path_goes_first_and_bounds_the_makespan():
    plan, seconds = chain(5, 4, 3)
    short = [plan.add(Step("train", "x:y", 1, {"short": i})) for i in range(4)]
    seconds |= dict.fromkeys(short, 3)
    made = simulate(plan, plan.steps, seconds, 2)
    hours = [made[f"{name}_hours"] for name in ("makespan", "critical_path", "device")]
    assert hours == pytest.approx([(START + 12) / 3600, 12 / 3600, 2 * (START + 12) / 3600])
    assert made["devices_used"] == pytest.approx(1.0)

    def makespan(todo, devices):
        return round(3600 * simulate(plan, todo, seconds, devices)["makespan_hours"] - START, 6)

    assert (makespan(plan.steps, 1), makespan(plan.steps, 100)) == (24, 12)
    assert makespan(list(plan.steps)[1:3], 2) == 7  # the first is finished


def test_a_picture_has_a_box_per_kind_task_and_arm_and_stays_readable(pocket):
    boxes, _ = grouped(pocket)
    assert sum(boxes.values()) == len(pocket.plan.needed((), pocket.wanted))
    assert boxes["train", "pocket-nli", "far"] == 2
    names = [step.kind for step in pocket.plan.steps.values()]
    assert sum(count for label, count in boxes.items() if label[0] == "train") == names.count("train")
    assert 'label="train × 2\\npocket-nli\\nfar"' in draw(pocket, "dot")
    assert '["train × 2<br/>pocket-nli<br/>far"]' in draw(pocket, "mermaid")
    arms = {f"far-{i}": arm for i in range(20) for arm in [pocket.frozen.study.arms["far"]]}
    many = replace(pocket.frozen, study=pocket.frozen.study.model_copy(update={"arms": arms}),
                   sources=dict.fromkeys(arms, pocket.frozen.sources["far"]))  # fmt: skip
    assert len(grouped(build_plan(many))[0]) < 20


def test_the_command_draws_what_other_tools_read():
    assert invoke("plan", "pocket", "--quick", "--dot").startswith("digraph plan {")
    assert invoke("plan", "pocket", "--quick", "--mermaid").startswith("flowchart LR")


def test_rates_of_the_user_replace_those_of_the_package():
    none = {"fp32": 0.0, "bf16": 0.0}
    entry = {"class": "cpu", "fp32": 1e9, "bf16": 1e9, "efficiency": {"fp32": 1.0, "bf16": 1.0}, "narrow": none,
             "layer_seconds": none, "step_seconds": 0.0, "ground": "measured here"}  # fmt: skip
    before = json.loads(invoke("plan", "pocket", "--quick", "--json"))["device_hours"]
    assert bench.keep(entry) == user_file()
    assert rates("cpu").ground == "measured here"
    assert json.loads(invoke("plan", "pocket", "--quick", "--json"))["device_hours"] > 5 * before


def test_rates_that_were_not_measured_here_are_called_assumed():
    assert rates("cpu").ground.startswith("assumed")
    assert "assumed, those of h100, because this cuda device was not measured" in rates("cuda").ground
    assert rates("cuda").flops_per_second("bf16", 768) == rates("h100").flops_per_second("bf16", 768)
    assert "data sheet" in rates("h100").ground
    assert "cpu rates: assumed" in " ".join(invoke("plan", "pocket", "--quick", "--device", "cpu").split())


@pytest.mark.parametrize("text", ["cpu: 3", "cpu: {class: cpu}", "[", "cpu: {class: cpu, fp32: -1}"])
def test_a_malformed_file_of_rates_is_refused(text):
    user_file().parent.mkdir(parents=True)
    user_file().write_text(text)
    with pytest.raises(XstiltsError) as error:
        rates("cpu")
    assert error.value.kind == "bad-setting" and "devices.yaml" in error.value.what


def test_an_unknown_device_is_refused_with_the_nearest_name():
    with pytest.raises(XstiltsError) as error:
        rates("h20")
    assert error.value.kind == "unknown-name" and "h200" in error.value.hint
    assert "tpu" in invoke("plan", "pocket", "--device", "tpu", code=2)
    assert "unknown subcommand 'disk'" in invoke("bench", "disk", code=2)


def test_measured_rates_are_positive_and_fit_the_table(monkeypatch):
    runs = [(1, 64, 24, 1), (1, 64, 24, 2), (1, 64, 24, 4), (2, 64, 24, 4), (1, 128, 24, 3)]
    monkeypatch.setattr(bench, "RUNS", {"cpu": runs})
    entry = json.loads(invoke("bench", "device", "--device", "cpu", "--json"))
    bench.keep(entry)
    measured = rates("cpu")
    assert measured.kind == "cpu" and min(measured.flops_per_second(p, 64) for p in ("fp32", "bf16")) > 0
    assert measured.ground.startswith("measured by `xstilts bench device`")


def test_estimates_are_compared_with_measured_seconds():
    plan, seconds = chain(2.0, 3.0)
    rows = compared(plan, {next(iter(seconds)): 4.0, "of another plan": 9.0})
    assert rows == [{"kind": "train", "steps": 1, "estimated_seconds": 2.0, "measured_seconds": 4.0}]
    assert comparison(rows) == "1 steps took 4 s of compute, 2.00 times the estimate"
    assert comparison([]) == ""


def test_what_a_run_took_corrects_later_plans_on_the_device(pocket):
    plan, before = pocket.plan, estimates(pocket.plan, rates("cpu"))
    factors = {"train": 300.0, "predict": 0.5}
    taken = {f: factors[step.kind] * before[f].seconds for f, step in plan.steps.items() if step.kind in factors}
    estimated = {kind: sum(before[f].seconds for f in taken if plan.steps[f].kind == kind) for kind in factors}

    def expected(times, factor=1):
        sums = {kind: times * seconds for kind, seconds in estimated.items()}
        return {kind: (factor * factors[kind] * sums[kind] + PRIOR) / (sums[kind] + PRIOR) for kind in factors}

    rows = record(plan, "cpu", taken)
    assert {row["kind"]: row["measured_seconds"] / row["estimated_seconds"] for row in rows} == pytest.approx(factors)
    after = estimates(plan, rates("cpu"))
    for fingerprint, step in plan.steps.items():
        ratio = expected(1).get(step.kind, 1)
        assert after[fingerprint].seconds == pytest.approx(ratio * before[fingerprint].seconds)
    record(plan, "cpu", taken)  # compared with the uncorrected estimates, as before
    assert rates("cpu").ratios == pytest.approx(expected(2))
    record(plan, "cpu", {f: 4 * seconds for f, seconds in taken.items()})
    assert rates("cpu").ratios == pytest.approx(expected(3, factor=2))
    record(plan, "cpu", {})  # all steps were in the store
    text = " ".join(invoke("plan", "pocket", "--quick", "--device", "cpu").split())
    assert f"cpu rates: calibrated on {3 * len(taken)} steps of earlier runs (" in text
    assert not rates("cuda").ratios


def test_a_short_run_changes_little(pocket):
    shortest = min(pocket.plan.steps, key=lambda f: pocket.estimates[f].seconds)
    record(pocket.plan, "cpu", {shortest: 100 * pocket.estimates[shortest].seconds})
    assert 1 < rates("cpu").ratios[pocket.plan.steps[shortest].kind] < 1.5


def test_a_study_that_ran_corrects_later_plans(pocket, tmp_path):
    taken = {pocket.wanted[0]: 9.0}
    run_study(pocket, Store(tmp_path / "store"), tmp_path, lambda *_: Outcome(device_seconds=taken), lambda event: None)
    base = estimates(pocket.plan, rates("cpu").model_copy(update={"ratios": {}}))[pocket.wanted[0]].seconds
    assert rates("cpu").ratios == pytest.approx({"predict": (9.0 + PRIOR) / (base + PRIOR)})


def test_ratios_do_not_outlive_the_rates_that_they_correct(pocket):
    record(pocket.plan, "cpu", dict.fromkeys(pocket.plan.steps, 9.0))
    assert rates("cpu").ratios
    entry = rates("cpu").model_dump(by_alias=True, exclude={"name", "ratios"})
    bench.keep(entry | {"step_seconds": 0.1})
    assert not rates("cpu").ratios
    record(pocket.plan, "cpu", dict.fromkeys(pocket.plan.steps, 9.0))
    assert rates("cpu").ratios
    user_file("measured.json").write_text("{")
    assert not rates("cpu").ratios


def test_a_run_does_not_need_a_writable_configuration_folder(pocket, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert record(pocket.plan, "cpu", dict.fromkeys(pocket.plan.steps, 9.0))
    assert not rates("cpu").ratios
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    user_file().parent.mkdir()
    user_file().write_text("cpu: 3")  # spoiled while the study ran
    assert record(pocket.plan, "cpu", dict.fromkeys(pocket.plan.steps, 9.0))


def test_local_files_are_counted_instead_of_the_catalogue(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for code, count in (("en", 40), ("de", 10)):
        lines = [f"{'word ' * 30}\tshort\tneutral" for _ in range(count)]
        (folder / f"train-{code}.tsv").write_text("\n".join(lines))
    task = {"name": "mine", "type": "classification", "labels": ["neutral"], "max_length": 128,
            "source": {"format": "table", "files": {"train": "train-{lang}.tsv"},
                       "columns": {"text_a": 0, "text_b": 1, "label": 2}}}  # fmt: skip
    arguments = {"task": task, "tasks": {}, "split": "train", "language": "en", "content": ""}
    step = Step("rows", "xstilts.data.prepare:prepare", 1, arguments, {}, {"data": str(folder)})
    size = size_of(step)
    assert (size.examples, size.assumed) == (40, 0)
    assert 30 < size.tokens / size.sequences < 60
    elsewhere = size_of(replace(step, location={}))
    assert elsewhere.assumed and math.isclose(elsewhere.examples, 10_000)
