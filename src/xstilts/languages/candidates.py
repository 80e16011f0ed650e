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
