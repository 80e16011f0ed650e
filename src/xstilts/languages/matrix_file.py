"""A user's own distances, from a file of comma-separated values."""

import csv
import math
from collections import Counter
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.identity import language

LAYOUT = "The first row and the first column name the languages by any code; the cells are distances, empty if missing."


def read_matrix(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Codes and distances [n, n] of a square table, NaN for an empty cell; rows and columns may differ in order.

    Raises XstiltsError, naming the cell, for an unknown or repeated language, for text that is no number, for a
    negative distance, a distance of a language to itself other than 0, and for two directions that disagree.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file) if row] or [[]]
    except (OSError, UnicodeDecodeError) as error:
        raise XstiltsError(
            "missing-file", f"Cannot read the distances in {path}", str(error), "Check the path."
        ) from None
    columns = _codes(path, [(f"row 1, column {i}", text) for i, text in enumerate(header[1:], 2)])
    codes = _codes(path, [(f"row {i}, column 1", row[0]) for i, row in enumerate(rows, 2)])
    if not codes or sorted(codes) != sorted(columns) or any(len(row) != len(header) for row in rows):
        odd = sorted({*codes} ^ {*columns})
        why = f"Only one side has {', '.join(odd)}." if odd else "Rows and columns do not hold the same languages."
        raise XstiltsError("bad-argument", f"{path} is not a square table of distances", why, LAYOUT)
    order = [columns.index(code) + 1 for code in codes]
    values = np.array([[_number(path, a, b, row[j]) for b, j in zip(codes, order, strict=True)]
                       for a, row in zip(codes, rows, strict=True)])  # fmt: skip
    _check_symmetry(path, codes, values)
    return tuple(codes), values


def _codes(path: Path, cells: list[tuple[str, str]]) -> list[str]:
    found = []
    for place, text in cells:
        try:
            found.append(language(text).code)
        except XstiltsError as error:
            raise XstiltsError("bad-argument", f"{path}, {place}: {error.what}", error.why, error.hint) from None
    if repeated := [code for code, count in Counter(found).items() if count > 1]:
        raise XstiltsError(
            "bad-argument", f"{path} names '{repeated[0]}' twice", "Two spellings mean one language.", "Remove one."
        )
    return found


def _number(path: Path, a: str, b: str, text: str) -> float:
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value) or value < 0:
        why = "A distance is a number that is not negative."
        raise XstiltsError(
            "bad-argument", f"{path}: the distance of {a} to {b} is '{text}'", why, "Correct it, or leave it empty."
        )
    return value


def _check_symmetry(path: Path, codes: list[str], values: np.ndarray) -> None:
    for i, j in np.argwhere(~np.isclose(values, values.T, rtol=1e-6, atol=1e-9, equal_nan=True)):
        raise XstiltsError(
            "bad-argument",
            f"{path}: {codes[i]} to {codes[j]} is {values[i, j]:g}, but {codes[j]} to {codes[i]} is {values[j, i]:g}",
            "A distance is the same in both directions.",
            "Correct one of the two cells.",
        )
    for i in np.flatnonzero(values.diagonal() > 0):
        why = "A language is at distance 0 from itself."
        raise XstiltsError(
            "bad-argument", f"{path}: the distance of {codes[i]} to itself is {values[i, i]:g}", why, "Make it 0."
        )
