"""The log of a run and the files that several processes may write."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xstilts.analysis import analyse
from xstilts.config.load import load_study
from xstilts.engine import Outcome, Store
from xstilts.runs.events import event_log, read_event, read_events
from xstilts.runs.run_files import ESTIMATES, EVENTS, read_json, write_table
from xstilts.runs.verify import verify
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.results import gather
from xstilts.study.run import freeze_plan, run_study


def test_each_start_is_a_session_of_its_own(tmp_path):
    for step in ("a", "b"):
        with event_log(tmp_path, lambda event: None) as report:
            report({"event": "plan", "steps": 1, "todo": [step], "slots": 1})
            report({"event": "failed", "step": step, "why": "?"})
    events = read_events(tmp_path)
    assert [event["event"] for event in events] == ["plan", "failed", "ended"] * 2
    assert [event["failed"] for event in events if event["event"] == "ended"] == [1, 1]
    sessions = [event["session"] for event in events]
    assert len(set(sessions[:3])) == len(set(sessions[3:])) == 1 and sessions[0] != sessions[3] and events[3]["host"]


def test_a_log_ends_its_session_after_an_error_and_continues_after_half_a_line(tmp_path):
    (tmp_path / EVENTS).write_text('{"event": "fini')
    with pytest.raises(OSError), event_log(tmp_path, lambda event: None):
        raise OSError
    assert [event["event"] for event in read_events(tmp_path)] == ["ended"]
    assert read_events(tmp_path / "elsewhere") == []


def test_a_log_that_ends_in_a_changed_byte_is_continued(tmp_path):
    (tmp_path / EVENTS).write_bytes(b'{"event": "ended", "failed": 0}\x8a')
    with event_log(tmp_path, lambda event: None) as report:
        report({"event": "note", "why": "it goes on"})
    assert [event["event"] for event in read_events(tmp_path)] == ["note", "ended"]


@pytest.mark.parametrize("line", [
    b"\xff", b"3", b"[]", b"{}", b'{"event": 3}', b'{"event": "nonesuch"}', b'{"event": "plan", "todo": 3, "slots": 1}',
    b'{"event": "plan", "todo": [], "slots": 0}', b'{"event": "finished", "step": "a", "seconds": "3"}',
    b'{"event": "finished", "step": "a", "seconds": 1e999}', b'{"event": "failed", "step": "a", "why": null}',
    b'{"event": "ended", "failed": 0, "time": "now"}', b'{"event": "ended", "failed": 0, "time": 1e300}',
    b"[" * 100_000, b'{"event": "ended", "failed": ' + b"9" * 5000 + b"}",
])  # fmt: skip
def test_a_line_that_no_study_wrote_is_no_event(line):
    assert read_event(line) is None


def test_the_log_of_a_run_holds_no_secrets(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["xstilts", "study", "--address", "ray://me:pass/word@head:10001"])
    why = (
        "GET https://cdn.hub/file?X-Amz-Signature=0123abc&x=1 with hf_abcdefghijklmnopqrstu failed at http://hub:80/a@b"
    )
    with event_log(tmp_path, lambda event: None) as report:
        report({"event": "plan", "steps": 1})
        report({"event": "failed", "step": "a", "why": why, "trace": why})
    text = (tmp_path / EVENTS).read_text()
    assert not [secret for secret in ("pass", "word", "0123abc", "abcdefgh") if secret in text]
    assert text.count("Signature=…&x=1".encode("unicode_escape").decode()) == 2 and "http://hub:80/a@b" in text


def test_progress_is_passed_on_and_rarely_logged(tmp_path):
    seen = []
    with event_log(tmp_path, seen.append) as report:
        for share in (0.1, 0.2, 0.3):
            report({"event": "progress", "step": "a", "share": share})
    assert len(seen) == 4 and [event["event"] for event in read_events(tmp_path)] == ["progress", "ended"]


def test_estimates_are_of_the_steps_that_this_call_ran(tmp_path):
    """A study that is started again when it has finished does not repeat what its steps took."""
    planned = build_plan(freeze(load_study("pocket", quick=True), None, "cpu"))
    seconds = [{planned.wanted[0]: 4.0}, {}]
    for expected in ([("predict", 1, 4.0)], []):
        took = Outcome(device_seconds=seconds.pop(0))
        run_study(planned, Store(tmp_path / "store"), tmp_path, lambda *_, took=took: took, lambda event: None)
        rows = read_json(tmp_path, ESTIMATES)
        assert [(row["kind"], row["steps"], row["measured_seconds"]) for row in rows] == expected


def test_two_processes_that_end_in_one_run_folder_leave_it_whole(finished_study, tmp_path):
    planned, store, _ = finished_study
    freeze_plan(planned, tmp_path)
    with ThreadPoolExecutor(3) as threads:
        for written in [threads.submit(gather, planned, store, tmp_path) for _ in range(6)]:
            written.result()
    assert verify(tmp_path) == [] and analyse(tmp_path)["verdicts"]
    assert not list(tmp_path.rglob("*.part"))


def test_two_writers_of_one_folder_do_not_disturb_each_other(tmp_path):
    errors = []

    def write(value):
        try:
            for _ in range(40):
                write_table(tmp_path / "one.parquet", pa.table({"x": [value] * 1000}))
        except OSError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors and [file.name for file in tmp_path.iterdir()] == ["one.parquet"]
    assert len(set(pq.read_table(tmp_path / "one.parquet")["x"].to_pylist())) == 1
