"""Steps, the store and the local executor: what counts as the same result, and what survives a kill."""

import errno
import json
import multiprocessing
import os
import re
import shutil
import signal
import socketserver
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from support import ROOT, invoke
from xstilts.engine import Plan, Step, Store, execute, read_steps, run_step, write_atomically, write_steps
from xstilts.engine.result import manifest
from xstilts.engine.scheduler import Scheduler
from xstilts.engine.temporary import part_file, sweep
from xstilts.errors import MISSING, STEP_FAILED, XstiltsError
from xstilts.tasks.data_source import WorldSource
from xstilts.tasks.task import Task


def text_task(rows):
    source = WorldSource(world=1, kind="text", rows={"train": rows})
    return Task(name="text", type="mlm", source=source).model_dump(mode="json")


TEXT, SLOW = text_task(5), text_task(30_000)


def step(language="en", inputs=None, task=TEXT, **more):
    """Artificial rows: quick, and one that is `SLOW` is still at work when it is killed."""
    arguments = {"task": task, "tasks": {}, "split": "train", "language": language}
    given = {"version": 1, "arguments": arguments, "inputs": inputs or {}, "label": language, **more}
    return Step("rows", "xstilts.data.prepare:prepare", **given)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def plan_of(*steps):
    plan = Plan()
    for each in steps:
        plan.add(each)
    return plan


def run(plan, store, report=lambda event: None, jobs=1, wanted=None):
    events = []

    def tell(event):
        events.append(event)
        report(event)

    outcome = execute(plan, store, wanted or list(plan.steps), tell, jobs, threads=1)
    return outcome, events


def test_a_fingerprint_says_what_can_change_a_result_and_nothing_else():
    one = step()
    backwards = dict(reversed(one.arguments.items()))
    assert step(arguments=backwards, location={"data": "/x"}, label="other", cost=9.0).fingerprint == one.fingerprint
    assert step(inputs={"a": "1", "b": "2"}).fingerprint == step(inputs={"b": "2", "a": "1"}).fingerprint
    others = [
        step(version=2),
        step("tr"),
        step(inputs={"a": "1"}),
        step(inputs={"b": "1"}),
        step(inputs={"a": "2"}),
        step(arguments={**one.arguments, "seed": 1}),
        step(arguments={**one.arguments, "seed": "1"}),
        Step("rows", "xstilts.data.prepare:other", 1, one.arguments),
    ]
    assert len({one.fingerprint, *(other.fingerprint for other in others)}) == 1 + len(others)
    assert Step(**json.loads(json.dumps(one.to_json()))).fingerprint == one.fingerprint
    with pytest.raises(ValueError):
        _ = step(arguments={"x": float("nan")}).fingerprint


def test_a_plan_merges_equal_steps_and_knows_what_is_still_needed():
    first = step()
    second = step("tr", {"x": first.fingerprint}, cost=5.0)
    third = step("fi", {"x": second.fingerprint}, cost=2.0)
    aside = step("sw", {"x": first.fingerprint}, cost=1.0)
    plan = plan_of(first, second, third, aside, step(label="again"))
    assert len(plan.steps) == 4
    assert plan.requested == 5
    a, b, c, d = (s.fingerprint for s in (first, second, third, aside))
    assert plan.needed([], [c]) == [a, b, c]
    assert plan.needed([b], [c, d]) == [a, c, d]
    assert plan.needed([a, b, c], [c]) == []
    assert plan.needed([a, b], [c], unusable=[a]) == [c]
    assert plan.needed([a, b], [c], unusable=[b]) == [b, c]
    longer = plan.add(step("es", {"longer": b}))
    assert plan.needed([a, b], [longer], unusable=[b]) == [longer], "it reads the record alone"
    assert plan.priority() == {a: 8.0, b: 7.0, c: 2.0, d: 1.0, longer: 1.0}
    with pytest.raises(KeyError):
        Plan().add(second)


def test_a_step_that_fails_in_mid_write_leaves_nothing(store):
    with pytest.raises(RuntimeError), store.writing(step()) as out:
        (out / "half").write_text("x")
        raise RuntimeError
    assert not store.has(step().fingerprint)
    assert list((store.root / "temporary").iterdir()) == []


def test_a_result_is_read_whole_verified_and_by_others(store):
    with store.writing(step()) as out:
        (out / "deep").mkdir()
        (out / "deep" / "file").write_text("x")
        assert not store.has(step().fingerprint)
    folder = store.open(step().fingerprint)
    assert (folder / "deep" / "file").read_text() == "x"
    assert folder.stat().st_mode & 0o055 == 0o055
    (folder / "deep" / "file").write_text("y")
    with pytest.raises(XstiltsError) as caught:
        store.open(step().fingerprint)
    assert caught.value.code == STEP_FAILED
    assert "deep/file" in caught.value.why
    with pytest.raises(XstiltsError) as caught:
        store.open(step("tr").fingerprint)
    assert caught.value.code == MISSING


def test_two_writers_of_one_step_do_no_harm(store):
    with store.writing(step()) as slow:
        (slow / "file").write_text("same")
        with store.writing(step()) as quick:
            (quick / "file").write_text("same")
    assert (store.open(step().fingerprint) / "file").read_text() == "same"
    assert list((store.root / "temporary").iterdir()) == []


def test_a_result_that_lost_its_manifest_is_replaced(store):
    run_step(step(), store)
    (store.path(step().fingerprint) / "manifest.json").unlink()
    outcome, _ = run(plan_of(step()), store)
    assert not outcome.failed
    assert store.has(step().fingerprint)
    assert (store.root / "damaged" / step().fingerprint / "examples.parquet").is_file()


@pytest.mark.parametrize(
    "content",
    ["", "[]", "null", "{}", '{"files": 5}', '{"files": {}}', '{"files": {"a": ["x", "y"]}}', '{"files": {"a": 1}}'],
)
def test_a_result_whose_manifest_has_another_shape_is_computed_again(store, content):
    run_step(step(), store)
    (store.path(step().fingerprint) / "manifest.json").write_text(content)
    with pytest.raises(XstiltsError) as caught:
        store.open(step().fingerprint)
    assert caught.value.kind == "damaged"
    outcome, _ = run(plan_of(step()), store)
    assert not outcome.failed and store.open(step().fingerprint)


def test_a_writer_that_is_killed_leaves_no_result_and_the_next_one_succeeds(store):
    code = f"""
import pathlib, time
from xstilts.engine import Step, Store
with Store(pathlib.Path({str(store.root)!r})).writing(Step(**{step().to_json()!r})) as out:
    (out / "examples.parquet").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout.readline().strip() == "writing"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    assert not store.has(step().fingerprint)
    run_step(step(), store)
    assert store.open(step().fingerprint)
    with store.writing(step("de")) as out:
        store.sweep()
        assert list((store.root / "temporary").iterdir()) == [out], (
            "the killed writer's is gone, the living one's stays"
        )


def test_what_another_host_left_stays_until_it_is_old(tmp_path):
    (tmp_path / "fingerprint-elsewhere-1234").mkdir()
    sweep(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    sweep(tmp_path, older_than=-1)
    assert list(tmp_path.iterdir()) == []


def test_results_have_the_permissions_that_the_umask_leaves(store):
    before = os.umask(0o077)
    try:
        run_step(step(), store)
    finally:
        os.umask(before)
    assert store.path(step().fingerprint).stat().st_mode & 0o777 == 0o700


def test_a_flipped_byte_is_found_set_aside_and_computed_again(store):
    plan = plan_of(step(), step("tr"))
    run(plan, store)
    file = store.path(step().fingerprint) / "examples.parquet"
    sound = file.read_bytes()
    file.write_bytes(sound[:50] + bytes([sound[50] ^ 1]) + sound[51:])
    outcome, events = run(plan, store)
    assert [e["step"] for e in events if e["event"] == "damaged"] == [step().fingerprint]
    assert list(outcome.seconds) == [step().fingerprint]
    assert file.read_bytes() == sound
    assert (store.root / "damaged" / step().fingerprint / "examples.parquet").read_bytes() != sound
    assert run(plan, store)[0].seconds == {}


def test_a_failed_step_fails_those_that_need_it_and_nothing_else(store):
    bad, good = step("no such language"), step("tr")
    after_bad, after_good = step("fi", {"x": bad.fingerprint}), step("fi", {"x": good.fingerprint})
    outcome, _ = run(plan_of(bad, after_bad, good, after_good), store, jobs=2)
    assert list(outcome.failed) == [bad.fingerprint]
    assert "no such language" in outcome.failed[bad.fingerprint]
    assert set(outcome.seconds) == {good.fingerprint, after_good.fingerprint}
    assert not store.has(after_bad.fingerprint)


def workers():
    """Ids of the worker processes that this process started."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"spawn_main" in command:
            found.append(int(folder.name))
    return found


def kill_while_writing(store, fingerprint, times):
    """Kills the workers as often as asked for, each time when one of them has begun to write that step."""

    def watch():
        seen = set()
        while len(seen) < times:
            found = {f.name for f in (store.root / "temporary").glob(f"{fingerprint}-*")} - seen
            if found:
                seen |= found
                for process in workers():
                    os.kill(process, signal.SIGKILL)
            time.sleep(0.01)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


linux_only = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds worker processes through /proc")


@linux_only
def test_the_step_of_a_worker_that_was_killed_is_tried_again(store):
    slow = step(task=SLOW)
    thread = kill_while_writing(store, slow.fingerprint, 1)
    outcome, events = run(plan_of(slow, step("tr", {"x": slow.fingerprint})), store)
    thread.join(5)
    assert [e["step"] for e in events if e["event"] == "retried"] == [slow.fingerprint]
    assert not outcome.failed
    assert len(outcome.seconds) == 2
    assert multiprocessing.active_children() == []


@linux_only
def test_a_step_that_kills_its_worker_twice_fails_alone(store):
    guilty, innocent = step(task=SLOW, cost=9.0), step("tr", task=SLOW)
    kill_while_writing(store, guilty.fingerprint, 2)
    outcome, _ = run(plan_of(guilty, innocent, step("fi", {"x": guilty.fingerprint})), store, jobs=2)
    assert list(outcome.failed) == [guilty.fingerprint]
    assert "2 times" in outcome.failed[guilty.fingerprint]
    assert list(outcome.seconds) == [innocent.fingerprint]


def test_a_step_one_of_whose_processes_died_is_tried_again_once(store):
    events, plan = [], plan_of(step())
    scheduler = Scheduler(plan, store, list(plan.steps), events.append, tries=2, alone=True)
    for _ in range(2):
        scheduler.settle(scheduler.take({}).fingerprint, {"lost": "one of 2 processes of a training died"})
    assert [event["event"] for event in events] == ["retried", "failed"]
    assert scheduler.take({}) is None


@linux_only
def test_a_worker_that_dies_between_two_steps_loses_none(store):
    first = step()
    killed = []

    def report(event):
        if event["event"] == "finished" and not killed:
            killed.extend(workers())
            for process in killed:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.5)

    outcome, _ = run(plan_of(first, step("tr", {"x": first.fingerprint})), store, report)
    assert killed
    assert len(outcome.seconds) == 2
    assert not outcome.failed


def test_a_full_disk_says_so_and_keeps_what_is_finished(small_disk):
    store = Store(small_disk / "store")
    big = step("tr", task=SLOW)
    run_step(step(), store)
    with pytest.raises(XstiltsError) as caught:
        run_step(big, store)
    assert caught.value.code == STEP_FAILED
    assert "No space left" in str(caught.value)
    assert "--store" in caught.value.hint
    assert store.open(step().fingerprint)
    assert not store.has(big.fingerprint)
    assert list((store.root / "temporary").iterdir()) == []


@pytest.mark.parametrize("write", [
    lambda folder, tokenizer: np.save(folder / "ids.npy", np.zeros(100_000)),
    lambda folder, tokenizer: save_file({"weight": torch.zeros(100_000)}, folder / "model.safetensors"),
    lambda folder, tokenizer: [tokenizer.save_pretrained(folder / str(i)) for i in range(50)],
    lambda folder, tokenizer: pq.write_table(pa.table({"x": np.random.default_rng(1).random(100_000)}), folder / "x"),
], ids=["numpy", "safetensors", "tokenizers", "parquet"])  # fmt: skip
def test_every_library_that_writes_a_result_says_that_the_disk_is_full(small_disk, tokenizer, write):
    store = Store(small_disk / "store")
    with pytest.raises(XstiltsError) as caught, store.writing(step()) as folder:
        write(folder, tokenizer)
    assert caught.value.kind == "store-full" and "No space left" in caught.value.why
    assert list((store.root / "temporary").iterdir()) == []


@pytest.mark.parametrize("function", ["os:system", "xstiltsy.x:y", "tests.test_engine:step"])
def test_functions_outside_the_package_are_never_called(store, function):
    other = Step("rows", function, 1, {})
    with pytest.raises(XstiltsError, match="refused"):
        run_step(other, store)
    assert not store.has(other.fingerprint)


def test_an_unexpected_error_in_a_step_is_wrapped_and_leaves_nothing(store):
    broken = Step("rows", "xstilts.data.prepare:prepare", 1, {}, label="rows of nothing")
    with pytest.raises(XstiltsError, match="rows of nothing") as caught:
        run_step(broken, store)
    assert caught.value.code == STEP_FAILED
    assert "KeyError" in caught.value.why
    assert list((store.root / "temporary").iterdir()) == []


def test_the_scratch_of_a_step_lasts_until_it_is_finished(store):
    with pytest.raises(RuntimeError), store.scratch(step().fingerprint) as mine:
        (mine / "checkpoint").write_text("x")
        with store.scratch(step().fingerprint) as other:
            assert not list(other.iterdir()), "two processes would spoil each other's checkpoint"
        raise RuntimeError
    checkpoint = mine / "checkpoint"
    assert checkpoint.is_file() and not other.exists()
    run_step(step(), store)
    assert not checkpoint.exists()


def test_a_text_file_is_replaced_whole_and_readable_by_others(tmp_path):
    file = tmp_path / "a" / "plan.json"
    write_atomically(file, "old")
    write_atomically(file, "neu ü")
    assert file.read_text(encoding="utf-8") == "neu ü"
    assert [f.name for f in file.parent.iterdir()] == ["plan.json"]
    assert file.stat().st_mode & 0o044 == 0o044


def test_a_full_disk_leaves_the_old_text_and_no_part_of_the_new_one(tmp_path, monkeypatch):
    file, others = tmp_path / "plan.json", [tmp_path / ".film.mkv.part", tmp_path / ".thesis.part"]
    abandoned, fresh = (tmp_path / f".another.host-{letter * 32}.part" for letter in "ab")
    write_atomically(file, "old")
    for part in (abandoned, fresh, *others):
        part.write_text("half")
    for part in (abandoned, *others):  # those of other programs stay, however old they are
        os.utime(part, (0, 0))

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(file, "new")
    assert file.read_text() == "old" and {*tmp_path.iterdir()} == {fresh, file, *others}


def killed_while(code, *arguments):
    """Runs code in a process that is killed when it has printed a line."""
    command = [sys.executable, "-c", code + "\nprint(flush=True)\ntime.sleep(60)", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "\n"
        process.kill()


def test_the_part_of_a_writer_that_was_killed_goes_with_the_next_file_and_that_of_a_living_one_stays(tmp_path):
    killed_while(
        "import sys, time; from pathlib import Path; from xstilts.engine.temporary import part_file\n"
        "part = part_file(Path(sys.argv[1])); part.__enter__()",
        tmp_path,
    )
    (abandoned,) = tmp_path.iterdir()
    with part_file(tmp_path) as living:
        write_atomically(tmp_path / "plan.json", "new")
        assert sorted(tmp_path.iterdir()) == [Path(living.name), tmp_path / "plan.json"]
    assert not abandoned.exists() and not Path(living.name).exists()


def test_the_scratch_of_a_step_that_was_killed_when_it_had_finished_is_swept(store):
    run_step(step(), store)
    with pytest.raises(RuntimeError), store.scratch(step("tr").fingerprint) as unfinished:
        raise RuntimeError
    killed_while(
        "import sys, time; from xstilts.engine import Store\n"
        "scratch = Store(sys.argv[1]).scratch(sys.argv[2]); (scratch.__enter__() / 'checkpoint').write_text('x')",
        store.root,
        step().fingerprint,
    )
    assert (store.root / "scratch" / step().fingerprint / "checkpoint").is_file()
    store.sweep()
    assert list((store.root / "scratch").iterdir()) == [unfinished]


USER_SCRIPT = """
import os, sys
from pathlib import Path
Path(sys.argv[1], f"threads-{__name__}").write_text(os.environ.get("OMP_NUM_THREADS", "none"))
from xstilts.engine import Store, execute, read_steps
if __name__ == "__main__":
    plan, wanted = read_steps(Path(sys.argv[1], "steps.jsonl"))
    assert not execute(plan, Store(sys.argv[1]), wanted, lambda event: None, 1, threads=3).failed
    assert os.environ.get("OMP_NUM_THREADS") == "5"
"""


def test_a_worker_has_its_threads_before_it_imports_the_script_that_started_it(tmp_path):
    """Once torch is imported, the variable has no effect, and results depend on the number of threads."""
    write_steps(tmp_path / "steps.jsonl", plan_of(step()), [step().fingerprint])
    (tmp_path / "script.py").write_text(USER_SCRIPT)
    command = [sys.executable, tmp_path / "script.py", tmp_path]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "5"})
    assert (tmp_path / "threads-__mp_main__").read_text() == "3"


def drive_of(plan, store):
    return Scheduler(plan, store, list(plan.steps), lambda event: None, tries=2, alone=True)


def test_a_large_step_waits_until_it_fits_and_is_not_overtaken_for_ever(store):
    large = [step(str(i), cost=9.0 - i, resources={"memory": 6.0}) for i in range(2)]
    small = step("small", resources={"memory": 1.0})
    scheduler, total = drive_of(plan_of(*large, small), store), {"steps": 3, "memory": 8.0}
    assert scheduler.take(total) == large[0]
    assert scheduler.take(total) is None, "the small one would fit, but the large one is more urgent"
    scheduler.settle(large[0].fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 6.0})
    assert [scheduler.take(total), scheduler.take(total)] == [large[1], small]
    huge = step("huge", resources={"memory": 99.0})
    assert drive_of(plan_of(huge), store).take(total) == huge, "what fits nowhere is tried alone"


def test_memory_that_no_plan_names_is_learnt_from_steps_of_the_same_kind(store):
    steps = [step(str(i), cost=9.0 - i) for i in range(3)]
    scheduler, total = drive_of(plan_of(*steps), store), {"steps": 3, "memory": 8.0}
    assert scheduler.take({**total, "steps": 1}) == steps[0]
    scheduler.settle(steps[0].fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 5.0})
    assert scheduler.take(total) == steps[1]
    assert scheduler.take(total) is None


def test_what_was_measured_corrects_what_was_planned(store):
    def after(planned, measured, others):
        """How many of the other steps are begun at once, of 8 GB, after one of their kind was measured."""
        first = step("first", cost=9.0, resources={"memory": planned})
        plan = plan_of(first, *(step(str(i), resources={"memory": gb}) for i, gb in enumerate(others)))
        scheduler, total = drive_of(plan, store), {"steps": 9, "memory": 8.0}
        assert scheduler.take({**total, "steps": 1}) == first
        scheduler.settle(first.fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": measured})
        return sum(scheduler.take(total) is not None for _ in others)

    assert after(6.0, 6.0, [6.0] * 3) == 1
    assert after(6.0, 2.0, [6.0] * 3) == 3, "a plan that is far too careful holds up the first steps alone"
    assert after(2.0, 5.0, [2.0] * 3) == 1, "one that is too low is corrected"
    assert after(0.2, 2.0, [4.0] * 2) == 2, "what a worker held besides does not count in proportion"


def test_a_step_that_fits_nowhere_is_run_alone(store):
    plan = plan_of(*(step(str(i), resources={"memory": 50.0}) for i in range(2)))
    scheduler, total = drive_of(plan, store), {"steps": 2, "memory": 0.5}
    first = scheduler.take(total)
    assert first and scheduler.take(total) is None
    scheduler.settle(first.fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 50.0})
    assert scheduler.take(total)


def test_a_step_that_waits_for_a_device_holds_back_none_that_needs_no_device(store):
    two = [step(str(i), cost=9.0, resources={"gpus": 1}) for i in range(2)]
    both, none = step("both", cost=5.0, resources={"gpus": 2}), step("none")
    scheduler, total = drive_of(plan_of(*two, both, none), store), {"steps": 4, "gpus": 2}
    assert {scheduler.take(total).label, scheduler.take(total).label} == {"0", "1"}
    assert scheduler.take(total) == none
    assert scheduler.take(total) is None
    scheduler.settle(two[0].fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 0.0})
    assert scheduler.take(total) is None
    scheduler.settle(two[1].fingerprint, {"seconds": 1.0, "core_seconds": 1.0, "memory": 0.0})
    assert scheduler.take(total) == both


@pytest.fixture
def remote_store(tmp_path, monkeypatch):
    """A store behind a URL, and a way to be another machine, which has read nothing yet."""
    url = (tmp_path / "bucket").as_uri()

    def on(machine):
        monkeypatch.setenv("XSTILTS_CACHE", str(tmp_path / machine))
        return Store(url)

    return on


def write(store, text="x"):
    with store.writing(step()) as out:
        (out / "deep").mkdir()
        (out / "deep" / "file").write_text(text)


@pytest.mark.parametrize("url", ["file", "memory"])
def test_a_result_of_one_machine_is_read_whole_on_another(remote_store, monkeypatch, tmp_path, url):
    here, there = remote_store("here"), remote_store("there")
    if url == "memory":
        here.url = there.url = f"memory://{tmp_path.name}"
    assert not here.has(step().fingerprint) and here.find(step().fingerprint, "deep/file") is None
    write(here)
    assert there.finished([step().fingerprint, step("tr").fingerprint]) == {step().fingerprint}
    assert there.find(step().fingerprint, "deep/file").read_text() == "x"
    assert there.find(step().fingerprint, "other") is None
    assert not there.path(step().fingerprint).exists(), "one file is read without the others"
    assert (there.open(step().fingerprint) / "deep" / "file").read_text() == "x"
    (there.path(step().fingerprint) / "deep" / "file").write_text("y")
    assert (there.open(step().fingerprint) / "deep" / "file").read_text() == "x"
    with pytest.raises(XstiltsError) as caught:
        there.open(step("tr").fingerprint)
    assert caught.value.code == MISSING


def test_a_result_is_not_there_before_its_manifest(remote_store, monkeypatch):
    here = remote_store("here")

    def fail(*arguments, **more):
        raise OSError("the line is cut")

    with monkeypatch.context() as patch:
        patch.setattr("fsspec.implementations.local.LocalFileSystem.pipe_file", fail)
        with pytest.raises(XstiltsError) as caught:
            run_step(step(), here)
    assert caught.value.kind == "network"
    assert not here.has(step().fingerprint)
    with pytest.raises(XstiltsError):
        remote_store("there").open(step().fingerprint)
    run_step(step(), here)
    assert remote_store("there").open(step().fingerprint)


def test_two_machines_that_write_one_step_leave_a_whole_result(remote_store, tmp_path):
    slow, quick = remote_store("slow"), remote_store("quick")
    with slow.writing(step()) as out:
        (out / "file").write_text("differs in the last digit")
        write(quick)
    files = [f.name for f in (tmp_path / "bucket").rglob("*") if f.is_file()]
    assert sorted(files) == ["file", "manifest.json"]
    assert (remote_store("third").open(step().fingerprint) / "deep" / "file").read_text() == "x"


def test_a_damaged_remote_result_is_never_read_and_computed_again(remote_store, tmp_path):
    run_step(step(), remote_store("here"))
    file = next((tmp_path / "bucket").rglob("examples.parquet"))
    sound = file.read_bytes()
    file.write_bytes(sound[:50] + bytes([sound[50] ^ 1]) + sound[51:])
    there = remote_store("there")
    for read in (lambda: there.find(step().fingerprint, "examples.parquet"), lambda: there.open(step().fingerprint)):
        with pytest.raises(XstiltsError, match="damaged"):
            read()
    assert not there.path(step().fingerprint).exists()
    outcome, _ = run(plan_of(step()), there)
    assert list(outcome.seconds) == [step().fingerprint]
    assert (remote_store("third").open(step().fingerprint) / "examples.parquet").read_bytes() == sound


@pytest.mark.parametrize("name", ["../../escaped", "/tmp/escaped", "a/../../escaped", "..\\escaped", "manifest.json"])
def test_a_manifest_that_names_a_file_elsewhere_is_refused(remote_store, tmp_path, name):
    write(remote_store("here"))
    forged = next((tmp_path / "bucket").rglob("manifest.json"))
    record = json.loads(forged.read_text())
    record["files"][name] = record["files"]["deep/file"]
    forged.write_text(json.dumps(record))
    source = forged.parent / record["folder"]
    (source / "../../escaped").resolve().write_text("x")
    there = remote_store("there")
    for read in (lambda: there.open(step().fingerprint), lambda: there.find(step().fingerprint, "deep/file")):
        with pytest.raises(XstiltsError) as caught:
            read()
        assert caught.value.kind == "unsafe"
    assert not Path("/tmp/escaped").exists() and not list((tmp_path / "there").rglob("escaped"))


def test_a_manifest_whose_folder_leads_elsewhere_is_refused(remote_store, tmp_path):
    write(remote_store("here"))
    forged = next((tmp_path / "bucket").rglob("manifest.json"))
    forged.write_text(json.dumps(json.loads(forged.read_text()) | {"folder": "../../../secrets"}))
    with pytest.raises(XstiltsError) as caught:
        remote_store("there").open(step().fingerprint)
    assert caught.value.kind == "unsafe"


@pytest.mark.parametrize("content", ["[]", "null", '{"files": 5}', '{"files": {"deep/file": null}}', "{"])
def test_a_manifest_of_another_shape_is_damage(store, content):
    write(store)
    (store.path(step().fingerprint) / "manifest.json").write_text(content)
    with pytest.raises(XstiltsError) as caught:
        store.open(step().fingerprint)
    assert caught.value.kind == "damaged" and not store.has(step().fingerprint)


@pytest.mark.parametrize("name", ["../../etc", "abc", "A" * 32])
def test_a_name_that_is_no_fingerprint_opens_nothing(store, name):
    with pytest.raises(XstiltsError) as caught:
        store.path(name)
    assert caught.value.kind == "unsafe"


def test_a_local_store_that_was_copied_as_it_is_serves_behind_a_url(store, remote_store, tmp_path):
    write(store)
    shutil.copytree(store.root, tmp_path / "bucket")
    assert (remote_store("here").open(step().fingerprint) / "deep" / "file").read_text() == "x"


@pytest.mark.parametrize(
    "url", ["s3://key:sec/ret@bucket/store", "https://host/store?sig=secret", "sftp://me:secret@host/a"]
)
def test_a_password_in_the_address_of_a_store_is_refused_and_not_repeated(url):
    with pytest.raises(XstiltsError) as caught:
        Store(url)
    assert caught.value.kind == "unsafe" and "ret" not in caught.value.what
    assert Store("sftp://me@host:22/store").place == "sftp://me@host:22/store"


def test_a_url_that_nothing_opens_is_told_in_three_parts():
    with pytest.raises(XstiltsError, match="nowhere://x") as caught:
        Store("nowhere://x").has(step().fingerprint)
    assert caught.value.code == MISSING


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A plan of four steps, and a store in which the local engine has run it."""
    rows = [step(code) for code in ("en", "tr", "sw")]
    inputs = {f"rows.{each.label}": each.fingerprint for each in rows}
    words = {"model": "words", "size": 100, "segments": True}
    last = Step("vocabulary", "xstilts.models.vocabulary:train_vocabulary", 1, words, inputs, label="words")
    plan, store = plan_of(*rows, last), Store(tmp_path_factory.mktemp("local"))
    execute(plan, store, [last.fingerprint], lambda event: None, jobs=1, threads=1)
    return plan, store


@pytest.fixture
def frozen(finished, tmp_path, monkeypatch):
    """The plan, and a run folder in which it is frozen."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")  # `xstilts step` sets them in this process
    plan, _ = finished
    write_steps(tmp_path / "run" / "steps.jsonl", plan, [list(plan.steps)[-1]])
    return plan, tmp_path / "run"


def blocks(title):
    """The shell scripts below a heading of the documentation."""
    text = (ROOT / "docs/engines.md").read_text(encoding="utf-8")
    return re.findall(r"```sh\n(.*?)```", text.partition(f"### {title}\n")[2].partition("\n##")[0], re.S)


def script(folder, name, text):
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


CLIENT = """#!{python} -IS
import json, socket, sys
link = socket.create_connection({address})
link.sendall(json.dumps(sys.argv[1:]).encode() + b"\\n")
printed, ended, _ = link.makefile().read().partition("\\0")
sys.stdout.write(printed)
sys.exit(not ended)
"""


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(invoke(*json.loads(self.rfile.readline())).encode() + b"\0")


def run_script(folder, *command):
    """Runs a script whose `xstilts` is the command line in this process: starting Python for each step is slow."""
    with socketserver.TCPServer(("127.0.0.1", 0), Handler) as server:
        server.timeout = 0.1
        script(folder, "xstilts", CLIENT.format(python=sys.executable, address=server.server_address))
        path = os.pathsep.join([str(folder), os.environ["PATH"]])
        with subprocess.Popen(command, cwd=folder, env={**os.environ, "PATH": path}) as process:
            while process.poll() is None:
                server.handle_request()
    assert process.returncode == 0


def assert_same_results(finished, store):
    plan, local_store = finished
    assert all(manifest(store.open(f)) == manifest(local_store.open(f)) for f in plan.steps)


def test_a_step_alone_says_what_it_did_by_its_status(frozen):
    plan, folder = frozen
    first, *_, last = plan.steps
    assert invoke("step", "--run", folder, "--ready").split() == plan.ready([], list(plan.steps)[:3])
    assert "3 of its 3 inputs" in invoke("step", "--run", folder, last, code=MISSING)
    assert "finished: en" in invoke("step", "--run", folder, first[:10])
    assert "already there: en" in invoke("step", "--run", folder, first)
    printed = invoke("step", "--run", folder, first, "--progress", "json").splitlines()
    assert [json.loads(line)["event"] for line in printed[1:]] == ["started", "finished"]
    listed = [line.split() for line in invoke("step", "--run", folder, "--list").splitlines()]
    assert listed == [[f] for f in list(plan.steps)[1:3]] + [[last, *list(plan.steps)[1:3]]]
    file = Store(folder.parent / "store").path(first) / "examples.parquet"
    file.write_bytes(b"damaged")
    assert "finished: en" in invoke("step", "--run", folder, first)
    assert "'zz' does not name one step" in invoke("step", "--run", folder, "zz", code=2)
    assert "freeze" in invoke("step", "--run", folder.parent, "zz", code=MISSING)
    bad = step("no such language")
    write_steps(folder / "steps.jsonl", plan_of(bad, *plan.steps.values()), [last, bad.fingerprint])
    assert "finished: tr" in invoke("step", "--run", folder, bad.fingerprint, list(plan.steps)[1], code=STEP_FAILED)


def test_the_slurm_scripts_of_the_documentation_run_a_plan(frozen, finished, tmp_path):
    wave, submit = blocks("Slurm")
    script(tmp_path, "wave.sh", wave)
    script(tmp_path, "submit.sh", submit)
    each = 'for i in 0 1; do SLURM_ARRAY_TASK_COUNT=2 SLURM_ARRAY_TASK_ID=$i bash "${@:3}" || exit 1; done'
    script(tmp_path, "sbatch", f"#!/bin/bash\n[ $1 = --wait ] && [ $2 = --array=0-1 ] || exit 9\n{each}\n")
    run_script(tmp_path, "bash", "submit.sh", frozen[1], tmp_path / "store", "2")
    assert_same_results(finished, Store(tmp_path / "store"))


def test_the_makefile_of_the_documentation_runs_a_plan(frozen, finished, tmp_path):
    (text,) = blocks("make")
    run_script(tmp_path, "bash", "-ec", text.replace("RUN", str(frozen[1])))
    assert_same_results(finished, Store(tmp_path / "store"))


def test_a_frozen_plan_that_was_changed_by_hand_is_refused(frozen):
    _, folder = frozen
    file = folder / "steps.jsonl"
    file.write_text(file.read_text().replace('"language": "tr"', '"language": "fr"'))
    with pytest.raises(XstiltsError, match="line 2"):
        read_steps(file)
