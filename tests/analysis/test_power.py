"""Power and what would settle a contrast: predictions that simulated studies keep."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from support import invoke
from xstilts.analysis.calibrate import calibrate, simulate
from xstilts.analysis.components import ASSUMED, Design
from xstilts.analysis.effects import FIXED_LANGUAGES, Comparison, Effect, effect
from xstilts.analysis.power import decision, power, replicates_needed, table
from xstilts.analysis.verdicts import UNDETERMINED, verdict

STRONG = replace(ASSUMED, item=10.0, item_language=10.0, replicate_item=20.0, rest=100.0)


def judge(table):
    return effect(Comparison((table,), "left", "right", (tuple(table.languages),), ("e0",)))


def test_power_is_the_share_of_simulated_studies_whose_interval_excludes_zero():
    rng = np.random.default_rng(0)
    for replicates in (3, 8):
        detected = [judge(simulate(STRONG, replicates, 5, 60, 1.0, rng, False)).low > 0 for _ in range(400)]
        assert power(STRONG, Design(replicates, 5, 4, 60), 1.0, 0.95) == pytest.approx(np.mean(detected), abs=0.07)


def test_the_replicates_needed_are_the_fewest_that_have_the_power():
    design = Design(3, 9, 8, 1000)
    needed = replicates_needed(STRONG, design, 1.0, 0.95)
    assert needed is not None
    assert power(STRONG, replace(design, replicates=needed), 1.0, 0.95) >= 0.8
    assert power(STRONG, replace(design, replicates=needed - 1), 1.0, 0.95) < 0.8
    assert replicates_needed(STRONG, replace(design, clusters=10), 0.5, 0.95) is None
    random = replicates_needed(replace(STRONG, family=0.3), design, 2.0, 0.95, random_languages=True)
    assert random is not None and random >= replicates_needed(STRONG, design, 2.0, 0.95)
    assert replicates_needed(replace(STRONG, family=9.0), design, 1.0, 0.95, random_languages=True) is None


def effect_of(half=2.0, replicate=0.5, cluster=0.05, shared=0.01, estimate=0.3):
    return Effect(estimate, estimate - half, estimate + half, 0.95, 4.0, 5, 400, replicate, cluster, shared)


def test_what_settles_a_contrast_follows_from_the_width_and_never_from_the_difference():
    assert decision(effect_of(estimate=0.3), 1.0, 1) == decision(effect_of(estimate=-7.0), 1.0, 1)
    needed = decision(effect_of(), 1.0, 1)
    assert needed["half"] == 0.5 and needed["replicates"] > 5
    assert f"About {needed['replicates']} replicates per encoder would settle this (the run has 5)" in needed["text"]


def test_the_number_of_replicates_that_is_named_settles_the_contrast():
    rng = np.random.default_rng(0)
    varying = replace(STRONG, replicate=4.0)
    small = simulate(varying, 5, 5, 2000, 0.4, rng, False)
    first = judge(small)
    assert verdict(first, 1.0) == UNDETERMINED
    needed = decision(first, 1.0, 1)["replicates"]
    assert needed is not None
    words = []
    for gain in (0.0, 0.4, 0.7):
        large = simulate(varying, 2 * needed, 5, 2000, gain, rng, False)
        words.append(verdict(judge(large), 1.0))
    assert UNDETERMINED not in words


def test_no_number_of_replicates_is_named_if_items_are_the_limit():
    needed = decision(effect_of(cluster=0.5), 1.0, 1)
    assert needed["replicates"] is None and needed["floor"] > 0.5
    assert "More replicates alone cannot settle this" in needed["text"]
    wanted = int(re.search(r"More than ([\d,]+) item clusters", needed["text"])[1].replace(",", ""))
    enough = effect_of(cluster=0.5 * 400 / (wanted * 1.2), shared=0.01 * 400 / (wanted * 1.2))
    assert decision(enough, 1.0, 1)["replicates"] is not None


def test_the_table_has_both_kinds_of_inference_and_a_cost():
    result = table(ASSUMED, Design(3, 15, 9, 2000, 2), 0.95, (60.0, 30.0), (0.5, 1, 2))
    assert result["components"]["rest"] == ASSUMED.rest
    costs = {row["replicates"]: row["device_seconds"] for row in result["curve"]}
    assert costs[3] == 120 and costs[10] == 330
    fixed, random = result["needed"].values()
    assert [row["languages"] for row in fixed] == [5, 10, 15, 20, 40]
    assert min(row["families"] for row in random) >= 8
    assert all(row["2"] is None or row["1"] is None or row["2"] <= row["1"] for row in fixed)
    assert [row["2"] for row in fixed] == sorted((row["2"] for row in fixed), reverse=True)


def test_the_verb_says_that_components_are_assumed_and_draws_the_curve(tmp_path):
    printed = invoke("power", "pocket", "--picture", tmp_path / "curve.html")
    assert "(9 held-out languages); computed for" in " ".join(printed.split()) and "one core" in printed
    assert "assumed, not measured" in " ".join(printed.split())
    page = (tmp_path / "curve.html").read_text()
    assert "<svg" in page and "assumed, not measured" in page
    result = json.loads(invoke("power", "pocket", "--json", "--items", 300))
    assert result["gains"] == [2.5, 5.0, 10.0], "half, one and two of the study's equivalence margins"
    assert all({"2.5", "5", "10"} <= set(row) for row in [*result["curve"], *result["needed"][FIXED_LANGUAGES]])
    assert result["from"] == "assumed" and result["design"]["clusters"] == 300
    assert result["curve"][0]["device_seconds"] < result["curve"][-1]["device_seconds"]
    assert "a picture is SVG" in invoke("power", "--picture", tmp_path / "x.gif", code=2)


def test_calibration_and_power_agree():
    row = calibrate("items", 5, 15, 200)[0]
    world = {"replicate": 0.05, "replicate_language": 0.05, "item": 1000.0, "item_language": 1000.0,
             "replicate_item": 100.0, "rest": 800.0}  # fmt: skip
    parts = replace(ASSUMED, **world)
    assert power(parts, Design(5, 15, 9, row["items"]), row["gain"], 0.95) == pytest.approx(row["power"], abs=0.08)
