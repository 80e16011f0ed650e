"""Simulated studies have the truth that they are asked for, and the default method is right about it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support import invoke
from xstilts.analysis.calibrate import (
    LEAST_COVERAGE,
    MOST_COVERAGE,
    MOST_FALSE,
    WORLDS,
    calibrate,
    families,
    fault,
    settings,
    simulate,
)
from xstilts.analysis.components import ASSUMED, Design, estimate, expected_variance
from xstilts.analysis.effects import Comparison, effect
from xstilts.analysis.gain_by_distance import slope

RESULT = Path(__file__).parents[2] / "benchmarks" / "results" / "calibration.json"


def compare(table, *codes):
    return Comparison((table,), "left", "right", (codes or tuple(table.languages),), ("e0",))


def effects(table):
    return effect(compare(table)), {code: effect(compare(table, code)) for code in table.languages}


def test_components_are_estimated_from_the_studies_that_they_generate():
    truth = replace(ASSUMED, replicate=2.0, replicate_language=3.0, item=300.0, item_language=200.0,
                    language=4.0, family=4.0)  # fmt: skip
    rng = np.random.default_rng(0)
    results = []
    for _ in range(40):
        score_table = simulate(truth, 10, 15, 400, 1.0, rng, True)
        results.append(vars(estimate(*effects(score_table), families(15))))
    means = {name: np.mean([row[name] for row in results]) for name in results[0]}
    for name in ("replicate", "replicate_language", "item", "item_language", "replicate_item", "rest"):
        assert means[name] == pytest.approx(getattr(truth, name), rel=0.25), name
    assert means["language"] + means["family"] == pytest.approx(8.0, abs=1.5)


def test_the_expected_variance_is_that_of_simulated_effects():
    rng = np.random.default_rng(1)
    whole = [effect(compare(simulate(ASSUMED, 4, 5, 80, 0.5, rng, False))) for _ in range(500)]
    (replicate, _), (items, _) = expected_variance(ASSUMED, Design(4, 5, 4, 80))
    assert np.var([each.estimate for each in whole]) == pytest.approx(replicate + items, rel=0.15)
    assert np.mean([each.replicate_variance for each in whole]) == pytest.approx(replicate, rel=0.1)
    beyond = np.mean([each.cluster_variance - each.shared_variance for each in whole])
    assert beyond == pytest.approx(items, rel=0.1)
    assert np.mean([each.estimate for each in whole]) == pytest.approx(0.5, abs=4 * ((replicate + items) / 500) ** 0.5)


def test_the_default_covers_and_the_percentile_bootstrap_of_three_replicates_does_not():
    rows = {row["method"]: row for row in calibrate("replicates", 3, 5, 150)}
    assert rows["crossed"]["default"] and not rows["multi-bootstrap"]["default"]
    assert rows["crossed"]["coverage"] > 0.91 and rows["crossed"]["false_verdicts"] < 0.1
    assert rows["multi-bootstrap"]["coverage"] < 0.85
    assert rows["items alone"]["coverage"] < 0.6
    assert rows["multi-bootstrap"]["width"] < rows["crossed"]["width"]


def test_random_language_inference_covers_the_mean_of_all_families_and_is_refused_if_they_are_few():
    rows = {row["method"]: row for row in calibrate("languages", 5, 15, 60)}
    assert rows["random-language inference"]["default"] and rows["random-language inference"]["coverage"] > 0.88
    assert "random-language inference" not in {row["method"] for row in calibrate("languages", 5, 5, 3)}


def test_faults_are_those_of_the_bounds_and_none_from_few_studies():
    row = {"coverage": 0.95, "false_verdicts": 0.05, "replicates": 5, "studies": 1000}
    assert fault(row) == ""
    assert fault(row | {"coverage": LEAST_COVERAGE - 0.001}) == "covers too seldom"
    assert fault(row | {"false_verdicts": MOST_FALSE + 0.001}) == "too many false verdicts"
    assert fault(row | {"coverage": MOST_COVERAGE + 0.001}) == "wider than necessary"
    assert fault(row | {"coverage": MOST_COVERAGE + 0.001, "replicates": 3}) == ""
    assert fault(row | {"coverage": 0.5, "studies": 100}) == ""


def test_the_verb_prints_settings_and_names_unknown_worlds():
    rows = json.loads(invoke("calibrate", "--studies", 2, "--world", "encoders", "--json"))["settings"]
    assert {(row["replicates"], row["languages"]) for row in rows} == {(r, n) for r in (3, 5, 10) for n in (5, 15, 40)}
    wanted = {"method", "default", "replicates", "languages", "items", "coverage", "false_verdicts", "power", "width",
              "studies"}  # fmt: skip
    assert all(wanted <= set(row) for row in rows)
    assert "did you mean 'encoders'" in invoke("calibrate", "--world", "encoder", code=2)


def sound(rows):
    for row in rows:
        if row["default"]:
            assert row["studies"] >= 1000 and fault(row) == "", row


def test_the_committed_calibration_is_complete_and_its_default_sound():
    rows = json.loads(RESULT.read_text())["settings"]
    assert {(row["world"], row["replicates"], row["languages"]) for row in rows} == set(settings())
    sound(rows)


@pytest.mark.soak
@pytest.mark.parametrize("world", WORLDS)
def test_the_default_method_is_sound_in_every_setting(world):
    sound([row for setting in settings([world]) for row in calibrate(*setting, 1000)])


@pytest.mark.soak
@pytest.mark.parametrize(("replicates", "languages"), [(3, 9), (5, 15), (10, 15)])
@pytest.mark.parametrize("between", [0.0, 0.6, 4.0])
def test_a_slope_of_zero_is_covered_and_seldom_significant(replicates, languages, between, monkeypatch):
    monkeypatch.setattr("xstilts.analysis.gain_by_distance.DRAWS", 500)
    rng = np.random.default_rng(languages)
    covered, significant = 0, 0
    for _ in range(400):
        parts = replace(ASSUMED, language=between, family=0.0)
        score_table = simulate(parts, replicates, languages, 150, 0.0, rng, True)
        distances = dict(zip(score_table.languages, rng.random(languages), strict=True))
        results = slope(compare(score_table), {"distance": distances})
        covered += results["low"] <= 0 <= results["high"]
        significant += results["p"] <= 0.05
    assert covered >= 0.93 * 400 and significant <= 0.075 * 400
