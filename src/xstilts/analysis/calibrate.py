"""Is the analysis itself right? Its intervals and verdicts on simulated studies whose truth is known."""

import itertools
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.bootstrap import multi_bootstrap, resample_arms
from xstilts.analysis.components import ASSUMED, Components
from xstilts.analysis.effects import RANDOM_LANGUAGES, Comparison, Effect, effect, random_language_effect
from xstilts.analysis.verdicts import BETTER, WORSE, rounded, verdict
from xstilts.errors import XstiltsError
from xstilts.randomness import generator
from xstilts.runs.score_table import Cell, ScoreTable
from xstilts.tasks import classification

Row = dict[str, Any]

LEFT, RIGHT = "left", "right"
LEVEL, EQUIVALENCE, GAIN = 0.95, 0.5, 1.0
REPLICATES, LANGUAGES = (3, 5, 10), (5, 15, 40)
LEAST_COVERAGE, MOST_COVERAGE, MOST_FALSE = 0.93, 0.98, 0.064
"""The bounds of a sound method: see `fault`."""
ENOUGH = 1000
"""Studies of a setting from which on a method is judged."""
RESAMPLES = 1000
CROSSED = "crossed"
DEFAULT = (CROSSED, RANDOM_LANGUAGES)
"""The methods that verdicts and random-language inference rest on."""


def families(languages: int) -> dict[str, str]:
    """Language → family of a simulated study.

    One family has two fifths of the languages, as Indo-European does in XTREME; the sizes of the others fall quickly.
    """
    sizes = [max(1, round(0.4 * languages))]
    while (left := languages - sum(sizes)) > 0:
        sizes.append(max(1, round(0.2 * left)))
    names = [f"family-{number}" for number, size in enumerate(sizes) for _ in range(size)]
    return {f"l{number}": name for number, name in enumerate(names)}


def simulate(
    components: Components, replicates: int, languages: int, clusters: int, gain: float, rng: np.random.Generator,
    sampled: bool, encoders: Sequence[float] = (1.0,),
) -> ScoreTable:  # fmt: skip
    """Draw the scores of a study in which `left` is `gain` points better than `right`; languages share all clusters.

    Args:
        sampled: whether `gain` is the mean over infinitely many families, of which the study has a few; else it is the
            mean over the languages of the study, however they differ.
        encoders: for each the factor by which the standard deviation of its replicates is multiplied.
    """

    def normal(variance: float, *shape: int) -> np.ndarray:
        return rng.standard_normal(shape) * variance**0.5

    family = families(languages)
    numbers = np.unique(list(family.values()), return_inverse=True)[1]
    deviations = normal(components.language, languages) + normal(components.family, languages)[numbers]
    truth = gain + (deviations if sampled else deviations - deviations.mean())
    items = normal(components.item, clusters) + normal(components.item_language, languages, clusters)
    ones, half = np.ones(clusters), np.stack([np.full(clusters, 0.5), np.ones(clusters)], 1)
    stats: dict[Cell, dict[str, np.ndarray]] = {}
    for number, factor in enumerate(encoders):
        for replicate in range(1, replicates + 1):
            runs = factor * (normal(components.replicate, 1) + normal(components.replicate_language, languages))
            points = truth[:, None] + items + runs[:, None] + normal(components.replicate_item, clusters)
            points += normal(components.rest, languages, clusters)
            stats[LEFT, f"e{number}", replicate] = {
                code: np.stack([0.5 + row / 100, ones], 1) for code, row in zip(family, points, strict=True)
            }
            stats[RIGHT, f"e{number}", replicate] = dict.fromkeys(family, half)
    shared = dict.fromkeys(family, np.arange(clusters))
    return ScoreTable("simulated", classification, "accuracy", stats, shared, clusters)


@dataclass(frozen=True)
class World:
    """The truth of simulated studies, and which methods are tried on them besides the default.

    one_source: replicates alone and items alone; bootstrap: the multi-bootstrap; random_languages: random-language
    inference; encoders: for each the factor by which the standard deviation of its replicates is multiplied.
    """

    about: str
    components: Components
    clusters: int
    one_source: bool = False
    bootstrap: bool = False
    random_languages: bool = False
    encoders: tuple[float, ...] = (1.0,)


REPLICATES_VARY = Components(2.0, 1.0, 1.0, 1.0, 5.0, 20.0, 0.5, 0.3)
ITEMS_VARY = Components(0.05, 0.05, 1000.0, 1000.0, 100.0, 800.0, 0.5, 0.3)
LANGUAGES_VARY = replace(ASSUMED, language=4.0, family=4.0)
UNEQUAL = "two encoders of which one varies three times as much, and hardly anything but replicates varies"
WORLDS = {
    "usual": World("the components that `power` assumes", ASSUMED, 300, True, True, True),
    "replicates": World("hardly anything but replicates varies", REPLICATES_VARY, 50, True, True),
    "items": World("hardly anything but items varies", ITEMS_VARY, 300, True),
    "languages": World("languages and families differ most", LANGUAGES_VARY, 150, random_languages=True),
    "encoders": World(UNEQUAL, REPLICATES_VARY, 50, encoders=(1.0, 3.0)),
}


def settings(worlds: Sequence[str] = tuple(WORLDS)) -> Iterator[tuple[str, int, int]]:
    """World, replicates and languages of every setting."""
    return itertools.product(worlds, REPLICATES, LANGUAGES)


def calibrate(world: str, replicates: int, languages: int, studies: int) -> list[Row]:
    """What each method of the world does in so many studies without a difference and as many with one.

    A row has: method, default, world, replicates, languages, items (clusters), encoders, coverage (over both halves),
    false_verdicts (better or worse although there is no difference), power (better if the difference is `gain`), width
    (mean of the whole interval, points), studies (in each half). Random-language inference is left out if there are too
    few families.
    """
    halves = [_effects(world, replicates, languages, gain, studies) for gain in (0.0, GAIN)]
    gains = np.array([[0.0], [GAIN]])
    facts = {"world": world, "replicates": replicates, "languages": languages, "items": WORLDS[world].clusters}
    facts |= {"encoders": len(WORLDS[world].encoders), "gain": GAIN, "studies": studies}
    rows = []
    for method in halves[0]:
        lows, highs = np.array([[(each.low, each.high) for each in half[method]] for half in halves]).transpose(2, 0, 1)
        without, planted = ([verdict(each, EQUIVALENCE) for each in half[method]] for half in halves)
        shares = {
            "coverage": float(((lows <= gains) & (gains <= highs)).mean()),
            "false_verdicts": float(np.isin(without, (BETTER, WORSE)).mean()),
            "power": planted.count(BETTER) / studies,
        }
        width = round(float((highs - lows).mean()), 3)
        rows.append({"method": method, "default": method in DEFAULT, **facts, **rounded(shares, 4), "width": width})
    return rows


def _effects(world: str, replicates: int, languages: int, gain: float, studies: int) -> dict[str, list[Effect]]:
    """Method → its effect in each simulated study."""
    truth, codes = WORLDS[world], families(languages)
    encoders = tuple(f"e{number}" for number in range(len(truth.encoders)))

    def study(number: int, sampled: bool) -> Comparison:
        rng = generator("calibrate", world, replicates, languages, str(gain), number, int(sampled))
        table = simulate(truth.components, replicates, languages, truth.clusters, gain, rng, sampled, truth.encoders)
        return Comparison((table,), LEFT, RIGHT, (tuple(codes),), encoders, LEVEL)

    results: dict[str, list[Effect]] = {}
    for number in range(studies):
        comparison = study(number, False)
        whole = effect(comparison)
        effects = {CROSSED: whole, **_other_intervals(truth, comparison, whole)}
        if truth.random_languages:
            with suppress(XstiltsError):  # too few families
                effects[RANDOM_LANGUAGES] = random_language_effect(study(number, True), codes)
        for name, each in effects.items():
            results.setdefault(name, []).append(each)
    return results


def _other_intervals(world: World, comparison: Comparison, whole: Effect) -> dict[str, Effect]:
    """Method → the effect with the interval that it gives."""
    intervals: dict[str, tuple[float | None, float | None]] = {}
    if world.one_source:
        # The usual tests: over replicates, as if items were without end, and over items, as if there were one run.
        tail, degrees = 0.5 + LEVEL / 2, whole.replicates - len(comparison.encoders)
        for name, half in (
            ("replicates alone", float(stats.t.ppf(tail, degrees)) * whole.replicate_variance**0.5),
            ("items alone", float(stats.norm.ppf(tail)) * whole.cluster_variance**0.5),
        ):
            intervals[name] = whole.estimate - half, whole.estimate + half
    if world.bootstrap:
        drawn = multi_bootstrap(comparison, resample_arms(comparison, RESAMPLES), whole.degrees)
        intervals["multi-bootstrap"] = drawn["low"], drawn["high"]
        intervals["multi-bootstrap, corrected"] = drawn["corrected_low"], drawn["corrected_high"]
    if len(world.encoders) > 1:
        pooled = effect(replace(comparison, encoder_kinds=dict.fromkeys(comparison.encoders, "one")))
        intervals["crossed, one variance for all encoders"] = pooled.low, pooled.high
    return {name: replace(whole, low=low, high=high) for name, (low, high) in intervals.items()}


def fault(row: Row) -> str:
    """What a method does wrong in a setting; "" if nothing, or if there are too few studies to tell."""
    if row["studies"] < ENOUGH:
        return ""
    if row["coverage"] < LEAST_COVERAGE:
        return "covers too seldom"
    if row["false_verdicts"] > MOST_FALSE:
        return "too many false verdicts"
    return "wider than necessary" if row["coverage"] > MOST_COVERAGE and row["replicates"] >= 5 else ""
