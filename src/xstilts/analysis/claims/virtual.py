"""Arms that no study has: several taken together, the best of several, two in each other's place."""

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np

from xstilts.analysis.cube import Cube
from xstilts.analysis.effects import Effect


def best(cube: Cube, arms: Sequence[str], held_out: Sequence[str]) -> str:
    """The arm with the highest mean score over languages that are not held out (over all, where there is none)."""
    codes = [code for code in cube.languages if code not in held_out] or cube.languages
    finished = [arm for arm in arms if cube.cells(arm)] or arms[:1]
    return max(
        finished, key=lambda arm: np.mean([cube.score(cell, code) for cell in cube.cells(arm) for code in codes])
    )


def renamed(cube: Cube, arm: str, name: str) -> Cube:
    """The cube with an arm under one more name."""
    return replace(cube, sums=cube.sums | {(name, e, r): cube.sums[arm, e, r] for _, e, r in cube.cells(arm)})


def pooled(cube: Cube, arms: Sequence[str], name: str) -> Cube:
    """The cube with one more arm: the predictions of several taken together, in the replicates that all of them have.

    For accuracy its score is the mean of theirs; for F1 nearly so.
    """
    cells = set.intersection(*({(e, r) for _, e, r in cube.cells(arm)} for arm in arms))
    sums = {
        (name, e, r): {code: reduce(np.add, [cube.sums[arm, e, r][code] for arm in arms]) for code in cube.languages}
        for e, r in cells
    }
    return replace(cube, sums=cube.sums | sums)


def swapped(cube: Cube, left: str, right: str) -> Cube:
    """The cube with two arms in each other's place, so that its gain counts with the opposite sign."""
    other = {left: right, right: left}
    return replace(cube, sums={(other.get(arm, arm), e, r): value for (arm, e, r), value in cube.sums.items()})


def scaled(found: Effect, factor: float) -> Effect:
    """An effect times a positive factor."""
    variances = ("replicate_variance", "cluster_variance", "shared_variance", "language_variance")
    return replace(
        found,
        **{name: getattr(found, name) * factor for name in ("estimate", "low", "high")},
        **{name: getattr(found, name) * factor**2 for name in variances},
    )
