"""What published results say about distance: do mixtures of distant sources score higher or lower in new languages?

For each training and target language without examples of its own, the distances of the sources from the target are
summed up. What differs between target languages (how hard they are) and between trainings (which sources, how many
examples) is removed by an effect of each, so that a slope says whether a mixture helps *more* the languages that it is
close to. Sources that are good for everyone therefore do not count, and neither does the number of examples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix
from xstilts.randomness import generator
from xstilts.transfer.relations import known_language
from xstilts.transfer.results_table import ResultsTable

SUMMARIES = ("mean", "nearest", "spread")
STEP = 0.1
"""Of distance, that an effect is given for."""
DRAWS, PERMUTATIONS, SWEEPS = 1000, 999, 25
FEWEST = 5
"""Trainings, and target languages with known distances, of a table that says anything."""
LEVEL = 0.95
Row = dict[str, Any]


def distance_evidence(results: ResultsTable, measure: str = "syntax") -> list[Row]:
    """The effect of each summary of the sources' distances on the score, alone and with the others held fixed.

    effect: points for a distance that is 0.1 larger (0 to 1; for `geographic`, 1,000 km). low, high: 95%, with
    trainings and target languages both redrawn (the pigeonhole bootstrap, Owen 2007, doi:10.1214/07-AOAS122); p: how
    often languages with shuffled places in the table of distances have an effect as large (two-sided).

    mean: of the sources' distances, weighted by examples; nearest: the smallest; spread: their weighted standard
    deviation; those that do not vary, or are equal to another, are left out. So are languages without known distances.
    Raises XstiltsError for fewer than five trainings or target languages.
    """
    codes = [code for code in dict.fromkeys([*results.targets, *results.sources]) if known_language(code)]
    targets = [j for j, code in enumerate(results.targets) if code in codes]
    if min(len(targets), len(results.examples)) < FEWEST or len(codes) < FEWEST:
        why = f"it has {len(results.examples)} trainings and {len(targets)} target languages that are known"
        raise XstiltsError("too-few", f"'{results.name}' says nothing about distance", why, f"give {FEWEST} of each")
    table = distance_matrix(codes, measure=measure).values
    table = table / (1000 if measure == "geographic" else STEP)
    y = _foreign_scores(results, targets)
    places = [codes.index(code) if code in codes else -1 for code in results.sources]
    here = [codes.index(results.targets[j]) for j in targets]
    x = _summaries(results, table, places, here)
    known = (~np.isnan(y) & ~np.isnan(x).any(0)).astype(float)
    kept = _varying(x, known)
    if not kept:
        why = "the distances of the sources do not differ between trainings"
        raise XstiltsError("too-few", f"'{results.name}' says nothing about distance", why, "give other trainings")
    rng = generator("evidence", results.name, measure)
    drawn = [_slopes(x[kept], y, known * _redraw(rng, known.shape)) for _ in range(DRAWS)]
    shuffled = []
    for _ in range(PERMUTATIONS):
        order = rng.permutation(len(codes))
        other = _summaries(results, table[np.ix_(order, order)], places, here)[kept]
        shuffled.append(_slopes(other, y, known * ~np.isnan(other).any(0)))
    facts = {"table": results.name, "measure": measure, "scores": int(known.sum()), "trainings": len(y)}
    facts["targets"] = len(targets)
    estimated = zip(
        ("alone", "with the others"),
        _slopes(x[kept], y, known),
        np.swapaxes(drawn, 0, 1),
        np.swapaxes(shuffled, 0, 1),
        strict=True,
    )
    return [
        facts | {"summary": SUMMARIES[k], "form": form} | _numbers(values[i], draws[:, i], null[:, i])
        for form, values, draws, null in estimated
        for i, k in enumerate(kept if form == "alone" or len(kept) > 1 else ())
    ]


def _numbers(effect: float, draws: np.ndarray, null: np.ndarray) -> dict[str, float]:
    """An effect with the quantiles of redrawn ones [draws], and how often shuffled ones are as large."""
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    p = (1 + (np.abs(null) >= abs(effect)).sum()) / (1 + len(null))
    return {"effect": float(effect), "low": float(low), "high": float(high), "p": float(p)}


def _varying(x: np.ndarray, known: np.ndarray) -> list[int]:
    """Positions of the summaries that differ within trainings and targets, and from each other: with one source for
    each training the mean is the nearest, and there is no spread."""
    rest = [_without_effects(values, known).ravel() for values in x]
    kept: list[int] = []
    for k, values in enumerate(rest):
        if values.std() > 1e-6 and all(abs(np.corrcoef(values, rest[other])[0, 1]) < 0.999 for other in kept):
            kept.append(k)
    return kept


def _foreign_scores(results: ResultsTable, targets: Sequence[int]) -> np.ndarray:
    """Scores without examples in the target itself [n, targets], else NaN."""
    own = np.stack([results.examples_in(results.targets[j]) for j in targets], axis=1)
    return np.where(own == 0, results.scores[:, targets], np.nan)


def _summaries(results: ResultsTable, table: np.ndarray, places: Sequence[int], here: Sequence[int]) -> np.ndarray:
    """Mean, nearest and spread of the distances [3, n, targets]; a source without a distance does not count."""
    distances = np.stack([table[place, here] if place >= 0 else np.full(len(here), np.nan) for place in places])
    known = ~np.isnan(distances)
    filled = np.where(known, distances, 0)
    weight = results.examples @ known
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = results.examples @ filled / weight
        spread = np.sqrt(np.maximum(results.examples @ filled**2 / weight - mean**2, 0))
    used = results.examples[:, :, None] > 0
    nearest = np.where(used & known, np.where(known, distances, 0), np.inf).min(1)
    return np.stack([mean, np.where(np.isinf(nearest), np.nan, nearest), spread])


def _without_effects(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Values less a weighted effect of each row and column, by alternating projections [n, targets]."""
    rest = np.where(weights > 0, values, 0.0)
    by_row, by_column = weights.sum(1), weights.sum(0)
    for _ in range(SWEEPS):
        rest -= ((rest * weights).sum(1) / np.maximum(by_row, 1e-9))[:, None] * (weights > 0)
        rest -= (rest * weights).sum(0) / np.maximum(by_column, 1e-9) * (weights > 0)
    return np.asarray(rest)


def _slopes(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weighted least squares of y [n, targets] on each of x [k, n, targets] alone, and on all together, with an effect
    of each row and column [k]."""
    flat = np.stack([_without_effects(values, weights).ravel() for values in x])
    w, rest = weights.ravel(), _without_effects(y, weights).ravel()
    products, towards = (flat * w) @ flat.T, (flat * w) @ rest
    joint = np.linalg.lstsq(products, towards, rcond=None)[0]
    return towards / np.maximum(np.diag(products), 1e-12), joint


def _redraw(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """How often each cell counts when rows and columns are redrawn with replacement [n, targets]."""
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n)) for n in shape)
    return np.outer(rows, columns)
