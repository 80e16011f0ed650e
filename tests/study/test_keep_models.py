"""Which models stay while a study runs, and what two studies on one store do to each other."""

import json
import os
import shutil
import subprocess
import threading
from functools import partial

import pytest

from support import invoke
from xstilts.engine import Plan, Step, Store, execute, run_alone
from xstilts.engine.inventory import verify
from xstilts.engine.scheduler import Scheduler
from xstilts.errors import XstiltsError
from xstilts.study.keep_models import disk_needed, groups_of
from xstilts.study.overview import simulate
from xstilts.study.results import training_summary
from xstilts.study.run import run_study

EXECUTOR = partial(execute, jobs=1, threads=1, discard=True)


@pytest.fixture
def study(finished_study, tmp_path):
    """The plan of a finished study and a copy of its store."""
    planned, store, _ = finished_study
    shutil.copytree(store.root, tmp_path / "store")
    return planned, Store(tmp_path / "store")


def trainings(planned):
    return [f for f, step in planned.plan.steps.items() if step.kind == "train"]


def run(planned, store, folder, keep, executor=EXECUTOR):
    events = []
    run_study(planned, store, folder, executor, events.append, keep)
    return [event["why"] for event in events if event["event"] == "note"]


def test_the_best_model_of_a_target_stays_and_others_leave_their_records(study, tmp_path):
    planned, store = study
    scored = [cell for cell in planned.cells if cell.target == "pocket-nli" and cell.training]
    scores = {cell.training: training_summary(store, cell.training)["dev_score"] for cell in scored}
    assert len(scores) == 4 and len(trainings(planned)) > 4
    run(planned, store, tmp_path / "run", "all")
    assert not store.discarded(trainings(planned))
    notes = run(planned, store, tmp_path / "run", "best")
    best = max(scores, key=scores.get)
    assert {*trainings(planned)} - store.discarded(trainings(planned)) == {best}
    assert any(str(store.path(best)) in note for note in notes)
    assert (tmp_path / "run" / "predictions" / "pocket-nli.parquet").is_file() and not verify(store)[1]
    assert run(planned, store, tmp_path / "run", "best") == [note for note in notes if "deleted" not in note]
    run(planned, store, tmp_path / "run", "none")
    assert store.discarded(trainings(planned)) == {*trainings(planned)}
    assert all(training_summary(store, f)["dev_score"] == score for f, score in scores.items())


def test_a_deleted_model_is_made_again_if_it_is_asked_for(study, tmp_path):
    planned, store = study
    first = next(
        f for f in trainings(planned) if "train" not in {planned.plan.steps[i].kind for i in inputs(planned, f)}
    )
    weights = (store.path(first) / "model.safetensors").read_bytes()
    run(planned, store, tmp_path / "run", "none")
    assert not (store.path(first) / "model.safetensors").exists()
    assert run_alone(planned.plan, first, store)
    assert (store.path(first) / "model.safetensors").read_bytes() == weights and not store.discarded([first])


def inputs(planned, fingerprint):
    return planned.plan.steps[fingerprint].inputs.values()


def test_a_model_that_another_study_needs_stays_until_the_last_of_both_ends(study, tmp_path):
    planned, store = study
    models = trainings(planned)
    with Store(store.root).in_use(models[:1]):
        run(planned, store, tmp_path / "run", "none")
        assert store.discarded(models) == {*models[1:]}
    run(planned, store, tmp_path / "run", "none")
    assert store.discarded(models) == {*models}


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_finished_study_runs_and_reports_from_a_read_only_store(study, tmp_path):
    planned, store = study
    if subprocess.run(["mount", "--bind", store.root, store.root], capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", store.root], check=True)
        run(planned, store, tmp_path / "run", "all")
        assert "near" in invoke("report", tmp_path / "run")
        with pytest.raises(XstiltsError) as caught:
            run(planned, store, tmp_path / "run", "none")
        assert caught.value.kind == "store-full"
    finally:
        subprocess.run(["umount", store.root], check=True)


def test_two_studies_at_once_on_one_store_finish_with_equal_results(finished_study, tmp_path):
    planned, finished, _ = finished_study
    kept = ("rows", "fetch", "vocabulary", "pretrain", "random")
    for fingerprint, step in planned.plan.steps.items():
        if step.kind in kept:
            shutil.copytree(finished.path(fingerprint), Store(tmp_path / "store").path(fingerprint))
    errors = []

    def start(name):
        try:
            run(planned, Store(tmp_path / "store"), tmp_path / name, "none")
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(tmp_path / "store")
    assert not errors and not verify(store)[1] and not list((store.root / "temporary").iterdir())
    assert store.discarded(trainings(planned)) == {*trainings(planned)}
    predicted = [sorted((tmp_path / name / "predictions").iterdir()) for name in ("a", "b")]
    first, second = ([file.read_bytes() for file in files] for files in predicted)
    assert len(first) == 2 and first == second


def test_models_are_read_and_let_go_before_others_are_made(tmp_path):
    def step(name, kind="predict", **inputs):
        return Step(kind, "xstilts.data.prepare:prepare", 1, {"name": name}, inputs, label=name)

    plan, store, live, most = Plan(), Store(tmp_path), set(), 0
    rows = plan.add(step("rows", "rows"))
    for arm in range(5):
        intermediate = plan.add(step(f"intermediate {arm}", "train", rows=rows))
        for target in range(3):
            trained = plan.add(step(f"target {arm} {target}", "train", encoder=intermediate))
            plan.add(step(f"score {arm} {target}", model=trained, rows=rows))

    def report(event):
        if event["event"] == "unneeded":
            live.remove(event["step"])

    scheduler = Scheduler(plan, store, list(plan.steps), report, tries=2, alone=True, discard=True)
    while taken := scheduler.take({"steps": 1}):
        live |= {taken.fingerprint} if taken.kind == "train" else set()
        most = max(most, len(live))
        scheduler.settle(taken.fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 0.0})
    assert most == 2 and not live, "an intermediate model and one of a target"
    assert (
        simulate(plan, plan.steps, dict.fromkeys(plan.steps, 1.0), 1, dict.fromkeys(plan.steps, 1.0))["model_bytes"]
        == most
    )


def test_the_plan_says_how_much_disk_each_choice_needs(finished_study):
    planned = finished_study[0]
    sizes = dict.fromkeys(planned.plan.steps, 1.0)
    needed = disk_needed(planned, sizes, live=2.0)
    others = len(sizes) - len(trainings(planned))
    assert needed == {"all": len(sizes), "best": others + 3, "none": others + 2}
    assert len(groups_of(planned)) == 4
    facts = json.loads(invoke("plan", "pocket", "--json"))
    choices = facts["disk_bytes_by_keep_models"]
    assert 0 < choices["none"] < choices["best"] < choices["all"] == facts["disk_bytes"]
    assert "--keep-models best" in invoke("plan", "pocket")
