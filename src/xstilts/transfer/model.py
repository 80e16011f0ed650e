"""A ridge regression that explains ranks of gains by features of sources and languages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneGroupOut, cross_val_predict

from xstilts.randomness import generator
from xstilts.runs.language_features import Numbers
from xstilts.transfer.features import Features, features
from xstilts.transfer.gains import Gain, groups

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the ridge, as multiples of the number of gains."""
DRAWS = 400


@dataclass(frozen=True)
class Design:
    """How gains become columns of the regression.

    names: of the features, then of the pairs; pairs: (intermediate task, target task), each with an indicator; scale:
    the standard deviation that each column is divided by [p]; absent: features that are not used, and why.
    """

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    scale: np.ndarray
    absent: dict[str, str]


@dataclass(frozen=True)
class TrainingSet:
    """What the regression learns from: standardised features x [gains, p] and ranks y [gains], with the language and
    the training of each gain [gains]."""

    design: Design
    x: np.ndarray
    y: np.ndarray
    languages: np.ndarray
    trainings: np.ndarray

    def subset(self, chosen: np.ndarray) -> "TrainingSet":
        """The gains that a mask [gains] chooses."""
        return TrainingSet(self.design, self.x[chosen], self.y[chosen], self.languages[chosen], self.trainings[chosen])


def training_set(gains: Sequence[Gain], measured: dict[str, Numbers]) -> TrainingSet:
    """Ranks and standardised features within each comparison, that is a language and a target of one training.

    Ranks run from −1/2 to 1/2. Features are differences from their mean in the comparison, in standard deviations over
    all gains. An unknown value counts as the mean. Features that do not differ anywhere are dropped.
    """
    table = features(gains, measured)
    pairs = tuple(sorted({(gain.intermediate, gain.target) for gain in gains}))
    pairs = pairs if len({intermediate for intermediate, _ in pairs}) > 1 else ()
    names = (*table.names, *(f"{intermediate} for {target}" for intermediate, target in pairs))
    x = _columns(gains, table, table.names, pairs)
    scale = np.where(x.std(0) < 1e-9, np.inf, x.std(0))
    flat = [name for name, value in zip(names, scale, strict=True) if value == np.inf and name in table.names]
    design = Design(names, pairs, scale, table.absent | dict.fromkeys(flat, "does not differ among the rows"))
    y = np.zeros(len(gains))
    for members in groups(gains).values():
        ranks = stats.rankdata([gains[i].points for i in members])
        y[members] = (ranks - ranks.mean()) / max(len(members) - 1, 1)
    languages, trainings = (np.array([getattr(gain, name) for gain in gains]) for name in ("language", "training"))
    return TrainingSet(design, x / scale, y, languages, trainings)


def standardised(gains: Sequence[Gain], measured: dict[str, Numbers], design: Design) -> np.ndarray:
    """The features of further gains as the regression takes them [gains, p]."""
    names = design.names[: len(design.names) - len(design.pairs)]
    return _columns(gains, features(gains, measured), names, design.pairs) / design.scale


def _columns(
    gains: Sequence[Gain], table: Features, names: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> np.ndarray:
    """Named features and an indicator for each pair, as differences from the comparison's mean [gains, p]."""
    known = dict(zip(table.names, table.values.T, strict=True))
    columns = [known.get(name, np.full(len(gains), np.nan)) for name in names]
    indicators = [[(gain.intermediate, gain.target) == pair for gain in gains] for pair in pairs]
    x = np.array([*columns, *indicators], float).T
    for members in groups(gains).values():
        count = np.maximum((~np.isnan(x[members])).sum(0), 1)
        x[members] = np.nan_to_num(x[members] - np.nansum(x[members], axis=0) / count)
    return x


def weights(data: TrainingSet, penalty: float, repeats: np.ndarray | None = None) -> np.ndarray:
    """Ridge weights of the standardised features [p].

    `penalty` is a multiple of the number of gains; `repeats` is how often each gain counts [gains].
    """
    ridge = Ridge(penalty * len(data.y), fit_intercept=False, solver="cholesky")
    coefficients: np.ndarray = ridge.fit(data.x, data.y, repeats).coef_
    return coefficients


def choose_penalty(data: TrainingSet) -> float:
    """The penalty with the smallest squared error in languages that are left out one by one."""
    if len(set(data.languages)) < 2:
        return 1.0
    ridge = Ridge(np.array(PENALTIES) * len(data.y), fit_intercept=False, solver="cholesky")
    targets = np.repeat(data.y[:, None], len(PENALTIES), axis=1)  # Ridge takes one penalty for each column
    predicted = cross_val_predict(ridge, data.x, targets, groups=data.languages, cv=LeaveOneGroupOut())
    return PENALTIES[int(((predicted - targets) ** 2).sum(0).argmin())]


def redrawn_weights(data: TrainingSet, penalty: float) -> np.ndarray:
    """Weights with languages and trainings both drawn anew, each with replacement [DRAWS, p].

    This is the pigeonhole bootstrap (Owen 2007, doi:10.1214/07-AOAS122) of rows that are crossed in both.
    """
    factors = [np.unique(values, return_inverse=True) for values in (data.languages, data.trainings)]
    rng = generator("predicting transfer", *(len(names) for names, _ in factors))
    repeats = np.ones((DRAWS, len(data.y)))
    for names, position in factors:
        repeats *= rng.multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)[:, position]
    return np.stack([weights(data, penalty, row) for row in repeats])
