"""The second reading of a contrast: not these languages alone, but languages like these."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from xstilts.analysis.comparison import Comparison
from xstilts.analysis.effects import Block, Effect, Gains, Weights, all_gains, blocks_of, interval, spread
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
    """Why nothing is said of languages like these; "" where there are families enough on every target."""
    fewest = min(len({families[code] for code in codes}) for codes in languages)
    if fewest >= FEWEST_FAMILIES:
        return ""
    return (
        f"the held-out languages are from {fewest} famil{'y' if fewest == 1 else 'ies'}, and from fewer than "
        f"{FEWEST_FAMILIES} nobody can tell how much families differ"
    )


def random_language_effect(comparison: Comparison, families: Mapping[str, str]) -> Effect:
    """As `effects.effect`, with languages within families random as well, each family counting alike.

    Families are the first stage of the sample, so that the variance between the families' means holds that between
    languages too (Cochran 1977, ch. 11); what replicates and items already count of it is taken away. The estimate is
    the mean over families of the mean over their languages: a mean over languages would mostly speak of the largest.
    Raises XstiltsError below eight families, and as `effect` does.
    """
    languages = comparison.languages
    if reason := refusal(languages, families):
        raise XstiltsError(
            "too-few",
            f"'{comparison.left} - {comparison.right}': {reason}",
            "nothing can be said of other languages",
            "hold out more",
        )
    weights = by_family(languages, families)
    gains = all_gains(comparison)
    blocks = blocks_of(gains, comparison, weights)
    names = list(dict.fromkeys(families[code] for codes in languages for code in codes))
    between, noise = 0.0, 0.0
    for own in _apart(gains, comparison, weights, families):
        apart = spread(own)
        between += float(np.mean([block.differences.mean() for block in own])) ** 2
        noise += apart.replicate + apart.cluster - apart.shared
    correction = len(names) / (len(names) - 1)
    beyond = max(correction * (between - noise), 0.0)
    whole = replace(spread(blocks), language=beyond, language_degrees=len(names) - 1)
    return interval(blocks, whole, comparison.level)


def by_family(languages: Sequence[Sequence[str]], families: Mapping[str, str]) -> Weights:
    """The weights of a mean over targets of the mean over families of the mean over their languages."""
    result = []
    for codes in languages:
        own = [families[code] for code in codes]
        share = 1.0 / (len(languages) * len(set(own)))
        result.append({code: share / own.count(family) for code, family in zip(codes, own, strict=True)})
    return result


def _apart(
    gains: Mapping[str, Gains], comparison: Comparison, weights: Weights, families: Mapping[str, str]
) -> Iterator[list[Block]]:
    """How far each family's part in the weighted sum is from the part that all families have on average."""

    def only(counts: Callable[[int, str], bool]) -> list[Block]:
        chosen = [{c: w * counts(n, c) for c, w in weight.items()} for n, weight in enumerate(weights)]
        return blocks_of(gains, comparison, chosen)

    held = [{families[code] for code in weight} for weight in weights]
    whole = [only(lambda n, _, target=target: n == target) for target in range(len(weights))]  # type: ignore[misc]
    for name in dict.fromkeys(families[code] for weight in weights for code in weight):
        own = only(lambda _, code, name=name: families[code] == name)  # type: ignore[misc]
        for target, names in enumerate(held):
            if name in names:
                own = [_minus(block, other, 1 / len(names)) for block, other in zip(own, whole[target], strict=True)]
        yield own


def _minus(block: Block, other: Block, share: float) -> Block:
    """A block less a share of another one of the same encoder and the same clusters."""
    return Block(block.kind, block.differences - share * other.differences, block.influences - share * other.influences)
