"""Predictions of languages that are left out of a table in turn, and the errors that intervals are made of."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from xstilts.analysis.covariates import families_of
from xstilts.transfer.language_levels import left_out_levels
from xstilts.transfer.new_languages import Columns, rests, source_features
from xstilts.transfer.rank_sources import effect_columns, spread
from xstilts.transfer.relations import distances, similarity
from xstilts.transfer.response import inputs
from xstilts.transfer.transfer_model import TransferModel

LEVEL = 0.9
"""Of all intervals of predictions."""


def blocks_by(codes: Sequence[str], by: str) -> list[str]:
    """What is left out together with each target: the `language` alone, or its `family`."""
    families = families_of(codes)
    return [families[code] if by == "family" else code for code in codes]


def left_out_scores(
    model: TransferModel, blocks: Sequence[str], others: Sequence[TransferModel] = (), scored_elsewhere: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Levels [targets] and differences from them [n, targets] of each target, as if its block had no scores."""
    table, foreign = model.results, model.foreign
    centre, scale = np.nanmean(foreign, 0), np.nanstd(foreign, 0)
    features = source_features(inputs(table.examples)[0], table.sources, table.targets, table.votes)
    columns = Columns((foreign - centre) / scale, features, similarity(distances(table.targets)), len(foreign))
    response = np.empty(foreign.shape)
    for j, seen in rests(blocks):
        completed = columns.complete(j, seen)
        response[:, j] = (completed - completed.mean()) * np.median(scale[seen])
    return left_out_levels([model, *others], blocks, scored_elsewhere), response


def language_errors(model: TransferModel, level: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Errors in points [n, targets] of what `left_out_scores` predicts; NaN with examples in the language itself."""
    table = model.results
    foreign = np.stack([table.examples_in(code) == 0 for code in table.targets], axis=1)
    return np.where(foreign, np.clip(level + response, 0, 100) - table.scores, np.nan)


def left_out_effects(model: TransferModel, blocks: Sequence[str]) -> np.ndarray:
    """What each source adds in each target, standardised [sources, targets], as if the target's block had no scores."""
    columns, completed = effect_columns(model), np.full(model.effects.shape, np.nan)
    for j, seen in rests(blocks):
        completed[:, j] = columns.complete(j, seen)
    return completed


def with_error(model: TransferModel) -> TransferModel:
    """The model with the error of its effects in languages that are left out."""
    centred = (model.effects - np.nanmean(model.effects, 0)) / spread(model)
    return replace(model, error=conformal(left_out_effects(model, model.results.targets) - centred))


def conformal(errors: np.ndarray, level: float = LEVEL) -> float:
    """The half width that covers a new error with at least this probability, if errors are exchangeable (Vovk et al.
    2005, split conformal): the ⌈(n + 1) level⌉-th smallest size of the known ones; infinite if there are too few."""
    sizes = np.sort(np.abs(errors[~np.isnan(errors)]))
    place = int(np.ceil((len(sizes) + 1) * level))
    return float(sizes[place - 1]) if place <= len(sizes) else float("inf")
