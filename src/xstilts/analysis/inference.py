"""Random-language inference: what a contrast says of languages like the held-out ones, not of these alone."""

from collections.abc import Mapping, Sequence

import numpy as np

from xstilts.analysis.comparison import Comparison
from xstilts.analysis.effects import Effect, combine, gains
from xstilts.errors import XstiltsError
from xstilts.languages import language

FEWEST_FAMILIES = 8
FIXED_LANGUAGES, RANDOM_LANGUAGES = "fixed-language inference", "random-language inference"


def families_of(codes: Sequence[str]) -> dict[str, str]:
    """Language → family; an isolate, and a code that the table does not know, is a family of its own."""
    result = {}
    for code in codes:
        try:
            result[code] = language(code).family or code
        except XstiltsError:
            result[code] = code
    return result


def random_language_effect(comparison: Comparison, families: Mapping[str, str]) -> Effect:
    """As `effects.effect`, with languages within families random as well, each family counting equally.

    Families are the first stage of the sample, so that the variance between the families' means contains that between
    languages (Cochran 1977, ch. 11); what replicates and items already count of it is subtracted. The estimate is the
    mean over families of the mean over their languages, so that the largest family does not dominate.
    Raises XstiltsError if a target has fewer than eight families, and as `effect` does.
    """
    fewest = min(len({families[code] for code in codes}) for codes in comparison.languages)
    if fewest < FEWEST_FAMILIES:
        what = f"random-language inference of '{comparison.left} - {comparison.right}' is not possible"
        why = (
            f"the held-out languages are from {fewest} famil{'y' if fewest == 1 else 'ies'}, and at least "
            f"{FEWEST_FAMILIES} are needed to estimate how much families differ"
        )
        raise XstiltsError("too-few", what, why, "hold out languages of more families")
    tables = np.array([table for table, _ in comparison.columns])
    names = np.array([families[code] for _, code in comparison.columns])
    sizes = np.array([len(set(names[tables == table])) for table in range(len(comparison.tables))])[tables]
    members = np.array([((tables == table) & (names == name)).sum() for table, name in zip(tables, names, strict=True)])
    weights = 1 / (len(comparison.tables) * sizes * members)
    encoders = gains(comparison)
    between, noise = 0.0, 0.0
    for name in dict.fromkeys(names):
        # How far the family's part of the weighted sum is from the part that all families have on average.
        deviation = weights * (names == name) - np.where(np.isin(tables, tables[names == name]), weights / sizes, 0.0)
        part = combine(encoders, deviation, comparison.level)
        between += part.estimate**2
        noise += part.replicate_variance + part.cluster_variance - part.shared_variance
    count = len(set(names))
    variance = max(count / (count - 1) * (between - noise), 0.0)
    return combine(encoders, weights, comparison.level, variance, count - 1)
