"""Two systems compared by arrays, as a study compares two arms."""

import doctest
import subprocess
import sys

import numpy as np
import pytest

import xstilts
from made_runs import HELD_OUT, make_run
from xstilts import compare
from xstilts.analysis.effects import compare_arms, effect
from xstilts.errors import XstiltsError

ARMS = {"none": {}, "mnli": {"intermediate": "mnli"}}


def test_the_example_is_true():
    failed, tried = doctest.testmod(sys.modules[compare.__module__])
    assert tried and not failed


def test_importing_the_package_imports_no_torch():
    code = "import sys, xstilts; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError):
        _ = xstilts.no_such_name


def arrays_of(run, arm):
    """Correctness and clusters per language, read from a run's score table of single items."""
    table = run.score_table("xnli")
    cells = table.cells(arm)
    return {code: np.array([table.cluster_stats[cell][code][:, 0] for cell in cells]) for code in HELD_OUT}


def test_it_equals_what_a_run_with_the_same_predictions_gives(tmp_path):
    run = make_run(tmp_path / "run", ARMS, ("xnli",), gain=lambda arm, _: 5 * (arm == "mnli"), noise=1.0)
    clusters = {code: run.score_table("xnli").clusters[code] for code in HELD_OUT}
    result = compare(arrays_of(run, "mnli"), arrays_of(run, "none"), clusters=clusters)
    expected = effect(compare_arms(run, "mnli", "none", ["xnli"]))
    assert (result.estimate, result.low, result.high) == pytest.approx((expected.estimate, expected.low, expected.high))
    assert (result.replicates, result.clusters, result.verdict) == (3, expected.clusters, "better")
    assert str(result).startswith("'left' is better than 'right'")


def test_items_of_one_cluster_count_once():
    rng = np.random.default_rng(0)
    left, right = (rng.random((4, 300)) < share for share in (0.7, 0.6))
    single = compare(left, right)
    twice = compare(np.repeat(left, 2, 1), np.repeat(right, 2, 1), clusters=np.repeat(np.arange(300), 2))
    assert (twice.low, twice.high, twice.clusters) == pytest.approx((single.low, single.high, 300))
    named = compare(
        {"sw": left, "th": left},
        {"sw": right, "th": right},
        clusters={code: [f"c{i}" for i in range(300)] for code in ("sw", "th")},
    )
    assert (named.low, named.high) == pytest.approx((single.low, single.high)), (
        "a translated test set is no more evidence"
    )
    separate = compare({"sw": left, "th": left}, {"sw": right, "th": right})
    assert separate.clusters == 600 and separate.high - separate.low < single.high - single.low


def test_one_replicate_gives_a_difference_without_an_interval():
    result = compare([1, 1, 0, 1], [1, 0, 0, 0], clusters=["a", "a", "b", "b"])
    assert (result.estimate, result.low, result.high, result.verdict) == (50.0, None, None, "undetermined")
    assert "one replicate" in result.sentence


@pytest.mark.parametrize(
    ("left", "right", "more"),
    [
        (np.ones((2, 3)), np.ones((2, 4)), {}),
        (np.ones((2, 3)), np.ones((3, 3)), {}),
        ({"sw": np.ones((2, 3))}, {"th": np.ones((2, 3))}, {}),
        ({"sw": np.ones((2, 3)), "th": np.ones((3, 3))}, {"sw": np.ones((2, 3)), "th": np.ones((3, 3))}, {}),
        (np.ones((2, 3)), np.ones((2, 3)), {"clusters": [1, 2]}),
        (np.full((2, 3), np.nan), np.ones((2, 3)), {}),
        (np.ones((1, 2, 3)), np.ones((1, 2, 3)), {}),
        ([["x", "y"]], [["x", "y"]], {}),
        ({}, {}, {}),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(left, right, more):
    with pytest.raises(XstiltsError) as error:
        compare(left, right, **more)
    assert error.value.kind == "inconsistent"


@pytest.mark.parametrize("more", [{"level": 95}, {"level": 0}, {"equivalence": 0}])
def test_levels_and_margins_out_of_range_are_refused(more):
    with pytest.raises(XstiltsError) as error:
        compare(np.ones((2, 3)), np.ones((2, 3)), **more)
    assert error.value.kind == "bad-argument"
