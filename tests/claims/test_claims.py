"""Claims held against runs whose truth is known, and against a run that is about something else."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_runs import EVERYTHING, HELD_OUT, SINGLES, gain_of, make_run, predictions
from xstilts.claims import CONTRADICTED, NOT_TESTED, SUPPORTED, UNDETERMINED, judge_claims
from xstilts.claims.entries import claims
from xstilts.claims.published import published_rows, published_table
from xstilts.errors import XstiltsError
from xstilts.tasks.xtreme import TARGETS


def results(run):
    return {entry["claim"]: entry["result"] for entry in judge_claims(run)}


@pytest.fixture(scope="module")
def true_run(tmp_path_factory):
    """Every arm and target that the claims speak of, where all of them are true."""
    return make_run(tmp_path_factory.mktemp("true") / "run")


def test_where_every_claim_is_true_every_claim_is_supported(true_run):
    assert results(true_run) == dict.fromkeys([*map(str, range(1, 10)), "question"], SUPPORTED)


def test_the_estimates_are_the_planted_gains_and_the_intervals_are_simultaneous(true_run):
    told = {entry["claim"]: entry for entry in judge_claims(true_run)}
    squad, mnli, hellaswag = told["1"]["comparisons"]
    assert [row["left"] for row in (squad, mnli, hellaswag)] == ["squad_v1", "mnli", "hellaswag"]
    assert squad["estimate"] == pytest.approx((0 + 6 * 12 + 2 * 28) / 9, abs=0.3)
    assert squad["level"] == pytest.approx(1 - 0.05 / 3)
    assert len(told["3"]["comparisons"]) == 14
    over_xnli = next(row for row in told["3"]["comparisons"] if row["over"] == "xnli")
    over_panx = next(row for row in told["3"]["comparisons"] if row["over"] == "panx")
    assert over_xnli["estimate"] == pytest.approx(28, abs=0.6)
    assert over_panx["estimate"] == pytest.approx(16, abs=0.6)
    assert {row["left"]: round(row["estimate"]) for row in told["6"]["comparisons"]} == {"mnli": 3}
    assert [row["beside"] for row in told["question"]["comparisons"]] == [False, True]
    assert any("distance itself matters" in note for note in told["question"]["notes"])


def test_where_no_arm_gains_anything_the_gains_are_contradicted(tmp_path):
    found = results(make_run(tmp_path / "run", gain=lambda arm, target: 0))
    assert {name: found[name] for name in ("1", "2", "3", "4", "5", "question")} == {
        **dict.fromkeys("12345", CONTRADICTED), "question": CONTRADICTED,
    }  # fmt: skip
    assert found["6"] == SUPPORTED, "equal arms are not inferior"


def test_where_the_alternatives_are_better_they_contradict(tmp_path):
    def gain(arm, target):
        return gain_of(arm, target) + {"mnli-mlm": 9, "hellaswag": 12, "near": 12}.get(arm, 0)

    found = {entry["claim"]: entry for entry in judge_claims(make_run(tmp_path / "run", gain=gain))}
    assert found["6"]["result"] == CONTRADICTED, "masked language modelling adds six points"
    assert {row["right"]: row["holds"] for row in found["6"]["comparisons"]} == {
        "mnli-mlm": False, "mnli-translated": True,
    }  # fmt: skip
    assert found["2"]["result"] == CONTRADICTED, "one task alone is better than all"
    assert found["question"]["result"] == SUPPORTED
    assert any("near sources do better" in note for note in found["question"]["notes"])


def test_where_runs_vary_too_much_the_result_is_open(tmp_path):
    found = results(make_run(tmp_path / "run", gain=lambda arm, target: 3 * (arm != "none"), noise=8.0, replicates=2))
    assert {name: found[name] for name in ("1", "3", "5", "6", "question")} == dict.fromkeys(
        ["1", "3", "5", "6", "question"], UNDETERMINED
    )


def test_what_a_run_lacks_is_named(tmp_path):
    arms = {
        "none": {},
        "mnli": {"intermediate": "mnli"},
        "mlm": {"intermediate": "mnli", "mlm": {"corpus": "text", "share": 0.1}},
    }
    told = {entry["claim"]: entry for entry in judge_claims(make_run(tmp_path / "run", arms, ("xnli", "tydiqa")))}
    assert {entry["result"] for name, entry in told.items() if name not in ("7", "8")} == {NOT_TESTED}
    assert told["7"]["result"] == told["8"]["result"] == SUPPORTED
    assert "an arm with squad_v1 or squad_v2 in English" in told["1"]["missing"]
    assert "a retrieval target of XTREME (bucc2018, tatoeba)" in told["1"]["missing"]
    assert told["6"]["missing"] == ["an arm with some of the nine intermediate tasks on translated data"]
    assert told["6"]["comparisons"][0]["right"] == "mlm", "what can be compared is shown"
    assert told["question"]["missing"] == ["pawsx as a target", "an arm with any intermediate task in far languages"]
    assert len(told["9"]["missing"]) == 8


def test_a_run_of_other_tasks_supports_nothing(tmp_path):
    arms = {"none": {}, "english": {"intermediate": "pocket-nli"}, "far": {"intermediate": "nli", "languages": "far"}}
    run = make_run(tmp_path / "run", arms, ("pocket-nli", "pocket-tatoeba"), lambda arm, target: 20 * (arm != "none"))
    told = judge_claims(run)
    assert {entry["result"] for entry in told} == {NOT_TESTED}
    assert all(entry["missing"] and not entry["comparisons"] for entry in told)


def test_a_control_and_an_anchor_that_is_not_english_are_not_what_is_meant(tmp_path):
    arms = {"none": {}, "mnli": {"intermediate": "mnli", "role": "control"}, "far": EVERYTHING["far"]}
    run = make_run(tmp_path / "run", arms, ("xnli", "pawsx"))
    assert results(run)["question"] == NOT_TESTED
    arms["mnli"].pop("role")
    run = make_run(tmp_path / "other", arms, ("xnli", "pawsx"))
    assert results(run)["question"] == SUPPORTED
    run.plan["study"]["languages"]["anchor"] = "de"
    run.__dict__.pop("arms")
    assert results(run)["question"] == NOT_TESTED


def test_another_encoder_is_said_and_does_not_speak_of_xlm_r_large(tmp_path):
    run = make_run(tmp_path / "run", load="microsoft/mdeberta-v3-base", items=100)
    told = {entry["claim"]: entry for entry in judge_claims(run)}
    assert told["5"]["result"] == told["7"]["result"] == NOT_TESTED
    assert told["3"]["result"] == SUPPORTED
    assert any("XLM-R Large" in note for note in told["3"]["notes"])


def test_a_run_with_two_encoders_does_not_all_start_from_xlm_r_large(tmp_path):
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


def test_a_mixture_that_holds_the_target_is_marked_where_it_is_compared(tmp_path):
    marks = {name: f"intermediate '{name}'{by} and target 'xnli' are both NLI: gains may be extra same-task training"
             for name, by in (("several", " (by mnli)"), ("mnli", ""))}  # fmt: skip
    run = make_run(tmp_path / "run", {"none": {}, "multi": {"intermediate": "several"}}, items=100)
    run.plan["warnings"] = list(marks.values())
    notes = [note for entry in judge_claims(run) for note in entry["notes"]]
    assert marks["several"] in notes and marks["mnli"] not in notes


def test_arms_that_have_learnt_nothing_show_nothing(tmp_path):
    arms = {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]}
    for name, baseline, result in (("idle", 55, NOT_TESTED), ("learnt", 30, UNDETERMINED)):
        run = make_run(tmp_path / name, arms, ("xnli", "pawsx"), gain=lambda arm, target: 0, noise=3.0)
        for target in ("xnli", "pawsx"):
            file = run.folder / "predictions" / f"{target}.parquet"
            trivial = predictions(target, ["baseline"], lambda arm, target, own=baseline: own - 40, 0, 1, 200)
            kept = {"encoder": "", "replicate": 0}
            for column, value in kept.items():
                at = trivial.column_names.index(column)
                trivial = trivial.set_column(at, column, pa.array([value] * len(trivial)))
            pq.write_table(pa.concat_tables([pq.read_table(file), trivial]), file)
        told = judge_claims(run)[-1]
        assert told["result"] == result
        assert ("an arm that scores better than the baseline on xnli, pawsx" in told["missing"]) == (name == "idle")
        assert told["comparisons"], "what was found is shown all the same"


def test_the_best_arm_per_target_is_not_chosen_by_what_it_is_judged_on(tmp_path):
    arms = {"none": {}, "mnli": SINGLES["mnli"], "qqp": SINGLES["qqp"]}
    run = make_run(tmp_path / "run", arms, gain=lambda arm, target: 0, items=100)
    for target in TARGETS:
        file = run.folder / "predictions" / f"{target}.parquet"
        rows = pq.read_table(file).to_pylist()
        for row in rows:  # qqp is right everywhere, but only in the held-out languages; mnli in German
            if (row["arm"] == "qqp" and row["language"] in HELD_OUT) or (row["arm"], row["language"]) == ("mnli", "de"):
                row["prediction"] = "x"
        pq.write_table(pa.Table.from_pylist(rows), file)
    best = next(entry for entry in judge_claims(run) if entry["claim"] == "5")
    assert best["comparisons"][0]["estimate"] == pytest.approx(0, abs=0.1)


def test_figures_that_were_not_found_in_the_paper_say_so():
    assert {name for name, claim in claims().items() if claim.reference == "unconfirmed"} == {"1", "2", "4"}


def test_published_rows_lie_beside_the_runs_and_what_is_not_found_stays_empty(true_run):
    v2, v1 = ({(row["task"], row["metric"]): row for row in published_table(true_run, v)} for v in ("v2", "v1"))
    xnli = v2["xnli", "accuracy"]
    assert xnli["published"] == {"XLM-R Large": 79.2, "X-STILTs": 80.0}
    assert xnli["scores"]["none"] == pytest.approx(40, abs=0.5)
    assert not xnli["whole"], "five of fifteen languages"
    assert v1["xnli", "accuracy"]["published"]["X-STILTs"] == 80.4
    assert v2["tatoeba", "accuracy"]["published"] == {"XLM-R Large": 57.3, "X-STILTs": None}
    assert ("udpos", "span_f1") in published_rows("v1") and "X-STILTs" not in published_rows("v1")["udpos", "span_f1"]
    with pytest.raises(XstiltsError, match="no version 'v3'"):
        published_rows("v3")


def test_a_table_of_ones_own_is_laid_beside_the_run(true_run, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("row,task,metric,value,source\nours,xnli,accuracy,81.5,the paper\n")
    rows = {(row["task"], row["metric"]): row for row in published_table(true_run, str(file))}
    assert rows["xnli", "accuracy"]["published"] == {"ours": 81.5}
    assert rows["panx", "accuracy"]["published"] == {"ours": None}
    file.write_text("row,task,metric,value,source\nours,xnli,accuracy,much,the paper\n")
    with pytest.raises(XstiltsError, match="line 2"):
        published_rows(str(file))
    with pytest.raises(XstiltsError, match="cannot read"):
        published_rows(str(tmp_path / "none.csv"))


@pytest.mark.parametrize("rows", ["", "a,xnli,accuracy,nan,x\n", "a,xnlii,accuracy,3,x\n"])
def test_a_table_that_would_lay_nothing_or_no_number_beside_the_run_is_refused(tmp_path, rows):
    (tmp_path / "own.csv").write_text("row,task,metric,value,source\n" + rows)
    with pytest.raises(XstiltsError, match=r"own\.csv"):
        published_rows(str(tmp_path / "own.csv"))


def test_the_published_scores_add_up_to_the_published_averages():
    tasks = [("xnli", "accuracy"), ("pawsx", "accuracy"), ("udpos", "span_f1"), ("panx", "span_f1"),
             ("xquad", "f1_em"), ("mlqa", "mlqa_f1_em"), ("tydiqa", "f1_em")]  # fmt: skip
    rows = published_rows("v2")
    for name, mean in (("XLM-R Large", 70.1), ("X-STILTs", 72.7)):
        assert np.mean([rows[task][name][0] for task in tasks]) == pytest.approx(mean, abs=0.06)


def test_an_unfinished_run_is_told_what_it_lacks(tmp_path):
    run = make_run(tmp_path / "run", {"none": {}, "mnli": SINGLES["mnli"], "far": EVERYTHING["far"]}, ("xnli", "pawsx"))
    (run.folder / "predictions" / "pawsx.parquet").unlink()
    assert judge_claims(run)[-1]["missing"] == ["pawsx as a target"]
    file = run.folder / "predictions" / "xnli.parquet"
    rows = pq.read_table(file)
    pq.write_table(rows.filter(pa.compute.field("arm") != "mnli"), file)
    run.score_tables.clear()
    assert {entry["result"] for entry in judge_claims(run)[:6]} == {NOT_TESTED}
