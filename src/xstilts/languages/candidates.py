"""Rank candidate languages by distance, and tell how robust a choice among them is."""

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.distance import DEFAULT, Distances, distance_matrix, interval_ends, known_or_none, resample
from xstilts.languages.identity import Language, language
from xstilts.languages.measures import MEASURES
from xstilts.languages.strategies import STRATEGIES

TRAITS = ("script", "family")
MOST_SETS = 20_000
"""With more sets, finding the most diverse one in each bootstrap draw is too slow for a look-up."""
BY_DISTANCE = ("near", "far", "same-script", "other-script")


@dataclass(frozen=True)
class Candidates:
    """Codes from near to far from the anchor, ties by code, and the excluded ones with the reason.

    `matrix` covers the anchor and then `codes`. `eligible` holds the codes that pass the script and family filters,
    with a measured distance or without: the candidates for other measures.
    """

    anchor: str
    codes: tuple[str, ...]
    matrix: Distances
    excluded: dict[str, str]
    eligible: tuple[str, ...]


def rank(
    names: Sequence[str], anchor: str, measure: str = DEFAULT, match: Sequence[str] = (), exclude: Sequence[str] = ()
) -> Candidates:
    """Orders languages by distance from the anchor, without the anchor itself and duplicates.

    Excludes languages without a measured distance, those that differ from the anchor in a trait of `match` (`script`,
    `family`) and those that share a trait of `exclude` with it. A language whose trait is unknown is
    excluded either way.
    """
    for trait in (trait for trait in (*match, *exclude) if trait not in TRAITS):
        hint = did_you_mean(trait, TRAITS) or "choose one of them"
        why = f"languages are matched or excluded by {' or '.join(TRAITS)}"
        raise XstiltsError("unknown-name", f"unknown trait '{trait}'", why, hint)
    origin = language(anchor)
    codes = sorted({language(name).code for name in names} - {origin.code})
    matrix = distance_matrix([origin.code, *codes], measure=measure)
    filtered = {code: why for code in codes if (why := _mismatch(language(code), origin, match, exclude))}
    missing = {c: matrix.why_missing(0, i) for i, c in enumerate(codes, 1) if np.isnan(matrix.values[0, i])}
    excluded = {code: why for code in codes if (why := filtered.get(code, "") or missing.get(code, ""))}
    order = np.argsort(matrix.values[0], kind="stable")
    ranked = matrix.take([0, *(int(i) for i in order if i and matrix.codes[i] not in excluded)])
    eligible = tuple(code for code in codes if code not in filtered)
    return Candidates(origin.code, ranked.codes[1:], ranked, excluded, eligible)


def _mismatch(entry: Language, origin: Language, match: Sequence[str], exclude: Sequence[str]) -> str:
    for trait in match:
        value, wanted = getattr(entry, trait), getattr(origin, trait)
        if value != wanted or not value:
            return f"{trait} {value or 'unknown'}, {wanted or 'a known one'} needed"
    for trait in exclude:
        value = getattr(entry, trait)
        if value == getattr(origin, trait) or not value:
            return f"{trait} {value}, like {origin.code}" if value else f"{trait} unknown"
    return ""


@dataclass(frozen=True)
class Evidence:
    """A candidate's distance from the anchor with its interval, and how robust its choice is.

    `probability` is the share of bootstrap draws of the features in which it belongs to the strategy's exact set;
    `agree` names the measures whose exact set holds it. None if the strategy or the measure does not define it.
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
    """The evidence for every candidate with a measured distance, near to far."""
    shares, sets = membership(strategy, known, len(chosen)), agreement(strategy, known, len(chosen))
    pairs = np.array([(0, i) for i in range(1, len(known.codes) + 1)])
    ends = interval_ends(known.matrix.measure, known.matrix.codes, pairs)
    rows = []
    for i, code in enumerate(known.codes):
        entry, pair = language(code), known.matrix.pair(0, i + 1)
        low, high = map(known_or_none, ends[:, i])
        probability = None if shares is None else float(shares[i])
        agree = None if sets is None else tuple(measure for measure, codes in sets.items() if code in codes)
        about = (code, entry.name, entry.script, entry.family, code in chosen)
        rows.append(Evidence(*about, pair.value, pair.shared, low, high, probability, agree))
    return tuple(rows)


def membership(strategy: str, known: Candidates, k: int) -> np.ndarray | None:
    """The share of bootstrap draws in which each candidate [n] belongs to the exact set of the strategy.

    None for a strategy without an exact set, a measure without features, and too many sets to compare in each draw.
    """
    measure, n = known.matrix.measure, len(known.codes)
    if strategy not in STRATEGIES or strategy == "random" or not getattr(MEASURES.get(measure), "kind", ""):
        return None
    full = strategy == "diverse"  # the others depend only on distances from the anchor
    if full and math.comb(n, k) > MOST_SETS:
        return None
    pairs = np.array(list(combinations(range(n + 1), 2)) if full else [(0, i + 1) for i in range(n)])
    drawn = resample(measure, known.matrix.codes, pairs)
    # If a draw holds no feature of a pair, the pair keeps its distance; missing pairs stay missing.
    drawn = np.where(np.isnan(drawn), known.matrix.values[pairs[:, 0], pairs[:, 1]], drawn)
    count = np.zeros(n)
    for values in drawn:
        d = np.zeros((n + 1, n + 1))
        d[pairs[:, 0], pairs[:, 1]] = d[pairs[:, 1], pairs[:, 0]] = values
        order = np.argsort(d[0, 1:], kind="stable")
        rows = np.array([0, *(order + 1)])
        codes = [known.codes[i] for i in order]
        count[order[STRATEGIES[strategy](codes, d[np.ix_(rows, rows)], k, None)]] += 1
    return count / len(drawn)


def agreement(strategy: str, known: Candidates, k: int) -> dict[str, set[str]] | None:
    """Measure -> the codes of its exact set, for every measure with enough candidates.

    Without chosen codes at the same distance as one that was not chosen: only the alphabet separates them.
    """
    if strategy not in STRATEGIES or strategy == "random":
        return None
    sets = {}
    for name in MEASURES:
        ranked = rank(known.eligible, known.anchor, name)
        if len(ranked.codes) < k:
            continue
        with suppress(XstiltsError):
            chosen = STRATEGIES[strategy](ranked.codes, ranked.matrix.values, k, None)
            others = np.delete(at := ranked.matrix.values[0, 1:], chosen) if strategy in BY_DISTANCE else np.empty(0)
            sets[name] = {ranked.codes[i] for i in chosen if not any(math.isclose(at[i], value) for value in others)}
    return sets
