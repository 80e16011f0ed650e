"""A user's own tables: distances between languages, and scores to choose source languages by."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.identity import language

DISTANCES = "the first row and column hold language codes, the other cells distances, empty if missing"
SCORES = (
    "the columns are source, target and score, one row per pair of languages, higher is better; a column learned_from "
    "may name the languages, separated by spaces, whose results a predicted score rests on"
)


def read_matrix(path: Path) -> tuple[tuple[str, ...], np.ndarray]:
    """Codes and distances [n, n] of a square table, NaN for an empty cell; rows and columns may differ in order.

    Raises XstiltsError, with the cell, for an unknown or repeated language, a value that is not a number from 0 up, a
    distance of a language to itself other than 0, and two directions that disagree.
    """
    header, *rows = [row for row in csv.reader(_read(path).splitlines()) if row] or [[]]
    columns = _codes(path, [(f"row 1, column {i}", text) for i, text in enumerate(header[1:], 2)])
    codes = _codes(path, [(f"row {i}, column 1", row[0]) for i, row in enumerate(rows, 2)])
    if not codes or sorted(codes) != sorted(columns) or any(len(row) != len(header) for row in rows):
        unpaired = sorted({*codes} ^ {*columns})
        why = f"only one side has {', '.join(unpaired)}" if unpaired else "rows and columns hold different languages"
        raise XstiltsError("bad-file", f"{path} is not a square table of distances", why, DISTANCES)
    order = [columns.index(code) + 1 for code in codes]
    values = np.array(
        [
            [_distance(path, a, b, row[j]) for b, j in zip(codes, order, strict=True)]
            for a, row in zip(codes, rows, strict=True)
        ]
    )
    _check_symmetry(path, codes, values)
    return tuple(codes), values


def read_scores(path: Path, held_out: Sequence[str] = ()) -> dict[str, float]:
    """Source -> how much better than other sources it was, from a table with the columns source, target, score.

    The mean over targets of the score minus the target's mean over its sources: easy targets do not favour their
    sources. A score rests on its target, unless the column `learned_from` names the languages that it was predicted
    from. Raises XstiltsError, with the row, for a row that cannot be read, and of kind "leak" for a held-out language
    that is a source or that a score rests on: what is chosen by its results cannot be evaluated on it.
    """
    excluded = {language(code).code for code in held_out}
    by_target: dict[str, dict[str, float]] = defaultdict(dict)
    for number, row in enumerate(csv.DictReader(_read(path).splitlines()), 2):
        source, target, score, rests_on = _score(path, number, row)
        for code in sorted(excluded & {source, *rests_on}):
            raise XstiltsError(
                "leak",
                f"{path}, row {number}: '{code}' is held out",
                "sources that are chosen by the scores of a language cannot be evaluated on it",
                "leave it out of the table (`predict-transfer --for` leaves out what it names), or do not hold it out",
            )
        by_target[target][source] = score
    gains: dict[str, list[float]] = defaultdict(list)
    for scores in by_target.values():
        mean = sum(scores.values()) / len(scores)
        for source, score in scores.items():
            gains[source].append(score - mean)
    return {source: sum(values) / len(values) for source, values in gains.items()}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise XstiltsError("missing-file", f"cannot read the table {path}", str(error), "check the path") from None


def _codes(path: Path, cells: list[tuple[str, str]]) -> list[str]:
    codes = []
    for place, text in cells:
        try:
            codes.append(language(text).code)
        except XstiltsError as error:
            raise XstiltsError(error.kind, f"{path}, {place}: {error.what}", error.why, error.hint) from None
    if repeated := [code for code, count in Counter(codes).items() if count > 1]:
        why = "two spellings mean one language"
        raise XstiltsError("bad-file", f"{path} names '{repeated[0]}' twice", why, "remove one of them")
    return codes


def _distance(path: Path, a: str, b: str, text: str) -> float:
    if not text.strip():
        return math.nan
    try:
        value = float(text)
    except ValueError:
        value = math.inf
    if not math.isfinite(value) or value < 0:
        what, why = f"{path}: the distance of {a} to {b} is '{text}'", "a distance is a number from 0 up"
        raise XstiltsError("bad-file", what, why, "correct it, or leave it empty")
    return value


def _check_symmetry(path: Path, codes: list[str], values: np.ndarray) -> None:
    for i, j in np.argwhere(~np.isclose(values, values.T, rtol=1e-6, atol=1e-9, equal_nan=True)):
        a, b = codes[i], codes[j]
        what = f"{path}: {a} to {b} is {values[i, j]:g}, but {b} to {a} is {values[j, i]:g}"
        raise XstiltsError("bad-file", what, "a distance is the same in both directions", "correct one of the cells")
    for i in np.flatnonzero(values.diagonal() > 0):
        what = f"{path}: the distance of {codes[i]} to itself is {values[i, i]:g}"
        raise XstiltsError("bad-file", what, "a language is at distance 0 from itself", "make it 0")


def _score(path: Path, number: int, row: dict[str, str]) -> tuple[str, str, float, set[str]]:
    """Source, target, score, and the languages whose results the score rests on."""
    try:
        source, target, score = language(row["source"]).code, language(row["target"]).code, float(row["score"])
        learned = row.get("learned_from")
        rests_on = {target} if learned is None else {language(code).code for code in learned.split()}
    except XstiltsError as error:
        raise XstiltsError(error.kind, f"{path}, row {number}: {error.what}", error.why, error.hint) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise XstiltsError("bad-file", f"{path}, row {number} cannot be read", f"it holds {row}", SCORES) from None
    if not math.isfinite(score):
        raise XstiltsError("bad-file", f"{path}, row {number}: the score is {score}", "it must be finite", SCORES)
    return source, target, score, rests_on
