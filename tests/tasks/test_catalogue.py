"""The catalogue, pinned revisions, and a study on a benchmark task from its data to a submission."""

import json
import re
from fnmatch import fnmatch
from importlib.resources import files

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from made_runs import make_run, sealed
from support import ROOT, invoke
from xstilts.config.load import load_study
from xstilts.costs.devices import package_table
from xstilts.data.files import fill
from xstilts.errors import XstiltsError
from xstilts.evaluation.scoring import check
from xstilts.evaluation.write_submission import submit
from xstilts.languages import language
from xstilts.study import freeze as freezing
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan
from xstilts.tasks.data_source import FileSource, HubSource, parts
from xstilts.tasks.task import catalogue as known_tasks
from xstilts.tasks.task import from_xtreme_folder
from xstilts.tasks.task_types import SCORED
from xstilts.tasks.xtreme import TARGETS

INTERMEDIATE = ["anli_plus", "mnli", "qqp", "squad_v1", "squad_v2", "hellaswag", "ccg", "cosmosqa", "commonsenseqa"]
ELSEWHERE = [
    "ocnli",
    "indonli",
    "farstail",
    "jnli",
    "jcommonsenseqa",
    "jsquad",
    "xcopa",
    "sib200",
    "belebele",
    "massive",
]
ELSEWHERE += ["americasnli", "uner", "afrixnli", "masakhaner2", "masakhapos", "masakhanews", "afrisenti"]


def test_the_catalogue_has_every_task_of_the_paper_and_the_benchmark_with_its_languages():
    known = known_tasks()
    assert {*INTERMEDIATE, *ELSEWHERE, *TARGETS} <= set(known)
    for name, target in TARGETS.items():
        assert sorted(known[name].languages) == sorted(target.languages)
        if target.words and target.kind != "pairs":
            assert set(known[name].labels) == set(target.words)
        assert from_xtreme_folder(known[name]).source != known[name].source


def test_every_entry_is_short_and_has_a_source_and_a_licence():
    for file in files("xstilts.tasks").joinpath("catalog").iterdir():
        for entry in re.split(r"\n(?=[\w.])", "\n" + file.read_text(encoding="utf-8")):
            lines = [line for line in entry.strip().split("\n") if not line.startswith("#")]
            assert len(lines) <= 12 or entry.startswith("."), entry[:60]  # a list that entries share
    for name, task in known_tasks().items():
        if not name.startswith("pocket"):
            assert (task.licence and task.citation and task.title and task.family) or task.type == "retrieval", name
            assert not task.verified, "no entry has been loaded from the hub itself"
            revision = getattr(task.source, "revision", "")
            assert re.fullmatch(r"[0-9a-f]{40}|refs/convert/parquet|", revision), name
        if task.type in SCORED:
            assert set(task.metrics) <= set(SCORED[task.type].METRICS)


LAYOUTS = yaml.safe_load((ROOT / "tests/tasks/hub_layouts.yaml").read_text())
CODES = yaml.safe_load((ROOT / "tests/language_codes.yaml").read_text())


def test_every_entry_that_is_downloaded_has_a_known_layout():
    read = {name for name, task in known_tasks().items() if isinstance(task.source, HubSource | FileSource)}
    assert read == set(LAYOUTS)


@pytest.mark.parametrize("name", LAYOUTS)
def test_an_entry_agrees_with_the_layout_of_its_data(name):
    """Configurations, splits, paths, columns, label words and commit are among those that public files show."""
    task, layout = known_tasks()[name], LAYOUTS[name]
    sources = [source for source in (task.source, getattr(task.source, "fallback", None)) if source]
    assert task.source.revision == layout.get("commit", "")
    for source in sources:
        columns = {str(part).split(".")[0] for column in source.columns.values() for part in parts(column)}
        assert "columns" not in layout or columns <= {*layout["columns"]}
        for label in layout.get("labels", ()):
            if label not in source.unlabelled:
                word = source.relabel.get(label, label)
                assert word in (task.labels or ("0", "1", "2", "3")), (label, word)
        for split, pattern in source.files.items() if isinstance(source, FileSource) or source.files else ():
            for code in task.languages:
                path = fill(source, pattern, code, split)
                assert any(fnmatch(path, form) for forms in layout["files"] for form in braces(forms)), path
    if "configs" not in layout:
        return
    names, form = CODES.get(layout["configs"], layout["configs"]).split() or [""], layout.get("pattern", "{}")
    configs = {fill(task.source, task.source.config, code, "train") for code in task.languages}
    assert layout["configs"] == "{treebank}" or configs <= {form.format(name) for name in names}
    wanted = task.source.splits or {split: split for split in task.source.named_splits}
    assert {one for split in wanted.values() for one in parts(split)} <= {*layout["splits"]}


def braces(form):
    """The patterns that `{a,b}` in a pattern stands for."""
    before, brace, rest = form.partition("{")
    words, _, after = rest.partition("}")
    return [f"{before}{word}{after}" for word in words.split(",")] if brace else [form]


def test_every_entry_that_is_downloaded_has_a_size():
    counted = package_table("sizes")["tasks"]
    for name in LAYOUTS:
        assert counted[name]["examples"].keys() <= {*known_tasks()[name].source.named_splits}, name


def test_sib200_has_every_language_of_flores():
    assert len(known_tasks()["sib200"].languages) == len({language(code).code for code in CODES["flores200"].split()})


def test_tasks_are_listed_and_shown(tmp_path):
    listed = invoke("tasks")
    assert all(re.search(rf"^{name} ", listed, re.M) for name in (*INTERMEDIATE, *TARGETS))
    shown = invoke("tasks", "show", "xnli")
    assert "facebook/xnli" in shown and "CC BY-NC 4.0" in shown and "b8dd5d7af51114dbda02c0e3f6133f332186418e" in shown
    assert json.loads(invoke("tasks", "show", "xnli", "--json"))["source"]["config"] == "{lang}"
    for name, origin in (("indonli", "ir-nlp-csui/indonli"), ("masakhaner2", "masakhane-io/masakhane-ner")):
        assert origin in invoke("tasks", "show", name)
    (tmp_path / "mine.yaml").write_text("mine: {extends: xnli, title: my own}\n")
    assert "my own" in invoke("tasks", "--tasks", tmp_path / "mine.yaml")


LONG = {"max_position_embeddings": 256}


def study(folder, **changes):
    settings = {
        "extends": "pocket", "name": "mine", "replicates": 2, "languages": {
            "candidates": ["sw", "tr", "zh", "hi", "ar", "de", "es", "fr"], "held_out": 0.6, "always_held_out": None},
        "arms": dict.fromkeys(("near", "far", "english-again", "in-language")),
        "targets": {"pocket-nli": None, "pocket-paws": None, "pocket-tatoeba": None, "xnli": {"training": {}}},
        "primary": ["xnli"], "contrasts": ["english - none"], "controls": None,
        "encoders": {"pocket": {"pretrain": {"config": LONG}}},
    }  # fmt: skip
    (folder / "mine.yaml").write_text(yaml.safe_dump({**settings, **changes}))
    return str(folder / "mine.yaml")


def test_the_plan_warns_of_an_unpinned_revision_and_the_study_pins_it(tmp_path, monkeypatch):
    path = study(tmp_path, tasks={"xnli": {"extends": "xnli", "source": {"hub": "facebook/xnli", "config": "{lang}"}}})
    planned = freeze(load_study(path), None, "cpu")
    assert any("task 'xnli': revision not pinned" in warning for warning in planned.warnings)
    monkeypatch.setattr(freezing, "current_commit", lambda kind, hub, ref, planned: "a" * 40)
    pinned = freeze(load_study(path), None, "cpu", resolved=True)
    assert pinned.tasks["xnli"].source.revision == "a" * 40
    assert not any("not pinned" in warning for warning in pinned.warnings)
    assert pinned.describe()["revisions"] == {"xnli": "a" * 40}
    assert set(build_plan(pinned).plan.steps) != set(build_plan(planned).plan.steps)


def test_models_without_a_revision_are_pinned_to_the_cached_commit_without_a_network(tmp_path, monkeypatch):
    """The cache has the hub's layout; the study's steps then name the commit."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_ASSETS_CACHE", str(tmp_path / "assets"))
    idle = dict.fromkeys(("near", "far", "english-again", "in-language"))
    path = study(
        tmp_path,
        encoders={"pocket": None, "small": {"load": "some/encoder"}},
        translators={"mt": {"load": "facebook/m2m100_418M", "revision": "main"}},
        arms=idle | {"mt": {"intermediate": "nli", "languages": "far", "translated": "mt"}},
    )
    planned = freeze(load_study(path), None, "cpu")
    warning = "revision not pinned; `study` asks the hub for the current one and keeps it"
    assert {f"encoder 'small': {warning}", f"translator 'mt': {warning}"} <= set(planned.warnings)
    with pytest.raises(XstiltsError, match="cannot load the model 'some/encoder'"):
        freeze(load_study(path), None, "cpu", resolved=True)

    commits = {"some/encoder": "a" * 40, "facebook/m2m100_418M": "b" * 40}
    for name, commit in commits.items():
        folder = tmp_path / "hub" / f"models--{name.replace('/', '--')}"
        (folder / "snapshots" / commit).mkdir(parents=True)
        (folder / "snapshots" / commit / "config.json").write_text("{}")
        (folder / "refs").mkdir()
        (folder / "refs" / "main").write_text(commit)
    pinned = freeze(load_study(path), None, "cpu", resolved=True)
    assert not any("not pinned" in warning for warning in pinned.warnings)
    steps = build_plan(pinned).plan.steps.values()
    fetched = {s.arguments["load"]: s.arguments["revision"] for s in steps if s.kind == "fetch"}
    assert fetched == commits


LABELS = ("entailment", "neutral", "contradiction")


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """The benchmark's folder with a small XNLI: labels for training and development, none for test."""
    folder = tmp_path_factory.mktemp("download") / "xnli"
    folder.mkdir()
    codes = ("en", "sw", "tr", "zh", "hi", "ar", "de", "es", "fr")
    for code in codes:
        rows = [f"{code} premise {i // 3}\t{code} hypothesis {i}" for i in range(12)]
        for split in ("train", "dev"):
            text = "\n".join(f"{row}\t{LABELS[i % 3]}" for i, row in enumerate(rows)) + "\n"
            (folder / f"{split}-{code}.tsv").write_text(text)
        (folder / f"test-{code}.tsv").write_text("\n".join(rows) + "\n")
    return folder.parent


def test_a_study_on_the_benchmarks_folder_writes_a_valid_submission(benchmark, tmp_path):
    tiny = {"pretrain": {"updates": 4, "config": LONG}, "seeds": 1}
    small = {"epochs": 1, "batch_size": 4, "recipe": {"learning_rate": 1e-3}}
    path = study(
        tmp_path, data_source="xtreme", replicates=1, encoders={"pocket": tiny},
        intermediate={"nli": {"examples": 6, "epochs": 1}},
        targets={"pocket-nli": None, "pocket-paws": None, "pocket-tatoeba": None,
                 "xnli": {"training": small, "test": "validation"},
                 "handed-in": {"task": "xnli", "training": small, "labels_withheld": True}},
    )  # fmt: skip
    run = tmp_path / "runs" / "mine"
    invoke("study", path, "--data", benchmark, "--out", run, "--jobs", 1)
    analysis = json.loads((run / "analysis.json").read_text())
    assert {row["target"] for row in analysis["scores"]} == {"xnli"}
    assert {row["metric"] for row in analysis["also"]} == {"macro_f1", "calibration_error"}
    table = pq.read_table(run / "predictions" / "handed-in.parquet")
    assert table["gold"].null_count == len(table)
    printed = invoke("submit", run, "--arm", "english", "--out", tmp_path / "handed-in")
    assert "missing: xnli: bg el ru th ur vi" in printed and "missing: panx" in printed
    lines = (tmp_path / "handed-in/xnli/test-sw.tsv").read_text().split("\n")
    rows = [row for row in table.to_pylist() if (row["language"], row["arm"], row["replicate"]) == ("sw", "english", 1)]
    assert lines == [*(row["prediction"] for row in rows), ""] and len(rows) == 12
    with pytest.raises(XstiltsError) as caught:
        check(tmp_path / "handed-in")
    assert "test-sw" not in caught.value.why and "test-bg.tsv: missing" in caught.value.why
    assert "did you mean 'english'" in invoke("submit", run, "--arm", "englisch", "--out", "x", code=2)


def test_data_are_checked_on_the_command_line(benchmark):
    words = ("data", "check", "xnli", "--data", benchmark, "--data-source", "xtreme", "--languages")
    printed = invoke(*words, "sw")
    assert re.search(r"^sw +validation +12 ", printed, re.M) and "test in sw: gold labels are withheld" in printed
    assert "train-jv.tsv does not exist" in invoke(*words, "sw,jw", code=2)
    (benchmark / "xnli/dev-de.tsv").write_text("a\tb\tneutral\n\tb\tneutral\n")
    assert "dev-de.tsv, line 2 (de): empty text_a" in invoke(*words, "de", code=2)
    report = json.loads(invoke(*words, "de", "--against", "xnli:validation", "--json", code=2))
    assert {part["split"]: part["overlap"] for part in report["languages"]} == {"train": 0, "validation": 1, "test": 0}


def run_folder(folder, task, kind, predictions, problems):
    """A run with one target and predictions for one language and one cell."""
    make_run(folder, {"none": {}}, (task,), replicates=1, items=1)
    count = len(predictions["prediction"])
    cell = {"arm": "none", "encoder": "enc", "replicate": 1, "split": "test", "language": "sw"}
    columns = {name: [value] * count for name, value in cell.items()}
    table = pa.table({**columns, "cluster_id": predictions["example_id"], **predictions})
    pq.write_table(table, folder / f"predictions/{task}.parquet")
    facts = json.loads((folder / "study.json").read_text())
    changes = {"labels_withheld": [task], "types": {task: kind}, "metrics": {task: SCORED[kind].METRICS[0]}}
    (folder / "study.json").write_text(json.dumps(facts | changes))
    record = {"label": "any", "step": "f", "task": task, "split": "test", "language": "sw", "translator": ""}
    left_out = [{**record, "unlabelled": 0, "problems": problems}] if problems else []
    (folder / "left-out.json").write_text(json.dumps(left_out))
    return sealed(folder)


def problem(line):
    return {"unit": "line", "line": line, "found": "nothing"}


def test_skipped_rows_do_not_shift_lines_of_a_submission(tmp_path):
    rows = {"example_id": ["test-0", "test-2", "test-3"], "prediction": ["neutral", "entailment", "entailment"]}
    run = run_folder(tmp_path / "labels", "xnli", "classification", rows, [problem(2), problem(5)])
    summary = submit(run, tmp_path / "out", "none")
    assert summary["filled"] == {"xnli/test-sw.tsv": 2}
    lines = (tmp_path / "out/xnli/test-sw.tsv").read_text().split("\n")
    assert lines == ["neutral", "entailment", "entailment", "entailment", "entailment", ""]
    rows = {"example_id": ["a", "b"], "prediction": ["neutral", "neutral"]}
    with pytest.raises(XstiltsError, match="their lines are unknown"):
        submit(run_folder(tmp_path / "ids", "xnli", "classification", rows, [problem(2)]), tmp_path / "out", "none")
    rows = {"example_id": ["test-0"], "prediction": [["O", "B-PER"]]}
    with pytest.raises(XstiltsError, match="line by line"):
        submit(run_folder(tmp_path / "tags", "panx", "tagging", rows, [problem(2)]), tmp_path / "out", "none")
    submit(run_folder(tmp_path / "whole", "panx", "tagging", rows, []), tmp_path / "out", "none")
    assert (tmp_path / "out/panx/test-sw.tsv").read_text() == "O\nB-PER\n"


def test_predictions_of_xtreme_r_are_written_in_its_layout(tmp_path):
    rows = {"example_id": ["a", "b"], "prediction": [1, 0]}
    run = run_folder(tmp_path / "choices", "xcopa", "multiple_choice", rows, [])
    submit(run, tmp_path / "out", "none", version="xtreme-r-v1")
    assert (tmp_path / "out/xcopa/test-sw.jsonl").read_text() == '{"label": 1}\n{"label": 0}\n'
    rows = {"example_id": ["a", "b"], "prediction": [["sw_1_0", "th_2_1"], ["en_1_0"]], "language": ["th"] * 2}
    run = run_folder(tmp_path / "rankings", "lareqa", "retrieval", rows, [])
    submit(run, tmp_path / "out", "none", version="xtreme-r-v1")
    written = json.loads((tmp_path / "out/lareqa/test-th.json").read_text())
    assert written == {"a": ["sw_1_0", "th_2_1"], "b": ["en_1_0"]}
    with pytest.raises(XstiltsError):  # XTREME itself has no such task
        submit(run, tmp_path / "out", "none")
