"""Scores of earlier runs, to choose sources by."""

import csv
import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.languages.identity import language

LAYOUT = (
    "The table has the columns source, target and score: one row per pair of languages, higher is better; a column "
    "learned_from may name the languages, with spaces, whose results a predicted score rests on."
)


def read_scores(path: Path, held_out: Sequence[str] = ()) -> dict[str, float]:
    """Source -> how much better than other sources it was, from a table with the columns source, target, score.

    The mean over targets of the score minus the target's mean over its sources, so that a source is not rewarded for
    easy targets. Raises XstiltsError for a row that cannot be read, naming it, and for a language of `held_out` that a
    score rests on (what is chosen by its results could not be evaluated on it any more) or that is a source. A score
    rests on its target, unless the column `learned_from` says that it was predicted and on what.
    """
    kept = {language(code).code for code in held_out}
    by_target: dict[str, dict[str, float]] = defaultdict(dict)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise XstiltsError("missing-file", f"Cannot read the scores in {path}", str(error), "Check the path.") from None
    for number, row in enumerate(rows, 2):
        source, target, score, rests_on = _row(path, number, row)
        for code in sorted(kept & {source, *rests_on}):
            raise XstiltsError(
                "bad-argument",
                f"{path}, row {number}: '{code}' is held out",
                "Sources that are chosen by the scores of a language cannot be evaluated on it.",
                "Leave it out of the table (`predict-transfer --for` leaves out what it names), or do not hold it out.",
            )
        by_target[target][source] = score
    gains: dict[str, list[float]] = defaultdict(list)
    for scores in by_target.values():
        mean = sum(scores.values()) / len(scores)
        for source, score in scores.items():
            gains[source].append(score - mean)
    return {source: sum(found) / len(found) for source, found in gains.items()}


def _row(path: Path, number: int, row: dict[str, str]) -> tuple[str, str, float, set[str]]:
    """Source, target, score, and the languages whose results the score rests on."""
    try:
        source, target, score = language(row["source"]).code, language(row["target"]).code, float(row["score"])
        learned = row.get("learned_from")
        rests_on = {target} if learned is None else {language(code).code for code in learned.split()}
    except XstiltsError as error:
        raise XstiltsError("bad-argument", f"{path}, row {number}: {error.what}", error.why, error.hint) from None
    except (KeyError, TypeError, ValueError, AttributeError):
        raise XstiltsError("bad-file", f"{path}, row {number} cannot be read", f"It holds {row}.", LAYOUT) from None
    if not math.isfinite(score):
        raise XstiltsError(
            "bad-argument", f"{path}, row {number}: the score is {score}", "A score is a finite number.", LAYOUT
        )
    return source, target, score, rests_on
