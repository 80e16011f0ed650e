"""Progress of a study: while it runs, after it was killed, and when it is finished, with the times of its events."""

import io
import json
import re
import socket
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console

from support import invoke
from xstilts.cli import progress, step_and_watch
from xstilts.cli.progress import Watcher
from xstilts.engine import Plan, Step, write_steps
from xstilts.report.console import clock
from xstilts.runs.events import lock

HERE = socket.gethostname()


def write_log(run, *events):
    (run / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))


@pytest.fixture
def plan():
    """Forty steps that follow each other."""
    plan, inputs = Plan(), {}
    for number in range(40):
        step = Step("train", "xstilts.data.prepare:prepare", 1, {"number": number}, inputs=inputs, cost=2.0)
        plan.steps[step.fingerprint] = step
        inputs = {"before": step.fingerprint}
    return plan


def session(plan, name, begin, seconds, ended=True):
    """Events of a session that runs all steps, `seconds` each."""
    todo = list(plan.steps)
    common = {"session": name, "host": HERE}
    yield {"event": "plan", "steps": 40, "todo": todo, "slots": 1, "time": begin, **common}
    for position, fingerprint in enumerate(todo):
        yield {"event": "started", "step": fingerprint, "time": begin + position * seconds, **common}
        end = begin + (position + 1) * seconds
        yield {"event": "finished", "step": fingerprint, "seconds": seconds, "time": end, **common}
    if ended:
        yield {"event": "ended", "failed": 0, "time": begin + 40 * seconds, **common}


def test_a_finished_run_is_summed_up_with_the_times_of_its_own_latest_session(tmp_path, plan):
    write_steps(tmp_path / "steps.jsonl", plan, list(plan.steps))
    now = time.time()
    write_log(tmp_path, *session(plan, "first", now - 9000, 50.0), *session(plan, "second", now - 4600, 10.0))
    lines = invoke("watch", tmp_path).splitlines()
    assert lines[0] == "40 steps, 0 of them already in the store"
    assert lines[1].startswith("finished 1 h 10 min ago: 40 steps in 6:40")
    assert lines[2:] == ["there is no report yet"], "progress of long ago is not printed again"


def test_a_finished_run_in_which_nothing_ran(tmp_path, plan):
    write_steps(tmp_path / "steps.jsonl", plan, [])
    now = {"time": time.time() - 60, "session": "b", "host": HERE}
    begin = {"event": "plan", "steps": 40, "todo": [], "slots": 1, **now}
    write_log(tmp_path, *session(plan, "a", 1000.0, 10.0), begin, {"event": "ended", "failed": 0, **now})
    assert "all 40 steps were in the store" in invoke("watch", tmp_path)


def test_results_that_were_damaged_when_the_study_was_started_are_said(tmp_path, plan):
    write_steps(tmp_path / "steps.jsonl", plan, list(plan.steps))
    now = {"time": time.time() - 60, "session": "b", "host": HERE}
    damaged = {"event": "damaged", "step": next(iter(plan.steps)), "why": "x.npy is missing", **now}
    begin = {"event": "plan", "steps": 40, "todo": [], "slots": 1, **now}
    write_log(tmp_path, *session(plan, "a", 1000.0, 10.0), damaged, begin, {"event": "ended", "failed": 0, **now})
    assert "damaged: " in (printed := invoke("watch", tmp_path)) and "x.npy is missing" in printed


def test_time_left_follows_from_the_times_of_events(plan):
    watcher = Watcher(plan)
    for event in list(session(plan, "a", 1000.0, 10.0))[:41]:
        watcher(event)
    assert watcher.position() == "20/40 steps, 3:20 left" and watcher.state.share() == pytest.approx(0.5)
    assert watcher.summary() == "20 steps took 200 s of compute, 5.00 times the estimate"
    assert clock(None) == "?"


def test_without_a_terminal_a_line_a_minute_says_how_far_a_study_is(plan, capsys):
    watcher = Watcher(plan)
    for event in session(plan, "a", 1000.0, 10.0):
        watcher(event)
    lines = [line for line in capsys.readouterr().out.splitlines() if " left" in line]
    assert 4 <= len(lines) <= 7, "forty steps of ten seconds take less than seven minutes"
    assert all(re.match(r"\d+/40 steps, \d+:\d\d left", line) for line in lines)


def test_half_a_line_and_steps_of_another_plan_are_skipped(tmp_path):
    write_steps(tmp_path / "steps.jsonl", Plan(), [])
    lines = [
        '{"event": "plan", "steps": 1, "todo": [], "slots": 1, "time": 1}', '{"event": "fini', "[]",
        '{"event": "started", "step": "of another plan", "time": 1}', '{"event": "note", "why": "seen", "time": 1}',
        '{"event": "ended", "failed": 0, "time": 1}',
    ]  # fmt: skip
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    assert "seen" in invoke("watch", tmp_path).splitlines()


@pytest.fixture
def stopped_clock(monkeypatch):
    """For `watch`, it is always 2,000 seconds after the epoch."""
    monkeypatch.setattr(step_and_watch, "time", SimpleNamespace(time=lambda: 2000.0, sleep=time.sleep))


def test_a_study_that_was_killed_is_not_watched_for_ever(tmp_path, stopped_clock):
    write_steps(tmp_path / "steps.jsonl", Plan(), [])
    begun = {"event": "plan", "steps": 1, "todo": [], "slots": 1, "time": 1400.0, "host": HERE}
    write_log(tmp_path, begun)
    assert "it was killed: its last event was 10:00 ago" in invoke("watch", tmp_path, code=4)


@pytest.mark.parametrize(("host", "locked"), [(HERE, True), ("elsewhere", False)])
def test_a_study_that_runs_is_watched_to_its_end(tmp_path, monkeypatch, stopped_clock, host, locked):
    monkeypatch.setattr(step_and_watch, "POLL", 0.02)
    write_steps(tmp_path / "steps.jsonl", Plan(), [])
    begun = {"event": "plan", "steps": 1, "todo": [], "slots": 1, "time": 1400.0, "host": host}
    with (tmp_path / "events.jsonl").open("w") as log:
        if locked:
            lock(log)
        print(json.dumps(begun), file=log, flush=True)
        end = threading.Timer(0.3, print, ['{"event": "ended", "failed": 1}'], {"file": log, "flush": True})
        end.start()
        printed = invoke("watch", tmp_path)
        end.join()
    assert printed.count("no event for 10:00") == 1 and "ended with 1 failed step" in printed


def test_a_study_is_watched_from_its_latest_session_while_a_line_is_being_written(tmp_path, plan, monkeypatch):
    monkeypatch.setattr(step_and_watch, "POLL", 0.02)
    write_steps(tmp_path / "steps.jsonl", plan, [])
    assert "does not exist" in invoke("watch", tmp_path, code=3)
    todo, common = list(plan.steps)[:2], {"session": "second", "host": "elsewhere", "time": time.time()}
    begun = {"event": "plan", "steps": 40, "todo": todo, "slots": 2, **common}
    started = ({"event": "started", "step": fingerprint, **common} for fingerprint in todo)
    write_log(tmp_path, *session(plan, "first", 1000.0, 10.0, ended=False), begun, *started)
    failed = json.dumps({"event": "failed", "step": todo[1], "why": "no room\nmore", **common}) + "\n"
    with (tmp_path / "events.jsonl").open("a") as log:
        print(failed[:9], end="", file=log, flush=True)
        rest = failed[9:] + json.dumps({"event": "ended", "failed": 1, **common})
        end = threading.Timer(0.3, print, [rest], {"file": log, "flush": True})
        end.start()
        lines = invoke("watch", tmp_path).splitlines()
        end.join()
    assert lines[0] == "40 steps, 38 of them already in the store"
    assert lines[1].startswith("0/2 steps"), "what ran when the command was given"
    assert lines[2].startswith("failed: ") and "no room" in lines[2]


KEYS = {"time", "event", "step", "label", "share", "examples_per_second", "bytes", "seconds_left",
        "finished", "total", "study_seconds_left"}  # fmt: skip


def half_done(plan, examples=100.0):
    """Events of a session in which a step is finished and the next one has done half in 50 seconds."""
    second = list(plan.steps)[1]
    plan.steps[second] = replace(plan.steps[second], examples=examples)
    yield from list(session(plan, "a", 1000.0, 10.0))[:4]
    for time_, share in ((1020.0, 0.1), (1070.0, 0.6)):
        yield {"event": "progress", "step": second, "share": share, "time": time_}


def test_a_line_says_how_far_each_running_step_is_how_fast_and_how_long_it_will_take(plan, capsys):
    watcher = Watcher(plan, "lines")
    for event in half_done(plan):
        watcher(event)
    assert re.search(r" · .* 60%, 1 examples/s, 0:40 left$", capsys.readouterr().out.rstrip())


def test_json_lines_have_the_same_keys_for_every_event_and_a_minute(plan, capsys):
    watcher = Watcher(plan, "json")
    for event in half_done(plan):
        watcher(event)
    watcher({"event": "failed", "step": list(plan.steps)[1], "why": "no room"})
    printed = capsys.readouterr()
    records = [json.loads(line) for line in printed.err.splitlines()]
    assert printed.out == "" and all(record.keys() - {"why"} == KEYS for record in records)
    assert [record["event"] for record in records] == ["plan", "started", "finished", "started", "progress", "failed"]
    facts = {"share": 0.6, "examples_per_second": 1.0, "seconds_left": 40, "finished": 1, "total": 40}
    assert facts.items() <= records[4].items() and records[5]["why"] == "no room" and records[5]["finished"] == 2


def test_quiet_prints_nothing(plan, capsys):
    watcher = Watcher(plan, "quiet")
    for event in [*half_done(plan), {"event": "note", "why": "seen"}]:
        watcher(event)
    printed = capsys.readouterr()
    assert printed.out == printed.err == ""


def test_a_terminal_shows_a_bar_for_the_study_and_one_for_each_running_step(plan, monkeypatch):
    terminal = Console(force_terminal=True, width=100, file=io.StringIO())
    monkeypatch.setattr(progress, "Console", lambda: terminal)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", 0.0)
    watcher = Watcher(plan)
    for event in half_done(plan):
        watcher(event)
    drawn = Console(width=100, file=io.StringIO())
    drawn.print(watcher.display.get_renderable())
    lines = drawn.file.getvalue().splitlines()
    assert len(lines) == 2 and lines[0].startswith("1/40 steps")
    assert "60%" in lines[1] and "1 examples/s" in lines[1] and "0:40 left" in lines[1]


def test_a_program_can_watch_a_study(tmp_path, plan):
    write_steps(tmp_path / "steps.jsonl", plan, [])
    write_log(tmp_path, *session(plan, "a", 1000.0, 10.0))
    records = [json.loads(line) for line in invoke("watch", tmp_path, "--json").splitlines()]
    assert len(records) == 82 and all(record.keys() == KEYS for record in records)
    assert records[-1]["event"] == "ended" and records[-1]["finished"] == records[-1]["total"] == 40
