"""How close languages are to an encoder: whose words it places next to those of another language."""

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xstilts.engine import write_atomically
from xstilts.errors import XstiltsError
from xstilts.tasks.neighbours import top_k
from xstilts.transfer.read_tables import csv_rows
from xstilts.transfer.relations import Votes, canonical

NEIGHBOURS = 5
COLUMNS = ["source", "target", "votes"]


def neighbour_votes(states: Sequence[np.ndarray], neighbours: int = NEIGHBOURS) -> np.ndarray:
    """Share of the votes of each language for each other [sources, targets], 0 to 1; columns sum to 1.

    states: hidden states of the words or sub-words of each language [tokens, h]. Each one votes for the languages of
    its nearest neighbours, by cosine, among the states of all other languages. Ebrahimi et al. 2025, "Model-Based
    Ranking of Source Languages" (NN-Rank, arXiv 2510.03202), which takes inner products.

    >>> near, far = np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])
    >>> neighbour_votes([near, near, far], neighbours=1)[:, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    votes = np.zeros((len(states), len(states)))
    for j, part in enumerate(states):
        others = [i for i in range(len(states)) if i != j]
        owner = np.repeat(others, [len(states[i]) for i in others])
        nearest, _ = top_k(part, np.concatenate([states[i] for i in others]), neighbours)
        votes[:, j] = np.bincount(owner[nearest].ravel(), minlength=len(states))
    return votes / votes.sum(0).clip(1)


def write_votes(file: Path, votes: Votes) -> None:
    """Write the shares of votes as a CSV with the columns source, target and votes."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for i, source in enumerate(votes.languages):
        for j, target in enumerate(votes.languages):
            if i != j:
                writer.writerow([source, target, round(float(votes.shares[i, j]), 6)])
    write_atomically(file, text.getvalue())


def read_votes(file: Path) -> Votes:
    """The votes of a file of `write_votes`; raises XstiltsError if it is no such file."""
    rows = csv_rows(file)
    hint = "write it with `xstilts transfer votes`"
    if not rows or rows[0] != COLUMNS:
        raise XstiltsError("bad-file", f"{file} has no votes", f"its columns are not {', '.join(COLUMNS)}", hint)
    shares: dict[tuple[str, str], float] = {}
    for number, row in enumerate(rows[1:], start=2):
        try:
            source, target, share = row
            value = float(share)
        except ValueError:
            value = math.nan
        if not 0 <= value <= 1:
            why = "each has a source, a target and a share of votes from 0 to 1"
            raise XstiltsError("bad-file", f"{file}: row {number} is not one of votes", why, hint)
        shares[canonical(source), canonical(target)] = value
    languages = tuple(dict.fromkeys(code for pair in shares for code in pair))
    table = [[shares.get((source, target), math.nan) for target in languages] for source in languages]
    return Votes(languages, np.array(table).reshape(len(languages), len(languages)))
