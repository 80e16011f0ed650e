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


def refusal(languages: Sequence[Sequence[str]], families: Mapping[str, str]) -> str:
    """Why random-language inference is not possible; "" if every target has enough families."""
    fewest = min(len({families[code] for code in codes}) for codes in languages)
    if fewest >= FEWEST_FAMILIES:
        return ""
    return (
        f"the held-out languages are from {fewest} famil{'y' if fewest == 1 else 'ies'}, and at least "
        f"{FEWEST_FAMILIES} are needed to estimate how much families differ"
    )


def random_language_effect(comparison: Comparison, families: Mapping[str, str]) -> Effect:
    """As `effects.effect`, with languages within families random as well, each family counting equally.

    Families are the first stage of the sample, so that the variance between the families' means contains that between
    languages (Cochran 1977, ch. 11); what replicates and items already count of it is subtracted. The estimate is the
    mean over families of the mean over their languages, so that the largest family does not dominate.
    Raises XstiltsError if there are fewer than eight families, and as `effect` does.
    """
    if reason := refusal(comparison.languages, families):
        raise XstiltsError(
            "too-few",
            f"'{comparison.left} - {comparison.right}' says nothing of other languages",
            reason,
            "hold out languages of more families",
        )
    tables = np.array([table for table, _ in comparison.columns])
    names = np.array([families[code] for _, code in comparison.columns])
    sizes = {table: len(set(names[tables == table])) for table in range(len(comparison.tables))}
    weights = np.array([
        1 / (len(sizes) * sizes[table] * ((tables == table) & (names == name)).sum())
        for table, name in zip(tables, names, strict=True)
    ])  # fmt: skip
    encoders = gains(comparison)
    between, noise = 0.0, 0.0
    for name in dict.fromkeys(names):
        # How far the family's part of the weighted sum is from the part that all families have on average.
        deviation = weights * (names == name)
        for table in set(tables[names == name]):
            deviation = deviation - weights * (tables == table) / sizes[table]
        part = combine(encoders, deviation, comparison.level)
        between += part.estimate**2
        noise += part.replicate_variance + part.cluster_variance - part.shared_variance
    count = len(set(names))
    variance = max(count / (count - 1) * (between - noise), 0.0)
    return combine(encoders, weights, comparison.level, variance, count - 1)
