"""Compare two systems by arrays of scores, wherever their predictions come from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xstilts.analysis.comparison import Comparison
from xstilts.analysis.effects import effect
from xstilts.analysis.verdicts import sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.runs.score_table import Cell, ScoreTable
from xstilts.tasks import classification

Arrays = ArrayLike | Mapping[str, ArrayLike]
"""An array for one language, or language → array."""
SYSTEM = "system"
"""Stands for the encoder that both arms of a study share."""


@dataclass(frozen=True)
class Difference:
    """The difference left − right in points and its verdict, which `print` shows as a sentence.

    low, high: the interval, None with one replicate; verdict: better, worse, equivalent or undetermined;
    clusters: how many different item clusters there are.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float
    equivalence: float
    verdict: str
    sentence: str
    replicates: int
    clusters: int

    def __str__(self) -> str:
        return self.sentence


def compare(
    left: Arrays,
    right: Arrays,
    *,
    clusters: Arrays | None = None,
    level: float = 0.95,
    equivalence: float = 0.5,
    names: tuple[str, str] = ("left", "right"),
) -> Difference:
    """Compare two systems on the same test items, as a study compares two arms.

    Args:
        left, right: scores per item [replicates, items], or [items] for one replicate: 0 or 1, or any other
            score whose mean is the system's, 1 being full marks. A mapping has such an array per language; the result
            is then the mean over languages. Replicates of both systems are paired by position.
        clusters: of each item [items] what it shares with others (a document, a premise); equal ids in two languages
            are one cluster, as in a test set that was translated. By default each item of each language is its own.
        level: coverage of the interval, 0 to 1.
        equivalence: the margin in points within which a difference does not matter.
        names: of both systems, for the sentence.

    The estimate is 100 times the mean difference. Its interval counts replicates and item clusters, as
    docs/statistics.md explains; one replicate gives none. Raises XstiltsError if the arrays do not fit together.

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> far, english = (rng.random((5, 1000)) < accuracy for accuracy in (0.8, 0.7))
    >>> result = compare(far, english, equivalence=1.0, names=("far", "english"))
    >>> result.verdict, round(result.estimate, 2)
    ('better', 9.34)
    >>> print(result)
    'far' is better than 'english': +9.3 points [+6.4, +12.2].
    """
    if not (0 < level < 1 and equivalence > 0):
        raise XstiltsError(
            "bad-argument",
            f"cannot compare at level {level} with an equivalence margin of {equivalence}",
            "a level lies between 0 and 1, a margin is above 0 points",
            "give for example level=0.95, equivalence=0.5",
        )
    arms = {arm: _by_language(scores) for arm, scores in (("left", left), ("right", right))}
    items = {code: scores.shape[1] for code, scores in arms["left"].items()}
    shapes = {arm: {code: scores.shape for code, scores in arrays.items()} for arm, arrays in arms.items()}
    if shapes["left"] != shapes["right"] or len({shape[0] for shape in shapes["left"].values()}) != 1:
        raise _misfit(f"left has the shapes {shapes['left']} and right {shapes['right']}")
    ids = _cluster_numbers(clusters, items)
    cluster_stats: dict[Cell, dict[str, np.ndarray]] = {}
    present = {code: np.unique(numbers, return_inverse=True) for code, numbers in ids.items()}
    for arm, arrays in arms.items():
        for code, scores in arrays.items():
            counts = np.bincount(present[code][1]).astype(float)
            for replicate, row in enumerate(scores, 1):
                sums = np.bincount(present[code][1], row)
                cluster_stats.setdefault((arm, SYSTEM, replicate), {})[code] = np.stack([sums, counts], 1)
    numbers = {code: own for code, (own, _) in present.items()}
    total = 1 + max(int(own.max()) for own in numbers.values())
    # The accuracy of a classification task is a mean of whatever its items score.
    table = ScoreTable("items", classification, "accuracy", cluster_stats, numbers, total)
    whole = effect(Comparison((table,), "left", "right", (tuple(items),), (SYSTEM,), level))
    return Difference(
        whole.estimate,
        whole.low,
        whole.high,
        level,
        equivalence,
        verdict(whole, equivalence),
        sentence(*names, whole, equivalence),
        whole.replicates,
        whole.clusters,
    )


def _by_language(scores: Arrays) -> dict[str, np.ndarray]:
    """Language → scores [replicates, items]."""
    arrays = scores if isinstance(scores, Mapping) else {"": scores}
    result = {}
    for code, values in arrays.items():
        try:
            result[code] = np.atleast_2d(np.asarray(values, float))
        except (TypeError, ValueError) as error:
            raise _misfit(str(error)) from None
        if result[code].ndim != 2 or not result[code].size or not np.isfinite(result[code]).all():
            raise _misfit(
                f"an array of shape {np.shape(values)} is empty, has more dimensions or numbers that are not finite"
            )
    return result


def _cluster_numbers(clusters: Arrays | None, items: Mapping[str, int]) -> dict[str, np.ndarray]:
    """Language → the number of each item's cluster, the same number for the same id."""
    if clusters is None:
        ends = np.cumsum(list(items.values()))
        return {code: np.arange(end - count, end) for (code, count), end in zip(items.items(), ends, strict=True)}
    ids = {
        code: np.asarray(each) for code, each in (clusters if isinstance(clusters, Mapping) else {"": clusters}).items()
    }
    if {code: each.shape for code, each in ids.items()} != {code: (count,) for code, count in items.items()}:
        raise _misfit("there must be one cluster id per item, in the same languages")
    numbers = np.unique(np.concatenate([ids[code] for code in items]), return_inverse=True)[1]
    return dict(zip(items, np.split(numbers, np.cumsum(list(items.values()))[:-1]), strict=True))


def _misfit(why: str) -> XstiltsError:
    hint = "give both systems scores of the same items and languages, in arrays [replicates, items]"
    return XstiltsError("inconsistent", "the arrays cannot be compared", why, hint)
