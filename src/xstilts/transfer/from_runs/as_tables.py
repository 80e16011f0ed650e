"""Runs of one's own as tables of results: scores after intermediate training on mixtures of languages."""

from collections.abc import Sequence

import numpy as np

from xstilts.runs.reader import Run
from xstilts.transfer.from_runs.gains import Gain, gains
from xstilts.transfer.results_table import ResultsTable


def tables_of_runs(runs: Sequence[Run]) -> list[ResultsTable]:
    """A table for each encoder, intermediate task and target task.

    A training is an arm in one replicate; its score is the gain over the same replicate without the intermediate phase
    plus the mean score without it, so that the variation that arms of a replicate share does not count. Raises
    XstiltsError if there are no gains.
    """
    by_table: dict[tuple[str, str], list[Gain]] = {}
    for gain in gains(runs):
        by_table.setdefault((gain.encoder, f"{gain.intermediate} → {gain.target}"), []).append(gain)
    bases = {run.name: _scores_without_phase(run) for run in runs}
    return [_table(encoder, task, rows, bases) for (encoder, task), rows in by_table.items()]


def _table(
    encoder: str, task: str, rows: Sequence[Gain], bases: dict[str, dict[tuple[str, str, str], float]]
) -> ResultsTable:
    trainings = list(dict.fromkeys((row.training, row.arm) for row in rows))
    sources = tuple(dict.fromkeys(code for row in rows for code in row.sources))
    targets = tuple(dict.fromkeys(row.language for row in rows))
    examples, scores = np.zeros((len(trainings), len(sources))), np.full((len(trainings), len(targets)), np.nan)
    for row in rows:
        i, count = trainings.index((row.training, row.arm)), row.examples if np.isfinite(row.examples) else 1.0
        for code in row.sources:
            examples[i, sources.index(code)] = count / len(row.sources)
        scores[i, targets.index(row.language)] = row.points + bases[row.run][row.encoder, row.target, row.language]
    return ResultsTable(encoder, task, sources, examples, targets, scores)


def _scores_without_phase(run: Run) -> dict[tuple[str, str, str], float]:
    """(encoder, task, language) → the mean score over replicates of the first arm without an intermediate phase."""
    arm = next(name for name, facts in run.arms.items() if not facts.tasks and not facts.mlm and facts.role == "arm")
    scores: dict[tuple[str, str, str], list[float]] = {}
    for target in run.scored:
        table = run.score_table(target)
        for cell in table.cells(arm):
            for code in table.languages:
                scores.setdefault((cell[1], run.study["tasks"][target], code), []).append(table.score(cell, code))
    return {key: float(np.mean(values)) for key, values in scores.items()}
