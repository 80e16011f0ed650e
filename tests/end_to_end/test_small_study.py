"""A small study: scores by a column, a target in English alone, retrieval after a training, and a step that fails."""

import json
from pathlib import Path

import pyarrow.compute as pc
import pytest
import yaml

from support import changed, invoke
from xstilts.config.load import load_study
from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run
from xstilts.study import executors
from xstilts.study.freeze import freeze
from xstilts.study.plan import build_plan

LABELS = ["entailment", "neutral", "contradiction"]
SMALL = {"examples": 16, "epochs": 1, "recipe": {"learning_rate": 0.001}}


def study(folder, encoder, **changes):
    rows = [f"{label}\tthe king {i}\tthe wall {i}\t{'old' if i % 3 else 'new'}" for i in range(8) for label in LABELS]
    (folder / "domains.tsv").write_text("\n".join(rows))
    columns = {"label": 0, "text_a": 1, "text_b": 2, "domain": 3}
    source = {"format": "table", "files": {"test": "domains.tsv"}, "languages": ["en"], "columns": columns}
    domains = {"type": "classification", "labels": LABELS, "breakdown": ["domain"], "source": source}
    settings = {
        "replicates": 2, "encoders": {"mine": {"load": str(encoder)}}, "tasks": {"domains": domains},
        "languages": {"candidates": ["de", "nl", "tr", "ja", "sw", "ar"], "minimum": 2},
        "intermediate": {"nli": {"task": "pocket-nli-hard", **SMALL}},
        "arms": {"none": {}, "near": {"intermediate": "nli", "languages": "near", "count": 2},
                 "once": {"intermediate": "nli", "replicates": 1}},
        "targets": {"domains": {"training": {"task": "pocket-nli", **SMALL}}, "pocket-nli": {"training": SMALL},
                    "pairs": {"task": "pocket-tatoeba", "layers": [1]},
                    "pairs-after": {"task": "pocket-tatoeba", "layers": [1], "after": "pocket-nli",
                                    "arms": ["none", "near"]}},
        "contrasts": ["near - none"], "controls": [],
    }  # fmt: skip
    return changed(folder, **settings | changes)


def test_scores_are_broken_down_by_the_values_of_a_column(tmp_path, encoder_folder):
    path, out = study(tmp_path, encoder_folder("bert")), tmp_path / "run"
    invoke("study", path, "--data", tmp_path, "--out", out)
    result = json.loads((out / "analysis.json").read_text())
    assert {row["arm"] for row in result["baselines"] if row["target"] == "domains"} == {"none", "near", "once"}
    assert {row["arm"] for row in result["scores"] if row["target"] == "pairs-after"} == {"none", "near", "baseline"}
    assert not result["missing"]
    rows = result["breakdowns"]
    assert [(row["column"], row["value"], row["examples"]) for row in rows] == [
        ("domain", "new", 9),
        ("domain", "old", 15),
    ]

    run = read_run(out)
    for row in rows:
        assert row["languages"] == ["en"] and row["contrasts"]["near - none"]["low"] is not None
        correct = []
        for replicate in (1, 2):
            table = run.predictions("domains", "near", replicate=replicate)
            table = table.filter(pc.field("breakdown:domain") == row["value"])
            correct += pc.equal(table["prediction"].cast("string"), table["gold"].cast("string")).to_pylist()
        assert row["arms"]["near"] == pytest.approx(100 * sum(correct) / len(correct))
    assert all(row["value"] in (out / "report.html").read_text() for row in rows)


def test_an_arm_can_have_fewer_replicates_and_retrieval_can_follow_a_training(tmp_path, encoder_folder):
    planned = build_plan(freeze(load_study(study(tmp_path, encoder_folder("bert"))), tmp_path, "cpu"))
    replicates = {arm: {cell.replicate for cell in planned.cells if cell.arm == arm} for arm in ("near", "once")}
    assert replicates == {"near": {1, 2}, "once": {1}}
    cells = {cell.target: cell for cell in planned.cells if (cell.arm, cell.replicate) == ("near", 1)}
    models = {target: planned.plan.steps[cell.predictions].inputs["model"] for target, cell in cells.items()}
    assert models["pairs"] == cells["pocket-nli"].intermediate
    assert models["pairs-after"] == models["pocket-nli"] == cells["pocket-nli"].training == cells["domains"].training


def test_a_target_with_arms_of_its_own_is_compared_between_them_alone(tmp_path, encoder_folder):
    path = study(tmp_path, encoder_folder("bert"))
    planned = build_plan(freeze(load_study(path), tmp_path, "cpu"))
    assert {cell.arm for cell in planned.cells if cell.target == "pairs-after"} == {"none", "near", "baseline"}

    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, encoder_folder("bert"), contrasts=["once - none on pairs-after"]))
    assert caught.value.kind == "bad-setting" and "once" in caught.value.why
    targets = yaml.safe_load(Path(path).read_text())["targets"]
    targets["pocket-nli"]["arms"] = ["none"]  # pairs-after follows it in arm `near` as well
    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, encoder_folder("bert"), targets=targets, contrasts=["near - none on domains"]))
    assert caught.value.kind == "bad-setting" and "pairs-after" in caught.value.why


def test_a_target_in_english_alone_cannot_be_judged(tmp_path, encoder_folder):
    judged = study(tmp_path, encoder_folder("bert"), contrasts=["near - none on domains"])
    with pytest.raises(XstiltsError) as caught:
        freeze(load_study(judged), tmp_path, "cpu")
    assert caught.value.kind == "too-few"


def test_a_breakdown_needs_a_column_of_its_source(tmp_path, encoder_folder):
    path = study(tmp_path, encoder_folder("bert"))
    domains = yaml.safe_load(Path(path).read_text())["tasks"]["domains"] | {"breakdown": ["genre"]}
    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, encoder_folder("bert"), tasks={"domains": domains}))
    assert caught.value.kind == "bad-setting" and "genre" in caught.value.why


def test_retrieval_follows_only_a_target_with_a_training(tmp_path, encoder_folder):
    targets = {"pocket-nli": {"training": SMALL}, "pairs": {"task": "pocket-tatoeba", "layers": [1], "after": "pairs"}}
    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, encoder_folder("bert"), targets=targets))
    assert caught.value.kind == "bad-setting" and "after" in caught.value.why


def test_a_failed_step_leaves_a_report_that_names_it(tmp_path, encoder_folder, monkeypatch):
    local = executors.local_executor

    def failing(*settings):
        execute = local(*settings)

        def run(plan, store, wanted, report):
            [lost] = [f for f, step in plan.steps.items() if step.label == "score pocket-nli after near · mine 2"]
            outcome = execute(plan, store, [f for f in wanted if f != lost], report)
            report({"event": "failed", "step": lost, "why": "the disk of its node broke"})
            outcome.failed[lost] = "the disk of its node broke"
            return outcome

        return run

    monkeypatch.setattr(executors, "local_executor", failing)
    path, out = study(tmp_path, encoder_folder("bert")), tmp_path / "run"
    printed = " ".join(invoke("study", path, "--data", tmp_path, "--out", out, code=4).split())
    assert "'pocket-nli' has 1 of 2 runs of arm 'near'" in printed
    assert "the disk of its node broke" in (out / "report.html").read_text()


def test_a_pool_of_all_languages_is_a_target_whose_rows_are_the_languages_of_the_queries(tmp_path, encoder_folder):
    """Each question finds its answers in every language; nothing but the two sides of equal texts tells them apart."""
    codes = ["en", "de", "nl", "tr", "ja", "sw", "ar"]
    for number, code in enumerate(codes):
        texts = [f"the {word} {'old ' * number}" for word in ("king", "wall", "town", "river")]
        qas = [{"id": str(i), "question": text, "answers": [{"text": text.strip(), "answer_start": 0}]}
               for i, text in enumerate(texts)]  # fmt: skip
        paragraphs = [{"context": f"{q['question'].strip()}. Wide.", "qas": [q]} for q in qas]
        (tmp_path / f"{code}.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    source = {"format": "squad", "files": {"test": "{lang}.json"}, "cluster": "context"}
    pool = {"type": "retrieval", "pooled": True, "parallel": True, "metrics": ["map_at_20"], "source": source}
    targets = {
        "pocket-nli": {"training": SMALL},
        "answers": {"task": "pool", "layers": [1], "query_prefix": "query: ", "candidate_prefix": "passage: "},
    }
    path = study(tmp_path, encoder_folder("bert"), tasks={"pool": pool}, targets=targets, arms={"none": {}, "near": {
        "intermediate": "nli", "languages": "near", "count": 2}}, primary=["answers"])  # fmt: skip
    out = tmp_path / "run"
    invoke("study", path, "--data", tmp_path, "--out", out)
    result = json.loads((out / "analysis.json").read_text())
    rows = [row for row in result["scores"] if row["target"] == "answers" and row["arm"] == "none"]
    assert {row["language"] for row in rows} == set(codes) and {row["metric"] for row in rows} == {"map_at_20"}
    assert all(0 < row["mean"] <= 100 for row in rows)
    table = read_run(out).predictions("answers", "none")
    gold = [f"{code}_1_0" for code in codes]
    assert all(sorted(row["gold"]) == sorted(gold) and len(row["prediction"]) == 20
               for row in table.to_pylist() if row["example_id"] == "0")  # fmt: skip
    assert "map_at_20 (layer 1, mean pooling)" in (out / "report.html").read_text()


def test_prefixes_are_for_retrieval(tmp_path, encoder_folder):
    targets = {"pocket-nli": {"training": SMALL, "query_prefix": "query: "}}
    with pytest.raises(XstiltsError) as caught:
        load_study(study(tmp_path, encoder_folder("bert"), targets=targets, primary=["pocket-nli"]))
    assert caught.value.kind == "bad-setting" and "prefix" in caught.value.why
