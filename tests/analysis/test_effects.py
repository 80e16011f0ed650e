"""Effects, intervals and verdicts, on data whose truth is known."""

import itertools
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from xstilts.analysis.bootstrap import multi_bootstrap, resample, resample_arms
from xstilts.analysis.calibrate import families as simulated_families
from xstilts.analysis.calibrate import simulate
from xstilts.analysis.components import ASSUMED
from xstilts.analysis.covariates import covariates, families_of
from xstilts.analysis.diagnostics import degenerate_runs, improvement, selection
from xstilts.analysis.effects import Comparison, Effect, effect, paired_cells, random_language_effect
from xstilts.analysis.gain_by_distance import rank_correlation, slope
from xstilts.analysis.verdicts import answer, sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.runs.score_table import ScoreTable, read_score_table
from xstilts.tasks import classification, tagging


def table_of(statistics, kind=classification, metric="accuracy", codes=("fi",)):
    """statistics: {(arm, encoder, replicate): [languages, clusters, k]}, with clusters shared by all languages."""
    sums = {cell: dict(zip(codes, array, strict=True)) for cell, array in statistics.items()}
    count = next(iter(statistics.values())).shape[1]
    return ScoreTable("t", kind, metric, sums, {code: np.arange(count) for code in codes}, count)


def compare(tables, languages, encoders, left="a", right="b", **more):
    return Comparison(tuple(tables), left, right, tuple(map(tuple, languages)), tuple(encoders), **more)


def simulated(table, **more):
    """The comparison of the two arms of a simulated study of one encoder."""
    return compare([table], [table.languages], ["e0"], "left", "right", **more)


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
    return table_of(cells)


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
        result = effect(compare([study(rng, 2, replicates, 40, 0.02, spread)], [["fi"]], ["e0", "e1"]))
        covered += result.low <= 2.0 <= result.high
    assert 0.92 <= covered / 400 <= (0.985 if replicates == 5 else 1), covered / 400


def test_equal_arms_differ_by_nothing():
    rng = np.random.default_rng(0)
    cells = study(rng, 2, 3, 20, 0.0, (1e-3, 1e-3, 1e-3)).cluster_stats
    same = {(arm, e, r): cells["a", e, r]["fi"][None] for arm in "ab" for e in ("e0", "e1") for r in range(3)}
    result = effect(compare([table_of(same)], [["fi"]], ["e0", "e1"]))
    assert result.estimate == 0
    assert abs(result.low) < 1e-9 and abs(result.high) < 1e-9


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

    one, two = table_of(cells(["fi", "tr"]), codes=["fi", "tr"]), table_of(cells(["sw"]), codes=["sw"])
    result = effect(compare([one, two], [["fi", "tr"], ["sw"]], ["e"]))
    assert result.estimate == pytest.approx(((70 + 40) / 2 + 10) / 2, abs=1e-3)
    assert effect(compare([one], [["tr"]], ["e"])).estimate == pytest.approx(40, abs=1e-3)
    assert effect(compare([one], [["tr"]], ["e"], "b", "a")).estimate == pytest.approx(-40, abs=1e-3)
    assert result.clusters == 8


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
    result = effect(compare([table_of(cells, tagging, "span_f1", codes)], [codes], ["e"]))

    counts = rng.multinomial(150, np.full(150, 1 / 150), 4000).astype(float)

    def f1(arm, r):
        sums = np.einsum("bc,lck->blk", counts, cells[arm, "e", r])
        return (200 * sums[..., 0] / (sums[..., 1] + sums[..., 2])).mean(1)

    drawn = np.mean([f1("a", r) - f1("b", r) for r in range(2)], 0)
    assert result.cluster_variance**0.5 == pytest.approx(drawn.std(), rel=0.1)


def test_replicates_are_paired_by_number():
    rng = np.random.default_rng(0)
    common = rng.normal(0.5, 0.1, 4)
    cells = {}
    for arm, gain in (("a", 0.02), ("b", 0.0)):
        for r in range(4):
            share = common[r] + gain + rng.normal(0, 0.001)
            cells[arm, "e", r] = np.tile([1000 * share, 1000.0], (1, 30, 1))
    result = effect(compare([table_of(cells)], [["fi"]], ["e"]))
    assert result.high - result.low < 1.5
    assert result.low < 2.0 < result.high
    unpaired = {(arm, e, (r + (arm == "a")) % 4): v for (arm, e, r), v in cells.items()}
    assert effect(compare([table_of(unpaired)], [["fi"]], ["e"])).high - result.high > 5


def test_one_replicate_gives_a_difference_without_an_interval():
    cells = study(np.random.default_rng(0), 2, 3, 10, 0.02, (1e-3, 1e-3, 1e-3)).cluster_stats
    # Only replicates that both arms have count: one of the first encoder.
    cells = {cell: v["fi"][None] for cell, v in cells.items() if cell[:2] != ("b", "e0") or cell[2] == 1}
    comparison = compare([table_of(cells)], [["fi"]], ["e0", "e1"])
    whole = effect(comparison)
    assert (whole.low, whole.high, whole.replicates) == (None, None, 4)
    first = 100 * (cells["a", "e0", 1][0, :, 0].mean() / 1000 - 0.5)
    second = effect(replace(comparison, encoders=("e1",))).estimate
    assert whole.estimate == pytest.approx((first + second) / 2)
    assert verdict(whole, 100.0) == "undetermined"
    text = sentence("a", "b", whole, 0.5)
    assert "no conclusion" in text and "without an interval" in text and "one replicate" in text


def test_an_encoder_without_a_paired_replicate_is_refused():
    cells = study(np.random.default_rng(0), 1, 3, 10, 0.0, (1e-3, 1e-3, 1e-3))
    with pytest.raises(XstiltsError, match="'e9'") as error:
        effect(compare([cells], [["fi"]], ["e0", "e9"]))
    assert error.value.kind == "too-few"


def test_encoders_of_one_kind_share_a_variance_and_others_do_not():
    rng = np.random.default_rng(3)
    one, two = (study(rng, 2, 3, 20, 0.0, (v, 0.0, 1e-7)).cluster_stats for v in (1e-6, 1e-2))
    cells = {cell: (two if cell[1] == "e1" else one)[cell]["fi"][None] for cell in one}
    comparison = compare([table_of(cells)], [["fi"]], ["e0", "e1"])
    apart, together = effect(comparison), effect(replace(comparison, encoder_kinds={"e0": "x", "e1": "x"}))
    assert apart.degrees == pytest.approx(2, abs=0.1) and together.degrees == pytest.approx(4, abs=0.1)
    assert apart.replicate_variance == pytest.approx(together.replicate_variance)
    assert apart.high - apart.low > 1.4 * (together.high - together.low)


def test_the_interval_stays_finite_if_only_items_vary():
    rng = np.random.default_rng(0)
    result = [effect(compare([study(rng, 1, 3, 40, 0.0, (0.0, 0.0, 4e-3))], [["fi"]], ["e0"])) for _ in range(200)]
    assert max(one.high for one in result) < 10 * np.mean([one.high - one.estimate for one in result])
    assert min(one.degrees for one in result) >= 2


def test_a_single_cluster_has_no_interval():
    cells = study(np.random.default_rng(0), 1, 3, 1, 0.0, (1e-3, 0.0, 0.0))
    result = effect(compare([cells], [["fi"]], ["e0"]))
    assert result.low is result.high is None and np.isfinite(result.estimate) and result.clusters == 1


def test_a_replicate_that_lacks_a_language_is_named():
    cells = study(np.random.default_rng(0), 1, 3, 10, 0.0, (1e-3, 1e-3, 1e-3)).cluster_stats
    both = table_of({cell: np.concatenate([v["fi"][None]] * 2) for cell, v in cells.items()}, codes=("fi", "tr"))
    del both.cluster_stats["b", "e0", 2]["tr"]
    with pytest.raises(XstiltsError, match="b e0 2 in tr") as error:
        effect(compare([both], [["fi", "tr"]], ["e0"]))
    assert error.value.kind == "inconsistent"


def test_random_language_inference_is_refused_below_eight_families():
    codes = ["de", "fr", "hi", "tr", "fi", "eu"]
    families = families_of(codes)
    assert families["de"] == families["fr"] == families["hi"]
    assert len({families[code] for code in ("de", "tr", "fi", "eu")}) == 4
    assert families_of(["l7", "l8"]) == {"l7": "l7", "l8": "l8"}, "an unknown code is a family of its own"
    score_table = simulate(ASSUMED, 3, 5, 20, 0.0, np.random.default_rng(0), True)
    with pytest.raises(XstiltsError, match="4 families") as error:
        random_language_effect(simulated(score_table), simulated_families(5))
    assert error.value.kind == "too-few"


def test_random_language_inference_counts_families_equally_and_is_less_sure():
    score_table = simulate(replace(ASSUMED, family=9.0), 10, 15, 1000, 1.0, np.random.default_rng(0), True)
    families = simulated_families(15)
    comparison = simulated(score_table)
    fixed, random = effect(comparison), random_language_effect(comparison, families)
    cells = score_table.cells("left")
    by_family = [
        np.mean(
            [score_table.scores(cells, code).mean() - 50 for code in score_table.languages if families[code] == name]
        )
        for name in dict.fromkeys(families.values())
    ]
    assert random.estimate == pytest.approx(np.mean(by_family))
    assert random.language_variance == pytest.approx(np.var(by_family, ddof=1) / len(by_family), rel=0.5)
    assert random.high - random.low > 1.3 * (fixed.high - fixed.low)
    assert random.degrees < fixed.degrees


def test_a_paired_bootstrap_by_scipy_agrees():
    """Items alone: the same standard error. Replicates and items: the multi-bootstrap's variance is the sum of both
    parts, with (n − 1)/n of the replicates', and the part that both count is counted twice."""
    score_table = simulate(replace(ASSUMED, replicate=4.0, rest=50.0), 10, 3, 80, 1.0, np.random.default_rng(5), False)
    result = effect(simulated(score_table))
    pairs = paired_cells(simulated(score_table), "e0")
    stats_of = score_table.cluster_stats
    differences = [[stats_of[a][code] - stats_of[b][code] for code in score_table.languages] for a, b in pairs]
    items = 100 * np.mean(differences, (0, 1))[:, 0]
    plain = stats.bootstrap((items,), np.mean, n_resamples=4000, method="percentile", rng=1)
    assert plain.standard_error == pytest.approx(result.cluster_variance**0.5, rel=0.06)

    drawn = multi_bootstrap(simulated(score_table), resample_arms(simulated(score_table), 4000), result.degrees)
    expected = 0.9 * result.replicate_variance + result.cluster_variance
    assert (drawn["high"] - drawn["low"]) / 2 == pytest.approx(1.96 * expected**0.5, rel=0.06)
    ends = [drawn[name] for name in ("corrected_low", "low", "high", "corrected_high")]
    assert ends == sorted(ends) and drawn["low"] < result.estimate < drawn["high"]


def test_resampling_agrees_with_doing_it_row_by_row():
    rng = np.random.default_rng(0)
    table = [
        {"arm": arm, "encoder": "e", "replicate": r, "language": code, "example_id": f"{code}{i}",
         "cluster_id": f"{code if code == 'sw' else 'shared'}{i // 2}", "gold": "x",
         "prediction": "x" if rng.random() < share else "y"}
        for arm, share in (("a", 0.8), ("b", 0.5)) for r in (1, 2) for code in ("fi", "tr", "sw") for i in range(40)
    ]  # fmt: skip
    codes = ["fi", "tr", "sw"]
    with tempfile.TemporaryDirectory() as folder:
        score_table = read_rows(Path(folder) / "t.parquet", table)
    drawn = resample(score_table, list(score_table.cluster_stats), codes, 3000)
    for cell, scores in drawn.items():
        assert scores.mean() == pytest.approx(np.mean([score_table.score(cell, code) for code in codes]), abs=0.6)
    names = {code: np.unique([row["cluster_id"] for row in table if row["language"] == code]) for code in codes}
    right = {(row["arm"], row["replicate"], row["example_id"]): row["prediction"] == "x" for row in table}

    def resample_by_hand():
        # Clusters that Finnish and Turkish share are drawn together, Swahili's separately.
        chosen = {"shared": rng.choice(names["fi"], 20), "sw": rng.choice(names["sw"], 20)}
        means = []
        for code in codes:
            group = "sw" if code == "sw" else "shared"
            items = [int(name.removeprefix(group)) * 2 + k for name in chosen[group] for k in (0, 1)]
            means.append(np.mean([right["a", 1, f"{code}{i}"] - right["b", 1, f"{code}{i}"] for i in items]))
        return 100 * np.mean(means)

    by_hand = np.std([resample_by_hand() for _ in range(1500)])
    resampled = np.std(drawn["a", "e", 1] - drawn["b", "e", 1])
    assert resampled == pytest.approx(by_hand, rel=0.08)


def test_a_slope_is_that_of_least_squares_and_finds_what_was_planted():
    rng = np.random.default_rng(1)
    score_table = simulate(replace(ASSUMED, language=0.2, family=0.0), 5, 15, 200, 0.0, rng, False)
    x = {code: float(position) for position, code in enumerate(score_table.languages)}
    for (arm, *_), of in score_table.cluster_stats.items():
        for code, array in of.items():
            if arm == "left":
                array[:, 0] += 0.005 * x[code]
    result = slope(simulated(score_table), {"distance": x})
    cells = score_table.cells("left")
    gains = [score_table.scores(cells, code).mean() - 50 for code in score_table.languages]
    line = stats.linregress(list(x.values()), gains)
    assert result["per_unit"] == pytest.approx(line.slope)
    assert result["low"] < 0.5 * np.std(list(x.values())) < result["high"] and result["p"] < 0.01
    z = {code: (value - 7) ** 2 + rng.normal() for code, value in x.items()}
    adjusted = slope(simulated(score_table), {"distance": x, "z": z})
    design = np.stack([np.ones(15), list(x.values()), list(z.values())], 1)
    assert adjusted["per_unit"] == pytest.approx(np.linalg.lstsq(design, np.array(gains))[0][1])
    assert adjusted["with"] == ["z"]


def test_a_slope_that_cannot_be_estimated_has_a_reason():
    score_table = simulate(ASSUMED, 3, 12, 20, 0.0, np.random.default_rng(0), False)
    x = {code: float(position) for position, code in enumerate(score_table.languages)}

    def reason(columns):
        return slope(simulated(score_table), columns)["missing"]

    assert "3 languages are not enough (4 are needed)" in reason({"distance": dict(list(x.items())[:3])})
    assert "'z' does not vary" in reason({"distance": x, "z": dict.fromkeys(x, 1.0)})
    assert "collinear" in reason({"distance": x, "z": {code: 2 * value for code, value in x.items()}})
    assert "12 languages are not enough (15 are needed)" in reason({"distance": x, "y": x, "z": x})


def test_covariates_come_from_the_language_table_the_run_and_the_user(tmp_path):
    sources = [["en", "hi"], ["en"]]
    result = covariates(tmp_path, ["de", "hi", "th"], sources)
    assert result == {
        "same script": {"de": 1.0, "hi": 0.5, "th": 0.0},
        "same family": {"de": 1.0, "hi": 1.0, "th": 0.0},
    }
    seen = covariates(tmp_path, ["de", "qu"], sources, ["FacebookAI/xlm-roberta-base"])
    assert seen["in pretraining"] == {"de": 1.0, "qu": 0.0}
    assert "in pretraining" not in covariates(tmp_path, ["de", "hi"], sources, ["FacebookAI/xlm-roberta-base"])
    assert "in pretraining" not in covariates(tmp_path, ["de", "qu"], sources, ["an/unknown-encoder"])
    overlap = {"e": {"de": {"en": 0.4, "hi": 0.1}, "hi": {"en": 0.2, "hi": 1.0}}}
    measured = {"fertility": {"e": {"de": 1.5}, "f": {"de": 2.5}}, "overlap": overlap}
    (tmp_path / "transfer-features.json").write_text(json.dumps(measured))
    (tmp_path / "covariates.csv").write_text("language,pretraining size\nde,10.5\nth,\n")
    result = covariates(tmp_path, ["de", "hi", "th"], sources)
    assert result["fertility"]["de"] == 2.0 and np.isnan(result["fertility"]["hi"])
    assert result["sub-word overlap"]["de"] == pytest.approx(0.4) and result["sub-word overlap"]["hi"] == pytest.approx(
        0.6
    )
    assert result["pretraining size"]["de"] == 10.5 and np.isnan(result["pretraining size"]["th"])
    for text, why in (("code,size\nde,1\n", "no covariates"), ("language,size\nde,big\n", "line 2: 'big' is no number"),
                      ("language,size\nklingonese,1\n", "klingonese")):  # fmt: skip
        (tmp_path / "covariates.csv").write_text(text)
        with pytest.raises(XstiltsError, match=why):
            covariates(tmp_path, ["de"], sources)


def budget(arm, replicate, first, last, dev, **more):
    return {"target": "t", "arm": arm, "encoder": "e", "replicate": replicate, **more,
            "training": {"comparison_group": "t", "first_loss": first, "loss": last, "dev_score": dev}}  # fmt: skip


def test_a_degenerate_run_is_recognised_by_loss_and_english_dev():
    runs = [
        budget("a", 1, 1.0, 0.2, 80.0),
        budget("a", 2, 1.1, 1.09, 34.0),
        budget("a", 3, 1.0, 0.99, 33.0),
        budget("b", 1, 0.4, 0.39, 81.0),
        budget("b", 2, 1.0, 0.5, 70.0),
        budget("a", 2, 1.1, 0.3, 79.0, attempt=2),
    ]
    counts = {
        row["arm"]: (row["runs"], row["degenerate"], row["retried"], row["degenerate_after_retry"])
        for row in degenerate_runs(runs)
    }
    assert counts == {"a": (3, 2, 1, 0), "b": (2, 0, 0, 0)}


def test_selection_by_english_dev_is_compared_with_an_oracle():
    shares = {1: 0.6, 2: 0.7, 3: 0.5}
    cells = {("a", "e", r): np.array([[[100 * s, 100.0]] * 4]) for r, s in shares.items()}
    runs = [budget("a", r, 1.0, 0.1, dev) for r, dev in ((1, 90.0), (2, 80.0), (3, 70.0))]
    (row,) = selection([table_of(cells)], runs, ["fi"])
    assert (row["mean"], row["by_dev"], row["oracle"]) == (60.0, 60.0, 70.0)
    other = {("b", "e", r): np.array([[[100 * s, 100.0]] * 4]) for r, s in {1: 0.5, 2: 0.5, 3: 0.65}.items()}
    row = improvement(compare([table_of({**cells, **other})], [["fi"]], ["e"]))
    assert row["probability"] == pytest.approx((2 + 3 + 0.5 + 0.5) / 9, abs=1e-4)


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
def test_a_gain_is_attributed_to_distance_only_if_far_beats_near(english, near):
    verdicts = [("distant", "english", english), *([("distant", "close", near)] if near else [])]
    text = answer(verdicts, ARMS)
    assert ("distance itself matters" in text) == (near == english == "better")
    if near is None:
        assert "no contrast with near languages" in text
    assert ("also undetermined" in text) == (near == english == "undetermined")
    assert answer(verdicts[1:], ARMS) == ""


def test_a_rank_correlation_is_tested_by_every_order_of_the_languages():
    rng = np.random.default_rng(0)
    for n in (4, 5, 6):
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


def read_rows(path, table):
    pq.write_table(pa.Table.from_pylist(table), path)
    return read_score_table(path, "classification", "accuracy")


def test_predictions_are_summed_by_cluster_in_any_order_of_rows(tmp_path):
    table = [
        *rows(),
        *rows("b", right=(3,)),
        *rows(language="tr", items=(2, 3)),
        *rows("b", language="tr", items=(2, 3)),
    ]
    for _ in range(3):
        score_table = read_rows(tmp_path / "t.parquet", table)
        assert score_table.score(("a", "e", 1), "fi") == 50
        assert score_table.score(("b", "e", 1), "fi") == 25
        assert score_table.score(("a", "e", 1), "tr") == 0
        sums = dict(zip(score_table.clusters["fi"], score_table.cluster_stats["a", "e", 1]["fi"].tolist(), strict=True))
        assert sorted(sums.values()) == [[0, 2], [2, 2]]
        (shared,) = score_table.clusters["tr"]
        assert sums[shared] == [0, 2]
        table = [table[i] for i in np.random.default_rng(0).permutation(len(table))]
    assert score_table.target == "t"


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
def test_cells_that_cover_different_examples_are_refused(tmp_path, table):
    with pytest.raises(XstiltsError, match="same examples in 'fi'"):
        read_rows(tmp_path / "t.parquet", table)


def test_missing_predictions_are_named(tmp_path):
    with pytest.raises(XstiltsError, match=r"nothing\.parquet"):
        read_score_table(tmp_path / "nothing.parquet", "tagging", "")
