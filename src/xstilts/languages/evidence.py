"""How much a choice of languages rests on the features that happen to be known, and on the measure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.candidates import Candidates, rank
from xstilts.languages.distance import RESAMPLES, interval_ends, known_or_none, resample
from xstilts.languages.identity import language
from xstilts.languages.measures import MEASURES
from xstilts.languages.strategies import STRATEGIES

# With more sets than this, finding the most diverse one anew in each draw would take longer than a look-up may.
FEW_SETS = 20_000
BY_DISTANCE = ("near", "far", "same-script", "other-script")


@dataclass(frozen=True)
class Evidence:
    """What is known of a candidate: its distance from the anchor with the interval, and how firm its place is.

    `probability` is the share of bootstrap draws of the features in which it belongs to the strategy's exact set,
    `agree` names the measures by whose exact set it is chosen. None: the strategy or the measure does not have it.
    """

    language: str
    name: str
    script: str
    family: str
    chosen: bool
    distance: float
    shared: int | None
    low: float | None
    high: float | None
    probability: float | None
    agree: tuple[str, ...] | None


def explain(strategy: str, known: Candidates, chosen: Sequence[str]) -> tuple[Evidence, ...]:
    """The evidence on every candidate with a measured distance, near to far."""
    k = len(chosen)
    probability = membership(strategy, known, k)
    agree = agreement(strategy, known, k)
    low, high = interval_ends(
        known.matrix.measure, known.matrix.codes, np.array([(0, i + 1) for i in range(len(known.codes))])
    )
    rows = []
    for i, code in enumerate(known.codes):
        one, pair = language(code), known.matrix.pair(0, i + 1)
        rows.append(
            Evidence(
                language=code,
                name=one.name,
                script=one.script,
                family=one.family,
                chosen=code in chosen,
                distance=pair.value,
                shared=pair.shared,
                low=known_or_none(low[i]),
                high=known_or_none(high[i]),
                probability=None if probability is None else float(probability[i]),
                agree=None if agree is None else tuple(name for name, codes in agree.items() if code in codes),
            )
        )
    return tuple(rows)


def membership(strategy: str, known: Candidates, k: int) -> np.ndarray | None:
    """The share of bootstrap draws in which each candidate [n] belongs to the exact set of the strategy.

    None for a strategy without one, a measure that rests on no features, and too many sets to compare in each draw.
    """
    measure, n = known.matrix.measure, len(known.codes)
    if strategy not in STRATEGIES or strategy == "random" or not getattr(MEASURES.get(measure), "kind", ""):
        return None
    full = strategy == "diverse"  # the others look at the distances from the anchor only
    if full and math.comb(n, k) > FEW_SETS:
        return None
    pairs = np.array(list(combinations(range(n + 1), 2)) if full else [(0, i + 1) for i in range(n)])
    drawn = resample(measure, known.matrix.codes, pairs)
    # A draw without any feature of a pair leaves its distance as it is; a pair that is missing stays missing.
    drawn = np.where(np.isnan(drawn), known.matrix.values[pairs[:, 0], pairs[:, 1]], drawn)
    count = np.zeros(n)
    for values in drawn:
        d = np.zeros((n + 1, n + 1))
        d[pairs[:, 0], pairs[:, 1]] = d[pairs[:, 1], pairs[:, 0]] = values
        order = np.argsort(d[0, 1:], kind="stable")
        rows = np.array([0, *(order + 1)])
        codes = [known.codes[i] for i in order]
        count[order[STRATEGIES[strategy](codes, d[np.ix_(rows, rows)], k, None)]] += 1
    return count / RESAMPLES


def agreement(strategy: str, known: Candidates, k: int) -> dict[str, set[str]] | None:
    """Measure -> the codes of its exact set, for every measure that knows enough of the candidates."""
    if strategy not in STRATEGIES or strategy == "random":
        return None
    found = {}
    for name in MEASURES:
        other = rank(known.alike, known.anchor, name)
        if len(other.codes) < k:
            continue
        try:
            chosen = STRATEGIES[strategy](other.codes, other.matrix.values, k, None)
        except XstiltsError:
            continue
        codes = {other.codes[i] for i in chosen}
        found[name] = codes - _tied(other, codes) if strategy in BY_DISTANCE else codes
    return found


def _tied(known: Candidates, chosen: set[str]) -> set[str]:
    """Those chosen at the same distance as one that was not: only the alphabet tells them apart."""
    at = dict(zip(known.codes, known.matrix.values[0, 1:], strict=True))
    outside = [value for code, value in at.items() if code not in chosen]
    return {code for code in chosen if any(math.isclose(at[code], value) for value in outside)}
