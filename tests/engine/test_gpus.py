"""Steps that share GPUs: which device each worker sees, how many are on one, and that their memory fits."""

import random
from collections import Counter

import probe
import pytest

from support import invoke
from xstilts.engine import Plan, Step, Store, execute, local
from xstilts.engine.gpus import Sharing, usable_memory
from xstilts.engine.scheduler import Scheduler

SERVE = local._serve


def serve(*arguments):
    """A worker that can run the steps of `probe`."""
    probe.install()
    SERVE(*arguments)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs steps with worker processes of their own; returns what each step saw, and the events."""
    monkeypatch.setattr(local, "_serve", serve)
    store = Store(tmp_path / "store")

    def run(*steps, devices=("5", "7"), jobs=8, **sharing):
        plan, events = Plan({step.fingerprint: step for step in steps}), []
        outcome = execute(plan, store, list(plan.steps), events.append, jobs, 1, devices, sharing=Sharing(**sharing))
        assert not outcome.failed, outcome.failed
        return probe.seen(store, steps), events

    return run


def at_once(records, devices):
    """The largest number of steps that were on each device at the same time."""
    most = {}
    for device in devices:
        there = [r for r in records if device in r["devices"].split(",")]
        most[device] = max(sum(r["begin"] <= one["begin"] < r["end"] for r in there) for one in there)
    return most


def test_steps_share_devices_and_workers_are_used_again(run, tmp_path):
    meeting = [probe.probe(tmp_path, f"{i}", meet="0123", gpus=1) for i in range(4)]
    first = {f"after.{step.label}": step.fingerprint for step in meeting}
    later = [probe.probe(tmp_path, f"later {i}", first, seconds=0.1, gpus=1) for i in range(6)]
    both = probe.probe(tmp_path, "both", {f"x.{s.label}": s.fingerprint for s in later}, gpus=2)
    on_none = probe.probe(tmp_path, "none")
    seen, _ = run(*meeting, *later, both, on_none, per_gpu=2)
    assert sorted(seen[step.label]["devices"] for step in meeting) == ["5", "5", "7", "7"], "four at once, on two"
    assert at_once([seen[step.label] for step in later], "57") == {"5": 2, "7": 2}
    assert {seen[step.label]["pid"] for step in later} <= {seen[step.label]["pid"] for step in meeting}
    assert seen["both"]["devices"] == "5,7" and seen["none"]["devices"] == ""


def test_without_sharing_a_device_has_one_step(run, tmp_path):
    seen, events = run(*(probe.probe(tmp_path, f"{i}", seconds=0.1, gpus=1) for i in range(5)))
    assert at_once(seen.values(), "57") == {"5": 1, "7": 1}
    assert not [event for event in events if event["event"] == "note"]


def test_a_step_whose_gpu_was_too_small_is_tried_again_alone(run, tmp_path):
    large = probe.probe(tmp_path, "large", fails=1, cost=9.0, gpus=1)
    others = [probe.probe(tmp_path, f"{i}", seconds=0.2, gpus=1) for i in range(3)]
    seen, events = run(large, *others, per_gpu=2)
    assert [e["step"] for e in events if e["event"] == "retried"] == [large.fingerprint]
    again = seen.pop("large")
    assert not [r for r in seen.values() if r["begin"] < again["end"] and again["begin"] < r["end"]]


def scheduled(steps, devices, sharing, store, measured=0.0):
    """Takes and ends steps in a random order; yields the steps on each device after each start."""
    plan = Plan({step.fingerprint: step for step in steps})
    scheduler = Scheduler(plan, store, list(plan.steps), lambda event: None, 2, True, sharing=sharing, devices=devices)
    draw, total = random.Random(1), {"steps": 99, "gpus": len(devices)}
    while True:
        while step := scheduler.take(total):
            assert len(scheduler.devices_of[step.fingerprint]) == step.resources["gpus"]
            yield {d: [plan.steps[f] for f, ds in scheduler.devices_of.items() if d in ds] for d in devices}
        if not scheduler.running:
            assert set(scheduler.outcome.seconds) == set(plan.steps), "all have run"
            return
        ended = draw.choice(sorted(scheduler.running))
        scheduler.settle(ended, {"seconds": 1.0, "core_seconds": 1.0, "memory": 1.0, "device_memory": measured})


def gpu_step(number, gpus=1, **more):
    return Step("train", "x:y", 1, {"i": number}, cost=more.pop("cost", 1.0), resources={"gpus": gpus, **more})


@pytest.mark.parametrize("per_gpu", [1, 2, 3, 7])
def test_no_device_ever_has_more_steps_or_memory_than_it_may(tmp_path, per_gpu):
    draw = random.Random(per_gpu)
    steps = [gpu_step(i, draw.choice([1, 1, 1, 2]), device_memory=draw.uniform(1, 30)) for i in range(200)]
    sharing, most = Sharing(per_gpu, memory=40.0), Counter()
    for on in scheduled(steps, ("a", "b", "c"), sharing, Store(tmp_path)):
        for device, there in on.items():
            most[device] = max(most[device], len(there))
            assert len(there) <= per_gpu
            assert sum(step.resources["device_memory"] for step in there) <= 40.0 or len(there) == 1
            assert len(there) == 1 or all(step.resources["gpus"] == 1 for step in there)
    assert min(most.values()) > 1 or per_gpu == 1, "and they do share it"


def test_a_step_that_needs_whole_devices_is_not_overtaken_for_ever(tmp_path):
    small = [gpu_step(i, cost=9.0 if i < 4 else 1.0, device_memory=1.0) for i in range(50)]
    large, both = gpu_step("large", cost=8.0, device_memory=99.0), gpu_step("both", gpus=2, cost=7.0)
    order = []
    for on in scheduled([*small, large, both], ("a", "b"), Sharing(2, memory=10.0), Store(tmp_path)):
        order += [step for there in on.values() for step in there if step not in order]
    assert order[:6] == [*order[:4], large, both] and all(step in small[:4] for step in order[:4])


def test_memory_that_was_measured_on_a_device_corrects_the_plan(tmp_path):
    def shared(measured):
        steps = [gpu_step(i, device_memory=4.0) for i in range(20)]
        on = scheduled(steps, ("a",), Sharing(4, memory=10.0), Store(tmp_path / str(measured)), measured)
        return [len(each["a"]) for each in on]

    assert max(shared(measured=4.0)) == 2
    assert max(shared(measured=8.0)[4:]) == 1, "those of the kind that has been measured share it no more"
    assert max(shared(measured=1.0)) == 4


def test_what_keeps_steps_from_sharing_is_said():
    steps = [{"gpus": 1, "device_memory": 30.0}, {"gpus": 1, "device_memory": 3.0}, {"memory": 1.0}]
    assert "1 of 2 steps" in Sharing(2, memory=40.0).notes(steps)[0]
    assert "not known" in Sharing(2).notes(steps)[0] and Sharing(2).share(steps[0]) == 0.5
    assert Sharing(2, memory=40.0).share({"gpus": 1}) == 1, "its memory is not planned"
    assert not Sharing().notes(steps) and not Sharing(2).notes(steps[2:])


def test_memory_of_devices_that_are_not_there_is_not_known():
    assert usable_memory(("no-such-device",)) is None


def test_only_steps_on_gpus_can_share_one():
    assert "--per-gpu is for steps on GPUs" in invoke(
        "study", "pocket", "--quick", "--device", "cpu", "--per-gpu", 2, code=2
    )
