"""Claims checked against simulated runs with known gains, and against a run of other tasks."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_runs import EVERYTHING, HELD_OUT, SINGLES, gain_of, make_run
from xstilts.analysis.analyse import analyse
from xstilts.analysis.effects import compare_arms, effect
from xstilts.claims import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDETERMINED, judge_claims
from xstilts.claims.judge import beats_baseline
from xstilts.claims.published_claims import CLAIMS
from xstilts.claims.published_scores import published_rows, published_table
from xstilts.errors import XstiltsError
from xstilts.runs.reader import BASELINE
from xstilts.tasks.xtreme import TARGETS


def results(run):
    return {entry["claim"]: entry["result"] for entry in judge_claims(run)}


@pytest.fixture(scope="module")
def true_run(tmp_path_factory):
    """A run with every arm and target that the claims mention, in which all of them are true."""
    return make_run(tmp_path_factory.mktemp("true") / "run")


def test_true_claims_are_supported(true_run):
    assert results(true_run) == dict.fromkeys([*map(str, range(1, 10)), "question"], SUPPORTED)


def test_estimates_are_the_simulated_gains_with_simultaneous_intervals(true_run):
    claims = {entry["claim"]: entry for entry in judge_claims(true_run)}
    squad, mnli, hellaswag = claims["1"]["comparisons"]
    assert [row["left"] for row in (squad, mnli, hellaswag)] == ["squad_v1", "mnli", "hellaswag"]
    assert squad["estimate"] == pytest.approx((0 + 6 * 12 + 2 * 28) / 9, abs=0.3)
    assert squad["level"] == pytest.approx(1 - 0.05 / 3)
    assert len(claims["3"]["comparisons"]) == 14
    over_xnli = next(row for row in claims["3"]["comparisons"] if row["over"] == "xnli")
    over_panx = next(row for row in claims["3"]["comparisons"] if row["over"] == "panx")
    assert over_xnli["estimate"] == pytest.approx(28, abs=0.6)
    assert over_panx["estimate"] == pytest.approx(16, abs=0.6)
    assert {row["left"]: round(row["estimate"]) for row in claims["6"]["comparisons"]} == {"mnli": 3}
    assert [row["for_information"] for row in claims["question"]["comparisons"]] == [False, True]
    assert any("distance itself matters" in note for note in claims["question"]["notes"])


def test_without_any_gain_claims_of_gains_are_contradicted(tmp_path):
    outcomes = results(make_run(tmp_path / "run", gain=lambda arm, target: 0))
    assert {name: outcomes[name] for name in ("1", "2", "3", "4", "5", "question")} == {
        **dict.fromkeys("12345", CONTRADICTED), "question": CONTRADICTED,
    }  # fmt: skip
    assert outcomes["6"] == SUPPORTED, "equal arms are not inferior"


def test_better_alternatives_contradict_claims(tmp_path):
    def gain(arm, target):
        return gain_of(arm, target) + {"mnli-mlm": 9, "hellaswag": 12, "near": 12}.get(arm, 0)

    claims = {entry["claim"]: entry for entry in judge_claims(make_run(tmp_path / "run", gain=gain))}
    assert claims["6"]["result"] == CONTRADICTED, "masked language modelling adds six points"
    assert {row["right"]: row["holds"] for row in claims["6"]["comparisons"]} == {
        "mnli-mlm": False, "mnli-translated": True,
    }  # fmt: skip
    assert claims["2"]["result"] == CONTRADICTED, "one task alone is better than all"
    assert claims["question"]["result"] == SUPPORTED
    assert any("near sources do better" in note for note in claims["question"]["notes"])


def test_claims_are_undetermined_if_runs_vary_too_much(tmp_path):
    run = make_run(tmp_path / "run", gain=lambda arm, target: 3 * (arm != "none"), noise=8.0, replicates=2, items=200)
    outcomes = results(run)
    assert {name: outcomes[name] for name in ("1", "3", "5", "6", "question")} == dict.fromkeys(
        ["1", "3", "5", "6", "question"], UNDETERMINED
    )


def test_missing_arms_and_targets_are_named(tmp_path):
    arms = {
        "none": {},
        "mnli": {"intermediate": "mnli"},
        "mlm": {"intermediate": "mnli", "mlm": {"corpus": "text", "share": 0.1}},
    }
    claims = {entry["claim"]: entry for entry in judge_claims(make_run(tmp_path / "run", arms, ("xnli", "tydiqa")))}
    assert {entry["result"] for name, entry in claims.items() if name not in ("7", "8")} == {NOT_TESTED}
    assert claims["7"]["result"] == claims["8"]["result"] == SUPPORTED
    assert "an arm with squad_v1 or squad_v2 in English" in claims["1"]["missing"]
    assert "a retrieval target of XTREME (bucc2018, tatoeba)" in claims["1"]["missing"]
    (lacking,) = claims["6"]["missing"]
    assert "translated data" in lacking and "'mnli'" in lacking
    assert claims["6"]["comparisons"][0]["right"] == "mlm", "comparisons that can be made are shown"
    assert claims["question"]["missing"] == ["pawsx as a target", "an arm with any intermediate task in far languages"]
    assert len(claims["9"]["missing"]) == 8


def test_a_run_of_other_tasks_tests_nothing(tmp_path):
    arms = {"none": {}, "english": {"intermediate": "pocket-nli"}, "far": {"intermediate": "nli", "languages": "far"}}
    run = make_run(tmp_path / "run", arms, ("pocket-nli", "pocket-tatoeba"), lambda arm, target: 20 * (arm != "none"))
    claims = judge_claims(run)
    assert {entry["result"] for entry in claims} == {NOT_TESTED}
    assert all(entry["missing"] and not entry["comparisons"] for entry in claims)


def test_controls_and_another_anchor_do_not_count_as_english_arms(tmp_path):
    arms = {"none": {}, "mnli": {"intermediate": "mnli", "role": "control"}, "far": EVERYTHING["far"]}
    run = make_run(tmp_path / "run", arms, ("xnli", "pawsx"))
    assert results(run)["question"] == NOT_TESTED
    arms["mnli"].pop("role")
    run = make_run(tmp_path / "other", arms, ("xnli", "pawsx"))
    assert results(run)["question"] == SUPPORTED
    run.plan["study"]["languages"]["anchor"] = "de"
    run.__dict__.pop("arms")
    assert results(run)["question"] == NOT_TESTED


def test_another_encoder_is_noted_and_does_not_test_claims_about_xlm_r_large(tmp_path):
    run = make_run(tmp_path / "run", load="microsoft/mdeberta-v3-base")
    claims = {entry["claim"]: entry for entry in judge_claims(run)}
    assert claims["5"]["result"] == claims["7"]["result"] == NOT_TESTED
    assert claims["3"]["result"] == SUPPORTED
    assert any("XLM-R Large" in note for note in claims["3"]["notes"])


def test_a_second_encoder_contradicts_that_all_start_from_xlm_r_large(tmp_path):
    run = make_run(tmp_path / "run", {"none": {}, "mnli": {"intermediate": "mnli"}}, ("xnli",))
    run.plan["study"]["encoders"]["other"] = {"load": "google-bert/bert-base-multilingual-cased"}
    assert results(run)["7"] == CONTRADICTED


def test_a_cell_that_skipped_the_target_phase_contradicts_three_phases(tmp_path):
    run = make_run(tmp_path / "run", {"none": {}, "mnli": {"intermediate": "mnli"}}, ("xnli",))
    run.budgets[-1].pop("training")
    assert results(run)["8"] == CONTRADICTED


def test_one_replicate_tests_nothing(tmp_path):
    run = make_run(tmp_path / "run", {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]},
                   ("xnli", "pawsx"), replicates=1)  # fmt: skip
    question = judge_claims(run)[-1]
    assert question["result"] == NOT_TESTED
    assert "1 replicate" in question["missing"][0]


def test_a_design_warning_is_noted_only_if_its_training_is_compared(tmp_path):
    warnings = {name: f"intermediate '{name}'{by} and target 'xnli' are both NLI"
                for name, by in (("several", " (by mnli)"), ("mnli", ""))}  # fmt: skip
    run = make_run(tmp_path / "run", {"none": {}, "multi": {"intermediate": "several"}})
    run.plan["warnings"] = list(warnings.values())
    notes = [note for entry in judge_claims(run) for note in entry["notes"]]
    assert warnings["several"] in notes and warnings["mnli"] not in notes


@pytest.mark.parametrize(("baseline", "result"), [(55, NOT_TESTED), (30, UNDETERMINED)])
def test_arms_that_did_not_learn_test_nothing(tmp_path, baseline, result):
    arms = {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]}
    run = make_run(tmp_path, arms, ("xnli", "pawsx"), lambda arm, target: 0, 3.0, items=200, baseline=baseline)
    question = judge_claims(run)[-1]
    assert question["result"] == result
    missing = "an arm that scores better than the baseline on xnli, pawsx" in question["missing"]
    assert missing == (result == NOT_TESTED)
    assert question["comparisons"], "the comparisons are shown all the same"


def test_claims_and_report_agree_on_which_arms_beat_the_baseline(tmp_path):
    """Two pretraining seeds share a replicate variance, in the claims as in the report."""
    arms = {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]}
    rng, would_differ = np.random.default_rng(2), 0
    for number in range(10):
        run = make_run(tmp_path / f"{number}", arms, ("xnli", "pawsx"), lambda arm, target: 0, noise=3.0, items=100,
                       replicates=2, seeds=2, baseline=36, rng=rng)  # fmt: skip
        report = {(row["arm"], row["target"]): row["beaten"] for row in analyse(run.folder)["baselines"]}
        assert {key: beats_baseline(run, *key) for key in report} == report
        for (arm, target), beaten in report.items():
            seeds_apart = replace(compare_arms(run, arm, BASELINE, [target]), encoder_kinds={})
            would_differ += (effect(seeds_apart).low > 0) != beaten
        question = judge_claims(run)[-1]
        not_learnt = any("better than the baseline" in lack for lack in question["missing"])
        assert not_learnt == (not any(beaten for (arm, _), beaten in report.items() if arm != "none"))
    assert would_differ, "the runs tell one way to count seeds from the other"


def test_the_best_arm_per_target_is_not_chosen_by_its_held_out_scores(tmp_path):
    arms = {"none": {}, "mnli": SINGLES["mnli"], "qqp": SINGLES["qqp"]}
    run = make_run(tmp_path / "run", arms, gain=lambda arm, target: 0)
    for target in TARGETS:
        file = run.folder / "predictions" / f"{target}.parquet"
        rows = pq.read_table(file).to_pylist()
        for row in rows:  # qqp is right everywhere, but only in the held-out languages; mnli in German
            if (row["arm"] == "qqp" and row["language"] in HELD_OUT) or (row["arm"], row["language"]) == ("mnli", "de"):
                row["prediction"] = "x"
        pq.write_table(pa.Table.from_pylist(rows), file)
    best = next(entry for entry in judge_claims(run) if entry["claim"] == "5")
    assert best["comparisons"][0]["estimate"] == pytest.approx(0, abs=0.1)


def test_every_claim_has_its_text_and_reference(true_run):
    claims = judge_claims(true_run)
    assert [entry["claim"] for entry in claims] == [*map(str, range(1, 10)), "question"] == list(CLAIMS)
    assert {entry["claim"] for entry in claims if entry["reference"] == "unconfirmed"} == {"1", "2", "4"}
    assert all(entry["says"] and entry["judged"] and {"v1", "v2"} <= entry.keys() for entry in claims)


def test_published_scores_are_listed_with_the_runs_and_unknown_ones_stay_empty(true_run):
    v2, v1 = ({(row["task"], row["metric"]): row for row in published_table(true_run, v)} for v in ("v2", "v1"))
    xnli = v2["xnli", "accuracy"]
    assert xnli["published"] == {"XLM-R Large": 79.2, "X-STILTs": 80.0}
    assert xnli["scores"]["none"] == pytest.approx(40, abs=0.5)
    assert not xnli["whole"], "five of fifteen languages"
    assert v1["xnli", "accuracy"]["published"]["X-STILTs"] == 80.4
    assert v2["tatoeba", "accuracy"]["published"] == {"XLM-R Large": 57.3, "X-STILTs": None}
    assert ("udpos", "span_f1") in published_rows("v1") and "X-STILTs" not in published_rows("v1")["udpos", "span_f1"]
    with pytest.raises(XstiltsError) as error:
        published_rows("v3")
    assert error.value.kind == "unknown-name" and "v3" in error.value.what


def test_a_users_table_is_listed_with_the_runs_scores(true_run, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("row,task,metric,value,source\nours,xnli,accuracy,81.5,the paper\n")
    rows = {(row["task"], row["metric"]): row for row in published_table(true_run, str(file))}
    assert rows["xnli", "accuracy"]["published"] == {"ours": 81.5}
    assert rows["panx", "accuracy"]["published"] == {"ours": None}
    file.write_text("row,task,metric,value,source\nours,xnli,accuracy,much,the paper\n")
    with pytest.raises(XstiltsError) as error:
        published_rows(str(file))
    assert error.value.kind == "bad-file" and "line 2" in error.value.what
    with pytest.raises(XstiltsError) as error:
        published_rows(str(tmp_path / "none.csv"))
    assert error.value.kind == "missing-file"


@pytest.mark.parametrize("rows", ["", "a,xnli,accuracy,nan,x\n", "a,xnlii,accuracy,3,x\n"])
def test_a_table_without_usable_scores_is_refused(tmp_path, rows):
    (tmp_path / "own.csv").write_text("row,task,metric,value,source\n" + rows)
    with pytest.raises(XstiltsError) as error:
        published_rows(str(tmp_path / "own.csv"))
    assert error.value.kind == "bad-file" and "own.csv" in error.value.what


def test_published_scores_average_to_the_published_averages():
    tasks = [("xnli", "accuracy"), ("pawsx", "accuracy"), ("udpos", "span_f1"), ("panx", "span_f1"),
             ("xquad", "f1_em"), ("mlqa", "mlqa_f1_em"), ("tydiqa", "f1_em")]  # fmt: skip
    rows = published_rows("v2")
    for name, mean in (("XLM-R Large", 70.1), ("X-STILTs", 72.7)):
        assert np.mean([rows[task][name][0] for task in tasks]) == pytest.approx(mean, abs=0.06)


def test_an_unfinished_run_names_what_is_missing(tmp_path):
    run = make_run(tmp_path / "run", {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]}, ("xnli", "pawsx"))
    (run.folder / "predictions" / "pawsx.parquet").unlink()
    assert judge_claims(run)[-1]["missing"] == ["pawsx as a target"]
    file = run.folder / "predictions" / "xnli.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.filter(pa.compute.field("arm") != "mnli"), file)
    run.score_tables.clear()
    assert {entry["result"] for entry in judge_claims(run)[:6]} == {NOT_TESTED}
