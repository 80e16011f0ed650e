"""What helps to begin: the list of studies, and a description of the machine."""

import json

from support import invoke
from xstilts.config.load import builtin_studies


def test_studies_lists_every_built_in_study_with_its_cost():
    rows = {row["name"]: row for row in json.loads(invoke("studies", "--device", "h100", "--json"))}
    assert rows.keys() == builtin_studies().keys()
    assert all(row["device_hours"] > 0 and row["question"] for row in rows.values())
    assert rows["pocket"]["artificial"] and not rows["laptop"]["artificial"]
    assert rows["distant-sources"]["device_hours"] > rows["distant-sources-base"]["device_hours"]


def test_doctor_describes_the_machine_without_asking_a_host(monkeypatch, tmp_path):
    def refuse(*arguments, **settings):
        raise AssertionError("a host was asked")

    monkeypatch.setattr("huggingface_hub.HfApi.list_models", refuse)
    rows = {row["what"]: row for row in json.loads(invoke("doctor", "--store", tmp_path / "new" / "store", "--json"))}
    assert {"versions", "device", "precision", "memory", "disk", "hub"} <= rows.keys()
    assert str(tmp_path) in rows["disk"]["found"] and all(row["means"] for row in rows.values())


def test_doctor_says_if_the_hub_does_not_answer(monkeypatch):
    def fail(*arguments, **settings):
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.HfApi.list_models", fail)
    assert "no route to host" in " ".join(invoke("doctor", "--hub").split())
