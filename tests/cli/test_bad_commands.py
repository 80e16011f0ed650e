"""Mistakes of users on the command line and in folders of runs give an error of three lines."""

import json

import pytest
import yaml

from support import invoke
from xstilts.config.load import load_study
from xstilts.costs.devices import rates
from xstilts.engine import Step, Store, run_step
from xstilts.errors import XstiltsError
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.study.run import run_study


def fails(*words, code=2):
    """Run a command that must fail with three labelled lines, and return them."""
    printed = invoke(*words, code=code)
    lines = printed[printed.index("error: ") :].splitlines()
    assert [line[:7] for line in lines if line[:1] != " "] == ["error: ", "why:   ", "hint:  "], printed
    return printed


@pytest.mark.parametrize(("words", "says", "code"), [
    (["plan", "pocket", "--dot", "--json"], "output has one format", 2),
    (["plan", "pocket", "--quick", "--freeze", "file"], "cannot use", 2),
    (["plan", "pocket", "--quick", "--freeze", "else"], "no plan of a study", 2),
    (["study", "--device", "h200"], "'h200' is not one of", 2),
    (["bench", "device", "--device", "h200"], "'h200' is not one of", 2),
    (["study", "--engine", "ray", "--jobs", 2], "--jobs is for", 2),
    (["study", "--address", "here"], "--address is for", 2),
    (["step", "--run", "else", "--list"], "line 1 of", 2),
    (["step", "--run", "else", "--list", "--ready"], "it is not clear what to do", 2),
    (["transfer", "rank", "--for", "sw", "--task", "nope"], "no model of", 2),
    (["transfer", "rank", "--for", "sw", "--candidates", "sw"], "no source to rank", 2),
    (["transfer", "rank", "--for", "sw", "--store", "else"], "--store is for runs", 2),
    (["transfer", "rank"], "nothing to rank for", 2),
    (["transfer", "rank", "--for", "sw", "--model", "file"], "not a transfer model", 2),
    (["transfer", "fit", "file", "-o", "m.json"], "has no results", 2),
    (["transfer", "fit", "absent.csv", "-o", "m.json"], "there is no file", 3),
    (["transfer", "predict", "file", "--task", "xnli", "-o", "m.json"], "not a SumEval file", 2),
    (["transfer", "evidence", "file", "--measure", "nope"], "unknown measure", 2),
    (["transfer", "evidence", "file", "--column", "nope=x"], "no such name", 2),
])  # fmt: skip
def test_arguments_that_do_not_go_together(tmp_path, monkeypatch, words, says, code):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "else").mkdir()
    (tmp_path / "run").mkdir()
    (tmp_path / "else/plan.json").write_text("{}")
    (tmp_path / "else/steps.jsonl").write_bytes(b"\xff\n")
    assert says in fails(*words, code=code)


def test_a_store_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    step = Step("rows", "xstilts.data.prepare:prepare", 1, {})
    with pytest.raises(XstiltsError) as error:
        run_step(step, Store(tmp_path / "file"))
    assert error.value.kind == "store-full"


@pytest.mark.parametrize("change", [
    {"class": "tpu"}, {"fp32": float("nan")}, {"step_seconds": -1}, {"layer_seconds": {"fp32": -1, "bf16": 0}},
])  # fmt: skip
def test_rates_that_are_no_positive_numbers(tmp_path, monkeypatch, change):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    good = {"class": "cpu", "fp32": 1e11, "bf16": 1e11, "efficiency": {"fp32": 1, "bf16": 1},
            "narrow": {"fp32": 0, "bf16": 0}, "layer_seconds": {"fp32": 0, "bf16": 0}, "step_seconds": 0,
            "ground": "made up"}  # fmt: skip
    (tmp_path / "xstilts").mkdir()
    file = tmp_path / "xstilts/devices.yaml"
    file.write_text(yaml.safe_dump({"mine": good}))
    assert rates("mine").kind == "cpu"
    file.write_text(yaml.safe_dump({"mine": good | change}))
    with pytest.raises(XstiltsError, match=r"devices\.yaml"):
        rates("mine")


def test_the_log_of_a_run_that_fails_ends_and_continues_after_half_a_line(tmp_path):
    planned = build_plan(freeze(load_study("pocket", quick=True), None, "cpu"))
    (tmp_path / "events.jsonl").write_text('{"event": "fini')

    def full(*_):
        raise XstiltsError("store-full", "cannot write", "the disk is full", "free some space")

    with pytest.raises(XstiltsError):
        run_study(planned, Store(tmp_path / "store"), tmp_path, full, lambda event: None)
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "ended"
