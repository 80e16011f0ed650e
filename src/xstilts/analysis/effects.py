"""The difference between two arms with its interval, in the held-out languages alone or in languages like them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import stats

from xstilts.errors import XstiltsError
from xstilts.runs.reader import Run
from xstilts.runs.score_table import Cell, ScoreTable

FIXED_LANGUAGES, RANDOM_LANGUAGES = "fixed-language inference", "random-language inference"
FEWEST_FAMILIES = 8

Part = tuple[float, float]
"""A part of a variance and its degrees of freedom."""


@dataclass(frozen=True)
class Comparison:
    """The difference `left` − `right` that an estimate is of.

    tables: one per target; languages: for each table, those that count; level: coverage of intervals, 0 to 1;
    encoder_kinds: encoder → kind, by default the encoder itself. Replicates of one kind share a variance, as those of
    encoders that differ only in their pretraining seed.
    """

    tables: tuple[ScoreTable, ...]
    left: str
    right: str
    languages: tuple[tuple[str, ...], ...]
    encoders: tuple[str, ...]
    level: float = 0.95
    encoder_kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def columns(self) -> list[tuple[int, str]]:
        """The number of the table and the language of everything that counts, table by table."""
        return [(number, code) for number, codes in enumerate(self.languages) for code in codes]


def compare_arms(
    run: Run,
    left: str,
    right: str,
    targets: Sequence[str],
    *,
    level: float | None = None,
    encoders: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
) -> Comparison:
    """Compare two arms of a run on some of its targets.

    By default at the study's level, for all encoders, in the held-out languages. Of `languages`, each target counts
    those it is scored in. Raises XstiltsError if a target has no predictions that can be read.
    """
    tables = tuple(run.score_table(target) for target in targets)
    codes = run.plan["held_out"] if languages is None else languages
    of_table = tuple(tuple(code for code in codes if code in table.clusters) for table in tables)
    level = run.study["level"] if level is None else level
    return Comparison(tables, left, right, of_table, tuple(encoders or run.encoders), level, run.encoder_kinds)


@dataclass(frozen=True)
class Effect:
    """A difference in points with its interval, which is None if an encoder has one replicate only.

    replicates: their number over all encoders; the variances are those of the estimate from replicates, from item
    clusters, from what both count (the replicate-by-cluster part), and from languages if these count as random;
    degrees: Satterthwaite's, for the multi-bootstrap only. Without an interval, all but the variance from clusters are
    NaN.
    """

    estimate: float
    low: float | None
    high: float | None
    level: float
    degrees: float
    replicates: int
    clusters: int
    replicate_variance: float
    cluster_variance: float
    shared_variance: float
    language_variance: float = 0.0

    @property
    def variance(self) -> float:
        """The variance of the estimate from replicates and item clusters."""
        return self.replicate_variance + max(self.cluster_variance - self.shared_variance, 0.0)


@dataclass(frozen=True)
class Gains:
    """What one encoder's paired replicates gain, in columns: the languages of each table (`Comparison.columns`).

    kind: encoders of one kind share a replicate variance; differences: [replicates, columns]; influences: per column
    how much each cluster of the language moves them [replicates, clusters of the language]; places: per column, which
    of the `clusters` of the whole comparison these are.
    """

    kind: str
    differences: np.ndarray
    influences: list[np.ndarray]
    places: list[np.ndarray]
    clusters: int

    def weigh(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The sum of the columns with weights [columns], and its influences [replicates, clusters]."""
        influences = np.zeros((len(self.differences), self.clusters))
        for weight, place, moves in zip(weights, self.places, self.influences, strict=True):
            if weight:
                influences[:, place] += weight * moves
        return self.differences @ weights, influences


def effect(comparison: Comparison) -> Effect:
    """score(left) − score(right): the mean over targets of the mean over languages, encoders as fixed blocks.

    Replicates of both arms are paired by number. The variance of the mean is V(replicates) + V(clusters) − V(both), the
    two-way random-effects estimate (Searle, Casella and McCulloch 1992, ch. 4) with replicates nested in encoders and
    item clusters crossed with them. Replicates and clusters (less what both count) have intervals of their own by
    Student's t, and the half widths add up in squares (Zou and Donner 2008). Each kind of encoder has a replicate
    variance of its own (Welch 1947). If an encoder has one paired replicate, or all items one cluster, there is no
    interval. Raises XstiltsError if an encoder has no replicate of both arms, or a target no language.
    """
    for table, codes in zip(comparison.tables, comparison.languages, strict=True):
        if not codes:
            what, why = f"'{table.target}' has no held-out language", "scores are compared in held-out languages only"
            raise XstiltsError("too-few", what, why, "hold out a language that this target is scored in")
    count = len(comparison.languages)
    return weighted(comparison, [dict.fromkeys(codes, 1 / (count * len(codes))) for codes in comparison.languages])


def weighted(comparison: Comparison, weights: Sequence[Mapping[str, float]]) -> Effect:
    """A weighted sum of the differences in the languages of each table, with its interval as in `effect`.

    weights: per table of the comparison, language → weight; a language without one does not count.
    """
    vector = np.array([weights[table].get(code, 0.0) for table, code in comparison.columns])
    return combine(gains(comparison), vector, comparison.level)


def random_language_effect(comparison: Comparison, families: Mapping[str, str]) -> Effect:
    """As `effect`, with languages within families random as well, each family counting equally.

    Families are the first stage of the sample, so that the variance between the families' means contains that between
    languages (Cochran 1977, ch. 11); what replicates and items already count of it is subtracted. The estimate is the
    mean over families of the mean over their languages, so that the largest family does not dominate.
    Raises XstiltsError if a target has fewer than eight families, and as `effect` does.
    """
    fewest = min(len({families[code] for code in codes}) for codes in comparison.languages)
    if fewest < FEWEST_FAMILIES:
        what = f"random-language inference of '{comparison.left} - {comparison.right}' is not possible"
        why = (
            f"the held-out languages are from {fewest} famil{'y' if fewest == 1 else 'ies'}, and at least "
            f"{FEWEST_FAMILIES} are needed to estimate how much families differ"
        )
        raise XstiltsError("too-few", what, why, "hold out languages of more families")
    tables = np.array([table for table, _ in comparison.columns])
    names = np.array([families[code] for _, code in comparison.columns])
    sizes = np.array([len(set(names[tables == table])) for table in range(len(comparison.tables))])[tables]
    members = np.array([((tables == table) & (names == name)).sum() for table, name in zip(tables, names, strict=True)])
    weights = 1 / (len(comparison.tables) * sizes * members)
    encoders = gains(comparison)
    between, noise = 0.0, 0.0
    for name in dict.fromkeys(names):
        # How far the family's part of the weighted sum is from the part that all families have on average.
        deviation = weights * (names == name) - np.where(np.isin(tables, tables[names == name]), weights / sizes, 0.0)
        part = combine(encoders, deviation, comparison.level)
        between += part.estimate**2
        noise += part.replicate_variance + part.cluster_variance - part.shared_variance
    count = len(set(names))
    variance = max(count / (count - 1) * (between - noise), 0.0)
    return combine(encoders, weights, comparison.level, (variance, count - 1))


def gains(comparison: Comparison) -> list[Gains]:
    """The differences of each encoder's paired replicates, per table and language.

    Raises XstiltsError if an encoder has no paired replicate, or one was not scored in one of the languages.
    """
    result = []
    for encoder in comparison.encoders:
        sides = list(zip(*paired_cells(comparison, encoder), strict=True))
        differences, influences, places = [], [], []
        first = 0
        for table, codes in zip(comparison.tables, comparison.languages, strict=True):
            for cell in (cell for cells in sides for cell in cells):
                if missing := [code for code in codes if code not in table.cluster_stats[cell]]:
                    what = f"'{table.target}' has no predictions of {' '.join(map(str, cell))} in {', '.join(missing)}"
                    why = "means over different languages cannot be compared"
                    raise XstiltsError("inconsistent", what, why, "score every run in the same languages")
            present = np.unique(np.concatenate([table.clusters[code] for code in codes] or [np.empty(0, int)]))
            for code in codes:
                (left, left_moves), (right, right_moves) = (table.influences(cells, code) for cells in sides)
                differences.append(left - right)
                influences.append(left_moves - right_moves)
                places.append(first + np.searchsorted(present, table.clusters[code]))
            first += len(present)
        kind = comparison.encoder_kinds.get(encoder, encoder)
        result.append(Gains(kind, np.stack(differences, 1), influences, places, first))
    return result


def combine(encoders: Sequence[Gains], weights: np.ndarray, level: float, languages: Part = (0.0, 1.0)) -> Effect:
    """The mean over encoders of the weighted sum of columns, with its interval as in `effect`.

    languages: the variance between languages, if they count as random.
    """
    count, clusters = len(encoders), encoders[0].clusters
    differences, influences = zip(*(gain.weigh(weights) for gain in encoders), strict=True)
    sizes = np.array([len(values) for values in differences])
    mean = sum(moves.mean(0) for moves in influences) / count
    cluster = float((mean**2).sum()) * clusters / (clusters - 1) if clusters > 1 else math.nan
    replicate, degrees, shared = math.nan, math.nan, math.nan
    if sizes.min() > 1:
        scatter = [((moves - moves.mean(0)) ** 2).sum() for moves in influences]
        shared = float((np.array(scatter) / (sizes * (sizes - 1) * count**2)).sum())
        kinds = []
        for kind in dict.fromkeys(gain.kind for gain in encoders):
            samples = [values for values, gain in zip(differences, encoders, strict=True) if gain.kind == kind]
            freedom = sum(len(values) - 1 for values in samples)
            pooled = sum(float(((values - values.mean()) ** 2).sum()) for values in samples) / freedom
            kinds.append((pooled * sum(1 / len(values) for values in samples) / count**2, freedom))
        replicate = sum(variance for variance, _ in kinds)
        degrees = _satterthwaite(kinds, min(freedom for _, freedom in kinds))
    items = max(cluster - shared, 0.0) if clusters > 1 else math.nan
    parts = [(replicate, degrees), (items, max(clusters - 1, 1)), languages]
    half, estimate = half_width(parts, level), float(np.mean([values.mean() for values in differences]))
    low, high = (None, None) if math.isnan(half) else (estimate - half, estimate + half)
    size = (_satterthwaite(parts, degrees), int(sizes.sum()), clusters)
    return Effect(estimate, low, high, level, *size, replicate, cluster, shared, languages[0])


def half_width(parts: Sequence[Part], level: float) -> float:
    """Half the width of an interval: the half widths of the parts' own intervals, squared, summed and rooted."""
    squares = [stats.t.ppf(0.5 + level / 2, degrees) ** 2 * variance for variance, degrees in parts]
    return float(sum(squares) ** 0.5)


def _satterthwaite(parts: Sequence[Part], otherwise: float) -> float:
    """Degrees of freedom of the sum of some variances; `otherwise` if all of them are 0."""
    pieces = sum(variance**2 / degrees for variance, degrees in parts)
    return sum(variance for variance, _ in parts) ** 2 / pieces if pieces > 0 else otherwise


def paired_cells(comparison: Comparison, encoder: str) -> list[tuple[Cell, Cell]]:
    """Cells of both arms with the same replicate; an arm without replicates (a baseline) pairs with every one."""
    left, right = comparison.left, comparison.right
    by_table = []
    for table in comparison.tables:
        partners = {cell[2]: cell for cell in table.cells(right, encoder) or table.cells(right, "")}
        pairs = [(cell, partners.get(cell[2], partners.get(0))) for cell in table.cells(left, encoder)]
        by_table.append({(cell, partner) for cell, partner in pairs if partner})
    if shared := set.intersection(*by_table):
        return sorted(shared)
    what = f"'{left} - {right}' has no replicate of encoder '{encoder}'"
    why = "a difference needs both arms of the same replicate, on all of its targets"
    raise XstiltsError("too-few", what, why, "finish the run")
