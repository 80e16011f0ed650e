"""How high a language scores that nothing was scored in: a Gaussian process over languages."""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

from xstilts.transfer.new_languages import rests
from xstilts.transfer.relations import UNSPACED, covariance, distances, similarity, text_sizes
from xstilts.transfer.transfer_model import TransferModel

PRIOR = np.log([0.2] * 6 + [0.3, 0.3, 0.2, 1.0, 0.05, 0.2, np.e])
"""Centres of log-normal priors: variances of the parts, of what tables share of one language, and of noise; and the
logit of the correlation between tables."""
MEAN_VARIANCE = 4.0
FLOOR = 0.02


class Levels:
    """Mean scores without examples in the language itself, of all tables together.

    Each table is standardised. Tables share what their languages have in common by a correlation that is fitted with
    the variances of kinds of closeness, of the amount of text and of unspaced writing (the largest posterior density).
    """

    def __init__(self, models: Sequence[TransferModel], new: Sequence[str] = ()) -> None:
        """models: the first is the one to predict for; new: languages that it does not have."""
        tables = [np.nanmean(model.foreign, 0) for model in models]
        self.centre, self.scale = float(np.median(tables[0])), float(tables[0].std()) or 1.0
        self.known = np.concatenate([(table - np.median(table)) / (table.std() or 1.0) for table in tables])
        numbers = [i for i, model in enumerate(models) for _ in model.results.targets] + [0] * len(new)
        codes = [code for model in models for code in model.results.targets] + list(new)
        self.same_table = np.equal.outer(np.array(numbers), np.array(numbers))
        self.parts = _parts(codes)
        self.parameters = minimize(self._posterior, PRIOR, method="L-BFGS-B", options={"maxiter": 15}).x

    def predict(self, wanted: int, known: Sequence[int]) -> float:
        """The mean score in points, 0 to 100, of one position of targets and new languages from those of others."""
        covariance = self._covariance(self.parameters)
        inner = covariance[np.ix_(known, known)] + self._noise(self.parameters) * np.eye(len(known))
        level = covariance[wanted, known] @ np.linalg.solve(inner, self.known[known])
        return float(np.clip(level * self.scale + self.centre, 0, 100))

    def _posterior(self, parameters: np.ndarray) -> float:
        count = len(self.known)
        covariance = self._covariance(parameters)[:count, :count]
        factor = cho_factor(covariance + self._noise(parameters) * np.eye(count), lower=True)
        fit = self.known @ cho_solve(factor, self.known) / 2 + np.log(np.diag(factor[0])).sum()
        return float(fit + ((parameters - PRIOR) ** 2).sum() / 2)

    def _covariance(self, parameters: np.ndarray) -> np.ndarray:
        shared = np.tensordot(np.exp(parameters[: len(self.parts)]), self.parts, 1)
        correlation = 1 / (1 + np.exp(-parameters[-1]))
        return np.asarray(shared * np.where(self.same_table, 1, correlation) + MEAN_VARIANCE * self.same_table)

    def _noise(self, parameters: np.ndarray) -> float:
        return float(np.exp(parameters[-2])) + FLOOR


def left_out_levels(
    models: Sequence[TransferModel], blocks: Sequence[str], scored_elsewhere: bool = False
) -> np.ndarray:
    """The mean scores of the first table's targets [targets], each from targets of other blocks and other tables.

    scored_elsewhere: whether the other tables' scores in the left-out language itself are used.
    """
    levels, targets = Levels(models), models[0].results.targets
    others = [code for model in models[1:] for code in model.results.targets]
    values = []
    for j, seen in rests(blocks):
        used = [len(targets) + k for k, other in enumerate(others) if scored_elsewhere or other != targets[j]]
        values.append(levels.predict(j, [*seen, *used]))
    return np.array(values)


def helpful(model: TransferModel, others: Sequence[TransferModel], scored_elsewhere: bool) -> list[TransferModel]:
    """The other tables, if they make the error of levels in left-out languages smaller; else none."""
    truth, targets = np.nanmean(model.foreign, 0), model.results.targets
    alone, pooled = (
        np.abs(left_out_levels([model, *form], targets, scored_elsewhere) - truth).mean() for form in ([], others)
    )
    return list(others) if others and pooled < alone else []


def new_levels(model: TransferModel, others: Sequence[TransferModel], codes: Sequence[str]) -> np.ndarray:
    """The mean score [codes] over a table's trainings in languages that it does not have."""
    levels = Levels([model, *others], codes)
    known = list(range(len(levels.known)))
    return np.array([levels.predict(len(known) + k, known) for k in range(len(codes))])


def _parts(codes: Sequence[str]) -> np.ndarray:
    """Covariances of languages by each kind of distance, by all, by text (linear and local), by unspaced writing, and
    of a language with itself [parts, languages, languages]."""
    tables = distances(codes)
    parts = [covariance(2 * table) for table in tables.values()]
    size, unspaced = text_sizes(codes) / 4, np.array([float(code in UNSPACED) for code in codes])
    parts += [similarity(tables), np.outer(size, size), np.exp(-((size[:, None] - size) ** 2))]
    parts += [np.outer(unspaced, unspaced), np.array([[float(a == b) for b in codes] for a in codes])]
    return np.stack(parts)
