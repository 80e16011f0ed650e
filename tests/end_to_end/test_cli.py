"""The command line as a new user meets it: the README's commands, interrupted runs, and mistakes."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from support import ROOT, invoke
from xstilts.engine import Store, read_steps
from xstilts.runs.events import read_events

XSTILTS = [str(Path(sys.executable).with_name("xstilts"))]


def run(*arguments, cwd, expect=0):
    done = subprocess.run([*XSTILTS, *map(str, arguments)], cwd=cwd, capture_output=True, text=True, timeout=600)
    assert done.returncode == expect, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def quick_run(tmp_path_factory):
    """The quick form of the offline study, run once for all tests."""
    folder = tmp_path_factory.mktemp("quick")
    return folder, run("study", "pocket", "--quick", cwd=folder)


def test_the_study_prints_verdicts_and_writes_its_report(quick_run):
    folder, printed = quick_run
    result = json.loads((folder / "runs/pocket-quick/analysis.json").read_text())
    assert [v["contrast"] for v in result["verdicts"]] == ["far - english", "far - near", "english - none"]
    words = " ".join(printed.split())
    for verdict in result["verdicts"] + result["controls"]:
        assert verdict["verdict"] in words
        assert verdict["contrast"] in words
    page = (folder / "runs/pocket-quick/report.html").read_text()
    for verdict in result["verdicts"]:
        assert verdict["left"] in page and f"{verdict['estimate']:+.1f}" in page
    held_fixed = [row["with"] for row in result["distance"][0]["adjusted"] if "slope" in row]
    assert ["sub-word overlap"] in held_fixed and ["pretraining size"] in held_fixed


def test_a_second_run_trains_nothing(quick_run):
    folder, _ = quick_run
    before = (folder / "runs/pocket-quick/predictions/pocket-nli.parquet").read_bytes()
    printed = run("study", "pocket", "--quick", cwd=folder)
    steps, finished = map(int, re.search(r"(\d+) steps, (\d+) of them already in the store", printed).groups())
    assert steps == finished > 50 and f"all {steps} steps were in the store" in printed
    assert (folder / "runs/pocket-quick/predictions/pocket-nli.parquet").read_bytes() == before


def test_report_analyses_again_without_training(quick_run):
    folder, _ = quick_run
    report = folder / "runs/pocket-quick/report.html"
    report.unlink()
    run("report", "runs/pocket-quick", cwd=folder)
    assert report.is_file()


PART = """\
extends: pocket
name: part
arms: {near: null, far: null, english-again: null, in-language: null}
targets: {pocket-paws: null}
contrasts: [english - none]
controls: null
"""
"""Some of the steps of the offline study."""


def test_a_run_that_is_killed_and_stopped_resumes_bit_identically(quick_run, tmp_path):
    here, there, file = tmp_path / "runs/part-quick", quick_run[0] / "runs/pocket-quick", tmp_path / "part.yaml"
    file.write_text(PART)
    for finished, number, status in ((40, signal.SIGKILL, -signal.SIGKILL), (60, signal.SIGTERM, 130)):
        out, err = subprocess.DEVNULL, subprocess.PIPE
        running = subprocess.Popen([*XSTILTS, "study", file, "--quick"], cwd=tmp_path, stdout=out, stderr=err)
        deadline = time.time() + 300
        while time.time() < deadline and sum(e["event"] == "finished" for e in read_events(here)) < finished:
            time.sleep(0.2)
        workers = children(running.pid)
        running.send_signal(number)
        assert b"Traceback" not in running.communicate()[1] and running.returncode == status
        assert not (here / "report.html").exists(), "it was killed too late to show anything"
        while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.time() < deadline:
            time.sleep(0.2)
        assert not any(Path(f"/proc/{pid}").exists() for pid in workers), "workers outlive the run that started them"
    assert not list((tmp_path / "runs/store/temporary").iterdir())
    run("study", file, "--quick", cwd=tmp_path)
    uninterrupted, resumed = Store(quick_run[0] / "runs/store"), Store(tmp_path / "runs/store")
    plan, _ = read_steps(here / "steps.jsonl")
    trained = [step.fingerprint for step in plan.steps.values() if step.kind in ("pretrain", "train", "predict")]
    assert len(trained) > 15
    for fingerprint in trained:
        one, other = uninterrupted.path(fingerprint), resumed.path(fingerprint)
        for name in {path.name for path in one.iterdir()} - {"manifest.json"}:  # which says when it was made
            assert (one / name).read_bytes() == (other / name).read_bytes()
    for file in sorted((here / "predictions").glob("*.parquet")):
        rows, whole = (pq.read_table(at / "predictions" / file.name).to_pylist() for at in (here, there))
        arms = {row["arm"] for row in rows}
        assert rows and rows == [row for row in whole if row["arm"] in arms]


def children(parent: int) -> list[int]:
    """The ids of the processes that a process has started."""
    pids = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(status.read_text().rpartition(")")[2].split()[1]) == parent:
                pids.append(int(status.parent.name))
        except (OSError, IndexError):
            continue
    return pids


def readme_commands() -> list[str]:
    text = (ROOT / "README.md").read_text()
    lines = [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("xstilts ")]
    of_own_files = ("train", "predict", "compare")  # tests/workflows runs them on files that it makes
    return [line for line in lines if line.split()[1] not in of_own_files and "--data DIR" not in line]


@pytest.mark.parametrize("command", readme_commands())
def test_every_command_of_the_readme_works(quick_run, command):
    folder, _ = quick_run
    words = shlex.split(command)[1:]
    if words[0] == "study":
        words = ["plan", words[1]]
    assert run(*words, cwd=folder).strip()


def test_help_and_look_ups_do_not_import_torch(tmp_path):
    for words in (
        ["--help"],
        ["languages", "sw"],
        ["distances", "en"],
        ["sources", "--candidates", "de,tr,sw,fi"],
        ["tasks"],
        ["--version"],
    ):
        code = (
            "import sys; sys.argv[1:] = sys.argv[1:]\n"
            "from xstilts.cli import main\n"
            "try: main()\nexcept SystemExit: pass\n"
            "sys.exit(7 if 'torch' in sys.modules else 0)"
        )
        assert subprocess.run([sys.executable, "-c", code, *words], capture_output=True).returncode == 0, words
    code = "import sys, xstilts.cli; print({'torch', 'numpy', 'scipy', 'pydantic', 'pyarrow'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["study", "pockett"], 3, "did you mean 'pocket'"),
        (["study", "laptop", "--data-source", "files"], 3, "there is no folder ./models/e5-small"),
        (["study", "laptop", "--data", "nowhere"], 3, "there is no data folder nowhere"),
        (["report", "nothing"], 3, "nothing is not a run folder"),
        (["languages", "Swahilli"], 2, "Swahili"),
        (["distances", "en", "--to", "Ga"], 2, "ga (Irish), gaa (Ga)"),
        (["distances", "en", "--measure", "sintax"], 2, "did you mean 'syntax'"),
        (["distances", "en", "--measure", "nowhere.csv"], 3, "nowhere.csv"),
        (["distances", "en", "--to", "de", "--picture", "map.pdf"], 2, ".svg, .png or .html"),
        (["sources"], 2, "--candidates"),
        (["sources", "--task", "pocket-nli"], 2, "names no languages"),
        (["sources", "--candidates", "de,tr", "-k", "3"], 2, "cannot choose 3"),
        (["sources", "--candidates", "kk,jv", "-k", "1"], 2, "12 shared features, 30 needed"),
        (["sources", "--candidates", "de,tr", "--strategy", "predicted"], 2, "--scores"),
        (["sources", "--candidates", "de,tr", "--match", "scripd"], 2, "did you mean 'script'"),
        (["tasks", "show", "pocket-nlii"], 2, "did you mean 'pocket-nli'"),
        (["study", "pocket", "--device", "cuda", "--quick"], 2, "no CUDA device here"),
    ],
)
def test_a_mistake_is_explained_in_three_lines_without_a_traceback(tmp_path, monkeypatch, words, code, says):
    monkeypatch.chdir(tmp_path)
    printed = invoke(*words, code=code)
    assert says.lower() in " ".join(printed.split()).lower()
    assert "Traceback" not in printed
    assert all(part in printed for part in ("error:", "why:", "hint:"))


def test_debug_shows_the_traceback(tmp_path):
    assert "Traceback" in run("--debug", "study", "pockett", cwd=tmp_path, expect=1)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_an_error_names_a_store_that_cannot_be_written(tmp_path):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    printed = run("study", "pocket", "--quick", "--store", locked / "store", cwd=tmp_path, expect=4)
    assert "cannot write to the store" in printed


def test_sources_are_chosen_among_the_languages_of_a_benchmark_task(tmp_path):
    printed = run("sources", "--task", "xnli", "--from", "en", "-k", 3, "--strategy", "near", "--json", cwd=tmp_path)
    assert json.loads(printed)["sets"] == [["bg", "de", "es"]]


def test_a_ranking_by_published_results_chooses_sources(tmp_path):
    run("transfer", "rank", "--for", "sw,th", "--out", "scores.csv", cwd=tmp_path)
    sources = ("--strategy", "predicted", "--scores", "scores.csv", "--held-out", "sw,th", "-k", "2", "--json")
    (chosen,) = json.loads(run("sources", *sources, "--candidates", "de,es,hi,tr,zh", cwd=tmp_path))["sets"]
    assert len(chosen) == 2
    assert "is held out" in run(
        "sources", *sources, "--held-out", "tr", "--candidates", "de,es", cwd=tmp_path, expect=2
    )


def test_a_run_of_other_tasks_tests_no_claim_but_predicts_transfer(quick_run):
    folder, _ = quick_run
    claims = json.loads(run("claims", "runs/pocket-quick", "--json", cwd=folder))["claims"]
    assert [entry["claim"] for entry in claims] == [*map(str, range(1, 10)), "question"]
    assert {entry["result"] for entry in claims} == {"not tested"}
    arguments = ("runs/pocket-quick", "--store", "runs/store", "--for", "it,th", "--out", "scores.csv")
    prediction = json.loads(run("transfer", "rank", *arguments, "--json", cwd=folder))
    assert {"overlap", "logme", "h_score", "distance"} <= set(prediction["weights"])
    assert [check["by"] for check in prediction["validation"]] == ["language", "family"]
    sources = ("--strategy", "predicted", "--candidates", "nl,de,fr,fi,hi,ar", "-k", "2", "--scores", "scores.csv")
    (chosen,) = json.loads(run("sources", *sources, "--held-out", "it,th", "--json", cwd=folder))["sets"]
    assert len(chosen) == 2
    assert "'tr' is held out" in run("sources", *sources, "--held-out", "tr", cwd=folder, expect=2)
