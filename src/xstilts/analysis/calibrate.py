"""Is the analysis itself right? Its intervals and verdicts on simulated studies whose truth is known."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.bootstrap import multi_bootstrap, resample
from xstilts.analysis.comparison import Comparison
from xstilts.analysis.components import ASSUMED, Components
from xstilts.analysis.effects import Effect, effect, paired_cells
from xstilts.analysis.inference import random_language_effect, refusal
from xstilts.analysis.simulated_scores import LEFT, RIGHT, families, simulate
from xstilts.analysis.verdicts import BETTER, WORSE, verdict
from xstilts.randomness import generator
from xstilts.runs.score_table import ScoreTable

Row = dict[str, Any]
Intervals = dict[str, Effect]

LEVEL, EQUIVALENCE, GAIN = 0.95, 0.5, 1.0
REPLICATES, LANGUAGES = (3, 5, 10), (5, 15, 40)
LEAST_COVERAGE, MOST_COVERAGE, MOST_FALSE = 0.93, 0.98, 0.064
"""What a sound method keeps to: see `fault`."""
ENOUGH = 1000
RESAMPLES = 1000
CROSSED, RANDOM_LANGUAGES = "crossed", "random-language inference"
DEFAULT = (CROSSED, RANDOM_LANGUAGES)
"""What verdicts and the second reading rest on."""


def _encoders(table: ScoreTable) -> list[str]:
    return list(dict.fromkeys(cell[1] for cell in table.cluster_stats))


def _within(found: Effect, half: float) -> Effect:
    return replace(found, low=found.estimate - half, high=found.estimate + half)


def _comparison(table: ScoreTable, **more: Any) -> Comparison:
    return Comparison((table,), LEFT, RIGHT, (tuple(table.languages),), tuple(_encoders(table)), LEVEL, **more)


def _one_source(table: ScoreTable, found: Effect) -> Intervals:
    """What is usual: replicates as if there were test items without end, and items as if there were one run only."""
    student = float(stats.t.ppf(0.5 + LEVEL / 2, found.replicates - len(_encoders(table))))
    normal = float(stats.norm.ppf(0.5 + LEVEL / 2))
    return {
        "replicates alone": _within(found, student * found.replicate_variance**0.5),
        "items alone": _within(found, normal * found.cluster_variance**0.5),
    }


def _one_kind(table: ScoreTable, _: Effect) -> Intervals:
    kinds = dict.fromkeys(_encoders(table), "one")
    return {"crossed, one variance for all encoders": effect(_comparison(table, encoder_kinds=kinds))}


def _bootstraps(table: ScoreTable, found: Effect) -> Intervals:
    cells = list(table.cluster_stats)
    scores = dict(zip(cells, resample(table, cells, table.languages, RESAMPLES).T, strict=True))
    pairs = {encoder: paired_cells(_comparison(table), encoder) for encoder in _encoders(table)}
    drawn = multi_bootstrap([scores], pairs, LEVEL, found.degrees)
    return {
        "multi-bootstrap": replace(found, low=drawn.low, high=drawn.high),
        "multi-bootstrap, corrected": replace(found, low=drawn.corrected_low, high=drawn.corrected_high),
    }


def _random_language_effect(table: ScoreTable) -> Effect | None:
    own = families(len(table.languages))
    if refusal([table.languages], own):
        return None
    return random_language_effect(_comparison(table), own)


@dataclass(frozen=True)
class World:
    """What is true in the simulated studies. `others` are the methods beside the default one; `random_languages`
    says that the second reading is tried as well; `encoders` is what each multiplies the standard deviation of replicates by."""

    about: str
    parts: Components
    clusters: int
    others: tuple[Callable[[ScoreTable, Effect], Intervals], ...] = ()
    random_languages: bool = False
    encoders: tuple[float, ...] = (1.0,)


REPLICATES_VARY = Components(2.0, 1.0, 1.0, 1.0, 5.0, 20.0, 0.5, 0.3)
WORLDS = {
    "usual": World("the components that `power` assumes", ASSUMED, 300, (_one_source, _bootstraps), random_languages=True),
    "replicates": World("hardly anything but replicates varies", REPLICATES_VARY, 50, (_one_source, _bootstraps)),
    "items": World("hardly anything but items varies",
                   Components(0.05, 0.05, 1000.0, 1000.0, 100.0, 800.0, 0.5, 0.3), 300, (_one_source,)),
    "languages": World("languages and families differ most", replace(ASSUMED, language=4.0, family=4.0), 150,
                       random_languages=True),
    "encoders": World("two encoders of which one varies three times as much, and hardly anything but replicates varies",
                      REPLICATES_VARY, 50, (_one_kind,), encoders=(1.0, 3.0)),
}  # fmt: skip


def settings(
    worlds: Sequence[str] = tuple(WORLDS), replicates: Sequence[int] = REPLICATES, languages: Sequence[int] = LANGUAGES
) -> Iterator[tuple[str, int, int]]:
    """World, replicates and languages of every setting."""
    for world in worlds:
        for count in replicates:
            for held_out in languages:
                yield world, count, held_out


def calibrate(world: str, replicates: int, languages: int, studies: int) -> list[Row]:
    """What each method of the world does in so many studies without a difference and as many with one.

    A row has: method, default, world, replicates, languages, items (clusters), encoders, coverage (over both halves),
    false_verdicts (better or worse where there is no difference), power (better where the difference is `gain`), width
    (mean of the whole interval, points), studies (in each half). Languages like these are left out where there
    are too few families.
    """
    setting = WORLDS[world]
    halves = [_all_intervals(world, replicates, languages, gain, studies) for gain in (0.0, GAIN)]
    return [
        {"method": name, "default": name in DEFAULT, "world": world, "replicates": replicates, "languages": languages,
         "items": setting.clusters, "encoders": len(setting.encoders), "gain": GAIN,
         **_summary(without, halves[1][name]), "studies": studies}
        for name, without in halves[0].items()
    ]  # fmt: skip


def _all_intervals(
    world: str, replicates: int, languages: int, gain: float, studies: int
) -> dict[str, list[Effect]]:  # fmt: skip
    """Method → what it says of each simulated study."""
    setting = WORLDS[world]
    found: dict[str, list[Effect]] = {}

    def study(number: int, sampled: bool) -> ScoreTable:
        rng = generator("calibrate", world, replicates, languages, str(gain), number, int(sampled))
        size = (replicates, languages, setting.clusters)
        return simulate(setting.parts, *size, gain, rng, sampled, setting.encoders)

    for number in range(studies):
        table = study(number, sampled=False)
        crossed = effect(_comparison(table))
        intervals = {CROSSED: crossed}
        for method in setting.others:
            intervals |= method(table, crossed)
        wider = _random_language_effect(study(number, sampled=True)) if setting.random_languages else None
        for name, one in {**intervals, **({RANDOM_LANGUAGES: wider} if wider else {})}.items():
            found.setdefault(name, []).append(one)
    return found


def fault(row: Row) -> str:
    """What a method does wrong in a setting, in words; "" where nothing, or where there are too few studies to tell."""
    if row["studies"] < ENOUGH:
        return ""
    if row["coverage"] < LEAST_COVERAGE:
        return "covers too seldom"
    if row["false_verdicts"] > MOST_FALSE:
        return "too many false verdicts"
    if row["coverage"] > MOST_COVERAGE and row["replicates"] >= 5:
        return "wider than it need be"
    return ""


def _summary(without: Sequence[Effect], planted: Sequence[Effect]) -> Row:
    covered = [found.low <= gain <= found.high for half, gain in ((without, 0.0), (planted, GAIN)) for found in half]
    words = [verdict(found, EQUIVALENCE) for found in without]
    return {
        "coverage": round(float(np.mean(covered)), 4),
        "false_verdicts": round(float(np.mean([word in (BETTER, WORSE) for word in words])), 4),
        "power": round(float(np.mean([verdict(found, EQUIVALENCE) == BETTER for found in planted])), 4),
        "width": round(float(np.mean([found.high - found.low for found in (*without, *planted)])), 3),
    }
