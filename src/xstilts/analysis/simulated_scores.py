"""Studies whose truth is known: additive statistics drawn from variance components."""

from collections.abc import Sequence

import numpy as np

from xstilts.analysis.components import Components
from xstilts.runs.score_table import ScoreTable
from xstilts.tasks import classification

LEFT, RIGHT = "left", "right"


def family_sizes(languages: int) -> list[int]:
    """How many languages each family has: one holds two fifths of them, as Indo-European does in XTREME, and the sizes
    of the others fall quickly."""
    sizes, left = [max(1, round(0.4 * languages))], languages - max(1, round(0.4 * languages))
    while left:
        sizes.append(max(1, round(0.2 * left)))
        left -= sizes[-1]
    return sizes


def families(languages: int) -> dict[str, str]:
    """Language → family of a simulated study."""
    names = [f"family-{number}" for number, size in enumerate(family_sizes(languages)) for _ in range(size)]
    return {f"l{number}": name for number, name in enumerate(names)}


def simulate(
    parts: Components, replicates: int, languages: int, clusters: int, gain: float, rng: np.random.Generator,
    sampled: bool, encoders: Sequence[float] = (1.0,),
) -> ScoreTable:  # fmt: skip
    """One study in which `left` is `gain` points better than `right`, with clusters shared by all languages.

    Args:
        sampled: `gain` is the mean over families without end, of which the study has a few; else it is the mean over
            the very languages of the study, whatever they differ by.
        encoders: what each multiplies the standard deviation of replicates by.
    """
    family = families(languages)
    numbers = np.unique(list(family.values()), return_inverse=True)[1]
    own = _normal(rng, parts.language, languages) + _normal(rng, parts.family, languages)[numbers]
    truth = gain + (own if sampled else own - own.mean())
    items = _normal(rng, parts.item, clusters) + _normal(rng, parts.item_language, languages, clusters)
    ones, flat = np.ones(clusters), np.stack([np.full(clusters, 0.5), np.ones(clusters)], 1)
    sums: dict[tuple[str, str, int], dict[str, np.ndarray]] = {}
    for number, factor in enumerate(encoders):
        for replicate in range(1, replicates + 1):
            runs = factor * (_normal(rng, parts.replicate, 1) + _normal(rng, parts.replicate_language, languages))
            moved = truth[:, None] + items + runs[:, None] + _normal(rng, parts.replicate_item, clusters)
            moved += _normal(rng, parts.rest, languages, clusters)
            cell = (f"e{number}", replicate)
            sums[LEFT, *cell] = {
                code: np.stack([0.5 + row / 100, ones], 1) for code, row in zip(family, moved, strict=True)
            }
            sums[RIGHT, *cell] = dict.fromkeys(family, flat)
    return ScoreTable(
        "simulated", classification, "accuracy", sums, dict.fromkeys(family, np.arange(clusters)), clusters
    )


def _normal(rng: np.random.Generator, variance: float, *shape: int) -> np.ndarray:
    return rng.standard_normal(shape) * variance**0.5
