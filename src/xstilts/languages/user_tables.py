"""A user's own tables: distances between languages, and scores to choose source languages by."""

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.languages.identity import language

DISTANCES = "the first row and column hold language codes, the other cells distances, empty if missing"
SCORES = (
    "the columns are source, target and score, one row per pair of languages, higher is better; a column learned_from "
    "may name the languages, separated by spaces, whose results a predicted score rests on"
)


def read_distances(path: Path, codes: Sequence[str]) -> np.ndarray:
    """Distances [n, n] among languages from a square table whose rows and columns may differ in order.

    NaN for an empty cell or a language that the table lacks; the diagonal is 0. Raises XstiltsError, with the cell, for
    an unknown or repeated language, a value that is not a number from 0 up, a distance of a language to itself other
    than 0, and two directions that disagree.
    """
    header, *rows = [row for row in csv.reader(_read(path).splitlines()) if row] or [[]]
    across = _codes(path, [(f"row 1, column {i}", text) for i, text in enumerate(header[1:], 2)])
    down = _codes(path, [(f"row {i}, column 1", row[0]) for i, row in enumerate(rows, 2)])
    if not down or sorted(down) != sorted(across) or any(len(row) != len(header) for row in rows):
        unpaired = sorted({*down} ^ {*across})
        why = f"only one side has {', '.join(unpaired)}" if unpaired else "rows and columns hold different languages"
        raise XstiltsError("bad-file", f"{path} is not a square table of distances", why, DISTANCES)
    cells = {(a, b): row[i] for a, row in zip(down, rows, strict=True) for i, b in enumerate(across, 1)}
    table = np.array([[_distance(path, a, b, cells[a, b]) for b in down] for a in down])
    for i, j in np.argwhere(~np.isclose(table, table.T, rtol=1e-6, atol=1e-9, equal_nan=True)):
        what = f"{path}: {down[i]} to {down[j]} is {table[i, j]:g}, but {down[j]} to {down[i]} is {table[j, i]:g}"
        raise XstiltsError("bad-file", what, "a distance is the same in both directions", "correct one of the cells")
    for i in np.flatnonzero(table.diagonal() > 0):
        what = f"{path}: the distance of {down[i]} to itself is {table[i, i]:g}"
        raise XstiltsError("bad-file", what, "a language is at distance 0 from itself", "make it 0")
    at = np.array([down.index(code) if code in down else -1 for code in codes], dtype=int)
    result = np.where((at[:, None] < 0) | (at < 0), np.nan, table[np.ix_(at, at)])
    np.fill_diagonal(result, 0.0)
    return result


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
        place = f"{path}, row {number}"
        try:
            source, target, score = _code(place, row["source"]), _code(place, row["target"]), float(row["score"])
            learned = row.get("learned_from")
            rests_on = {target} if learned is None else {_code(place, code) for code in learned.split()}
        except (KeyError, TypeError, ValueError, AttributeError):
            raise XstiltsError("bad-file", f"{place} cannot be read", f"it holds {row}", SCORES) from None
        if not math.isfinite(score):
            raise XstiltsError("bad-file", f"{place}: the score is {score}", "it must be finite", SCORES)
        for code in sorted(excluded & {source, *rests_on}):
            why = "sources that are chosen by the scores of a language cannot be evaluated on it"
            hint = "remove it from the table (`transfer rank --for` leaves out what it names), or do not hold it out"
            raise XstiltsError("leak", f"{place}: '{code}' is held out", why, hint)
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


def _code(place: str, text: str) -> str:
    try:
        return language(text).code
    except XstiltsError as error:
        raise XstiltsError(error.kind, f"{place}: {error.what}", error.why, error.hint) from None


def _codes(path: Path, cells: list[tuple[str, str]]) -> list[str]:
    codes = [_code(f"{path}, {place}", text) for place, text in cells]
    if repeated := [code for code, count in Counter(codes).items() if count > 1]:
        why = "two spellings mean one language"
        raise XstiltsError("bad-file", f"{path} names '{repeated[0]}' twice", why, "remove one of them")
    return codes


def _distance(path: Path, a: str, b: str, text: str) -> float:
    if not text.strip():
        return math.nan
    with suppress(ValueError):
        if math.isfinite(value := float(text)) and value >= 0:
            return value
    what, why = f"{path}: the distance of {a} to {b} is '{text}'", "a distance is a number from 0 up"
    raise XstiltsError("bad-file", what, why, "correct it, or leave it empty")
