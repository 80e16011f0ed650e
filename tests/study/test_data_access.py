"""Licence, access and size of the data of a study, and what is missing on this machine; no host is asked."""

import json
from dataclasses import replace

import pytest
import yaml

from support import ON_THE_HUB, invoke
from xstilts.config.load import load_study
from xstilts.errors import XstiltsError
from xstilts.study.data_access import data_access, data_warnings, model_download
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan

GATED = {"tasks": {"xnli": {"extends": "xnli", "access": "gated"}}}


@pytest.fixture(autouse=True)
def no_host(monkeypatch):
    def refuse(*address):
        raise AssertionError(f"a host was asked: {address}")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


def study(folder, changes):
    file = folder / "mine.yaml"
    file.write_text(yaml.safe_dump(ON_THE_HUB | changes))
    return str(file)


def rows(planned):
    return {row["task"]: row for row in data_access(planned)}


def planned_with(folder, changes, data=None):
    return build_plan(freeze(load_study(study(folder, changes)), data, "cpu"))


def test_a_plan_lists_licence_and_access_of_each_task_and_warns_of_what_is_missing(tmp_path):
    facts = json.loads(invoke("plan", study(tmp_path, GATED), "--json"))
    found = {row["task"]: row for row in facts["data"]}
    assert found.keys() == {"mnli", "xnli", "tatoeba"}
    assert {"licence": "CC BY 2.0 FR", "access": "open", "satisfied": True}.items() <= found["tatoeba"].items()
    assert {"licence": "CC BY-NC 4.0", "access": "gated", "satisfied": False}.items() <= found["xnli"].items()
    assert sum(found["xnli"]["missing"] in warning for warning in facts["warnings"]) == 1
    table = invoke("plan", study(tmp_path, GATED)).partition("Data")[2].partition("Cost")[0]
    assert all(name in table for name in found)


def test_gated_data_take_a_token_or_a_copy(tmp_path, monkeypatch):
    planned = build_plan(freeze(load_study(study(tmp_path, GATED)), None, "cpu"))
    assert not rows(planned)["xnli"]["satisfied"] and len(data_warnings(planned, data_access(planned))) == 2
    (tmp_path / "facebook/xnli").mkdir(parents=True)
    copied = replace(planned, frozen=replace(planned.frozen, data=tmp_path))
    assert rows(copied)["xnli"]["satisfied"]
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "a token")
    assert rows(planned)["xnli"]["satisfied"]
    (licences,) = data_warnings(planned, data_access(planned))
    assert "xnli (CC BY-NC 4.0)" in licences and "mnli" not in licences.replace("xnli", "")


def test_access_changes_neither_steps_nor_the_hash_of_a_plan(tmp_path):
    plans = []
    for access in ("open", "gated"):
        changes = {"tasks": {"xnli": {"extends": "xnli", "access": access}}}
        planned = build_plan(freeze(load_study(study(tmp_path, changes)), None, "cpu"))
        plans.append((list(planned.plan.steps), planned.frozen.describe()["hash"]))
    assert plans[0] == plans[1]


def test_data_that_only_the_user_can_get_are_missing(tmp_path):
    arms = {"none": {}, "english": {"intermediate": "ccg"}}
    changes = {"intermediate": {"ccg": {"epochs": 1, "recipe": {"learning_rate": 1e-5}}}, "arms": arms}
    changes["tasks"] = {"ccg": {"extends": "ccg", "labels": ["N", "NP"]}}
    found = rows(build_plan(freeze(load_study(study(tmp_path, changes)), None, "cpu")))
    assert found["ccg"]["access"] == "files" and not found["ccg"]["satisfied"] and "LDC" in found["ccg"]["licence"]


def test_files_of_the_user_are_there_or_missing(tmp_path):
    source = {"format": "table", "files": {"train": "{lang}.tsv", "validation": "{lang}-dev.tsv"}}
    source["columns"] = {"text_a": 0, "label": 1}
    mine = {"type": "classification", "labels": ["a", "b"], "languages": ["en"], "source": source}
    recipe = {"learning_rate": 1e-5}
    changes = {"tasks": {"mine": mine}, "intermediate": {"mine": {"task": "mine", "epochs": 1, "recipe": recipe}}}
    changes["arms"] = {"none": {}, "english": {"intermediate": "mine"}}
    for name in ("en.tsv", "en-dev.tsv"):
        (tmp_path / name).write_text("x\ta\n")
    planned = build_plan(freeze(load_study(study(tmp_path, changes)), tmp_path, "cpu"))
    row = rows(planned)["mine"]
    assert row["access"] == "files" and row["satisfied"] and row["licence"] == "unknown"
    (tmp_path / "en.tsv").unlink()
    assert not rows(planned)["mine"]["satisfied"]


def test_parts_of_a_task_are_listed_too(tmp_path):
    changes = {"intermediate": {"anli_plus": {"epochs": 1, "recipe": {"learning_rate": 1e-5}}}}
    changes["arms"] = {"none": {}, "english": {"intermediate": "anli_plus"}}
    found = rows(build_plan(freeze(load_study(study(tmp_path, changes)), None, "cpu")))
    assert {"anli_plus", "snli", "mnli", "anli"} <= found.keys()


def test_only_data_of_the_hub_can_be_gated(tmp_path):
    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, {"tasks": {"ccg": {"extends": "ccg", "access": "gated"}}}))
    assert caught.value.kind == "bad-setting"


def test_a_translator_that_excludes_commercial_use_is_named(tmp_path):
    changes = {"translators": {"mt": {"load": "facebook/nllb-200-distilled-600M", "revision": "0" * 40}}}
    planned = planned_with(tmp_path, changes)
    assert any("nllb-200-distilled-600M (CC BY-NC 4.0)" in warning for warning in data_warnings(planned, []))
    assert model_download(planned) > 4 * 600_000_000


def test_what_the_hub_gives_is_downloaded_and_a_copy_or_the_authors_files_are_not(tmp_path):
    arms = {"none": {}, "english": {"intermediate": "cosmosqa"}}
    training = {"epochs": 1, "train": "validation", "recipe": {"learning_rate": 1e-5}}
    changes = {"intermediate": {"cosmosqa": training}, "arms": arms}
    size = {name: row["download"] for name, row in rows(planned_with(tmp_path, changes)).items()}
    assert 20e6 < size["mnli"] < 200e6  # its training set has 76 MB
    assert size["tatoeba"] and size["cosmosqa"]
    (tmp_path / "facebook/xnli").mkdir(parents=True)
    (tmp_path / "cosmosqa").mkdir()
    header = "id,context,question,answer0,answer1,answer2,answer3,label\n"
    (tmp_path / "cosmosqa/valid.csv").write_text(header + '1,"It rained, a lot.",Why?,a,b,c,d,2\n')
    planned = planned_with(tmp_path, changes)
    copied = rows(replace(planned, frozen=replace(planned.frozen, data=tmp_path)))
    assert copied["xnli"]["download"] == copied["cosmosqa"]["download"] == 0 < copied["mnli"]["download"]
