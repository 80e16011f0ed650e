"""A run folder that was changed after its study wrote it is refused, whatever was changed."""

import json
import random
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support import invoke
from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run
from xstilts.runs.verify import seal, verified_events, verify


@pytest.fixture
def run(finished_study, tmp_path):
    return shutil.copytree(finished_study[2], tmp_path / "run", ignore=shutil.ignore_patterns("store"))


def edit(run, name, change):
    content = json.loads((run / name).read_text())
    change(content)
    (run / name).write_text(json.dumps(content))


def better_predictions(run):
    file = run / "predictions" / "pocket-nli.parquet"
    rows = pq.read_table(file).to_pylist()
    for row in rows:
        row["prediction"] = row["gold"] if row["arm"] == "near" else row["prediction"]
    pq.write_table(pa.Table.from_pylist(rows), file)


def other_contrast(study):
    study["contrasts"] = [{"contrast": "none - near", "left": "none", "right": "near", "targets": ["pocket-nli"]}]


def unexpected_table(run):
    (run / "predictions-by-oracle").mkdir()
    shutil.copy(run / "predictions" / "pocket-nli.parquet", run / "predictions-by-oracle")


CHANGES = {
    "predictions": better_predictions,
    "margin": lambda run: edit(run, "study.json", lambda study: study.update(equivalence=0.5)),
    "contrasts": lambda run: edit(run, "study.json", other_contrast),
    "held-out": lambda run: edit(run, "plan.json", lambda plan: plan["held_out"].pop()),
    "budgets": lambda run: edit(run, "cells.json", lambda cells: cells.pop()),
    "unexpected": unexpected_table,
    "missing": lambda run: (run / "predictions" / "pocket-tatoeba.parquet").unlink(),
    "checksums": lambda run: (run / "checksums.json").unlink(),
}


def test_a_run_is_what_its_study_wrote(run):
    assert read_run(run).plan["hash"] in invoke("verify", run)


@pytest.mark.parametrize("name", CHANGES)
def test_no_result_is_computed_from_a_run_that_was_changed(run, name):
    CHANGES[name](run)
    with pytest.raises(XstiltsError) as caught:
        read_run(run)
    assert caught.value.kind == "damaged"
    for verb in ("verify", "report", "claims"):
        invoke(verb, run, code=4)
    assert not (run / "report.html").exists()


def test_a_single_bit_that_flipped_in_any_file_of_numbers_is_noticed(run):
    rng = random.Random(1)
    for name in json.loads((run / "checksums.json").read_text()):
        content = (run / name).read_bytes()
        for _ in range(5):
            place = rng.randrange(len(content))
            flipped = bytes([content[place] ^ 1 << rng.randrange(8)])
            (run / name).write_bytes(content[:place] + flipped + content[place + 1 :])
            assert any(difference.startswith(name) for difference in verify(run)), (name, place)
        (run / name).write_bytes(content)
    assert verify(run) == []


@pytest.mark.parametrize("name", ["margin", "contrasts", "held-out"])
def test_a_design_that_is_not_the_plans_is_refused_even_if_its_checksum_was_changed_too(run, name):
    CHANGES[name](run)
    seal(run)
    invoke("verify", run, code=4)


def test_a_log_that_was_changed_is_not_shown_and_one_that_has_grown_is(run):
    log = run / "events.jsonl"
    start = {"time": 0.0, "session": "a", "event": "plan", "todo": [], "slots": 1, "command": "xstilts study mine"}
    log.write_text(json.dumps(start) + "\n")
    seal(run)
    with log.open("a") as stream:
        stream.write(json.dumps({"time": 1.0, "session": "b", "event": "finished", "step": "x", "seconds": 7.0}) + "\n")
    assert [event["event"] for event in verified_events(run)] == ["plan", "finished"]
    invoke("report", run)
    assert "1 steps, 7 s of compute" in (run / "report.html").read_text()
    log.write_text(log.read_text().replace("mine", "nine"))
    invoke("report", run)
    assert "events.jsonl is missing or was changed" in (run / "report.html").read_text()
    log.unlink()
    assert verified_events(run) is None


def test_what_users_may_add_to_a_run_changes_nothing(run):
    (run / "covariates.csv").write_text("language,size\nde,1\n")
    (run / "report.html").write_text("")
    invoke("verify", run)
