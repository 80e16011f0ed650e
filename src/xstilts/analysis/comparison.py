"""Two arms to be compared: their score tables and the languages, encoders and level that count."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from xstilts.runs.reader import Run
from xstilts.runs.score_table import ScoreTable


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
