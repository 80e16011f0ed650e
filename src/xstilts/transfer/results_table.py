"""Scores of many trainings of one encoder on one task, each with its mixture of source languages."""

from dataclasses import dataclass

import numpy as np

from xstilts.transfer.relations import Votes


@dataclass(frozen=True)
class ResultsTable:
    """What an encoder scored on a task after each of n trainings.

    examples: training examples of each source [n, sources]; scores: in points, 0 to 100, for each target [n, targets],
    NaN where none was measured. A language may be source and target. votes: of an encoder, if they were measured.
    """

    encoder: str
    task: str
    sources: tuple[str, ...]
    examples: np.ndarray
    targets: tuple[str, ...]
    scores: np.ndarray
    votes: Votes | None = None

    @property
    def name(self) -> str:
        """Task and encoder, by which a fitted model knows the table."""
        return f"{self.task} {self.encoder}".strip()

    @property
    def one_source_each(self) -> bool:
        """Whether most trainings have a single source language."""
        return bool(np.median((self.examples > 0).sum(1)) <= 1)

    def examples_in(self, target: str) -> np.ndarray:
        """Training examples in a target language itself [n], zeros if it is no source."""
        if target in self.sources:
            return np.asarray(self.examples[:, self.sources.index(target)])
        return np.zeros(len(self.examples))
