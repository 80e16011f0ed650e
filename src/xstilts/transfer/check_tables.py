"""What a table of results must be before anything is learned from it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.relations import canonical, known_language
from xstilts.transfer.results_table import ResultsTable


def checked(table: ResultsTable, file: Path) -> ResultsTable:
    """The table with scores in points and the package's language codes.

    Raises XstiltsError for impossible numbers, a training without examples, or one language under two codes.
    """
    if not len(table.examples) or np.isnan(table.scores).all():
        raise _bad(file, "it has no scores", "check the columns")
    if not np.isfinite(table.examples).all() or (table.examples < 0).any():
        raise _bad(file, "numbers of examples must be 0 or more", "correct them")
    if empty := np.flatnonzero(table.examples.sum(1) == 0).tolist():
        raise _bad(file, f"training {empty[0] + 1} has no examples in any source", "say what it was trained on")
    scores = table.scores * (100 if np.nanmax(table.scores) <= 1 else 1)
    if np.isinf(scores).any() or np.nanmin(scores) < 0 or np.nanmax(scores) > 100:
        raise _bad(file, "scores must be between 0 and 100, or all between 0 and 1", "correct them")
    for codes in (table.sources, table.targets):
        refuse_two_codes(codes, file)
    sources, targets = (tuple(map(canonical, codes)) for codes in (table.sources, table.targets))
    return ResultsTable(table.encoder, table.task, sources, table.examples, targets, scores)


def refuse_two_codes(codes: Sequence[str], file: Path) -> None:
    """Raise XstiltsError if a code is empty, or two stand for one language."""
    names: dict[str, str] = {}
    for code in codes:
        if not code.strip():
            raise _bad(file, "a language code is empty", "write the code")
        if (other := names.setdefault(canonical(code), code)) != code:
            raise _bad(file, f"'{other}' and '{code}' are one language", "write one code for it, or leave one out")


def notes_on_codes(tables: Sequence[ResultsTable]) -> list[str]:
    """Which codes of files are read as other codes, and which are of unknown languages."""
    codes = dict.fromkeys(code for table in tables for code in (*table.sources, *table.targets))
    mapped = [f"{code} → {canonical(code)}" for code in codes if canonical(code) != code]
    unknown = [code for code in codes if not known_language(code)]
    notes = [f"read as other codes: {', '.join(mapped)}"] if mapped else []
    return notes + ([f"unknown languages, taken to be distant from all: {', '.join(unknown)}"] if unknown else [])


def _bad(file: Path, why: str, hint: str) -> XstiltsError:
    return XstiltsError("bad-file", f"{file} is not a table of results", why, hint)
