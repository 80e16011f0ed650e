"""What a step that runs alone, or in a worker, says about damage that it repairs."""

import logging

import pytest

from xstilts.data import prepare
from xstilts.data.examples import content_digest
from xstilts.engine import Plan, Step, Store, execute, run_alone, run_step
from xstilts.engine.work import work
from xstilts.errors import XstiltsError
from xstilts.tasks.task import Task

TEXT = {"name": "made", "type": "mlm", "source": {"world": 1, "kind": "text", "rows": {"train": 5}}}
ARGUMENTS = {"task": TEXT, "tasks": {}, "split": "train", "language": "en"}
ROWS = Step("rows", "xstilts.data.prepare:prepare", 1, ARGUMENTS, label="rows of en")


def test_a_damaged_result_and_a_damaged_input_are_said(tmp_path):
    plan, store, notes = Plan(), Store(tmp_path), []
    user = Step("rows", ROWS.function, 1, ARGUMENTS | {"language": "de"}, {"text": plan.add(ROWS)})
    plan.add(user)

    def damage():
        (store.path(ROWS.fingerprint) / "examples.parquet").write_bytes(b"PAR1")

    run_alone(plan, ROWS.fingerprint, store)
    damage()
    assert run_alone(plan, ROWS.fingerprint, store, note=notes.append) is not None
    assert "examples.parquet" in notes.pop() and not notes
    damage()
    with pytest.raises(XstiltsError) as error:
        run_alone(plan, user.fingerprint, store)
    assert error.value.kind == "unfinished" and "damaged" in error.value.why


@pytest.mark.parametrize("name", ["examples.parquet", "manifest.json"])
def test_a_damaged_result_that_no_step_to_run_reads_is_computed_again(tmp_path, name):
    plan, store, events = Plan(), Store(tmp_path), []
    user = Step("rows", ROWS.function, 1, ARGUMENTS | {"language": "de"}, {"text": plan.add(ROWS)})
    wanted = [plan.add(user)]
    execute(plan, store, wanted, events.append, 1, 1)
    (store.path(ROWS.fingerprint) / name).unlink()
    assert {*execute(plan, store, wanted, events.append, 1, 1).seconds} == {ROWS.fingerprint}
    assert ROWS.fingerprint in store.finished([ROWS.fingerprint]) and not store.inspect(ROWS.fingerprint)


def test_files_that_changed_after_the_plan_was_made_are_refused(tmp_path):
    source = {"format": "lines", "files": {"train": "{lang}.txt"}}
    entry = {"name": "mine", "type": "mlm", "source": source, "languages": ["en"]}
    (tmp_path / "en.txt").write_text("the old river\n")
    content = content_digest(Task(**entry), "train", "en", tmp_path, {})
    arguments = ARGUMENTS | {"task": entry, "content": content}
    planned = Step("rows", ROWS.function, 1, arguments, location={"data": str(tmp_path)}, label="rows of en")
    run_step(planned, Store(tmp_path / "store"))
    (tmp_path / "en.txt").write_text("another river\n")
    with pytest.raises(XstiltsError) as error:
        run_step(planned, Store(tmp_path / "another"))
    assert error.value.kind == "inconsistent"


def test_what_a_step_logs_as_a_warning_is_a_note_of_it(tmp_path, monkeypatch):
    def warns(arguments, inputs, out, context):
        (out / "examples.parquet").write_text("")
        logging.getLogger("xstilts.evaluation.encode").warning("%s is damaged", "ids.npy")

    monkeypatch.setattr(prepare, "prepare", warns)
    outcome = work(ROWS.to_json(), str(tmp_path), lambda share: None)
    assert outcome["notes"] == ["ids.npy is damaged"]
