"""Predicting transfer: real patterns are learnt, luck is not mistaken for skill, and nothing leaks."""

import csv
import itertools
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import optimize, stats

from made_runs import make_run, sealed
from xstilts.engine import Plan, Step, write_steps
from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix, read_scores, select
from xstilts.runs.reader import read_run
from xstilts.runs.run_files import FEATURES, read_language_features
from xstilts.transfer.from_runs.as_tables import tables_of_runs
from xstilts.transfer.from_runs.gains import Gain, gains, signal
from xstilts.transfer.from_runs.rankings import _warnings, rank_by_runs
from xstilts.transfer.from_runs.ridge import choose_penalty, features, standardised, training_set, weights
from xstilts.transfer.from_runs.transferability import h_score, log_me
from xstilts.transfer.from_runs.validation import leave_out, mean
from xstilts.transfer.metrics import ndcg, spearman
from xstilts.transfer.rank_sources import write_scores

SETS = [("en",), ("de",), ("fr",), ("hi",), ("ar",), ("ja",), ("tr", "sw")]
LANGUAGES = ["es", "bg", "fa", "fi", "zh", "id", "ko", "ta", "eu", "he", "hu", "vi"]


def near(language, sources):
    """Distance to the nearest source."""
    return float(distance_matrix([language, *sources]).values[0, 1:].min())


def simulated(gain, units=4, languages=LANGUAGES, sets=SETS, tasks=("nli",), luck=0.0, noise=0.0, seed=0):
    """Gains of gain(language, sources, task); each training's luck is the same in all languages."""
    rng = np.random.default_rng(seed)
    rows = []
    for unit in range(units):
        for task, sources in itertools.product(tasks, sets):
            shift = luck * rng.normal()
            for code in languages:
                if code not in sources:
                    value = gain(code, sources, task) + shift + noise * rng.normal()
                    arm = f"{task} {' '.join(sources)}"
                    rows.append(Gain("r", "e", f"r:e:{unit}", arm, task, sources, "xnli", code, value))
    return rows


def check(rows, by="language"):
    return leave_out(training_set(rows, {}), by)


def test_rank_metrics_by_hand():
    assert spearman(np.array([1.0, 2.0, 3.0, 4.0]), np.array([10.0, 30.0, 20.0, 40.0])) == pytest.approx(0.8)
    assert spearman(np.ones(5), np.arange(5.0)) == 0
    assert np.isnan(spearman(np.arange(5.0), np.ones(5)))
    value = np.array([9.0, 7.0, 5.0, 1.0])
    assert ndcg(value, value) == 1
    order = np.array([3.0, 4.0, 2.0, 1.0])  # second before first: (3 + 7 / log2(3) + 1 / 2) / (7 + 3 / log2(3) + 1 / 2)
    assert ndcg(order, value) == pytest.approx((3 + 7 / np.log2(3) + 0.5) / (7 + 3 / np.log2(3) + 0.5))
    assert ndcg(-value, value) < ndcg(order, value) < 1


def test_equal_scores_get_the_mean_over_random_orders():
    value = np.array([3.0, 1.0, 2.0, 0.0])
    drawn = [ndcg(np.array(order, float), value) for order in itertools.permutations(range(4))]
    assert ndcg(np.zeros(4), value) == pytest.approx(np.mean(drawn))
    partly = [ndcg(np.array([9, *order], float), value) for order in itertools.permutations(range(3))]
    assert ndcg(np.array([9.0, 1.0, 1.0, 1.0]), value) == pytest.approx(np.mean(partly))


@pytest.mark.parametrize("shape", [(60, 5), (20, 30)], ids=["more rows", "more features"])
def test_log_me_is_the_maximum_evidence(shape):
    rng = np.random.default_rng(1)
    x = rng.normal(size=shape)
    labels = (x[:, 0] + rng.normal(0, 0.8, shape[0]) > 0).astype(int)

    def evidence(logs, y):
        """Of y ~ N(0, x x' / alpha + 1 / beta): the same quantity, written as the density of the data."""
        covariance = x @ x.T / np.exp(logs[0]) + np.eye(len(y)) / np.exp(logs[1])
        return stats.multivariate_normal(np.zeros(len(y)), covariance, allow_singular=True).logpdf(y)

    best = [
        -optimize.minimize(lambda logs, y=y: -evidence(logs, y), [1.0, 1.0], method="Nelder-Mead").fun / len(labels)
        for y in ((labels == 0) * 1.0, (labels == 1) * 1.0)
    ]
    assert log_me(x, labels) == pytest.approx(np.mean(best), abs=2e-3)
    assert log_me(x, labels) > log_me(x, rng.permutation(labels))


def test_h_score_counts_separable_classes_and_is_invariant_to_linear_maps():
    rng = np.random.default_rng(2)
    labels = np.repeat([0, 1, 2], 50)
    means = np.array([[0, 0, 0, 9.0], [0, 9.0, 0, 0], [0, 0, 0, 0]])
    x = means[labels] + rng.normal(0, 0.01, (150, 4))
    assert h_score(x, labels) == pytest.approx(2, abs=0.01)
    assert h_score(rng.normal(size=(150, 4)), labels) < 0.3
    turned = x @ rng.normal(size=(4, 4)) + 7
    assert h_score(turned, labels) == pytest.approx(h_score(x, labels), abs=1e-4)


def run_of(tmp_path, arms, sources, **options):
    """A run folder whose arms took the given languages in every replicate."""
    run = make_run(tmp_path / "run", arms, ("xnli",), **options)
    plan = json.loads((run.folder / "plan.json").read_text())
    for arm in sources.keys() & arms.keys():
        shift = 1000 * bool(arms[arm].get("independent"))
        plan["sources"][arm] = {f"enc:{r + shift}": sources[arm] for r in (1, 2, 3)}
    (run.folder / "plan.json").write_text(json.dumps(plan))
    return read_run(sealed(run.folder))


ARMS = {
    "none": {},
    "english": {"intermediate": "mnli"},
    "again": {"intermediate": "mnli", "role": "control", "independent": True},
    "german": {"intermediate": "mnli", "languages": "given", "given": ["de"]},
    "mixed": {"intermediate": "mnli", "mlm": {"corpus": "text", "share": 0.2}},
    "hidden": {"intermediate": "mnli", "mask_column": "text_a"},
}
TAKEN = {"english": ["en"], "again": ["en"], "german": ["de"], "mixed": ["en"], "hidden": ["en"]}


def test_a_gain_is_the_difference_to_the_same_replicate_without_the_phase(tmp_path):
    run = run_of(tmp_path, ARMS, TAKEN, gain=lambda arm, target: {"german": 20, "english": 10}.get(arm, 0))
    rows = gains([run])
    assert {gain.arm for gain in rows} == {"english", "again", "german"}
    assert {gain.language for gain in rows if gain.arm == "english"} == {"de", "fi", "tr", "sw"}, "not the anchor"
    assert {gain.language for gain in rows if gain.arm == "german"} == {"fi", "tr", "sw"}, "not its source"
    assert {(gain.arm, round(gain.points)) for gain in rows} == {("english", 10), ("again", 0), ("german", 20)}
    assert {gain.sources for gain in rows if gain.arm == "again"} == {("en",)}
    assert len({gain.training for gain in rows}) == 3
    with pytest.raises(XstiltsError) as error:
        gains([run], "pawsx")
    assert error.value.kind == "too-few" and "pawsx" in error.value.what


def test_a_run_without_an_arm_without_the_phase_is_refused(tmp_path):
    run = run_of(tmp_path, {"english": ARMS["english"]}, {"english": ["en"]}, gain=lambda arm, target: 0)
    with pytest.raises(XstiltsError) as error:
        gains([run])
    assert error.value.kind == "inconsistent"
    (tmp_path / "more").mkdir()
    alone = run_of(tmp_path / "more", {"none": {}, "english": ARMS["english"]}, {"english": ["en"]})
    with pytest.raises(XstiltsError) as error:
        rank_by_runs([alone])
    assert error.value.kind == "too-few"


def test_a_gain_that_follows_distance_is_predicted_in_languages_and_families_left_out():
    rows = simulated(lambda code, sources, task: -10 * near(code, sources), noise=0.3)
    for by in ("language", "family"):
        result = check(rows, by)
        assert result["methods"]["ridge"]["spearman"]["low"] > 0.6
        assert result["methods"]["nearest language"]["spearman"]["mean"] > 0.8
        assert result["methods"]["random"] == {
            "spearman": {"mean": 0, "low": 0, "high": 0}, "ndcg@3": result["methods"]["random"]["ndcg@3"],
        }  # fmt: skip
        assert result["methods"]["ridge"]["ndcg@3"]["mean"] > result["methods"]["random"]["ndcg@3"]["mean"] + 0.2


def test_the_model_learns_that_distant_sources_are_better():
    result = check(simulated(lambda code, sources, task: 10 * near(code, sources), noise=0.3))
    assert result["methods"]["ridge"]["spearman"]["low"] > 0.6
    assert result["methods"]["nearest language"]["spearman"]["high"] < 0
    assert result["over_nearest"]["spearman"]["low"] > 0


def test_the_luck_of_a_training_is_not_mistaken_for_skill():
    """Luck is the same in all languages: leaving out only languages would find it again in the others."""
    values = []
    for seed in range(8):
        rows = simulated(lambda *_: 0.0, units=3, luck=3.0, noise=0.5, seed=seed)
        ridge = check(rows)["methods"]["ridge"]["spearman"]
        values.append(ridge["mean"])
        assert ridge["low"] < 0.3
    assert abs(np.mean(values)) < 0.15


def test_the_f_test_tells_gains_within_noise_from_real_ones():
    idle = signal(simulated(lambda *_: 0.0, luck=2.0, noise=0.5))
    assert idle[0]["p"] > 0.05
    real = signal(simulated(lambda code, sources, task: 5 * len(sources), luck=0.3, noise=0.3))
    assert real[0]["p"] < 0.001
    assert signal(simulated(lambda *_: 0.0, units=1))[0]["p"] is None
    drawn = [signal(simulated(lambda *_: 0.0, luck=1.0, noise=1.0, seed=seed))[0]["p"] for seed in range(150)]
    assert 0.01 <= np.mean(np.array(drawn) < 0.05) <= 0.11


def test_the_better_intermediate_task_is_predicted_for_a_new_language():
    rows = simulated(lambda code, sources, task: {"nli": 0, "qa": 8}[task], tasks=("nli", "qa"), noise=0.5)
    data = training_set([gain for gain in rows if gain.language != "fi"], {})
    new = [gain for gain in rows if gain.language == "fi" and gain.training == "r:e:0"]
    scores = standardised(new, data) @ weights(data.x, data.y, choose_penalty(data.x, data.y, data.languages))
    by_task = {task: [s for s, g in zip(scores, new, strict=True) if g.intermediate == task] for task in ("qa", "nli")}
    assert min(by_task["qa"]) > max(by_task["nli"])


def test_warnings_name_few_languages_few_families_and_a_single_training():
    rows = simulated(lambda code, sources, task: -near(code, sources), units=1, languages=["es", "it"])
    assert check(rows) is None, "there is no second training to validate on"
    warnings = " ".join(_warnings(training_set(rows, {}), [], signal(rows)))
    assert "2 languages are too few" in warnings
    assert "1 family" in warnings
    assert "1 complete trainings" in warnings


def test_a_training_without_any_difference_between_arms_is_named():
    rows = simulated(lambda code, sources, task: -near(code, sources), units=3)
    rows = [replace(gain, points=0.0) if gain.training == "r:e:1" else gain for gain in rows]
    warnings = " ".join(_warnings(training_set(rows, {}), [], signal(rows)))
    assert "in 1 of 3 trainings" in warnings and "(r:e:1)" in warnings


def test_a_repeated_run_is_refused_and_shared_trainings_are_warned_of(run, tmp_path):
    folders = [shutil.copytree(run.folder, tmp_path / name) for name in ("a", "b", "c")]
    trained = [Step("train", f"made:{i}", 1, {}) for i in range(4)]
    for folder, steps in zip(folders, (trained[:2], trained[:3], trained[2:]), strict=True):
        plan = Plan()
        for step in steps:
            plan.add(step)
        write_steps(folder / "steps.jsonl", plan, [])
    first, more, other = map(read_run, folders)
    with pytest.raises(XstiltsError) as error:
        rank_by_runs([more, first])
    assert error.value.kind == "inconsistent" and str(first.folder) in error.value.hint
    assert "share 1 training," in rank_by_runs([more, other])["warnings"][0]


def test_the_interval_of_a_mean_covers_the_truth_if_languages_and_trainings_vary():
    rng = np.random.default_rng(3)
    covered = 0
    for _ in range(400):
        values = rng.normal(0, 1, (9, 1)) + rng.normal(0, 1, (1, 4)) + rng.normal(0, 1, (9, 4))
        interval = mean(values)
        covered += interval["low"] <= 0 <= interval["high"]
    assert 0.92 <= covered / 400 <= 0.99
    values[0, 0] = np.nan
    assert mean(values)["low"] < mean(values)["mean"] < mean(values)["high"]


def test_unmeasured_features_are_named_and_measured_ones_are_used():
    rows = simulated(lambda *_: 0.0, units=1, languages=["es", "fi"])
    unmeasured = {"overlap", "fertility", "log_size", "logme", "h_score"}
    assert unmeasured <= training_set(rows, {}).absent.keys()
    assert all(np.isnan(features(rows, {})[name]).all() for name in unmeasured)
    known = {"r": {"overlap": {"e": {"es": {"fr": 0.4, "de": 0.2, "tr": 0.1, "sw": 0.3}}},
                   "logme": {"e": {"nli": {"fr": -0.5, "tr": -0.7, "sw": -0.9}}}}}  # fmt: skip
    table = features(rows, known)
    overlap = dict(zip([(gain.language, gain.sources) for gain in rows], table["overlap"], strict=True))
    assert overlap["es", ("fr",)] == 0.4
    assert overlap["es", ("tr", "sw")] == 0.3, "the source that shares most"
    assert np.isnan(overlap["fi", ("fr",)])
    assert [value for gain, value in zip(rows, table["logme"], strict=True) if len(gain.sources) == 2] == [-0.8, -0.8]
    assert table["distance"][0] == pytest.approx(near("es", ("en",)))
    assert {"overlap", "logme"}.isdisjoint(training_set(rows, known).absent)


@pytest.mark.parametrize("text", ["{", "[1]", '{"log_size": {"enc": {"de": "much"}}}', '{"logsize": {}}'])
def test_unreadable_measurements_are_refused(tmp_path, text):
    run = run_of(tmp_path, {"none": {}, "english": ARMS["english"]}, TAKEN)
    (run.folder / FEATURES).write_text(text)
    with pytest.raises(XstiltsError) as error:
        read_language_features(run.folder)
    assert str(run.folder / FEATURES) in error.value.what and error.value.why


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    arms = {"none": {}, **{s: {"intermediate": "mnli", "languages": "given", "given": [s]} for s in ("de", "hi", "zh")}}
    worth = {"de": 4, "hi": 12, "zh": 8}
    folder = tmp_path_factory.mktemp("transfer")
    run = run_of(folder, arms, {s: [s] for s in worth}, gain=lambda arm, target: worth.get(arm, 0), noise=0.5)
    overlap = {code: {"de": 0.1, "hi": 0.3, "zh": 0.2, "it": 0.4} for code in ("fi", "tr", "sw", "de", "ta")}
    (run.folder / FEATURES).write_text(json.dumps({"overlap": {"enc": overlap}}))
    return run


def test_sources_are_ranked_for_a_new_language_with_intervals(run):
    result = rank_by_runs([run], ["ta"], ["de", "hi", "zh", "it", "ta"])
    ranking = result["rankings"]["ta"]
    assert {row["source"] for row in ranking} == {"de", "hi", "zh", "it"}, "not the language itself"
    by = {row["source"]: row for row in ranking}
    assert by["hi"]["score"] > by["zh"]["score"] > by["de"]["score"]
    assert all(row["low"] <= row["score"] <= row["high"] for row in ranking)
    assert sum(row["best"] for row in ranking) == pytest.approx(1)
    assert sum(row["top"] for row in ranking) == pytest.approx(3)
    assert "overlap" in result["weights"] and "fertility" in result["absent"]


def test_a_wanted_language_is_not_learnt_from(run, tmp_path):
    before = rank_by_runs([run], ["fi"], ["de", "hi", "zh"])
    assert "fi" not in before["languages"]
    other = shutil.copytree(run.folder, tmp_path / run.folder.name)
    table = pq.read_table(other / "predictions" / "xnli.parquet").to_pylist()
    for row in table:
        row["prediction"] = "x" if row["language"] == "fi" and row["arm"] == "de" else row["prediction"]
    pq.write_table(pa.Table.from_pylist(table), other / "predictions" / "xnli.parquet")
    sealed(other)
    after = rank_by_runs([read_run(other)], ["fi"], ["de", "hi", "zh"])
    assert after["rankings"] == before["rankings"]
    assert rank_by_runs([read_run(other)], ["ta"], ["de", "hi"])["weights"] != before["weights"]
    write_scores(tmp_path / "scores.csv", before["rankings"], before["languages"])
    scores = read_scores(tmp_path / "scores.csv", held_out=["fi"])
    chosen = select("predicted", ["de", "hi", "zh", "es"], 2, scores=scores)
    assert set(chosen.languages) == {"hi", "zh"}
    assert "no score" in chosen.excluded["es"]
    for code in ("tr", "hi"):
        with pytest.raises(XstiltsError) as error:
            read_scores(tmp_path / "scores.csv", held_out=[code])
        assert code in str(error.value)
    with (tmp_path / "scores.csv").open() as file:
        assert {row["target"] for row in csv.DictReader(file)} == {"fi"}


def test_a_run_is_a_table_of_scores_without_what_replicates_share(run):
    (table,) = tables_of_runs([run])
    assert (table.encoder, table.task) == ("enc", "mnli → xnli") and set(table.sources) == {"de", "hi", "zh"}
    assert table.scores.shape == (9, len(table.targets)) and table.one_source_each
    by_source = {code: np.nanmean(table.scores[table.examples[:, i] > 0]) for i, code in enumerate(table.sources)}
    assert by_source["hi"] > by_source["zh"] > by_source["de"]
