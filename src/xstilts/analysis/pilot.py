"""Variance components from the predictions of an earlier run."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from xstilts.analysis.comparison import Comparison, compare_arms
from xstilts.analysis.components import Components, estimate
from xstilts.analysis.effects import Effect, effect
from xstilts.analysis.inference import families_of
from xstilts.errors import XstiltsError
from xstilts.runs.reader import read_run


def components_of(run: Path) -> tuple[Components, int, list[str]]:
    """The components that a run's declared contrasts have on average, their item clusters, and the contrasts.

    The items are those of the languages that all of a contrast's targets hold out; contrasts without such a language,
    or with one only, say nothing of languages and are left out. Raises XstiltsError where none is left.
    """
    earlier = read_run(run)
    tables = [earlier.score_table(target) for target in earlier.labelled]
    encoders = sorted({cell[1] for table in tables for cell in table.cluster_stats if cell[1]})
    found, clusters, names = [], [], []
    for contrast in earlier.study["contrasts"]:
        comparison = compare_arms(earlier, contrast["left"], contrast["right"], contrast["targets"], encoders=encoders)
        shared = [code for code in comparison.languages[0] if all(code in codes for codes in comparison.languages)]
        if len(shared) < 2:
            continue

        def among(*codes: str, comparison: Comparison = comparison) -> Effect:
            return effect(replace(comparison, languages=(codes,) * len(comparison.tables)))

        whole = among(*shared)
        found.append(estimate(whole, {code: among(code) for code in shared}, families_of(shared)))
        clusters.append(whole.clusters)
        names.append(contrast["contrast"])
    if not found:
        raise XstiltsError(
            "inconsistent", f"{run} says nothing of variance components", "no declared contrast has two held-out languages",
            "name another run, or leave --from out",
        )  # fmt: skip
    means = {name: float(np.mean([getattr(one, name) for one in found])) for name in vars(found[0])}
    return Components(**means), round(float(np.mean(clusters))), names
