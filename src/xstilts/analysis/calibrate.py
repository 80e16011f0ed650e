"""Is the analysis itself right? Its intervals and verdicts on simulated studies whose truth is known."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.bootstrap import multi_bootstrap, resample_arms
from xstilts.analysis.comparison import Comparison
from xstilts.analysis.components import ASSUMED, Components
from xstilts.analysis.effects import Effect, effect
from xstilts.analysis.inference import RANDOM_LANGUAGES, random_language_effect, refusal
from xstilts.analysis.simulated_scores import LEFT, RIGHT, families, simulate
from xstilts.analysis.verdicts import BETTER, WORSE, verdict
from xstilts.randomness import generator

Row = dict[str, Any]
Method = Callable[[Comparison, Effect], dict[str, Effect]]
"""From a simulated study and its default effect to the effects with other intervals, by name."""

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


def _around(whole: Effect, half: float) -> Effect:
    return replace(whole, low=whole.estimate - half, high=whole.estimate + half)


def _one_source(comparison: Comparison, whole: Effect) -> dict[str, Effect]:
    """The usual tests: over replicates, as if items were without end, and over items, as if there were one run."""
    student = float(stats.t.ppf(0.5 + LEVEL / 2, whole.replicates - len(comparison.encoders)))
    normal = float(stats.norm.ppf(0.5 + LEVEL / 2))
    return {
        "replicates alone": _around(whole, student * whole.replicate_variance**0.5),
        "items alone": _around(whole, normal * whole.cluster_variance**0.5),
    }


def _one_kind(comparison: Comparison, _: Effect) -> dict[str, Effect]:
    pooled = replace(comparison, encoder_kinds=dict.fromkeys(comparison.encoders, "one"))
    return {"crossed, one variance for all encoders": effect(pooled)}


def _bootstraps(comparison: Comparison, whole: Effect) -> dict[str, Effect]:
    drawn = multi_bootstrap(comparison, resample_arms(comparison, RESAMPLES), whole.degrees)
    return {
        "multi-bootstrap": replace(whole, low=drawn.low, high=drawn.high),
        "multi-bootstrap, corrected": replace(whole, low=drawn.corrected_low, high=drawn.corrected_high),
    }


@dataclass(frozen=True)
class World:
    """The truth of simulated studies, and the methods tried on them besides the default.

    random_languages: whether random-language inference is tried as well; encoders: of each the factor by which the
    standard deviation of its replicates is multiplied.
    """

    about: str
    components: Components
    clusters: int
    others: tuple[Method, ...] = ()
    random_languages: bool = False
    encoders: tuple[float, ...] = (1.0,)

    def study(self, replicates: int, languages: int, gain: float, sampled: bool, *seed: str | int) -> Comparison:
        """One simulated study, see `simulate`."""
        size = (replicates, languages, self.clusters)
        table = simulate(self.components, *size, gain, generator(*seed, int(sampled)), sampled, self.encoders)
        encoders = dict.fromkeys(cell[1] for cell in table.cluster_stats)
        return Comparison((table,), LEFT, RIGHT, (tuple(table.languages),), tuple(encoders), LEVEL)


REPLICATES_VARY = Components(2.0, 1.0, 1.0, 1.0, 5.0, 20.0, 0.5, 0.3)
ITEMS_VARY = Components(0.05, 0.05, 1000.0, 1000.0, 100.0, 800.0, 0.5, 0.3)
LANGUAGES_VARY = replace(ASSUMED, language=4.0, family=4.0)
WORLDS = {
    "usual": World("the components that `power` assumes", ASSUMED, 300, (_one_source, _bootstraps), True),
    "replicates": World("hardly anything but replicates varies", REPLICATES_VARY, 50, (_one_source, _bootstraps)),
    "items": World("hardly anything but items varies", ITEMS_VARY, 300, (_one_source,)),
    "languages": World("languages and families differ most", LANGUAGES_VARY, 150, random_languages=True),
    "encoders": World(
        "two encoders of which one varies three times as much, and hardly anything but replicates varies",
        REPLICATES_VARY,
        50,
        (_one_kind,),
        encoders=(1.0, 3.0),
    ),
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
    setting = WORLDS[world]
    without, planted = (_intervals(world, replicates, languages, gain, studies) for gain in (0.0, GAIN))
    return [
        {
            "method": name,
            "default": name in DEFAULT,
            "world": world,
            "replicates": replicates,
            "languages": languages,
            "items": setting.clusters,
            "encoders": len(setting.encoders),
            "gain": GAIN,
            **_summary(without[name], planted[name]),
            "studies": studies,
        }
        for name in without
    ]


def _intervals(world: str, replicates: int, languages: int, gain: float, studies: int) -> dict[str, list[Effect]]:
    """Method → its effect in each simulated study."""
    setting, own_families = WORLDS[world], families(languages)
    results: dict[str, list[Effect]] = {}
    for number in range(studies):
        seed = ("calibrate", world, replicates, languages, str(gain), number)
        study = setting.study(replicates, languages, gain, False, *seed)
        whole = effect(study)
        effects = {CROSSED: whole}
        for method in setting.others:
            effects |= method(study, whole)
        if setting.random_languages and not refusal(study.languages, own_families):
            sampled = setting.study(replicates, languages, gain, True, *seed)
            effects[RANDOM_LANGUAGES] = random_language_effect(sampled, own_families)
        for name, each in effects.items():
            results.setdefault(name, []).append(each)
    return results


def fault(row: Row) -> str:
    """What a method does wrong in a setting; "" if nothing, or if there are too few studies to tell."""
    if row["studies"] < ENOUGH:
        return ""
    if row["coverage"] < LEAST_COVERAGE:
        return "covers too seldom"
    if row["false_verdicts"] > MOST_FALSE:
        return "too many false verdicts"
    return "wider than necessary" if row["coverage"] > MOST_COVERAGE and row["replicates"] >= 5 else ""


def _summary(without: Sequence[Effect], planted: Sequence[Effect]) -> Row:
    bounds = np.array([[each.bounds for each in half] for half in (without, planted)])
    truth = np.array([[0.0], [GAIN]])
    covered = (bounds[..., 0] <= truth) & (truth <= bounds[..., 1])
    false = [verdict(each, EQUIVALENCE) in (BETTER, WORSE) for each in without]
    return {
        "coverage": round(float(covered.mean()), 4),
        "false_verdicts": round(float(np.mean(false)), 4),
        "power": round(float(np.mean([verdict(each, EQUIVALENCE) == BETTER for each in planted])), 4),
        "width": round(float(np.ptp(bounds, axis=-1).mean()), 3),
    }
