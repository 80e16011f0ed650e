"""A ridge regression of ranks on features, kept as sums, so that any language or training can be left out of it."""

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from xstilts.randomness import generator
from xstilts.runs.language_features import Numbers
from xstilts.transfer.features import features
from xstilts.transfer.gains import Row

PENALTIES = (0.001, 0.01, 0.1, 1.0, 10.0)
"""Of the ridge, as multiples of the number of rows."""
DRAWS = 400


@dataclass(frozen=True)
class Design:
    """What stays the same from fit to prediction: the features' names, what tells an intermediate task's worth for a
    target task (pairs), the standard deviations that features are divided by, and features that no row has."""

    names: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    scale: np.ndarray
    absent: dict[str, str]


@dataclass(frozen=True)
class Learnt:
    """The rows as sums: xx [languages, units, p, p] of products of features, xy [languages, units, p] of products with
    the rank, rows [languages, units] their numbers."""

    design: Design
    languages: tuple[str, ...]
    units: tuple[str, ...]
    xx: np.ndarray
    xy: np.ndarray
    rows: np.ndarray

    def without(self, languages: Collection[str], unit: str = "") -> "Learnt":
        """What the other languages say, and the other units of training."""
        kept = [[i for i, one in enumerate(self.languages) if one not in languages],
                [i for i, one in enumerate(self.units) if one != unit]]  # fmt: skip
        codes, units = tuple(self.languages[i] for i in kept[0]), tuple(self.units[i] for i in kept[1])
        at = np.ix_(*kept)
        return Learnt(self.design, codes, units, self.xx[at], self.xy[at], self.rows[at])


def learn(rows: Sequence[Row], known: dict[str, Numbers]) -> Learnt:
    """Ranks of gains and features of all rows, both within what is compared: a language and target of one training.

    Ranks run from −1/2 to 1/2. Features are differences from their mean within the comparison, an unknown one is no
    difference, in standard deviations over all rows; those that do not differ anywhere are dropped.
    """
    found = features(rows, known)
    pairs = sorted({(row.intermediate, row.target) for row in rows})
    pairs = pairs if len({one for one, _ in pairs}) > 1 else []
    keys = [row.compared for row in rows]
    x = _within(_columns(rows, found.names, found.values, found.names, pairs), keys)
    y = _ranks(np.array([row.gain for row in rows]), keys)
    names = (*found.names, *(f"{one} for {target}" for one, target in pairs))
    scale = x.std(0)
    flat = {name: "does not differ among the rows" for name, s in zip(found.names, scale, strict=False) if s < 1e-9}
    scale = np.where(scale < 1e-9, np.inf, scale)
    design = Design(names, tuple(pairs), scale, found.absent | flat)
    languages, units = (tuple(sorted({getattr(row, name) for row in rows})) for name in ("language", "unit"))
    at = np.array([languages.index(row.language) for row in rows]), np.array([units.index(row.unit) for row in rows])
    z = x / scale
    xx = np.zeros((len(languages), len(units), len(names), len(names)))
    xy = np.zeros(xx.shape[:3])
    np.add.at(xx, at, z[:, :, None] * z[:, None, :])
    np.add.at(xy, at, z * y[:, None])
    count = np.zeros(xx.shape[:2])
    np.add.at(count, at, 1.0)
    return Learnt(design, languages, units, xx, xy, count)


def standardised(rows: Sequence[Row], known: dict[str, Numbers], design: Design) -> np.ndarray:
    """The features [rows, p] of further rows as the model takes them."""
    found = features(rows, known)
    own = design.names[: len(design.names) - len(design.pairs)]
    x = _columns(rows, found.names, found.values, own, design.pairs)
    return _within(x, [row.compared for row in rows]) / design.scale


def weights(learnt: Learnt, penalty: float) -> np.ndarray:
    """Ridge weights [p] of standardised features; `penalty` is a multiple of the number of rows."""
    return _solve(learnt.xx.sum((0, 1)), learnt.xy.sum((0, 1)), penalty * learnt.rows.sum())


def choose_penalty(learnt: Learnt) -> float:
    """The penalty with the smallest squared error in languages that are left out one by one."""
    if len(learnt.languages) < 2:
        return 1.0
    xx, xy, rows = learnt.xx.sum(1), learnt.xy.sum(1), learnt.rows.sum(1)

    def error(penalty: float) -> float:
        total = 0.0
        for i in range(len(xx)):
            w = _solve(xx.sum(0) - xx[i], xy.sum(0) - xy[i], penalty * (rows.sum() - rows[i]))
            total += float(w @ xx[i] @ w - 2 * w @ xy[i])
        return total

    return min(PENALTIES, key=error)


def redrawn_weights(learnt: Learnt, penalty: float) -> np.ndarray:
    """Weights [DRAWS, p] with languages and units of training both drawn anew, each with replacement.

    The pigeonhole bootstrap (Owen 2007, doi:10.1214/07-AOAS122) for rows that are crossed in both.
    """
    rng = generator("predicting transfer", len(learnt.languages), len(learnt.units))
    counts, p = learnt.xx.shape[:2], learnt.xx.shape[-1]
    drawn = [rng.multinomial(n, np.full(n, 1 / n), DRAWS).astype(float) for n in counts]
    both = (drawn[0][:, :, None] * drawn[1][:, None, :]).reshape(DRAWS, -1)
    xx, xy = (both @ learnt.xx.reshape(-1, p * p)).reshape(-1, p, p), both @ learnt.xy.reshape(-1, p)
    ridge = penalty * learnt.rows.sum()
    return np.stack([_solve(a, b, ridge) for a, b in zip(xx, xy, strict=True)])


def _solve(xx: np.ndarray, xy: np.ndarray, ridge: float) -> np.ndarray:
    found: np.ndarray = np.linalg.solve(xx + ridge * np.eye(len(xx)), xy)
    return found


def _columns(
    rows: Sequence[Row], there: Sequence[str], values: np.ndarray, wanted: Sequence[str],
    pairs: Sequence[tuple[str, str]],
) -> np.ndarray:  # fmt: skip
    """The wanted features (NaN where there are none), and an indicator for each pair [rows, p]."""
    columns = [values[:, list(there).index(name)] if name in there else np.full(len(rows), np.nan) for name in wanted]
    marks = [np.array([(row.intermediate, row.target) == pair for row in rows], float) for pair in pairs]
    return np.array([*columns, *marks]).T.reshape(len(rows), len(wanted) + len(pairs))


def _groups(keys: Sequence[Hashable]) -> list[np.ndarray]:
    found: dict[Hashable, list[int]] = {}
    for i, key in enumerate(keys):
        found.setdefault(key, []).append(i)
    return [np.array(places) for places in found.values()]


def _within(x: np.ndarray, keys: Sequence[Hashable]) -> np.ndarray:
    """Differences from the mean over rows with the same key, 0 where not known."""
    result = np.zeros_like(x)
    for rows in _groups(keys):
        known = ~np.isnan(x[rows])
        mean = np.where(known, x[rows], 0.0).sum(0) / np.maximum(known.sum(0), 1)
        result[rows] = np.where(known, x[rows] - mean, 0.0)
    return result


def _ranks(gains: np.ndarray, keys: Sequence[Hashable]) -> np.ndarray:
    """Ranks within rows with the same key, from −1/2 to 1/2; 0 for a row without company."""
    result = np.zeros(len(gains))
    for rows in _groups(keys):
        result[rows] = (stats.rankdata(gains[rows]) - (len(rows) + 1) / 2) / max(len(rows) - 1, 1)
    return result
