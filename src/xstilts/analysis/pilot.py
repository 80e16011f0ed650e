"""Variance components from the predictions of an earlier run."""

from pathlib import Path

import numpy as np

from xstilts.analysis.analyse import counted
from xstilts.analysis.components import Components, estimate
from xstilts.analysis.effects import effect
from xstilts.analysis.inference import families_of
from xstilts.errors import XstiltsError
from xstilts.runs.reader import encoder_kinds, read_run


def components_of(run: Path) -> tuple[Components, int, list[str]]:
    """The components that a run's declared contrasts have on average, their item clusters, and the contrasts.

    The items are those of the languages that all of a contrast's targets hold out; contrasts without such a language,
    or with one only, say nothing of languages and are left out. Raises XstiltsError where none is left.
    """
    earlier = read_run(run)
    study, plan = earlier.study, earlier.plan
    tables = {target: earlier.score_table(target) for target in earlier.labelled}
    encoders = sorted({cell[1] for table in tables.values() for cell in table.cluster_stats if cell[1]})
    found, clusters, names = [], [], []
    for contrast in study["contrasts"]:
        chosen = [tables[target] for target in contrast["targets"]]
        shared = [code for code in plan["held_out"] if all(code in counted(table, [code]) for table in chosen)]
        if len(shared) < 2:
            continue

        def one(codes: list[str], chosen=chosen, contrast=contrast):  # type: ignore[no-untyped-def]
            held = [codes] * len(chosen)
            return effect(chosen, contrast["left"], contrast["right"], held, encoders, 0.95, encoder_kinds(plan))

        whole = one(shared)
        found.append(estimate(whole, {code: one([code]) for code in shared}, families_of(shared)))
        clusters.append(whole.clusters)
        names.append(contrast["contrast"])
    if not found:
        raise XstiltsError(
            "inconsistent", f"{run} says nothing of variance components", "no declared contrast has two held-out languages",
            "name another run, or leave --from out",
        )  # fmt: skip
    means = {name: float(np.mean([getattr(one, name) for one in found])) for name in vars(found[0])}
    return Components(**means), round(float(np.mean(clusters))), names
