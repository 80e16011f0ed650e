"""Second tries of degenerate trainings, and plans that differ from an earlier one."""

import json

import pytest

from xstilts.config.load import load_study
from xstilts.engine import Store
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.results import gather
from xstilts.study.run import differences, freeze_plan, second_tries


@pytest.fixture(scope="module")
def planned():
    return build_plan(freeze(load_study("pocket", quick=True), None, "cpu"))


def finish(store, planned, fingerprint, first, last, score):
    entries = [{"update": 1, "loss": first}, {"update": 2, "loss": last, "score": score}]
    record = {"history": entries, "examples": 9, "updates": 2, "tokens": 99, "dev_score": score}
    with store.writing(planned.plan.steps[fingerprint]) as out:
        (out / "history.json").write_text(json.dumps(record))


def trained(planned, arm, target="pocket-nli", replicate=1):
    return next(c for c in planned.cells if (c.arm, c.target, c.replicate) == (arm, target, replicate))


def store_of(tmp_path, planned, degenerate):
    store = Store(tmp_path / "store")
    for step in [s for s in planned.plan.steps.values() if s.kind == "train"]:
        lost = step.fingerprint in degenerate
        finish(store, planned, step.fingerprint, 1.1, 1.09 if lost else 0.4, 33.0 if lost else 80.0)
    return store


def test_nothing_is_tried_again_if_all_trainings_learned(planned, tmp_path):
    assert second_tries(planned, store_of(tmp_path, planned, set())) is None


def test_nothing_is_tried_again_if_no_training_learned(planned, tmp_path):
    everything = {f for f, step in planned.plan.steps.items() if step.kind == "train"}
    assert second_tries(planned, store_of(tmp_path, planned, everything)) is None


def test_a_degenerate_target_training_gets_another_seed_and_nothing_else_changes(planned, tmp_path):
    lost = trained(planned, "english").training
    second = second_tries(planned, store_of(tmp_path, planned, {lost}))
    again = trained(second, "english").training
    before, after = planned.plan.steps[lost].arguments, second.plan.steps[again].arguments
    assert {name for name in before if before[name] != after[name]} == {"seed"}
    changed = [c for c, d in zip(planned.cells, second.cells, strict=True) if c != d]
    assert changed == [trained(planned, "english")]
    assert second_tries(planned, store_of(tmp_path / "same", planned, {lost})).cells == second.cells


def test_a_degenerate_intermediate_training_changes_what_follows_it(planned, tmp_path):
    lost = trained(planned, "far").intermediate
    second = second_tries(planned, store_of(tmp_path, planned, {lost}))
    changed = {(c.arm, c.target, c.replicate) for c, d in zip(planned.cells, second.cells, strict=True) if c != d}
    assert changed == {("far", target, 1) for target in ("pocket-nli", "pocket-paws", "pocket-tatoeba")}


def test_a_second_try_leaves_lengthened_arms_and_the_oracle_alone(tmp_path):
    file = tmp_path / "own.yaml"
    changes = {
        "arms": {"none-longer": {"match_updates_of": "english"}},
        "targets": {"pocket-nli": {"oracle": "validation"}},
    }
    file.write_text(json.dumps({"extends": "pocket", "name": "own", **changes}))
    planned = build_plan(freeze(load_study(str(file), quick=True), None, "cpu"))
    lost = trained(planned, "english").intermediate
    second = second_tries(planned, store_of(tmp_path, planned, {lost}))
    changed = {
        (c.arm, c.replicate) for c, d in zip(planned.cells, second.cells, strict=True) if c.training != d.training
    }
    assert changed == {("english", 1)}
    assert all(cell.oracle for cell in planned.cells if cell.target == "pocket-nli" and cell.training)
    assert not any(cell.oracle for cell in second.cells), "the oracle is compared with the first tries"


def test_a_lengthened_training_is_not_compared_with_short_ones(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        json.dumps({"extends": "pocket", "name": "own", "arms": {"none-longer": {"match_updates_of": "english"}}})
    )
    planned = build_plan(freeze(load_study(str(file), quick=True), None, "cpu"))
    short = {c.training for c in planned.cells if c.training and c.arm != "none-longer"}
    assert second_tries(planned, store_of(tmp_path, planned, short)) is None, "if none learned, none is degenerate"


def test_a_plan_that_differs_says_what_changed(planned, tmp_path):
    assert freeze_plan(planned, tmp_path) == []
    assert freeze_plan(planned, tmp_path) == []
    (tmp_path / "study.json").write_text("{}")
    study = load_study("pocket", quick=True, replicates=4)
    changes = freeze_plan(build_plan(freeze(study, None, "cpu")), tmp_path)
    assert "study.replicates: 2 is now 4" in changes
    assert not [line for line in changes if line.startswith(("pool", "held_out", "evaluated", "warnings"))]
    assert json.loads((tmp_path / "plan.json").read_text())["study"]["replicates"] == 4
    assert len(list(tmp_path.glob("plan-*.json"))) == 1
    assert not (tmp_path / "study.json").exists() and len(list(tmp_path.glob("study-*.json"))) == 1
    assert differences({"a": {"b": 1}, "hash": "x"}, {"a": {"b": 2, "c": 3}, "hash": "y"}) == [
        "a.b: 1 is now 2", "a.c: null is now 3"
    ]  # fmt: skip


def test_predictions_of_an_earlier_plan_are_removed(planned, tmp_path):
    (tmp_path / "predictions").mkdir()
    (tmp_path / "predictions/pocket-nli.parquet").write_text("of an earlier plan")
    gather(planned, Store(tmp_path / "store"), tmp_path)
    assert not list((tmp_path / "predictions").iterdir())
