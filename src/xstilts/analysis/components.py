"""Where the uncertainty of a difference between two arms comes from: its variance, component by component."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from xstilts.analysis.effects import Effect, Spread


@dataclass(frozen=True)
class Components:
    """Variances of a difference in points², each for one replicate of one encoder, one item cluster, one language.

    `replicate` and `item` are what all languages have in common, `…_language` what each has of its own; `rest` is what
    is left to a replicate, an item cluster and a language. `language` is the difference between languages of one
    family, `family` that between families.
    """

    replicate: float
    replicate_language: float
    item: float
    item_language: float
    replicate_item: float
    rest: float
    language: float
    family: float

    def as_dict(self) -> dict[str, float]:
        """Component → points², three decimals."""
        return {field.name: round(getattr(self, field.name), 3) for field in fields(self)}


@dataclass(frozen=True)
class Design:
    """The size of a study: replicates per encoder, held-out languages and their families, item clusters, encoders."""

    replicates: int
    languages: int
    families: int
    clusters: int
    encoders: int = 1


ASSUMED = Components(
    replicate=0.6, replicate_language=0.5, item=100.0, item_language=100.0, replicate_item=200.0, rest=800.0,
    language=0.6, family=0.3,
)  # fmt: skip
"""What is assumed where no run says better: a base-size encoder whose runs differ by .8 points in the mean over
languages, two arms that disagree on an eighth of the items, and languages that differ by about a point. These numbers
are a judgement and not a measurement."""


def spread_of(parts: Components, design: Design, beyond: bool = False) -> Spread:
    """The variance that an effect of this design is expected to have, in the parts of `effects.spread`; with `beyond`
    languages and families count as random, each family alike."""
    languages, clusters = design.languages, design.clusters
    runs, free = design.replicates * design.encoders, (design.replicates - 1) * design.encoders
    shared = (parts.replicate_item + parts.rest / languages) / clusters / runs
    replicate = (parts.replicate + parts.replicate_language / languages) / runs + shared
    cluster = (parts.item + parts.item_language / languages) / clusters + shared
    fixed = Spread(replicate, cluster, shared, free, clusters - 1)
    if not beyond:
        return fixed
    language = parts.family / design.families + parts.language / languages
    return replace(fixed, language=language, language_degrees=design.families - 1)


def estimate(whole: Effect, single: Mapping[str, Effect], families: Mapping[str, str]) -> Components:
    """The components of one contrast on one target, by the method of moments.

    None is below 0, so that small ones come out somewhat large where the run is small.

    Args:
        whole: the effect over all held-out languages; `single`: that of each; `families`: of each language.

    A part of the variance that is A + B/L for a mean over L languages is A + B for one alone. Of the variance between
    languages the part that the uncertainty of their gains makes is taken away.
    """
    count = len(single)
    common, own = {}, {}
    for name in ("replicate", "cluster", "shared"):
        alone = float(np.mean([getattr(one, f"{name}_variance") for one in single.values()]))
        together = float(getattr(whole, f"{name}_variance"))
        own[name] = max(alone - together, 0.0) / (1 - 1 / count) if count > 1 else 0.0
        common[name] = max(alone - own[name], 0.0)
    runs, clusters = whole.replicates, whole.clusters
    alone_clusters = float(np.mean([one.clusters for one in single.values()]))
    noise = own["replicate"] + own["cluster"] - own["shared"]
    language, family = _languages({code: one.estimate for code, one in single.items()}, families, max(noise, 0.0))
    return Components(
        replicate=max(common["replicate"] - common["shared"], 0.0) * runs,
        replicate_language=max(own["replicate"] - own["shared"], 0.0) * runs,
        item=max(common["cluster"] - common["shared"], 0.0) * clusters,
        item_language=max(own["cluster"] - own["shared"], 0.0) * alone_clusters,
        replicate_item=common["shared"] * runs * clusters,
        rest=own["shared"] * runs * alone_clusters,
        language=language,
        family=family,
    )


def _languages(gains: Mapping[str, float], families: Mapping[str, str], noise: float) -> tuple[float, float]:
    """Variance between languages of one family and between families, `noise` (that of one gain) taken away.

    Where no family has two languages all of the difference is the families'.
    """
    groups: dict[str, list[float]] = {}
    for code, gain in gains.items():
        groups.setdefault(families[code], []).append(gain)
    free = len(gains) - len(groups)
    within = sum(float(((np.array(own) - np.mean(own)) ** 2).sum()) for own in groups.values())
    between = float(np.var([np.mean(own) for own in groups.values()], ddof=1)) if len(groups) > 1 else 0.0
    inverse = float(np.mean([1 / len(own) for own in groups.values()]))
    of_language = max(within / free - noise, 0.0) if free else 0.0
    return of_language, max(between - (of_language + noise) * inverse, 0.0)
