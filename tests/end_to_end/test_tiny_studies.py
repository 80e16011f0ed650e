"""The studies that benchmarks/kills.py and its like run can be planned, so that `make soak` does not find out."""

import sys

import pytest

from support import ROOT, invoke

sys.path.insert(0, str(ROOT / "benchmarks"))

from tiny_studies import STUDIES, write_study


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_that_is_killed_can_be_planned(tmp_path, monkeypatch, name):
    words = write_study(name, tmp_path)
    monkeypatch.chdir(tmp_path)
    data = ["--data", "data"] if "--data" in words else []
    assert "plan " in invoke("plan", "study.yaml", *data)
