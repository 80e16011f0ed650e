"""The languages to choose from, near to far, and why others are left out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.errors import XstiltsError, did_you_mean
from xstilts.languages.distance import DEFAULT, Distances, distance_matrix
from xstilts.languages.identity import Language, language

TRAITS = ("script", "family")


@dataclass(frozen=True)
class Candidates:
    """Codes near to far from the anchor, ties by code, and those left out with the reason.

    `matrix` covers the anchor first and then `codes`, in that order. `alike` holds the codes that are not left out for
    their script or family, with a measured distance or without: what another measure may choose from.
    """

    anchor: str
    codes: tuple[str, ...]
    matrix: Distances
    excluded: dict[str, str]
    alike: tuple[str, ...]


def rank(
    candidates: Sequence[str],
    anchor: str,
    measure: str = DEFAULT,
    match: Sequence[str] = (),
    exclude: Sequence[str] = (),
) -> Candidates:
    """Orders the candidates by their distance from the anchor; the anchor itself and repetitions are dropped.

    Left out are languages without a measured distance, those that differ from the anchor in a trait of `match`
    (`script`, `family`) and those that share a trait of `exclude` with it. A trait that is not known neither matches
    nor is it known to differ: such a language is left out too.
    """
    for trait in (*match, *exclude):
        if trait not in TRAITS:
            hint = did_you_mean(trait, TRAITS) or "Choose one of them."
            why = f"Languages are matched or excluded by {' or '.join(TRAITS)}."
            raise XstiltsError("unknown-name", f"Unknown trait '{trait}'", why, hint[0].upper() + hint[1:])
    origin = language(anchor)
    codes = sorted({language(one).code for one in candidates} - {origin.code})
    matrix = distance_matrix([origin.code, *codes], measure=measure)
    missing = np.isnan(matrix.values[0])
    excluded, alike = {}, []
    for i, code in enumerate(matrix.codes[1:], 1):
        reason = _unlike(language(code), origin, match) or _like(language(code), origin, exclude)
        if not reason:
            alike.append(code)
        if reason or missing[i]:
            excluded[code] = reason or matrix.why_missing(0, i)
    order = [int(i) for i in np.argsort(matrix.values[0], kind="stable") if i > 0 and matrix.codes[i] not in excluded]
    kept = matrix.take([0, *order])
    return Candidates(origin.code, kept.codes[1:], kept, excluded, tuple(alike))


def _unlike(one: Language, origin: Language, traits: Sequence[str]) -> str:
    for trait in traits:
        own, wanted = getattr(one, trait), getattr(origin, trait)
        if own != wanted or not own:
            return f"{trait} {own or 'not known'}, {wanted or 'a known one'} needed"
    return ""


def _like(one: Language, origin: Language, traits: Sequence[str]) -> str:
    for trait in traits:
        own = getattr(one, trait)
        if own == getattr(origin, trait) or not own:
            return f"{trait} {own}, like {origin.code}" if own else f"{trait} not known"
    return ""
