"""Power: what would settle an undetermined contrast, and what differences a study can detect."""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.components import Components, Design, expected_variance
from xstilts.analysis.effects import FEWEST_FAMILIES, FIXED_LANGUAGES, RANDOM_LANGUAGES, Effect, half_width
from xstilts.analysis.verdicts import rounded

SHARE = 0.8
"""The power that a study ought to have."""
ASSUMED_CLUSTERS = 1000
REPLICATES = (2, 3, 5, 7, 10, 15, 20, 30)
LANGUAGES = (5, 10, 15, 20, 40)
QUANTILES = (np.arange(100) + 0.5) / 100


def decision(effect: Effect, equivalence: float, encoders: int) -> dict[str, Any]:
    """How many replicates give an interval that settles the contrast whatever the difference is.

    An interval of at most half the equivalence margin on either side either excludes zero or lies inside the margin. It
    follows from the width alone, never from the observed difference. The result has half: that half margin; replicates:
    of each encoder, None if no number settles it; floor: half the width that is left with infinitely many; clusters:
    how many item clusters would then be needed; text: the same in words.
    """
    half = equivalence / 2
    items = max(effect.cluster_variance - effect.shared_variance, 0.0)
    floor = float(stats.norm.ppf(0.5 + effect.level / 2)) * items**0.5
    clusters = math.ceil(effect.clusters * (floor / half) ** 2)

    def width(replicates: int) -> float:
        scale, degrees = effect.replicates / (encoders * replicates), encoders * (replicates - 1)
        return half_width([(effect.replicate_variance * scale, degrees), (items, effect.clusters - 1)], effect.level)

    needed = _fewest(lambda count: width(count) <= half)
    if needed is None:
        text = (
            f"More replicates alone cannot settle this: it takes an interval of ±{half:.2g} points, and the test "
            f"items leave ±{floor:.2g}. More than {clusters:,} item clusters, or more languages, would."
        )
    else:
        text = (
            f"About {needed:,} replicates per encoder would settle this (the run has {effect.replicates // encoders}): "
            f"they give an interval of ±{half:.2g} points at this run's variances."
        )
    return {"half": half, "replicates": needed, "floor": floor, "clusters": clusters, "text": text}


def power(components: Components, design: Design, gain: float, level: float, random_languages: bool = False) -> float:
    """The chance, 0 to 1, that the interval lies above zero if the true difference is `gain` points.

    The estimate is normal, and the variances of replicates and languages are drawn with their degrees of freedom (at
    `QUANTILES` of chi-square); that of items is taken as known.
    """
    (replicate, degrees), (items, clusters), *languages = expected_variance(components, design, random_languages)
    quantile = 0.5 + level / 2

    def drawn(variance: float, degrees: float) -> np.ndarray:
        return stats.t.ppf(quantile, degrees) ** 2 * variance * stats.chi2.ppf(QUANTILES, degrees) / degrees

    fixed = stats.t.ppf(quantile, clusters) ** 2 * items + sum(drawn(*part) for part in languages)
    widths = np.sqrt(np.add.outer(drawn(replicate, degrees), fixed))
    total = replicate + items + sum(variance for variance, _ in languages)
    return float(stats.norm.cdf((gain - widths) / total**0.5).mean())


def replicates_needed(
    components: Components, design: Design, gain: float, level: float, random_languages: bool = False
) -> int | None:
    """The fewest replicates per encoder that detect `gain` with the power `SHARE`; None if no number does."""
    return _fewest(
        lambda count: power(components, replace(design, replicates=count), gain, level, random_languages) >= SHARE
    )


def table(
    components: Components, design: Design, level: float, cost: tuple[float, float], gains: Sequence[float]
) -> dict[str, Any]:
    """What it takes to detect each of `gains`, differences in points, with the power `SHARE`, as plain data.

    Args:
        cost: seconds on one device with one replicate, and for each more.

    `needed` has a row per number of languages and kind of inference, with the replicates of each encoder (None: no
    number), families in the design's proportion; `curve` the power by replicates in the design's languages, with their
    cost.
    """
    needed: dict[str, list[dict[str, Any]]] = {FIXED_LANGUAGES: [], RANDOM_LANGUAGES: []}
    for count in sorted({*LANGUAGES, design.languages}):
        families = max(1, round(count * design.families / design.languages))
        resized = replace(design, languages=count, families=families)
        for inference, rows in needed.items():
            random = inference == RANDOM_LANGUAGES
            if not random or families >= FEWEST_FAMILIES:
                numbers = {f"{gain:g}": replicates_needed(components, resized, gain, level, random) for gain in gains}
                rows.append({"languages": count, "families": families, **numbers})
    curve = [
        {"replicates": count, "device_seconds": round(cost[0] + (count - 1) * cost[1])}
        | {f"{gain:g}": round(power(components, replace(design, replicates=count), gain, level), 4) for gain in gains}
        for count in sorted({*REPLICATES, design.replicates} - {1})
    ]
    facts = {"components": rounded(vars(components), 3), "design": vars(design), "level": level}
    return {**facts, "gains": list(gains), "share": SHARE, "needed": needed, "curve": curve}


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of replicates, from 2, that is enough; None if not even 10,000 are."""
    return bisect_left(range(10_000), True, lo=2, key=enough) if enough(10_000) else None
