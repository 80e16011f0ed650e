"""Predictions as additive statistics: one array per cell and language, from which every number follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from xstilts.errors import XstiltsError
from xstilts.tasks.task_types import READ, SCORED, Scored

Cell = tuple[str, str, int]
"""Arm, encoder, replicate."""


@dataclass(frozen=True)
class ScoreTable:
    """The predictions of one target, summed over the rows of each item cluster.

    cluster_stats: {(arm, encoder, replicate): {language: float [clusters of the language, k]}}; clusters: {language: int
    [clusters of the language]}, numbers that are equal where languages share a cluster; `clustering` counts them all.
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


def read_score_table(file: Path, kind: str, metric: str) -> ScoreTable:
    """The score_table of a predictions file of the run folder.

    Raises XstiltsError where the file is absent or no table of predictions, an example occurs twice in a cell, or cells
    of one language cover different examples: a mean over unequal items would mean nothing.
    """
    if not file.is_file():
        raise XstiltsError(
            "missing-file", f"no predictions at {file}", "the run has not scored this target", "run the study"
        )
    try:
        table = pq.read_table(file)
        wrong = _fault(table, READ[kind].SPARSE_GOLD)
    except (pa.ArrowException, OSError) as error:
        wrong = str(error).partition("\n")[0]
    if wrong:
        hint = "run the study again: its steps are kept, the table is written anew"
        raise XstiltsError("bad-file", f"{file} cannot be read", wrong, hint)
    scored = SCORED[kind]
    statistics = scored.statistics(table, metric)
    cell, cells = _codes(table, ["arm", "encoder", "replicate"])
    language, languages = _codes(table, ["language"])
    cluster, names = _codes(table, ["cluster_id"])
    _check_items(table, cell, cells, language, languages, file)
    cluster_stats: dict[Cell, dict[str, np.ndarray]] = {}
    clusters = {name[0]: np.unique(cluster[language == number]) for number, name in enumerate(languages)}
    group = cell * len(languages) + language
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(len(cells) * len(languages) + 1))
    for number, key in enumerate(cells):
        parts = cluster_stats[key[0], key[1], int(key[2])] = {}
        for position, (code,) in enumerate(languages):
            place = number * len(languages) + position
            rows = order[bounds[place] : bounds[place + 1]]
            if len(rows):
                where = np.searchsorted(clusters[code], cluster[rows])
                parts[code] = np.zeros((len(clusters[code]), statistics.shape[1]))
                np.add.at(parts[code], where, statistics[rows])
    return ScoreTable(file.stem, scored, metric, cluster_stats, clusters, len(names))


def _fault(table: pa.Table, sparse: bool) -> str:
    """What a table of predictions lacks, in words; `sparse`: whether an example may lack gold and prediction."""
    keys = ("arm", "encoder", "replicate", "language", "example_id", "cluster_id")
    for name in (*keys, "gold", "prediction"):
        if name not in table.column_names:
            return f"it has no column '{name}'"
        empty = table[name].null_count
        if empty and (name in keys or not sparse or (name == "gold" and empty == len(table))):
            return f"{empty:,} of {len(table):,} rows have no '{name}'"
    if not pa.types.is_integer(table["replicate"].type):
        return "the column 'replicate' holds no whole numbers"
    return "" if len(table) else "it has no rows"


def _codes(table: pa.Table, columns: list[str]) -> tuple[np.ndarray, list[tuple]]:
    """A number per row for its combination of values, and the combinations in order of first occurrence."""
    code = np.zeros(len(table), np.int64)
    keys: list[tuple] = [()]
    for name in columns:
        encoded = table[name].combine_chunks()
        if not isinstance(encoded.type, pa.DictionaryType):
            encoded = encoded.dictionary_encode()
        values = encoded.dictionary.to_pylist()
        code = code * len(values) + encoded.indices.to_numpy(zero_copy_only=False)
        keys = [(*key, value) for key in keys for value in values]
    present, first, inverse = np.unique(code, return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    return rank[inverse], [keys[present[i]] for i in np.argsort(first)]


def _check_items(
    table: pa.Table, cell: np.ndarray, cells: list[tuple], language: np.ndarray, languages: list[tuple], file: Path
) -> None:
    example = pc.dictionary_encode(table["example_id"]).combine_chunks().indices.to_numpy(zero_copy_only=False)
    for number, (code,) in enumerate(languages):
        rows = language == number
        items, owners = example[rows], cell[rows]
        sizes = np.bincount(owners, minlength=len(cells))
        present = sizes[sizes > 0]
        distinct = len(np.unique(items))
        if (present != distinct).any() or len(np.unique(owners * (items.max() + 1) + items)) != len(items):
            odd = (
                cells[int(np.flatnonzero((sizes > 0) & (sizes != distinct))[0])] if (present != distinct).any() else ""
            )
            raise XstiltsError(
                "not-a-run",
                f"{file.name}: the cells do not cover the same examples in '{code}'",
                f"{distinct} different examples, {odd or 'some cell'} has {int(present.min())} to {int(present.max())}",
                "score all arms on the same rows; remove rows that occur twice",
            )
