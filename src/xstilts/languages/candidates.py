"""Rank candidate languages by distance, and say why some cannot be chosen."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.distance import DEFAULT, Distances, distance_matrix
from xstilts.languages.identity import Language, language

TRAITS = ("script", "family")


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
    candidates: Sequence[str],
    anchor: str,
    measure: str = DEFAULT,
    match: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Candidates:
    """Orders the candidates by distance from the anchor, without the anchor itself and duplicates.

    Excludes languages without a measured distance, those that differ from the anchor in a trait of `match` (`script`,
    `family`) and those that share a trait of `exclude` with it. A language whose trait is unknown is
    excluded either way.
    """
    for trait in (*match, *exclude):
        if trait not in TRAITS:
            hint = did_you_mean(trait, TRAITS) or "choose one of them"
            why = f"languages are matched or excluded by {' or '.join(TRAITS)}"
            raise XstiltsError("unknown-name", f"unknown trait '{trait}'", why, hint)
    origin = language(anchor)
    codes = sorted({language(name).code for name in candidates} - {origin.code})
    matrix = distance_matrix([origin.code, *codes], measure=measure)
    missing = np.isnan(matrix.values[0])
    excluded, eligible = {}, []
    for i, code in enumerate(matrix.codes[1:], 1):
        reason = _mismatch(language(code), origin, match) or _overlap(language(code), origin, exclude)
        if not reason:
            eligible.append(code)
        if reason or missing[i]:
            excluded[code] = reason or matrix.why_missing(0, i)
    order = [int(i) for i in np.argsort(matrix.values[0], kind="stable") if i > 0 and matrix.codes[i] not in excluded]
    ranked = matrix.take([0, *order])
    return Candidates(origin.code, ranked.codes[1:], ranked, excluded, tuple(eligible))


def _mismatch(entry: Language, origin: Language, traits: Sequence[str]) -> str:
    for trait in traits:
        value, wanted = getattr(entry, trait), getattr(origin, trait)
        if value != wanted or not value:
            return f"{trait} {value or 'unknown'}, {wanted or 'a known one'} needed"
    return ""


def _overlap(entry: Language, origin: Language, traits: Sequence[str]) -> str:
    for trait in traits:
        value = getattr(entry, trait)
        if value == getattr(origin, trait) or not value:
            return f"{trait} {value}, like {origin.code}" if value else f"{trait} unknown"
    return ""
