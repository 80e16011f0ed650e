"""Predictions as additive statistics: one array per cell and language, from which every score is computed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.errors import XstiltsError
from xstilts.runs.run_files import AGAIN
from xstilts.tasks.task import BREAKDOWN
from xstilts.tasks.task_types import READ, SCORED, Scored

Cell = tuple[str, str, int]
"""Arm, encoder, replicate."""


@dataclass(frozen=True)
class ScoreTable:
    """The predictions of one target, summed over the examples of each cluster.

    cluster_stats: {(arm, encoder, replicate): {language: float [clusters of the language, k]}}; clusters: {language:
    int [clusters of the language]}, equal numbers in languages that share a cluster; clustering: how many in all.
    """

    target: str
    kind: Scored
    metric: str
    cluster_stats: dict[Cell, dict[str, np.ndarray]]
    clusters: dict[str, np.ndarray]
    clustering: int

    def score(self, cell: Cell, language: str) -> float:
        """Score in points of one cell in one language."""
        return float(self.scores([cell], language)[0])

    def scores(self, cells: Sequence[Cell], language: str) -> np.ndarray:
        """Scores in points of several cells in one language [cells]."""
        return np.asarray(self.kind.score(self._totals(cells, language), self.metric), float)

    def influences(self, cells: Sequence[Cell], language: str) -> tuple[np.ndarray, np.ndarray]:
        """Scores in points [cells], and how much each cluster moves them: its statistics times the score's gradient
        [cells, clusters].

        The first-order term of the infinitesimal jackknife (Efron 1982, ch. 6). A score depends on sums only through
        ratios, so that these terms add up to zero.
        """
        total = self._totals(cells, language)
        step = 1e-4 * np.maximum(total, 1.0)
        moved = step[:, :, None] * np.eye(total.shape[1])
        around = self.kind.score(np.stack([total[:, None] + moved, total[:, None] - moved]), self.metric)
        slope = (around[0] - around[1]) / (2 * step)
        terms = np.array([self.cluster_stats[cell][language] @ row for cell, row in zip(cells, slope, strict=True)])
        return np.asarray(self.kind.score(total, self.metric), float), terms

    def _totals(self, cells: Sequence[Cell], language: str) -> np.ndarray:
        # A product with ones sums thin tables several times faster than a sum.
        ones = np.ones(len(self.clusters[language]))
        return np.array([ones @ self.cluster_stats[cell][language] for cell in cells])

    @cached_property
    def languages(self) -> list[str]:
        """Languages in the order of the predictions."""
        return list(self.clusters)

    def cells(self, arm: str, encoder: str | None = None) -> list[Cell]:
        """The cells of an arm, by encoder and replicate."""
        return sorted(cell for cell in self.cluster_stats if cell[0] == arm and encoder in (None, cell[1]))


def read_predictions(file: Path, gold: bool = False, sparse: bool = False) -> pa.Table:
    """A table of predictions of the run folder; raises XstiltsError if there is none, or if it lacks what it needs.

    gold: whether each example needs a gold label and a prediction; sparse: whether some may lack them.
    """
    if not file.is_file():
        raise XstiltsError("missing-file", f"no predictions at {file}", "the run has not scored this target", AGAIN)
    try:
        table = pq.read_table(file)
        table.validate(full=True)
        why = _fault(table, gold, sparse)
    except (pa.ArrowException, OSError, ValueError) as error:
        why = str(error).partition("\n")[0]
    if why:
        raise XstiltsError("bad-file", f"{file} cannot be read", why, AGAIN)
    return table


def read_score_table(file: Path, kind: str, metric: str) -> ScoreTable:
    """The scores in a predictions file of the run folder.

    kind: the task type. Raises XstiltsError if the file is absent or no table of predictions, an example occurs twice
    in a cell, or cells of one language cover different examples: their scores could not be compared.
    """
    table = read_predictions(file, True, READ[kind].SPARSE_GOLD)
    _check_coverage(table, file.name)
    return score_table(table, file.stem, kind, metric)


def breakdown(file: Path, kind: str, metric: str) -> Iterator[tuple[str, str, int, ScoreTable]]:
    """Each part of a predictions file that has one value of a breakdown column: the column, the value, how many
    different examples it has, and its scores."""
    table = read_predictions(file, True, READ[kind].SPARSE_GOLD)
    for name in (name for name in table.column_names if name.startswith(BREAKDOWN)):
        for value in sorted(pc.unique(table[name]).drop_null().to_pylist()):
            part = table.filter(pc.equal(table[name], value))
            count = len(part.group_by(["example_id", "language"]).aggregate([]))
            yield name.removeprefix(BREAKDOWN), value, count, score_table(part, file.stem, kind, metric)


def _check_coverage(table: pa.Table, file: str) -> None:
    """Raises XstiltsError unless all cells of a language cover the same examples, each once."""
    cell, cells = _codes(table, "arm", "encoder", "replicate")
    for code, chosen, part in _by_language(table.select(["language", "example_id"])):
        example, names = _codes(part, "example_id")
        places = cell[chosen].astype(np.int64) * len(names) + example
        counts = np.bincount(places, minlength=len(cells) * len(names)).reshape(len(cells), len(names))
        for number in np.flatnonzero(counts.any(1) & (counts != 1).any(1)):
            arm, encoder, replicate = cells[number]
            what = f"{file}: the cells do not cover the same examples in '{code}'"
            place = f"replicate {replicate} of arm '{arm}' and encoder '{encoder}'"
            why = f"there are {len(names)} different examples, and {place} has {counts[number].sum()} predictions"
            hint = "score all arms on the same examples; remove those that occur twice"
            raise XstiltsError("not-a-run", what, why, hint)


def score_table(table: pa.Table, target: str, kind: str, metric: str) -> ScoreTable:
    """The scores of a table of predictions, of which every language has the same examples in each cell."""
    scored = SCORED[kind]
    cell, cells = _codes(table, "arm", "encoder", "replicate")
    cluster, names = _codes(table, "cluster_id")
    cluster_stats: dict[Cell, dict[str, np.ndarray]] = {(arm, encoder, int(n)): {} for arm, encoder, n in cells}
    clusters = {}
    for code, chosen, part in _by_language(table.drop_columns(["arm", "encoder", "replicate", "cluster_id"])):
        try:
            statistics = scored.statistics(part, metric)
        except (pa.ArrowException, ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            what = f"the predictions of '{target}' are not those of a {kind} task"
            why, hint = f"{type(error).__name__}: {error}", "give gold labels and predictions of this type; " + AGAIN
            raise XstiltsError("bad-file", what, why.partition("\n")[0][:300], hint) from error
        clusters[code], position = np.unique(cluster[chosen], return_inverse=True)
        sums = np.zeros((len(cells) * len(clusters[code]), statistics.shape[1]))
        np.add.at(sums, cell[chosen].astype(np.int64) * len(clusters[code]) + position, statistics)
        of_cells = sums.reshape(len(cells), len(clusters[code]), -1)
        present = set(cell[chosen].tolist())
        for index, by_language in enumerate(cluster_stats.values()):
            if index in present:
                by_language[code] = of_cells[index]
    return ScoreTable(target, scored, metric, cluster_stats, clusters, len(names))


def _by_language(table: pa.Table) -> Iterator[tuple[str, np.ndarray, pa.Table]]:
    """Each language, the positions of its rows, and these rows: large tables are not copied as a whole."""
    language, languages = _codes(table, "language")
    for number, (code,) in enumerate(languages):
        chosen = language == number
        yield code, np.flatnonzero(chosen), table.filter(pa.array(chosen))


def _fault(table: pa.Table, gold: bool, sparse: bool) -> str:
    """What a table of predictions lacks, "" if nothing."""
    keys = ("arm", "encoder", "replicate", "language", "example_id", "cluster_id")
    labels = ("gold", "prediction") if gold else ()
    for name in (*keys, *labels):
        if name not in table.column_names:
            return f"it has no column '{name}'"
        empty = table[name].null_count
        if empty and (name in keys or not sparse or (name == "gold" and empty == len(table))):
            return f"{empty:,} of {len(table):,} rows have no '{name}'"
    if not pa.types.is_integer(table["replicate"].type):
        return "the column 'replicate' holds no whole numbers"
    parts = (name for name in table.column_names if name.startswith(BREAKDOWN))
    for name in (*(key for key in keys if key != "replicate"), *parts):
        if not _is_text(table[name].type):
            return f"the column '{name}' holds no text"
    return "" if len(table) else "it has no rows"


def _is_text(type_: pa.DataType) -> bool:
    """Whether a column of this type holds text, each value once or in every row."""
    return (type_.value_type if pa.types.is_dictionary(type_) else type_) in (pa.string(), pa.large_string(), pa.null())


def _codes(table: pa.Table, *columns: str) -> tuple[np.ndarray, list[tuple]]:
    """A number per row for its combination of values, and the combinations in order of first occurrence."""
    encoded = [table[name].combine_chunks().dictionary_encode() for name in columns]
    values = [column.dictionary.to_pylist() for column in encoded]
    indices = [column.indices.to_numpy(zero_copy_only=False) for column in encoded]
    numbered = pa.array(np.ravel_multi_index(indices, [len(names) for names in values])).dictionary_encode()
    keys = list(product(*values))
    return numbered.indices.to_numpy(), [keys[i] for i in numbered.dictionary.to_pylist()]
