"""Effects, intervals and verdicts, on data whose truth is known."""

import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from xstilts.analysis.cube import Cube, read_cube
from xstilts.analysis.distance import rank_correlation
from xstilts.analysis.effects import Effect, effect
from xstilts.analysis.verdicts import answer, verdict
from xstilts.errors import XstiltsError
from xstilts.tasks import classification, tagging


def cube_of(statistics, kind=classification, metric="accuracy", codes=("fi",)):
    """statistics: {(arm, encoder, replicate): [languages, clusters, k]}, with clusters shared by all languages."""
    sums = {cell: dict(zip(codes, array, strict=True)) for cell, array in statistics.items()}
    count = next(iter(statistics.values())).shape[1]
    return Cube("t", kind, metric, sums, {code: np.arange(count) for code in codes}, count)


def study(rng, encoders, replicates, clusters, gain, spread):
    """One simulated study. `spread`: variances of replicate, cluster and interaction, of a cluster's share correct.

    A cluster is 1000 answers, so that its share correct is as good as continuous.
    """
    cells = {}
    cluster = rng.normal(0, spread[1] ** 0.5, clusters)
    for encoder in range(encoders):
        for replicate in range(replicates):
            moved = gain + rng.normal(0, spread[0] ** 0.5) + cluster + rng.normal(0, spread[2] ** 0.5, clusters)
            for arm, share in (("a", 0.5 + moved), ("b", np.full(clusters, 0.5))):
                cells[arm, f"e{encoder}", replicate] = np.stack([1000 * share, np.full(clusters, 1000.0)], 1)[None]
    return cube_of(cells)


@pytest.mark.parametrize("replicates", [3, 5])
@pytest.mark.parametrize(
    "spread",
    [(4e-4, 4e-3, 4e-3), (4e-4, 1e-4, 1e-4), (2e-5, 1e-2, 1e-2), (0.0, 1e-3, 4e-3), (1e-4, 0.0, 4e-3)],
    ids=["both", "replicates", "clusters", "no replicate effect", "no cluster effect"],
)
def test_the_interval_covers_the_truth_as_often_as_it_says(replicates, spread):
    rng = np.random.default_rng(sum(map(ord, str((replicates, spread)))))
    covered = 0
    for _ in range(400):
        found = effect([study(rng, 2, replicates, 40, 0.02, spread)], "a", "b", [["fi"]], ["e0", "e1"], 0.95)
        covered += found.low <= 2.0 <= found.high
    assert 0.92 <= covered / 400 <= (0.985 if replicates == 5 else 1), covered / 400


def test_equal_arms_differ_by_nothing():
    rng = np.random.default_rng(0)
    cells = study(rng, 2, 3, 20, 0.0, (1e-3, 1e-3, 1e-3)).sums
    same = {(arm, e, r): cells["a", e, r]["fi"][None] for arm in "ab" for e in ("e0", "e1") for r in range(3)}
    found = effect([cube_of(same)], "a", "b", [["fi"]], ["e0", "e1"], 0.95)
    assert found.estimate == 0
    assert abs(found.low) < 1e-9 and abs(found.high) < 1e-9


def test_the_estimate_is_the_mean_over_targets_of_the_mean_over_languages():
    shares = {"fi": 0.9, "tr": 0.6, "sw": 0.3}
    rng = np.random.default_rng(0)

    def cells(codes):
        return {
            (arm, "e", r): np.array([[[100 * (shares[c] if arm == "a" else 0.2), 100.0]] * 4 for c in codes])
            + rng.normal(0, 1e-6, (len(codes), 4, 2))
            for arm in "ab"
            for r in range(2)
        }

    one, two = cube_of(cells(["fi", "tr"]), codes=["fi", "tr"]), cube_of(cells(["sw"]), codes=["sw"])
    found = effect([one, two], "a", "b", [["fi", "tr"], ["sw"]], ["e"], 0.95)
    assert found.estimate == pytest.approx(((70 + 40) / 2 + 10) / 2, abs=1e-3)
    assert effect([one], "a", "b", [["tr"]], ["e"], 0.95).estimate == pytest.approx(40, abs=1e-3)
    assert effect([one], "b", "a", [["tr"]], ["e"], 0.95).estimate == pytest.approx(-40, abs=1e-3)
    assert found.clusters == 8


def tag_statistics(rng, clusters, quality):
    """True, predicted and gold chunks, right words and words of documents of very unequal sizes."""
    gold = rng.integers(1, 60, clusters).astype(float)
    true = rng.binomial(gold.astype(int), np.clip(quality + rng.normal(0, 0.15, clusters), 0, 1)).astype(float)
    predicted = true + rng.poisson(0.2 * gold)
    return np.stack([true, predicted, gold, true * 3, gold * 3], 1)


def test_the_cluster_part_of_an_f1_score_agrees_with_a_paired_bootstrap_over_clusters():
    rng = np.random.default_rng(4)
    cells = {
        (arm, "e", r): np.stack([tag_statistics(rng, 150, quality) for _ in range(3)])
        for arm, quality in (("a", 0.8), ("b", 0.7))
        for r in range(2)
    }
    codes = ["fi", "tr", "sw"]
    found = effect([cube_of(cells, tagging, "span_f1", codes)], "a", "b", [codes], ["e"], 0.95)

    counts = rng.multinomial(150, np.full(150, 1 / 150), 4000).astype(float)

    def f1(arm, r):
        sums = np.einsum("bc,lck->blk", counts, cells[arm, "e", r])
        return (200 * sums[..., 0] / (sums[..., 1] + sums[..., 2])).mean(1)

    drawn = np.mean([f1("a", r) - f1("b", r) for r in range(2)], 0)
    assert found.cluster_variance**0.5 == pytest.approx(drawn.std(), rel=0.1)


def test_replicates_are_paired_by_number():
    rng = np.random.default_rng(0)
    common = rng.normal(0.5, 0.1, 4)
    cells = {}
    for arm, gain in (("a", 0.02), ("b", 0.0)):
        for r in range(4):
            share = common[r] + gain + rng.normal(0, 0.001)
            cells[arm, "e", r] = np.tile([1000 * share, 1000.0], (1, 30, 1))
    found = effect([cube_of(cells)], "a", "b", [["fi"]], ["e"], 0.95)
    assert found.high - found.low < 1.5
    assert found.low < 2.0 < found.high
    unpaired = {(arm, e, (r + (arm == "a")) % 4): v for (arm, e, r), v in cells.items()}
    assert effect([cube_of(unpaired)], "a", "b", [["fi"]], ["e"], 0.95).high - found.high > 5


def test_one_replicate_is_refused_and_only_replicates_of_both_arms_count():
    cells = study(np.random.default_rng(0), 1, 3, 10, 0.0, (1e-3, 1e-3, 1e-3)).sums
    kept = {cell: v["fi"][None] for cell, v in cells.items() if cell[0] == "a" or cell[2] == 1}
    with pytest.raises(XstiltsError, match="1 replicate of encoder 'e0'"):
        effect([cube_of(kept)], "a", "b", [["fi"]], ["e0"], 0.95)
    with pytest.raises(XstiltsError, match="0 replicates of encoder 'e9'"):
        effect([cube_of(kept)], "a", "b", [["fi"]], ["e9"], 0.95)


def interval(low, high):
    return Effect((low + high) / 2, low, high, 0.95, 9.0, 5, 100, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (-0.5, 0.5, "equivalent"),
        (0.1, 0.5, "equivalent"),
        (0.1, 0.51, "better"),
        (0.0, 0.51, "undetermined"),
        (-0.51, 0.5, "undetermined"),
        (-0.51, -0.01, "worse"),
        (-0.51, 0.0, "undetermined"),
        (-0.2, 3.0, "undetermined"),
    ],
)
def test_the_verdict_at_its_borders(low, high, word):
    assert verdict(interval(low, high), 0.5) == word


ARMS = {"distant": "far", "english": "english", "close": "near"}


@pytest.mark.parametrize("near", ["better", "worse", "equivalent", "undetermined", None])
@pytest.mark.parametrize("english", ["better", "worse", "equivalent", "undetermined"])
def test_distance_is_credited_only_where_far_beats_near(english, near):
    verdicts = [("distant", "english", english), *([("distant", "close", near)] if near else [])]
    text = answer(verdicts, ARMS)
    assert ("distance itself matters" in text) == (near == english == "better")
    if near is None:
        assert "nothing can be said of distance" in text
    assert answer(verdicts[1:], ARMS) == ""


def test_a_rank_correlation_is_judged_by_every_order_of_the_languages():
    rng = np.random.default_rng(0)
    for n in (4, 5, 7):
        x, y = rng.normal(size=n).round(1), rng.normal(size=n)
        x[1] = x[0]
        rho, p, permutations = rank_correlation(np.append(x, np.nan), np.append(y, 0.0))
        assert rho == pytest.approx(stats.spearmanr(x, y).statistic)
        null = [stats.spearmanr(x[list(order)], y).statistic for order in itertools.permutations(range(n))]
        assert p == pytest.approx(np.mean(np.abs(null) >= abs(rho) - 1e-9))
        assert permutations == len(null)
    distances = np.arange(20.0)
    rho, p, _ = rank_correlation(distances, -distances)
    assert rho == pytest.approx(-1)
    assert 0 < p < 0.001
    assert np.isnan(rank_correlation(distances[:3], distances[:3])[:2]).all()
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0))[:2]).all()


def rows(arm="a", replicate=1, language="fi", items=(0, 1, 2, 3), right=(0, 1)):
    return [
        {"arm": arm, "encoder": "e", "replicate": replicate, "language": language, "example_id": f"{language}{i}",
         "cluster_id": f"c{i // 2}", "gold": "x", "prediction": "x" if i in right else "y"}
        for i in items
    ]  # fmt: skip


def cube_from(path, table):
    pq.write_table(pa.Table.from_pylist(table), path)
    return read_cube(path, "classification", "accuracy")


def test_predictions_are_summed_by_cluster_whatever_the_order_of_rows(tmp_path):
    table = [
        *rows(),
        *rows("b", right=(3,)),
        *rows(language="tr", items=(2, 3)),
        *rows("b", language="tr", items=(2, 3)),
    ]
    for _ in range(3):
        cube = cube_from(tmp_path / "t.parquet", table)
        assert cube.score(("a", "e", 1), "fi") == 50
        assert cube.score(("b", "e", 1), "fi") == 25
        assert cube.score(("a", "e", 1), "tr") == 0
        sums = dict(zip(cube.clusters["fi"], cube.sums["a", "e", 1]["fi"].tolist(), strict=True))
        assert sorted(sums.values()) == [[0, 2], [2, 2]]
        (shared,) = cube.clusters["tr"]
        assert sums[shared] == [0, 2]
        table = [table[i] for i in np.random.default_rng(0).permutation(len(table))]
    assert cube.target == "t"


@pytest.mark.parametrize(
    "table",
    [
        [*rows(), *rows()[:1]],
        [*rows(), *rows("b", items=(0, 1, 2))],
        [*rows(items=(0, 1, 2)), *rows("b", items=(1, 2, 3))],
        [*rows(items=(0, 1, 2, 2)), *rows("b")],
    ],
    ids=["row twice", "row missing", "other rows", "row twice in place of another"],
)
def test_cells_that_do_not_cover_the_same_rows_once_are_refused(tmp_path, table):
    with pytest.raises(XstiltsError, match="same examples in 'fi'"):
        cube_from(tmp_path / "t.parquet", table)


def test_missing_predictions_are_named(tmp_path):
    with pytest.raises(XstiltsError, match=r"nothing\.parquet"):
        read_cube(tmp_path / "nothing.parquet", "tagging", "")
