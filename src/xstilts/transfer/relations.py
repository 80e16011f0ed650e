"""What is known of languages before anything is trained: how close they are, and how much text there is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages import distance_matrix, language
from xstilts.languages.identity import Language
from xstilts.models.published import cc100_gigabytes

MEASURED = ("syntax", "phonology", "inventory", "genetic", "geographic")
KINDS = (*MEASURED, "script")
WIDELY_KNOWN = ("syntax", "genetic", "geographic", "script")
"""Kinds that are known of most languages, by which they resemble each other. Phonology and inventory make rankings
worse: Spearman .67 instead of .73 with a language of XPOS left out, .57 instead of .61 with a family."""
UNSPACED = ("bo", "dz", "ja", "km", "lo", "lzh", "my", "th", "yue", "zh")
"""Languages that are written without spaces between words."""
SMALLEST = 0.05
"""Gigabytes of a language that has no text in CC-100: half of the smallest number there."""
NO_VOTES = 0.001
"""The share of votes that counts as none."""


@dataclass(frozen=True)
class Votes:
    """languages: codes; shares: of the votes of each language for each other [sources, targets], NaN if unknown."""

    languages: tuple[str, ...]
    shares: np.ndarray

    def distances(self, codes: Sequence[str]) -> np.ndarray:
        """−log of the shares [sources, targets], NaN for pairs without any and for a language and itself."""
        table = np.full((len(codes), len(codes)), np.nan)
        known = [i for i, code in enumerate(codes) if code in self.languages]
        places = [self.languages.index(codes[i]) for i in known]
        table[np.ix_(known, known)] = -np.log(self.shares[np.ix_(places, places)] + NO_VOTES)
        np.fill_diagonal(table, np.nan)
        return table - np.nanmin(table) if not np.isnan(table).all() else table


def known_language(code: str) -> Language | None:
    """The language of a code, or None if the table of languages does not have it.

    >>> known_language("sw").name, known_language("xx-nowhere")
    ('Swahili', None)
    """
    try:
        return language(code)
    except XstiltsError:
        return None


def canonical(code: str) -> str:
    """The package's code of a language that it knows, else the code as it is.

    >>> canonical("swh"), canonical("xx-nowhere")
    ('sw', 'xx-nowhere')
    """
    entry = known_language(code)
    return entry.code if entry else code


def distances(codes: Sequence[str], scale: int | None = None, votes: Votes | None = None) -> dict[str, np.ndarray]:
    """Kind → distances [n, n] over their mean among the `scale` first languages, by default all; an unknown one counts
    as the largest among these.

    Kinds are URIEL's syntax, phonology and inventory, genealogy, kilometres, whether the scripts differ, and an
    encoder's votes if they are given.
    """
    entries = [known_language(code) for code in codes]
    have = [i for i, entry in enumerate(entries) if entry]
    tables = {}
    for kind in KINDS:
        table = np.full((len(codes), len(codes)), np.nan)
        if kind == "script":
            scripts = [entry.script if entry else "" for entry in entries]
            table = np.array([[float(a != b) if a and b else math.nan for b in scripts] for a in scripts])
        elif have:
            names = [entry.code for entry in entries if entry]
            table[np.ix_(have, have)] = distance_matrix(names, measure=kind).values
        tables[kind] = _scaled(table, scale)
    if votes:
        tables["votes"] = _scaled(votes.distances(codes), scale)
    return tables


def _scaled(table: np.ndarray, scale: int | None) -> np.ndarray:
    """Distances over their mean among the `scale` first languages, unknown ones as the largest there."""
    inner = table[:scale, :scale]
    inner = inner[~np.eye(len(inner), dtype=bool)]
    table[np.isnan(table)] = np.nanmax(inner) if np.isfinite(inner).any() else 1.0
    np.fill_diagonal(table, 0.0)
    mean = table[:scale, :scale].sum() / max(len(inner), 1)
    return np.asarray(table / (mean or 1.0))


def similarity(tables: dict[str, np.ndarray]) -> np.ndarray:
    """exp(−half the sum of the distances by WIDELY_KNOWN kinds) as a covariance [n, n]."""
    return covariance(np.sum([tables[kind] for kind in WIDELY_KNOWN], axis=0) / 2)


def covariance(distances: np.ndarray) -> np.ndarray:
    """exp(−distances) [n, n] with its negative eigenvalues set to 0, which unknown distances can bring."""
    values, vectors = np.linalg.eigh(np.exp(-distances))
    return np.asarray((vectors * np.maximum(values, 0)) @ vectors.T)


def text_sizes(codes: Sequence[str]) -> np.ndarray:
    """log2 of the gigabytes of each language in CC-100, the corpus of XLM-R, less the mean of its logarithms [n]."""
    table = cc100_gigabytes()
    centre = float(np.mean(np.log2(list(table.values()))))
    return np.array([math.log2(table.get(code, SMALLEST)) - centre for code in codes])
