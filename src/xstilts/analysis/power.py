"""How large a study must be: what would decide an undetermined contrast, and what differences a design can detect."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy import stats

from xstilts.analysis.components import ASSUMED, Components, Design, spread_of
from xstilts.analysis.effects import Effect, Spread
from xstilts.analysis.inference import FEWEST_FAMILIES, FIXED_LANGUAGES, RANDOM_LANGUAGES

GAINS = (0.5, 1.0, 2.0)
SHARE = 0.8
ASSUMED_CLUSTERS = 1000
REPLICATES = (2, 3, 5, 7, 10, 15, 20, 30)
LANGUAGES = (5, 10, 15, 20, 40)
MOST = 10_000
"""Replicates beyond which nobody would go."""
QUANTILES = (np.arange(100) + 0.5) / 100


@dataclass(frozen=True)
class Decision:
    """What would decide a contrast: an interval of `half` on either side, by so many replicates of each encoder (None:
    by no number), and the `floor` that half the width comes down to with replicates without end. `clusters`: so many
    item clusters would do it, with replicates without end."""

    half: float
    replicates: int | None
    floor: float
    clusters: int


def decision(found: Effect, equivalence: float, encoders: int) -> Decision:
    """How many replicates would make an interval that decides whatever the difference is.

    An interval of at most half the region of equivalence on either side either excludes zero or lies inside the
    region. It follows from the width alone, never from the observed difference.
    """
    half = equivalence / 2
    normal = float(stats.norm.ppf(0.5 + found.level / 2))
    floor = normal * max(found.cluster_variance - found.shared_variance, 0.0) ** 0.5
    needed = _fewest(lambda count: _narrowed(found, encoders, count).half_width(found.level) <= half)
    return Decision(half, needed, floor, math.ceil(found.clusters * (floor / half) ** 2))


def _narrowed(found: Effect, encoders: int, replicates: int) -> Spread:
    """The spread that the same study would have with another number of replicates of each encoder."""
    scale = found.replicates / (encoders * replicates)
    shared = found.shared_variance * scale
    cluster = max(found.cluster_variance - found.shared_variance, 0.0) + shared
    free = encoders * (replicates - 1)
    return Spread(found.replicate_variance * scale, cluster, shared, free, found.clusters - 1)


def decision_words(found: Decision, replicates: int) -> str:
    """What would decide, in a sentence; `replicates` are those of each encoder that the run has."""
    opening = f"An interval of ±{found.half:.2g} points would decide whatever the difference is"
    if found.replicates is not None:
        return f"{opening}: at this run's variances that takes {found.replicates:,} replicates (it has {replicates})."
    return (
        f"{opening}: no number of replicates gives it, for the test items alone leave ±{found.floor:.2g}; it takes "
        f"more than {found.clusters:,} item clusters, or more languages."
    )


def power(parts: Components, design: Design, gain: float, level: float, beyond: bool = False) -> float:
    """The chance, 0 to 1, that the interval lies above zero where the true difference is `gain` points.

    The estimate is normal, and the variances of replicates and languages are drawn with their degrees of freedom (at
    `QUANTILES` of chi-square); that of items is taken as known. With `beyond` languages and families are random too.
    """
    spread = spread_of(parts, design, beyond)
    half = [0.0, 0.0, 0.0]
    for place, (variance, free) in enumerate(spread.parts):
        drawn = 1.0 if place == 1 else stats.chi2.ppf(QUANTILES, free) / free
        half[place] = stats.t.ppf(0.5 + level / 2, free) ** 2 * variance * drawn
    widths = np.sqrt(np.add.outer(half[0], half[1] + half[2]))
    return float(stats.norm.cdf((gain - widths) / spread.total**0.5).mean())


def replicates_needed(
    parts: Components, design: Design, gain: float, level: float, beyond: bool = False, share: float = SHARE
) -> int | None:
    """The fewest replicates per encoder that detect `gain` with the chance `share`; None where no number does."""
    return _fewest(lambda count: power(parts, replace(design, replicates=count), gain, level, beyond) >= share)


def table(
    parts: Components | None, design: Design, level: float, cost: tuple[float, float]
) -> dict[str, Any]:  # fmt: skip
    """What it takes to detect each of `GAINS` with the chance `SHARE`, as plain data.

    `parts` None takes what is assumed; `cost`: seconds on one device with one replicate, and for each more. `needed`
    has a row per number of languages and reading, with the replicates of each encoder (None: no number), families in
    the design's proportion; `curve` the power by replicates in these languages, with their cost.
    """
    given = parts or ASSUMED
    needed: dict[str, list[dict[str, Any]]] = {FIXED_LANGUAGES: [], RANDOM_LANGUAGES: []}
    for count in sorted({*LANGUAGES, design.languages}):
        families = max(1, round(count * design.families / design.languages))
        other = replace(design, languages=count, families=families)
        for reading, rows in needed.items():
            if reading == FIXED_LANGUAGES or families >= FEWEST_FAMILIES:
                found = {
                    f"{gain:g}": replicates_needed(given, other, gain, level, reading != FIXED_LANGUAGES)
                    for gain in GAINS
                }
                rows.append({"languages": count, "families": families, **found})
    curve = [
        {"replicates": count, "device_seconds": round(cost[0] + (count - 1) * cost[1])}
        | {f"{gain:g}": round(power(given, replace(design, replicates=count), gain, level), 4) for gain in GAINS}
        for count in sorted({*REPLICATES, design.replicates})
        if count > 1
    ]
    return {"components": given.as_dict(), "design": vars(design), "level": level, "gains": list(GAINS),
            "share": SHARE, "needed": needed, "curve": curve}  # fmt: skip


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number of replicates, from 2, that is enough; None where even `MOST` are not."""
    if not enough(MOST):
        return None
    low, high = 1, MOST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
