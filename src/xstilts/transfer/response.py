"""How a score depends on the training mixture: a Gaussian process for each target language.

The covariance of two trainings has a linear part, in which each source language adds its own, a local part, in which
similar mixtures score alike, and a part for the total number of examples:

    k(x, x') = 4 + Σ l_s x_s x'_s + a exp(−Σ r_s |x_s − x'_s| − c |z − z'|) + b exp(−d (z − z')²)

x_s = log10(1 + examples of s) / 5, z the same of all examples. The weights l_s and r_s of the sources are tied: all
target languages share how they fall with the syntactic distance between source and target, and what the target's own
examples weigh. From there each target's weights are fitted to its own scores, held by a normal prior, so that a table
of 30 trainings keeps the shared ones and a table of 400 finds its own. Noise has its own variance for trainings without
examples in the target language. All by the largest posterior density (Rasmussen and Williams 2006, ch. 5).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.transfer.results_table import ResultsTable

SHARED = ("l", "l own", "l fall", "r", "r own", "r fall", "a", "b", "c", "d", "noise", "noise own")
CENTRE = np.array([*np.log([0.05, 2.0]), 1.0, *np.log([0.1, 2.0]), 1.0, *np.log([0.5, 0.3, 1.0, 10.0, 0.05, 0.05])])
"""Of the normal prior of the shared parameters, all logarithms but the two falls."""
WIDTH = np.array([1.0] * 10 + [2.0, 2.0])
OWN_WIDTH = 1.5
"""Standard deviation of a target's own logarithms around the shared ones."""
MEAN_VARIANCE = 4.0
JITTER = 1e-5
TIED_STEPS, OWN_STEPS = 40, 60


@dataclass(frozen=True)
class Response:
    """A fitted process of one target: `rows` of the table that have its score, parameters [2 sources + 6], weights of
    these rows, and the centre and scale of the scores."""

    rows: np.ndarray
    parameters: np.ndarray
    weights: np.ndarray
    centre: float
    scale: float


@dataclass(frozen=True)
class _Pairs:
    """Inputs of some trainings and their differences: x [n, sources], gaps of x [sources, n · n] and of z [n, n]."""

    x: np.ndarray
    gaps: np.ndarray
    total_gaps: np.ndarray


def inputs(examples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x [n, sources] and z [n] of numbers of examples [n, sources]."""
    return np.log10(1 + examples) / 5, np.log10(1 + examples.sum(1)) / 5


def fit_responses(results: ResultsTable, distances: np.ndarray) -> list[Response]:
    """The process of each target of a table; `distances`: of each source from each target [sources, targets]."""
    problems = _problems(results, distances)

    def tied(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        value, slope = _prior(parameters, CENTRE, WIDTH)
        for problem in problems:
            more, towards = problem.objective(problem.design @ parameters)
            value, slope = value + more, slope + problem.design.T @ towards
        return value, slope

    shared = _minimum(tied, CENTRE, TIED_STEPS)
    return [problem.fit(problem.design @ shared) for problem in problems]


class TargetProblem:
    """The scores in one target language, standardised, and the trainings that have them."""

    def __init__(self, results: ResultsTable, j: int, distances: np.ndarray, pairs: _Pairs | None = None) -> None:
        """distances: of the sources from target j [sources]; pairs: of its rows, if they are known."""
        scores, target = results.scores[:, j], results.targets[j]
        self.rows = np.flatnonzero(~np.isnan(scores))
        self.pairs = pairs or _pairs(*inputs(results.examples[self.rows]))
        y = scores[self.rows]
        self.centre, self.scale = float(np.median(y)), float(y.std()) or 1.0
        self.y = (y - self.centre) / self.scale
        self.foreign = results.examples_in(target)[self.rows] == 0
        own = results.sources.index(target) if target in results.sources else None
        self.design = _design(distances, own)

    def objective(self, parameters: np.ndarray) -> tuple[float, np.ndarray]:
        """The negative log likelihood (without its constant) and its slope in the parameters."""
        from scipy.linalg import cho_factor, cho_solve

        x, count = self.pairs.x, self.pairs.x.shape[1]
        linear, local, total = _parts(self.pairs, parameters)
        noise = self._noise(parameters)
        factor = cho_factor(linear + local + total + MEAN_VARIANCE + np.diag(noise + JITTER), lower=True)
        weights, inverse = cho_solve(factor, self.y), cho_solve(factor, np.eye(len(self.y)))
        pull = (inverse - np.outer(weights, weights)) / 2
        by_local, by_total, by_noise = pull * local, pull * total, np.diag(pull) * noise
        scale = np.exp(parameters[: 2 * count])
        c, d = np.exp(parameters[2 * count + 2 : 2 * count + 4])
        slope = [
            scale[:count] * ((pull @ x) * x).sum(0),
            -scale[count:] * (self.pairs.gaps @ by_local.ravel()),
            [by_local.sum(), by_total.sum()],
            [-c * (by_local * self.pairs.total_gaps).sum(), -d * (by_total * self.pairs.total_gaps**2).sum()],
            [by_noise[self.foreign].sum(), by_noise[~self.foreign].sum()],
        ]
        return float(self.y @ weights / 2 + np.log(np.diag(factor[0])).sum()), np.concatenate(slope)

    def fit(self, start: np.ndarray) -> Response:
        """The process with this target's own parameters."""

        def posterior(parameters: np.ndarray) -> tuple[float, np.ndarray]:
            (value, slope), (more, towards) = self.objective(parameters), _prior(parameters, start, OWN_WIDTH)
            return value + more, slope + towards

        return self.response(_minimum(posterior, start, OWN_STEPS))

    def response(self, parameters: np.ndarray) -> Response:
        """The process with given parameters."""
        weights = np.linalg.solve(self.covariance(parameters), self.y)
        return Response(self.rows, parameters, weights, self.centre, self.scale)

    def left_out(self, parameters: np.ndarray) -> np.ndarray:
        """Errors of predicting each training from all others, in points [rows] (Rasmussen and Williams 2006, 5.12)."""
        inverse = np.linalg.inv(self.covariance(parameters))
        return np.asarray(self.scale * (inverse @ self.y) / np.diag(inverse))

    def _noise(self, parameters: np.ndarray) -> np.ndarray:
        foreign, own = np.exp(parameters[-2:])
        return np.where(self.foreign, foreign, own)

    def covariance(self, parameters: np.ndarray) -> np.ndarray:
        parts = _parts(self.pairs, parameters)
        return np.asarray(sum(parts) + MEAN_VARIANCE + np.diag(self._noise(parameters) + JITTER))


def restore(results: ResultsTable, parameters: Sequence[np.ndarray]) -> list[Response]:
    """The processes of a table whose parameters are known."""
    return [problem.response(values) for problem, values in zip(_problems(results), parameters, strict=True)]


def left_out_errors(results: ResultsTable, parameters: Sequence[np.ndarray]) -> np.ndarray:
    """Errors in points of predicting each score from the other trainings [n, targets]; NaN without a score."""
    errors = np.full(results.scores.shape, np.nan)
    for j, (problem, values) in enumerate(zip(_problems(results), parameters, strict=True)):
        errors[problem.rows, j] = problem.left_out(values)
    return errors


def predict_response(response: Response, known: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The score [m] after trainings with `wanted` examples [m, sources]; `known`: examples of the table."""
    x, z = inputs(known[response.rows])
    x_new, z_new = inputs(wanted)
    covariance = sum(_parts(_pairs(x, z, x_new, z_new), response.parameters, x_new)) + MEAN_VARIANCE
    return np.asarray(covariance @ response.weights * response.scale + response.centre)


def _problems(results: ResultsTable, distances: np.ndarray | None = None) -> list[TargetProblem]:
    """The problem of each target; those with scores for the same trainings share the trainings' differences."""
    far = np.zeros((len(results.sources), len(results.targets))) if distances is None else distances
    shared: dict[bytes, _Pairs] = {}
    problems = []
    for j in range(len(results.targets)):
        key = np.isnan(results.scores[:, j]).tobytes()
        problems.append(TargetProblem(results, j, far[:, j], shared.get(key)))
        shared[key] = problems[-1].pairs
    return problems


def _pairs(x: np.ndarray, z: np.ndarray, x_new: np.ndarray | None = None, z_new: np.ndarray | None = None) -> _Pairs:
    """Differences of some trainings from others [new, n], by default from themselves."""
    a, b = (x, z) if x_new is None or z_new is None else (x_new, z_new)
    gaps = np.abs(a.T[:, :, None] - x.T[:, None, :]).reshape(x.shape[1], -1)
    return _Pairs(x, gaps, np.abs(b[:, None] - z))


def _parts(
    pairs: _Pairs, parameters: np.ndarray, x_new: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The linear, the local and the total part of the covariance [new, n]."""
    x, count = pairs.x, pairs.x.shape[1]
    l, r = np.exp(parameters[:count]), np.exp(parameters[count : 2 * count])  # noqa: E741
    a, b, c, d = np.exp(parameters[2 * count : 2 * count + 4])
    linear = ((x if x_new is None else x_new) * l) @ x.T
    local = a * np.exp(-(r @ pairs.gaps).reshape(pairs.total_gaps.shape) - c * pairs.total_gaps)
    return linear, local, b * np.exp(-d * pairs.total_gaps**2)


def _design(distances: np.ndarray, own: int | None) -> np.ndarray:
    """The matrix that turns shared parameters into those of a target [2 sources + 6, 12]."""
    count = len(distances)
    design = np.zeros((2 * count + 6, len(SHARED)))
    design[:count, 0], design[:count, 2] = 1, -distances
    design[count : 2 * count, 3], design[count : 2 * count, 5] = 1, -distances
    if own is not None:
        design[own], design[count + own] = np.eye(len(SHARED))[1], np.eye(len(SHARED))[4]
    design[2 * count :, 6:] = np.eye(6)
    return design


def _minimum(objective: Callable[[np.ndarray], tuple[float, np.ndarray]], start: np.ndarray, steps: int) -> np.ndarray:
    """Where an objective with its slope is smallest, by L-BFGS-B."""
    from scipy.optimize import minimize  # ranking needs no fit, and this import takes most of a second

    return np.asarray(minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": steps}).x)


def _prior(parameters: np.ndarray, centre: np.ndarray, width: np.ndarray | float) -> tuple[float, np.ndarray]:
    """The negative log density of a normal prior, without its constant, and its slope."""
    z = (parameters - centre) / width
    return float(z @ z / 2), z / width
