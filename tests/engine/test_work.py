"""What a step that runs alone, or in a worker, says about damage that it repairs."""

import logging

import pytest

from xstilts.data import prepare
from xstilts.engine import Plan, Step, Store, run_alone
from xstilts.engine.work import work
from xstilts.errors import XstiltsError

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


def test_what_a_step_logs_as_a_warning_is_a_note_of_it(tmp_path, monkeypatch):
    def warns(arguments, inputs, out, context):
        (out / "examples.parquet").write_text("")
        logging.getLogger("xstilts.evaluation.encode").warning("%s is damaged", "ids.npy")

    monkeypatch.setattr(prepare, "prepare", warns)
    outcome = work(ROWS.to_json(), str(tmp_path), lambda share: None)
    assert outcome["notes"] == ["ids.npy is damaged"]
