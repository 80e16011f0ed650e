"""Share, speed and time left of a running study, from its events."""

import os

import pytest

from xstilts.engine import Plan, Step
from xstilts.runs.study_progress import StudyProgress, downloading


@pytest.fixture
def state():
    """Ten steps of an estimated cost of 10 s; the first one begins at 100 s."""
    plan = Plan()
    for number in range(10):
        plan.add(Step("train", "x:y", 1, {"n": number}, cost=10.0, examples=1000.0 if number else 0.0))
    state = StudyProgress(plan)
    state.take({"event": "plan", "todo": list(plan.steps), "slots": 2, "time": 100.0})
    return state


def begin(state, number, *reports):
    """Start a step at 100 s and report its shares, pairs of time and share; returns its row."""
    fingerprint = list(state.plan.steps)[number]
    state.take({"event": "started", "step": fingerprint, "time": 100.0})
    for time, share in reports:
        state.take({"event": "progress", "step": fingerprint, "share": share, "time": time})
    return state.rows()[-1]


def test_a_resumed_training_is_as_fast_as_it_is_since_it_was_resumed(state):
    row = begin(state, 1, (110.0, 0.5), (120.0, 0.6))
    assert row["examples_per_second"] == 10 and row["seconds_left"] == 40 and row["share"] == 0.6


def test_nothing_is_said_about_what_is_not_known(state):
    row = begin(state, 1)
    assert row["share"] is row["examples_per_second"] is row["seconds_left"] is None and state.seconds_left() is None
    row = begin(state, 0, (110.0, 0.1), (120.0, 0.2))
    assert row["examples_per_second"] is None, "the plan does not say how many examples this step has"


def test_a_step_that_begins_again_is_measured_again(state):
    row = begin(state, 1, (110.0, 0.8), (120.0, 0.9), (130.0, 0.1), (140.0, 0.2))
    assert row["seconds_left"] == 80


def test_a_study_takes_at_least_as_long_as_its_slowest_step(state):
    slow = list(state.plan.steps)[1]
    for fingerprint in state.plan.steps.keys() - {slow}:
        state.take({"event": "finished", "step": fingerprint, "seconds": 10.0, "time": 100.0})
    begin(state, 1, (110.0, 0.1), (120.0, 0.2))
    assert state.seconds_left() == pytest.approx(80.0), "one of the two slots is idle"


def test_time_left_without_reports_follows_the_estimate_until_that_has_passed(state):
    first, second = list(state.plan.steps)[:2]
    state.take({"event": "started", "step": second, "time": 100.0})
    state.take({"event": "finished", "step": first, "seconds": 20.0, "time": 105.0})
    assert state.rows()[0]["seconds_left"] == 15
    state.take({"event": "note", "why": "later", "time": 130.0})
    assert state.rows()[0]["seconds_left"] is None


def test_bytes_of_a_download_are_those_of_the_unfinished_files_of_its_repository(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    blobs = tmp_path / "datasets--facebook--xnli/blobs"
    blobs.mkdir(parents=True)
    for name, seconds in (("a.0.incomplete", 200), ("b.0.incomplete", 200), ("old.0.incomplete", 50), ("done", 200)):
        (blobs / name).write_bytes(b"12345")
        os.utime(blobs / name, (seconds, seconds))
    step = Step("rows", "x:y", 1, {"task": {"source": {"hub": "facebook/xnli"}}})
    assert downloading(step, since=100.0) == 10 and downloading(step, since=300.0) is None
    assert downloading(Step("fetch", "x:y", 1, {"load": "facebook/xnli"}), since=100.0) is None, "not a model"
