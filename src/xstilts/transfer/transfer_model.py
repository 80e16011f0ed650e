"""A fitted model of one table of results: scores after new mixtures and in new languages, and what each source adds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.new_languages import Columns, source_features
from xstilts.transfer.relations import distances, similarity
from xstilts.transfer.response import (
    Response,
    fit_responses,
    inputs,
    left_out_errors,
    predict_response,
    restore,
)
from xstilts.transfer.results_table import ResultsTable

CONTEXTS = 40
"""Mixtures, evenly spaced in the table, that the effect of a source is averaged over."""
TREES = 300
FEWEST = 5
"""Trainings, target languages, and scores in each, of a table that can be fitted."""
FEWEST_SOURCES = 3


@dataclass(frozen=True)
class TransferModel:
    """A table and what was fitted to it.

    parameters: of each target's process; trees: their share in a prediction, 0 to 1; size: examples of a source whose
    effect is meant; effects: what each source adds in each target, in points [sources, targets], NaN on itself; error:
    of such an effect in a language that is left out, in standard deviations over sources, exceeded by one in ten.
    """

    results: ResultsTable
    parameters: tuple[np.ndarray, ...]
    trees: float
    size: float
    effects: np.ndarray
    error: float = float("nan")

    @cached_property
    def responses(self) -> list[Response]:
        """The processes of the targets."""
        return restore(self.results, self.parameters)

    @cached_property
    def foreign(self) -> np.ndarray:
        """Scores of the table's trainings without the target's own examples [n, targets] (`foreign_scores`)."""
        return foreign_scores(self.results, self.responses)

    @cached_property
    def errors(self) -> np.ndarray:
        """Errors in points of predicting each score from the other trainings [n, targets], by the processes alone."""
        return left_out_errors(self.results, self.parameters)

    def known(self, examples: np.ndarray, targets: Sequence[str]) -> np.ndarray:
        """Scores [m, targets] in targets of the table after trainings with some examples [m, sources of the table]."""
        places = [self.results.targets.index(code) for code in targets]
        scores = [predict_response(self.responses[j], self.results.examples, examples) for j in places]
        if self.trees:
            forests = [_forest(self.results, j).predict(inputs(examples)[0]) for j in places]
            scores = [self.trees * b + (1 - self.trees) * a for a, b in zip(scores, forests, strict=True)]
        return np.stack(scores, axis=1)

    def new(self, examples: np.ndarray, sources: Sequence[str], target: str) -> np.ndarray:
        """Differences of scores [m] in a language that the table has no scores in, from its mean over the table's
        trainings; `examples` [m, sources]."""
        table = self.results
        centre, scale = np.nanmean(self.foreign, 0), np.nanstd(self.foreign, 0)
        scores = foreign_predictions(table, self.responses, examples @ shares_of_known(sources, table.sources))
        rows = np.concatenate([self.foreign, scores])
        everything = [*table.sources, *(code for code in sources if code not in table.sources)]
        wanted = np.zeros((len(examples), len(everything)))
        wanted[:, [everything.index(code) for code in sources]] = examples
        before = np.pad(table.examples, ((0, 0), (0, len(everything) - len(table.sources))))
        x = np.concatenate([inputs(before)[0], inputs(wanted)[0]])
        languages, count = [*table.targets, target], len(table.examples)
        features = source_features(x, everything, languages, table.votes, count)
        columns = Columns((rows - centre) / scale, features, similarity(distances(languages)), count)
        completed = columns.complete(len(table.targets), range(len(table.targets)))
        return np.asarray((completed[count:] - completed[:count].mean()) * np.median(scale))


def usable(results: ResultsTable) -> ResultsTable:
    """The table with the targets that have enough scores, and not all the same.

    Raises XstiltsError if fewer than five trainings or targets, or three sources, remain.
    """
    enough = (~np.isnan(results.scores)).sum(0) >= FEWEST
    kept = [j for j in np.flatnonzero(enough) if np.nanstd(results.scores[:, j]) > 0]
    trainings, sources = len(results.examples), int((results.examples > 0).any(0).sum())
    if min(trainings, len(kept)) < FEWEST or sources < FEWEST_SOURCES:
        why = f"it has {trainings} trainings on {sources} sources, and {len(kept)} targets with different scores"
        hint = f"give at least {FEWEST} trainings and targets, and {FEWEST_SOURCES} sources"
        raise XstiltsError("too-few", f"'{results.name}' is too small to learn from", why, hint)
    return replace(results, targets=tuple(results.targets[j] for j in kept), scores=results.scores[:, kept])


def fit_model(results: ResultsTable) -> TransferModel:
    """Fit a table: seconds, or some minutes for 400 trainings and 40 languages.

    Targets with fewer than five scores, or equal ones, are left out. Raises XstiltsError if too little remains.
    """
    results = usable(results)
    codes = list(dict.fromkeys([*results.targets, *results.sources]))
    table = distances(codes)["syntax"]
    rows, columns = ([codes.index(code) for code in names] for names in (results.sources, results.targets))
    responses = fit_responses(results, table[np.ix_(rows, columns)])
    parameters = tuple(response.parameters for response in responses)
    size = float(np.median(results.examples[results.examples > 0]))
    return TransferModel(
        results, parameters, _share_of_trees(results, parameters), size, _effects(results, responses, size)
    )


def shares_of_known(sources: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """How much of each source the sources of a table stand for [sources, known]: all of itself, and a source that the
    table does not have is shared among those that resemble it, by similarity."""
    unknown = [code for code in sources if code not in known]
    shares = np.zeros((len(sources), len(known)))
    alike = (
        similarity(distances([*known, *unknown], len(known)))[len(known) :, : len(known)].clip(0) if unknown else shares
    )
    for row, code in zip(shares, sources, strict=True):
        row[:] = (
            np.equal(known, code) if code in known else alike[unknown.index(code)] / alike[unknown.index(code)].sum()
        )
    return shares


def foreign_predictions(results: ResultsTable, responses: Sequence[Response], examples: np.ndarray) -> np.ndarray:
    """Scores [m, targets] after trainings with `examples` [m, sources] without those in the target itself; NaN where
    there are no others."""
    scores = np.full((len(examples), len(results.targets)), np.nan)
    for j, (code, response) in enumerate(zip(results.targets, responses, strict=True)):
        others = examples.copy()
        if code in results.sources:
            others[:, results.sources.index(code)] = 0
        some = others.sum(1) > 0
        scores[some, j] = predict_response(response, results.examples, others[some])
    return scores


def foreign_scores(results: ResultsTable, responses: Sequence[Response]) -> np.ndarray:
    """Scores without examples in the target itself [n, targets]: measured, else predicted, NaN if nothing remains."""
    scores = foreign_predictions(results, responses, results.examples)
    for j, code in enumerate(results.targets):
        measured = (results.examples_in(code) == 0) & ~np.isnan(results.scores[:, j])
        scores[measured, j] = results.scores[measured, j]
    return scores


def _effects(results: ResultsTable, responses: Sequence[Response], size: float) -> np.ndarray:
    """What each source adds in each target, in points [sources, targets]; NaN on itself.

    With one source for each training it is the score after it; else the mean over some of the table's mixtures of the
    difference that `size` examples of the source make.
    """
    if results.one_source_each:
        effects = foreign_predictions(results, responses, np.eye(len(results.sources)) * size)
        measured, alone = foreign_scores(results, responses), (results.examples > 0).sum(1) == 1
        for i in range(len(results.sources)):
            rows = measured[alone & (results.examples[:, i] > 0)]
            known = ~np.isnan(rows).all(0) if len(rows) else np.zeros(len(results.targets), dtype=bool)
            effects[i, known] = np.nanmean(rows[:, known], axis=0)
        return effects
    places = np.unique(np.linspace(0, len(results.examples) - 1, CONTEXTS).round().astype(int))
    effects = np.full((len(results.sources), len(results.targets)), np.nan)
    for i, source in enumerate(results.sources):
        without = results.examples[places].copy()
        without[:, i] = 0
        added = without.copy()
        added[:, i] = size
        gains = foreign_predictions(results, responses, added) - foreign_predictions(results, responses, without)
        effects[i] = np.nanmean(gains, axis=0)
        if source in results.targets:
            effects[i, results.targets.index(source)] = np.nan
    return effects


def _share_of_trees(results: ResultsTable, parameters: Sequence[np.ndarray]) -> float:
    """The share of the trees with the smallest mean absolute error on trainings that either was not fitted to."""
    errors = left_out_errors(results, parameters)
    by_process = results.scores - errors
    by_trees = np.full(results.scores.shape, np.nan)
    for j in range(len(results.targets)):
        rows = np.flatnonzero(~np.isnan(results.scores[:, j]))
        by_trees[rows, j] = _forest(results, j).oob_prediction_
    shares = np.linspace(0, 1, 5)
    blends = [np.nanmean(np.abs(w * by_trees + (1 - w) * by_process - results.scores)) for w in shares]
    return float(shares[int(np.argmin(blends))])


def _forest(results: ResultsTable, j: int) -> Any:
    """Extra trees (Geurts et al. 2006) on the log examples of each source, for one target."""
    from sklearn.ensemble import ExtraTreesRegressor

    rows = np.flatnonzero(~np.isnan(results.scores[:, j]))
    forest = ExtraTreesRegressor(TREES, bootstrap=True, oob_score=True, random_state=0)
    return forest.fit(inputs(results.examples[rows])[0], results.scores[rows, j])
