"""Compare two systems by arrays of scores, wherever their predictions come from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from xstilts.analysis.effects import Comparison, Effect, effect
from xstilts.analysis.verdicts import sentence, verdict
from xstilts.errors import XstiltsError
from xstilts.runs.score_table import Cell, ScoreTable
from xstilts.tasks import classification

Arrays = ArrayLike | Mapping[str, ArrayLike]
"""An array for one language, or language → array."""


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
        left, right: scores per item [replicates, items], or [items] for one replicate: 0 or 1, or any other score whose
            mean is the system's, 1 being full marks. A mapping has such an array per language; the result is then the
            mean over languages. Replicates of both systems are paired by position.
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
    check_margin(level, equivalence)
    table = _score_table(_by_language(left), _by_language(right), clusters)
    whole = effect(Comparison((table,), "left", "right", (tuple(table.languages),), ("",), level))
    return judged(whole, names, equivalence)


def check_margin(level: float, equivalence: float) -> None:
    """Raises XstiltsError for a level or an equivalence margin out of range."""
    if not (0 < level < 1 and equivalence > 0):
        what = f"cannot compare at level {level} with an equivalence margin of {equivalence}"
        why = "a level lies between 0 and 1, a margin is above 0 points"
        raise XstiltsError("bad-argument", what, why, "give for example a level of 0.95 and a margin of 0.5")


def judged(whole: Effect, names: tuple[str, str], equivalence: float, scope: str = "") -> Difference:
    """An effect with its verdict, and both in a sentence about the systems of these names."""
    word, text = verdict(whole, equivalence), sentence(*names, whole, equivalence, scope)
    interval = (whole.estimate, whole.low, whole.high, whole.level, equivalence)
    return Difference(*interval, word, text, whole.replicates, whole.clusters)


def _by_language(scores: Arrays) -> dict[str, np.ndarray]:
    """Language → scores [replicates, items]; one array is that of the language ""."""
    result = {}
    for code, values in (scores if isinstance(scores, Mapping) else {"": scores}).items():
        try:
            result[code] = np.atleast_2d(np.asarray(values, float))
        except (TypeError, ValueError) as error:
            raise _misfit(str(error)) from None
        if result[code].ndim != 2 or not result[code].size or not np.isfinite(result[code]).all():
            raise _misfit("an array is empty, has more than two dimensions, or holds numbers that are not finite")
    return result


def _score_table(left: dict[str, np.ndarray], right: dict[str, np.ndarray], clusters: Arrays | None) -> ScoreTable:
    """Both systems as arms; the accuracy of a classification task is the mean of whatever its items score."""
    shapes, right_shapes = ({code: scores.shape for code, scores in arrays.items()} for arrays in (left, right))
    if shapes != right_shapes or len({replicates for replicates, _ in shapes.values()}) != 1:
        raise _misfit(f"left has the shapes {shapes}, right {right_shapes}")
    sizes = {code: items for code, (_, items) in shapes.items()}
    numbers = np.arange(sum(sizes.values()))  # of each item's cluster, language by language
    if clusters is not None:
        given = clusters if isinstance(clusters, Mapping) else {"": clusters}
        ids = {code: np.asarray(each) for code, each in given.items()}
        if {code: each.shape for code, each in ids.items()} != {code: (items,) for code, items in sizes.items()}:
            raise _misfit("there must be one cluster id per item, in the same languages")
        numbers = np.unique(np.concatenate([ids[code] for code in sizes]), return_inverse=True)[1]
    of_language: dict[str, np.ndarray] = {}
    cluster_stats: dict[Cell, dict[str, np.ndarray]] = {}
    for code, part in zip(sizes, np.split(numbers, np.cumsum(list(sizes.values()))[:-1]), strict=True):
        of_language[code], places = np.unique(part, return_inverse=True)
        for arm, arrays in (("left", left), ("right", right)):
            for replicate, row in enumerate(arrays[code], 1):
                stats = np.stack([np.bincount(places, row), np.bincount(places)], 1)
                cluster_stats.setdefault((arm, "", replicate), {})[code] = stats
    return ScoreTable("items", classification, "accuracy", cluster_stats, of_language, int(numbers.max()) + 1)


def _misfit(why: str) -> XstiltsError:
    hint = "give both systems scores of the same items and languages, in arrays [replicates, items]"
    return XstiltsError("inconsistent", "the arrays cannot be compared", why, hint)
