"""The Ray engine on a cluster of several nodes on this machine, of which one is lost in mid-study."""

import json
import os
import shutil
from pathlib import Path

import probe
import pytest
import yaml
from safetensors.torch import load_file

from xstilts.config.load import builtin_studies, load_study
from xstilts.engine import Plan, Step, Store, execute, run_alone
from xstilts.engine.result import manifest
from xstilts.errors import MISSING, XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan

pytest.importorskip("ray", reason="Ray is not installed: pip install 'xstilts[ray]'")
from ray.cluster_utils import Cluster

from xstilts.engine.ray import execute_on_ray, largest

SIZE = {"num_cpus": 1, "object_store_memory": 80 * 2**20}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A head that runs no steps, and a node with one core."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text("import probe; probe.install()")
    paths = [str(folder), str(Path(__file__).parent), str(Path(__file__).parents[2] / "src")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])]))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("XSTILTS_CACHE", str(tmp_path_factory.mktemp("nodes")))
        made = Cluster(initialize_head=True, head_node_args={**SIZE, "num_cpus": 0, "include_dashboard": False})
        made.add_node(**SIZE)
        yield made
        made.shutdown()


@pytest.fixture
def planned(tmp_path, encoder_folder):
    """A study of two arms whose every step is real and short."""
    return study(tmp_path, encoder_folder("xlm-roberta"))


def study(tmp_path, encoder, ranks=1):
    small = {"examples": 16, "epochs": 1, "recipe": {"learning_rate": 0.001}}
    raw = yaml.safe_load(builtin_studies()["pocket"].read_text()) | {
        "replicates": 1,
        "encoders": {"mine": {"load": str(encoder)}},
        "languages": {"candidates": ["de", "tr", "ja", "sw"], "minimum": 2},
        "intermediate": {"nli": {"task": "pocket-nli-hard", **small}},
        "arms": {"none": {}, "near": {"intermediate": "nli", "languages": "near", "count": 1}},
        "targets": {"pocket-nli": {"training": small}},
        "contrasts": ["near - none"],
        "controls": [],
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(raw))
    return build_plan(freeze(load_study(str(tmp_path / "small.yaml")), None, "cpu"), ranks=ranks)


def predictions(planned, store):
    found = {cell.predictions: store.open(cell.predictions) for cell in planned.cells}
    return {name: manifest(folder) for name, folder in found.items()}


def test_a_study_that_loses_a_node_ends_as_on_one_machine(cluster, planned, tmp_path, monkeypatch):
    monkeypatch.setenv("XSTILTS_CACHE", str(tmp_path / "driver"))
    cluster.add_node(**SIZE)
    store = Store((tmp_path / "cluster").as_uri())
    lost, events = [], []

    def report(event):
        events.append((event["event"], event.get("step")))
        if event["event"] == "started" and planned.plan.steps[event["step"]].kind == "train" and not lost:
            lost.append(event["step"])
            guilty = next(node for node in cluster.worker_nodes if event["node"].endswith(node.node_id))
            cluster.remove_node(guilty, allow_graceful=False)

    outcome = execute_on_ray(planned.plan, store, planned.wanted, report, cluster.address, threads=1)
    assert not outcome.failed
    assert set(outcome.seconds) == set(planned.plan.steps)
    told = [name for name, step in events if step in lost and name != "progress"]
    assert told == ["started", "retried", "started", "finished"]
    local = Store(tmp_path / "local")
    execute(planned.plan, local, planned.wanted, lambda event: None, jobs=1, threads=1)
    assert predictions(planned, store) == predictions(planned, local)


def test_a_training_that_two_processes_share_has_a_core_for_each_and_the_result_of_one(
    cluster, encoder_folder, tmp_path, monkeypatch
):
    base = shutil.copytree(encoder_folder("xlm-roberta"), tmp_path / "base")
    config = json.loads((base / "config.json").read_text())
    off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # every process draws its own
    (base / "config.json").write_text(json.dumps(config | off))
    alone, shared = study(tmp_path, base), study(tmp_path, base, ranks=2)
    training = next(f for f, step in alone.plan.steps.items() if step.kind == "train")
    local, store = Store(tmp_path / "store"), Store(tmp_path / "cluster")
    for fingerprint in alone.plan.needed([], [training]):
        if fingerprint == training:
            shutil.copytree(tmp_path / "store", tmp_path / "cluster")
        run_alone(alone.plan, fingerprint, local)
    monkeypatch.setenv("XSTILTS_CACHE", str(tmp_path / "driver"))
    events = []
    added = cluster.add_node(**SIZE | {"num_cpus": 2})
    execute_on_ray(shared.plan, store, [training], events.append, cluster.address, threads=1)
    cluster.remove_node(added, allow_graceful=False)
    (node,) = {event["node"] for event in events if event["event"] == "started"}
    assert node.endswith(added.node_id)  # the only one with two cores
    one, two = (load_file(each.open(training) / "model.safetensors") for each in (local, store))
    difference = max(float((one[name] - two[name]).abs().max()) for name in one)
    assert 0 < difference < 1e-5  # sums of two processes are rounded otherwise: there were two


def test_steps_share_a_gpu_and_their_workers_end_with_them(cluster, tmp_path):
    two = [probe.probe(tmp_path, name, meet="ab", gpus=1) for name in "ab"]
    last = probe.probe(tmp_path, "c", {f"x.{step.label}": step.fingerprint for step in two}, gpus=1)
    plan, store, events = Plan({step.fingerprint: step for step in (*two, last)}), Store(tmp_path / "store"), []
    added = cluster.add_node(**SIZE | {"num_cpus": 2, "num_gpus": 1})
    outcome = execute_on_ray(plan, store, list(plan.steps), events.append, cluster.address, threads=1, per_gpu=2)
    cluster.remove_node(added, allow_graceful=False)
    assert not outcome.failed, outcome.failed
    seen = probe.seen(store, plan.steps.values())
    assert {record["devices"] for record in seen.values()} == {"0"}, "two waited for each other on one GPU"
    assert len({record["pid"] for record in seen.values()}) == 3
    assert any("is not known" in event.get("why", "") for event in events), "no GPU is really there"


def test_a_step_that_fails_fails_those_that_need_it_and_nothing_else(cluster, tmp_path):
    plan = Plan()
    bad = plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, {}, label="rows of nothing"))
    after = plan.add(Step("rows", "xstilts.data.prepare:prepare", 1, {}, {"x": bad}))
    outcome = execute_on_ray(plan, Store(tmp_path), [after], lambda event: None, cluster.address, threads=1)
    assert list(outcome.failed) == [bad] and "KeyError" in outcome.failed[bad]
    assert not outcome.seconds


def test_no_cluster_is_told_in_three_parts(tmp_path):
    with pytest.raises(XstiltsError, match="no Ray cluster") as caught:
        execute_on_ray(Plan(), Store(tmp_path), [], lambda event: None, "127.0.0.1:1", threads=1)
    assert caught.value.code == MISSING


def test_a_step_asks_for_no_more_memory_than_a_machine_that_could_run_it_has():
    def node(alive=True, **there):
        return {"Alive": alive, "Resources": there}

    nodes = [node(CPU=8, memory=64e9), node(CPU=8, GPU=2, memory=16e9), node(alive=False, CPU=8, GPU=8, memory=99e9)]
    assert largest(nodes, {"memory": 500.0}, threads=1) == 64
    assert largest(nodes, {"gpus": 2, "memory": 500.0}, threads=1) == 16
    assert largest(nodes, {"gpus": 4}, threads=1) == 0
    assert largest(nodes, {"ranks": 3}, threads=4) == 0


def test_a_step_that_needs_more_memory_than_any_machine_has_is_run_and_a_note_says_so(cluster, tmp_path):
    arguments = {"size": 50, "model": "words", "alphabet": 10}
    step = Step("vocabulary", "xstilts.models.vocabulary:train_vocabulary", 1, arguments, resources={"memory": 1e5})
    plan, events = Plan(), []
    plan.add(step)
    store = Store(tmp_path / "store")
    outcome = execute_on_ray(plan, store, list(plan.steps), events.append, cluster.address, 1)
    assert list(outcome.seconds) == [step.fingerprint]
    assert any("more memory than any machine" in event.get("why", "") for event in events)


def test_a_step_does_not_wait_for_the_memory_of_a_machine_that_left(cluster, tmp_path, monkeypatch):
    sizes = iter([1e6])  # GB of a machine that is gone right after the step was submitted
    monkeypatch.setattr("xstilts.engine.ray.largest", lambda *each: next(sizes, None) or largest(*each))
    monkeypatch.setattr("xstilts.engine.ray._report_shortages", lambda *each: None)
    arguments = {"size": 50, "model": "words", "alphabet": 10}
    step = Step("vocabulary", "xstilts.models.vocabulary:train_vocabulary", 1, arguments, resources={"memory": 1e5})
    plan = Plan({step.fingerprint: step})
    outcome = execute_on_ray(
        plan, Store(tmp_path / "store"), [step.fingerprint], lambda event: None, cluster.address, 1
    )
    assert list(outcome.seconds) == [step.fingerprint] and next(sizes, None) is None
