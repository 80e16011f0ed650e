"""Variance components: where the uncertainty of a difference comes from, assumed or from a pilot run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from xstilts.analysis.covariates import families_of
from xstilts.analysis.effects import Effect, Part, compare_arms, effect
from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run


@dataclass(frozen=True)
class Components:
    """Variances of a difference in points², each for one replicate of one encoder, one item cluster, one language.

    `replicate` and `item` are what all languages have in common, `…_language` what is specific to each; `rest` is what
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


@dataclass(frozen=True)
class Design:
    """The size of a study: replicates per encoder, held-out languages and their families, item clusters, encoders."""

    replicates: int
    languages: int
    families: int
    clusters: int
    encoders: int = 1


ASSUMED = Components(0.6, 0.5, 100.0, 100.0, 200.0, 800.0, 0.6, 0.3)
"""The components assumed without a pilot run: a base-size encoder whose runs differ by 0.8 points on average over
languages, two arms that disagree on an eighth of the items, and languages that differ by about a point. These numbers
are a judgement, not a measurement."""


def expected_variance(components: Components, design: Design, random_languages: bool = False) -> list[Part]:
    """The variance that an effect of this design is expected to have; with `random_languages`, languages and families
    count as random, each family equally."""
    languages, clusters = design.languages, design.clusters
    runs, degrees = design.replicates * design.encoders, (design.replicates - 1) * design.encoders
    shared = (components.replicate_item + components.rest / languages) / clusters / runs
    replicate = (components.replicate + components.replicate_language / languages) / runs + shared
    items = (components.item + components.item_language / languages) / clusters
    parts: list[Part] = [(replicate, degrees), (items, clusters - 1)]
    if random_languages:
        between = components.family / design.families + components.language / languages
        parts.append((between, design.families - 1))
    return parts


def pilot_components(run: Path) -> tuple[Components, int, list[str]]:
    """The components that a pilot run's declared contrasts have on average, their item clusters, and the contrasts.

    The items are those of the languages that all targets of a contrast hold out; contrasts with fewer than two such
    languages, with one replicate or one item, say nothing about variances. Raises XstiltsError if none is left.
    """
    pilot = read_run(run)
    tables = [pilot.score_table(target) for target in pilot.labelled]
    encoders = sorted({cell[1] for table in tables for cell in table.cluster_stats if cell[1]})
    components, clusters, names = [], [], []
    for contrast in pilot.study["contrasts"]:
        comparison = compare_arms(pilot, contrast["left"], contrast["right"], contrast["targets"], encoders=encoders)
        shared = [code for code in comparison.languages[0] if all(code in codes for codes in comparison.languages)]
        if len(shared) < 2:
            continue
        whole, *single = (
            effect(replace(comparison, languages=(codes,) * len(comparison.tables)))
            for codes in (tuple(shared), *((code,) for code in shared))
        )
        if all(each.low is not None for each in (whole, *single)):
            components.append(vars(estimate(whole, dict(zip(shared, single, strict=True)), families_of(shared))))
            clusters.append(whole.clusters)
            names.append(contrast["contrast"])
    if not components:
        why = "it has no contrast with two replicates, in two languages of two items"
        hint = "name another run, or leave --from out"
        raise XstiltsError("too-few", f"variance components cannot be estimated from {run}", why, hint)
    means = {name: float(np.mean([each[name] for each in components])) for name in components[0]}
    return Components(**means), round(float(np.mean(clusters))), names


def estimate(whole: Effect, single: Mapping[str, Effect], families: Mapping[str, str]) -> Components:
    """The components of one contrast, by the method of moments.

    None is below 0, so that small ones come out somewhat large if the run is small.

    Args:
        whole: the effect over all held-out languages; single: that of each; families: language → family.

    A part of the variance that is A + B/L for a mean over L languages is A + B for one alone. Of the variance between
    languages, the part that comes from the uncertainty of their gains is subtracted. If no family has two languages,
    all of the difference is between families.
    """
    count = len(single)
    shared, specific = {}, {}  # A and B of each part
    for name in ("replicate", "cluster", "shared"):
        alone = float(np.mean([getattr(each, f"{name}_variance") for each in single.values()]))
        together = float(getattr(whole, f"{name}_variance"))
        specific[name] = max(alone - together, 0.0) / (1 - 1 / count) if count > 1 else 0.0
        shared[name] = max(alone - specific[name], 0.0)
    noise = max(specific["replicate"] + specific["cluster"] - specific["shared"], 0.0)
    groups: dict[str, list[float]] = {}
    for code, each in single.items():
        groups.setdefault(families[code], []).append(each.estimate)
    degrees = count - len(groups)
    within = sum(float(np.var(group)) * len(group) for group in groups.values())
    between = float(np.var([np.mean(group) for group in groups.values()], ddof=1)) if len(groups) > 1 else 0.0
    inverse = float(np.mean([1 / len(group) for group in groups.values()]))
    language = max(within / degrees - noise, 0.0) if degrees else 0.0
    runs, clusters = whole.replicates, whole.clusters
    clusters_alone = float(np.mean([each.clusters for each in single.values()]))
    return Components(
        replicate=max(shared["replicate"] - shared["shared"], 0.0) * runs,
        replicate_language=max(specific["replicate"] - specific["shared"], 0.0) * runs,
        item=max(shared["cluster"] - shared["shared"], 0.0) * clusters,
        item_language=max(specific["cluster"] - specific["shared"], 0.0) * clusters_alone,
        replicate_item=shared["shared"] * runs * clusters,
        rest=specific["shared"] * runs * clusters_alone,
        language=language,
        family=max(between - (language + noise) * inverse, 0.0),
    )
