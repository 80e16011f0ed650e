"""Looking after a store: what it says of itself, what is freed, and what never is while somebody needs it."""

import errno
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from support import invoke
from xstilts.engine import Plan, Step, Store, execute, run_step, write_atomically, write_steps
from xstilts.engine.garbage import remove, unneeded, unneeded_models
from xstilts.engine.in_use import nobody_starts, uses
from xstilts.engine.inventory import results, verify
from xstilts.engine.result import MANIFEST
from xstilts.engine.temporary import HOST, sweep, temporary_folder
from xstilts.errors import BAD_INPUT, MISSING, STEP_FAILED, XstiltsError
from xstilts.runs.store_runs import record_run, store_runs


def step(name, kind="rows", **more):
    return Step(kind, "xstilts.data.prepare:prepare", 1, {"language": name}, label=name, **more)


def write(store, made, *names, size=10):
    with store.writing(made) as out:
        for name in names or ("examples.parquet",):
            (out / name).write_bytes(made.label.encode() * size)
    return made.fingerprint


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.fixture
def filled(store):
    """A training that two predictions read, one of which is in the plan of a run next to the store."""
    rows = step("rows")
    trained = step("far", "train", inputs={"train.x.en": rows.fingerprint})
    planned, other = (step(name, "predict", inputs={"model": trained.fingerprint}) for name in ("planned", "other"))
    tokens = step("tokens", "tokens")
    write(store, rows), write(store, trained, "model.safetensors", "history.json")
    write(store, planned, "predictions.parquet"), write(store, other, "predictions.parquet")
    examples = json.loads((store.path(rows.fingerprint) / MANIFEST).read_text())["files"]["examples.parquet"][1]
    tokens = replace(tokens, arguments={"rows": [examples]})
    write(store, tokens, "tokens.npy")
    plan = Plan()
    for each in (rows, trained, planned):
        plan.add(each)
    run = store.root.parent / "run"
    write_steps(run / "steps.jsonl", plan, [planned.fingerprint])
    return {"rows": rows, "trained": trained, "planned": planned, "other": other, "tokens": tokens, "run": run}


def names(garbage):
    return {result.label for result in garbage.results} | {result.label for result in garbage.models}


def show(*words, code=0):
    return json.loads(invoke("store", *words, "--json", code=code))


def test_a_result_under_the_fingerprint_of_another_step_is_damage(store):
    one, two = write(store, step("one")), step("two").fingerprint
    store.path(two).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(store.path(one), store.path(two))
    for read in (lambda: store.find(two, "examples.parquet"), lambda: store.open(two)):
        with pytest.raises(XstiltsError) as caught:
            read()
        assert caught.value.kind == "damaged" and one in caught.value.why
    assert store.open(one) and not store.has(two)


def test_a_store_lists_its_results_and_which_runs_need_them(filled, store):
    facts = show("list", store.root)
    kinds = {row["kind"]: (row["count"], row["needed"]) for row in facts["kinds"]}
    assert kinds == {"rows": (1, 1), "train": (1, 1), "predict": (2, 1), "tokens": (1, 1)}
    assert [(Path(run["run"]), run["steps"], run["here"]) for run in facts["runs"]] == [(filled["run"], 3, 3)]
    assert [row["label"] for row in show("list", store.root, "--kind", "predict")] == ["other", "planned"]
    assert "unknown" not in invoke("store", "list", store.root)
    assert "predict" in invoke("store", "list", store.root, "--kind", "nothing", code=BAD_INPUT)
    (store.path(filled["other"].fingerprint) / MANIFEST).write_text("{")
    assert show("list", store.root)["problems"][0]["fingerprint"] == filled["other"].fingerprint


def test_one_result_says_what_it_is_made_of_and_who_needs_it(filled, store):
    facts = show("show", filled["trained"].fingerprint[:8], "--store", store.root)
    assert facts["label"] == "far" and facts["inputs"][0]["label"] == "rows"
    assert {row["label"] for row in facts["read_by"]} == {"planned", "other"} and facts["runs"] == [str(filled["run"])]
    assert facts["made"]["host"] and abs(facts["made"]["time"] - time.time()) < 3600
    assert facts["files"] == {"history.json": 30, "model.safetensors": 30}
    assert "far" in invoke("store", "show", filled["trained"].fingerprint, "--store", store.root)
    for name in ("", "zz", "../..", "*"):
        assert "does not name one result" in invoke("store", "show", name, "--store", store.root, code=BAD_INPUT)


def test_reading_a_result_is_use_and_verifying_it_is_not(store):
    made = write(store, step("one"))
    os.utime(store.path(made), (0, 0))
    verify(store)
    assert results(store)[0].used == 0
    store.find(made, "examples.parquet")
    found = results(store)[0].used
    os.utime(store.path(made), (0, 0))
    store.open(made)
    assert min(found, results(store)[0].used) > 0


def test_damage_is_named_set_aside_and_sets_the_exit_status(filled, store):
    assert show("verify", store.root)["damaged"] == {}
    bad = filled["planned"].fingerprint
    (store.path(bad) / "predictions.parquet").write_bytes(b"changed")
    printed = invoke("store", "verify", store.root, code=STEP_FAILED)
    assert bad in printed and "1 of 5 results" in printed
    assert not store.has(bad) and (store.root / "damaged" / bad).is_dir()
    assert show("verify", store.root)["checked"] == 4


def test_only_what_no_run_needs_is_freed_and_only_if_asked(filled, store):
    facts = show("gc", store.root)
    assert [(row["kind"], row["count"]) for row in facts["kinds"]] == [("predict", 1)] and facts["freed"] == 0
    assert store.has(filled["other"].fingerprint)
    assert show("gc", store.root, "--older-than", "1", "--yes")["freed"] == 0
    assert show("gc", store.root, "--yes")["freed"] == facts["size"] > 0
    assert {result.label for result in results(store)} == {"rows", "far", "planned", "tokens"}
    assert list((store.root / "temporary").iterdir()) == []
    assert "nothing to free" in invoke("store", "gc", store.root, "--yes")


def test_models_go_once_no_step_to_come_reads_them_and_records_stay(filled, store):
    trained, planned = filled["trained"].fingerprint, filled["planned"].fingerprint
    shutil.rmtree(store.path(planned))
    assert show("gc", store.root, "--models")["kinds"] == [], "the prediction has still to be made"
    write(store, filled["planned"], "predictions.parquet")
    assert show("gc", store.root, "--models", "--yes")["freed"] == 30
    assert (store.path(trained) / "history.json").is_file() and store.discarded([trained]) == {trained}
    assert len(results(store)) == 5 and not verify(store)[1]


def test_a_deletion_that_was_interrupted_is_finished_by_the_next(filled, store, monkeypatch):
    trained = filled["trained"].fingerprint
    weights = store.path(trained) / "model.safetensors"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        store.discard_model(trained)
    assert weights.exists() and store.discarded([trained]) == {trained}
    assert store.discard_model(trained) and not weights.exists()


def test_the_checkpoint_of_a_training_whose_model_was_deleted_stays_for_its_next_try(filled, store):
    trained = filled["trained"].fingerprint
    scratch = store.root / "scratch" / trained
    for deleted in (True, False):
        scratch.mkdir(parents=True, exist_ok=True)
        (scratch / "checkpoint.safetensors").write_bytes(b"half")
        if deleted:
            store.discard_model(trained)
            store.sweep()
            assert scratch.is_dir()
            shutil.rmtree(store.path(trained))
            write(store, filled["trained"], "model.safetensors", "history.json")
    store.sweep()
    assert not scratch.exists()


def test_what_killed_processes_needed_is_forgotten(store, filled):
    killed = "import os, sys; from xstilts.engine import Store\n"
    killed += "with Store(sys.argv[1]).in_use(['a' * 32]): os._exit(0)"
    subprocess.run([sys.executable, "-c", killed, store.root], check=True)
    assert len(list((store.root / "in-use").glob("*.json"))) == 1
    with store.in_use([filled["rows"].fingerprint]):
        store.sweep()
        assert len(list((store.root / "in-use").glob("*.json"))) == 1
        assert [use.steps for use in uses(store.root)] == [{filled["rows"].fingerprint}]


def test_nothing_is_freed_if_no_run_is_known(filled, store):
    shutil.rmtree(filled["run"])
    assert "--run" in invoke("store", "gc", store.root, "--yes", code=BAD_INPUT)
    (store.root.parent / "foreign").mkdir()
    (store.root.parent / "foreign" / "plan.json").write_text('{"steps": []}')
    invoke("store", "gc", store.root, "--yes", code=BAD_INPUT)
    assert len(results(store)) == 5


def test_a_run_elsewhere_counts_once_it_has_used_the_store(filled, store, tmp_path):
    elsewhere = tmp_path / "a" / "b" / "run"
    elsewhere.parent.mkdir(parents=True)
    plan = Plan()
    plan.add(step("rows"))
    plan.add(filled["trained"])
    write_steps(elsewhere / "steps.jsonl", plan, [])
    shutil.rmtree(filled["run"])
    assert not store_runs(store)
    record_run(store, elsewhere)
    assert names(unneeded(store, store_runs(store)[0].steps)) == {"planned", "other"}
    shutil.rmtree(elsewhere)
    assert show("list", store.root)["not_here"] == [str(elsewhere)]


PROCESS = """
import pathlib, sys, time
from xstilts.engine import Store
with Store(pathlib.Path(sys.argv[1])).in_use(sys.argv[2:]):
    print("here", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def process():
    """Starts a process that needs results, as a study does."""
    started = []

    def start(store, *steps):
        command = [sys.executable, "-c", PROCESS, store.root, *steps]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert started[-1].stdout.readline().strip() == "here"
        return started[-1]

    yield start
    for each in started:
        each.kill()
        each.wait()
        each.stdout.close()


def test_what_a_running_study_needs_stays_until_it_is_gone(filled, store, process):
    other, trained = filled["other"].fingerprint, filled["trained"].fingerprint
    study = process(store, other, trained)
    assert show("gc", store.root, "--yes")["freed"] == show("gc", store.root, "--models", "--yes")["freed"] == 0
    assert not store.discard_model(trained) and not store.discarded([trained])
    study.kill()
    study.wait()
    assert names(unneeded(store, store_runs(store)[0].steps)) == {"other"}
    assert not uses(store.root) and store.discard_model(trained)


def without_locks(monkeypatch, number=errno.ENOLCK):
    def no_locks(descriptor, kind):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", no_locks)


def contents(store):
    """The manifest of every result."""
    return {r.fingerprint: (store.path(r.fingerprint) / MANIFEST).read_bytes() for r in results(store)}


def test_what_a_study_has_come_to_need_since_garbage_was_listed_stays(filled, store):
    garbage, models, before = unneeded(store, []), unneeded_models(store, []), contents(store)
    assert names(garbage) == {"rows", "far", "planned", "other", "tokens"} and names(models) == {"far"}
    with Store(store.root).in_use(before):
        assert remove(store, garbage) == remove(store, models) == 0
    assert contents(store) == before and not verify(store)[1]
    assert remove(store, garbage) == garbage.size and not results(store)


def test_a_study_waits_until_results_are_moved_aside(filled, store):
    with nobody_starts(store.root):
        command = [sys.executable, "-c", PROCESS, store.root, filled["other"].fingerprint]
        waiting = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        while not list((store.root / "in-use").glob(".*.part")) and waiting.poll() is None and not uses(store.root):
            time.sleep(0.01)
        assert not uses(store.root)
    assert waiting.stdout.readline().strip() == "here" and len(uses(store.root)) == 1
    waiting.kill()
    waiting.wait()
    waiting.stdout.close()


def test_without_locks_a_study_that_starts_while_results_are_freed_loses_none(filled, store, monkeypatch):
    without_locks(monkeypatch)
    garbage, before, rename = unneeded(store, []), contents(store), Path.rename
    study = Store(store.root).in_use(before)

    def start_meanwhile(folder, target):
        if target.parent.name.startswith("gc-") and not uses(store.root):
            study.__enter__()
        return rename(folder, target)

    monkeypatch.setattr(Path, "rename", start_meanwhile)
    assert remove(store, garbage) == 0
    study.__exit__(None, None, None)
    assert contents(store) == before and not verify(store)[1]


def test_without_locks_a_study_that_starts_while_a_model_is_deleted_keeps_it(filled, store, monkeypatch):
    without_locks(monkeypatch)
    trained = filled["trained"].fingerprint
    study = Store(store.root).in_use([trained])

    def start_meanwhile(file, content):
        if not uses(store.root):
            study.__enter__()
        write_atomically(file, content)

    monkeypatch.setattr("xstilts.engine.result.write_atomically", start_meanwhile)
    assert not store.discard_model(trained)
    study.__exit__(None, None, None)
    assert not store.discarded([trained]) and not store.inspect(trained)


def test_checkpoints_of_other_steps_and_damaged_results_are_freed(filled, store):
    shutil.rmtree(store.path(filled["planned"].fingerprint))  # it has still to be made
    for each in (filled["planned"].fingerprint, step("gone").fingerprint, step("running").fingerprint):
        (store.root / "scratch" / each).mkdir(parents=True)
        (store.root / "scratch" / each / "lock").touch()
    (store.root / "damaged" / filled["planned"].fingerprint).mkdir(parents=True)
    with store.scratch(step("running").fingerprint):
        show("gc", store.root, "--yes")
        left = {folder.name for folder in (store.root / "scratch").iterdir()}
    assert left == {filled["planned"].fingerprint, step("running").fingerprint}
    assert list((store.root / "damaged").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_file_system_without_locks_works_and_loses_nothing(filled, store, monkeypatch, number):
    without_locks(monkeypatch, number)
    other = filled["other"].fingerprint
    with Store(store.root).in_use([other]):
        assert show("gc", store.root, "--yes")["freed"] == 0
    with temporary_folder(store.root / "temporary", "x") as living:
        store.sweep()
        assert living.is_dir()
    run_step(step_of_world(), store)
    assert store.open(step_of_world().fingerprint)
    assert show("gc", store.root, "--yes")["freed"] > 0 and not store.has(other)


def test_the_use_of_another_host_counts_although_its_lock_is_not_seen(filled, store):
    other = filled["other"].fingerprint
    with store.in_use([other]):
        (file,) = (store.root / "in-use").glob("*.json")
        shutil.copy(file, file.with_name("elsewhere-1.json"))
    assert [use["host"] for use in show("list", store.root)["in_use"]] == ["elsewhere"]
    assert "elsewhere-1.json" in invoke("store", "list", store.root)
    assert show("gc", store.root, "--yes")["freed"] == 0
    (store.root / "in-use" / "elsewhere-1.json").write_text("half")
    with pytest.raises(XstiltsError) as caught:
        uses(store.root)
    assert caught.value.kind == "bad-file" and "elsewhere-1" in caught.value.what


@pytest.mark.parametrize("jump", [-(10**9), 10**9])
def test_a_clock_that_jumps_removes_nothing_that_a_process_holds(tmp_path, monkeypatch, jump):
    now = time.time()
    file, renamed = tmp_path / "file", Path.replace

    def replaced(part, target):
        if target == file:  # another process writes into the same folder, when the clock has jumped
            monkeypatch.setattr(time, "time", lambda: now + jump)
            write_atomically(tmp_path / "other", "x")
        return renamed(part, target)

    monkeypatch.setattr(Path, "replace", replaced)
    write_atomically(file, "whole")
    assert file.read_text() == "whole"
    with temporary_folder(tmp_path / "temporary", "living") as living:
        sweep(tmp_path / "temporary")
        assert living.is_dir() and f"-{HOST}-" in living.name


def test_an_archive_has_predictions_and_records_and_no_model(filled, store, tmp_path):
    out = tmp_path / "new" / "finished.tar.xz"
    assert "3 results" in invoke("store", "export", out, "--store", store.root)
    assert "2 results" in invoke("store", "export", out, "--store", store.root, "--run", filled["run"])
    with tarfile.open(out) as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    there = Store(tmp_path / "elsewhere")
    trained, planned = filled["trained"].fingerprint, filled["planned"].fingerprint
    assert there.finished([trained, planned]) == {trained, planned} and not verify(there)[1]
    assert there.discarded([trained]) == {trained} and not store.discarded([trained])
    assert sorted(file.name for file in there.path(trained).iterdir()) == ["history.json", MANIFEST]
    assert [file.name for file in out.parent.iterdir()] == [out.name]
    invoke("store", "export", out, "--store", store.root, "--run", tmp_path, code=BAD_INPUT)


def test_a_packed_store_continues_elsewhere_without_models(store, encoder_folder, tmp_path):
    arguments = {"load": str(encoder_folder("bert")), "revision": "", "random_weights": False, "seed": 1, "content": ""}
    trained = Step("train", "xstilts.models.encoders:fetch", 2, arguments)
    scored = replace(step_of_world(), kind="predict", inputs={"model": trained.fingerprint})
    plan = Plan()
    plan.add(trained), plan.add(scored)
    execute(plan, store, list(plan.steps), lambda event: None, 1, 1)
    invoke("store", "export", tmp_path / "packed.tar.xz", "--store", store.root)
    with tarfile.open(tmp_path / "packed.tar.xz") as archive:
        archive.extractall(tmp_path / "elsewhere", filter="data")
    there = Store(tmp_path / "elsewhere")
    assert not execute(plan, there, list(plan.steps), lambda event: None, 1, 1).seconds
    later = replace(scored, arguments={**scored.arguments, "language": "tr"})
    plan.add(later)
    outcome = execute(plan, there, list(plan.steps), lambda event: None, 1, 1)
    assert set(outcome.seconds) == {trained.fingerprint, later.fingerprint} and not there.discarded(plan.steps)


def step_of_world():
    task = {"name": "text", "type": "mlm", "source": {"world": 1, "kind": "text", "rows": {"train": 5}}}
    arguments = {"task": task, "tasks": {}, "split": "train", "language": "en"}
    return Step("rows", "xstilts.data.prepare:prepare", 1, arguments)


@pytest.mark.parametrize(
    ("place", "code"), [("s3://bucket/store", BAD_INPUT), ("nothing", MISSING), ("a-file", MISSING)]
)
def test_what_is_no_store_in_a_folder_is_refused(tmp_path, monkeypatch, place, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").write_text("x")
    for verb in (["list"], ["verify"], ["gc"], ["export", "x.tar.xz", "--store"], ["show", "a", "--store"]):
        assert "hint:" in invoke("store", *verb, place, code=code)


@pytest.fixture
def read_only(filled, store):
    """The store on a file system that is mounted read-only."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    bind = ["mount", "--bind", store.root, store.root]
    if subprocess.run(bind, capture_output=True).returncode:
        pytest.skip("cannot mount here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", store.root], check=True)
        yield store
    finally:
        subprocess.run(["umount", store.root], check=True)


def test_a_read_only_store_can_be_looked_at_and_says_why_it_cannot_be_changed(read_only, filled):
    assert len(show("list", read_only.root)["kinds"]) == 4 and show("verify", read_only.root)["damaged"] == {}
    assert show("show", filled["rows"].fingerprint, "--store", read_only.root)["label"] == "rows"
    assert read_only.open(filled["rows"].fingerprint)
    with read_only.in_use([filled["rows"].fingerprint]):
        record_run(read_only, filled["run"])
        read_only.sweep()
    assert show("gc", read_only.root)["size"] > 0
    for words in (["--yes"], ["--models", "--yes"]):
        assert "read-only" in invoke("store", "gc", read_only.root, *words, code=STEP_FAILED).lower()
    with pytest.raises(XstiltsError) as caught:
        write(read_only, step("new"))
    assert caught.value.kind == "store-full"


def test_a_store_that_vanishes_while_a_study_runs_is_one_error(store, encoder_folder):
    first = step_of_world()
    rest = [replace(first, arguments={**first.arguments, "language": code}) for code in ("tr", "fi", "sw")]
    plan = Plan()
    plan.add(first)
    for each in rest:
        plan.add(replace(each, inputs={"x": first.fingerprint}))

    def vanish(event):
        if event["event"] == "finished":
            shutil.rmtree(store.root)

    with pytest.raises(XstiltsError) as caught:
        execute(plan, store, list(plan.steps), vanish, 2, 1)
    assert caught.value.kind == "store-full" and "is gone" in caught.value.what
