"""What else sets languages apart besides their distance: columns by which a slope can be adjusted."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.runs.run_files import read_language_features

Columns = dict[str, dict[str, float]]

GIVEN = "covariates.csv"
"""In a run folder: a user's own covariates."""


def covariates(run: Path, codes: Sequence[str], source_sets: Sequence[Sequence[str]]) -> Columns:
    """Covariate → language → value, NaN if it is not known.

    same script, same family: the share of the replicates in which a source has that of the language. `fertility`
    (sub-words per word), `sub-word overlap` with the source that shares most, and `pretraining size` are added as far
    as they were measured on the run's texts (means over encoders and replicates); so are the columns of
    `covariates.csv`, which has a column `language` and one for each covariate.
    Raises XstiltsError for a file that cannot be read.
    """
    columns = {
        f"same {fact}": {code: _share(_fact(code, fact), fact, source_sets) for code in codes}
        for fact in ("script", "family")
    }
    given = run / GIVEN
    return columns | _measured(run, codes, source_sets) | (_read(given) if given.is_file() else {})


def _measured(run: Path, codes: Sequence[str], source_sets: Sequence[Sequence[str]]) -> Columns:
    """Columns measured on a run's texts; a column without any value is left out."""
    features = read_language_features(run)
    columns = {
        name: {code: _mean([values.get(code, math.nan) for values in features.get(key, {}).values()]) for code in codes}
        for name, key in (("fertility", "fertility"), ("pretraining size", "log_size"))
    }
    overlaps = list(features.get("overlap", {}).values())

    def most(shares: dict[str, float], sources: Sequence[str]) -> float:
        return max((shares[source] for source in sources if source in shares), default=math.nan)

    columns["sub-word overlap"] = {
        code: _mean([most(shares.get(code, {}), sources) for shares in overlaps for sources in source_sets])
        for code in codes
    }
    return {name: column for name, column in columns.items() if not all(map(math.isnan, column.values()))}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _share(value: str, fact: str, source_sets: Sequence[Sequence[str]]) -> float:
    """In how many of the source sets a language has this value of a fact, 0 to 1."""
    if not value:
        return math.nan
    return _mean([any(_fact(source, fact) == value for source in sources) for sources in source_sets])


def _fact(code: str, fact: str) -> str:
    try:
        return str(getattr(language(code), fact))
    except XstiltsError:
        return ""


def _read(file: Path) -> Columns:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = "write a table in UTF-8, with commas"
        raise XstiltsError("bad-file", f"{file} cannot be read", str(error), hint) from None
    names = [name for name in (rows[0] if rows else ()) if name and name != "language"]
    if not names or "language" not in rows[0]:
        why = "the first line must name a column `language` and at least one more"
        hint = "write `language,pretraining size` and a row for each language"
        raise XstiltsError("bad-file", f"{file} has no covariates", why, hint)
    columns: Columns = {name: {} for name in names}
    for number, row in enumerate(rows, 2):
        code = language(row["language"] or "").code
        for name, column in columns.items():
            value = _number(row[name])
            if value is None or code in column:
                what = f"'{row[name]}' is no number" if value is None else f"'{code}' has a row already"
                why = f"column '{name}' holds one number for each language"
                hint = "leave the cell empty if a value is not known"
                raise XstiltsError("bad-file", f"{file}, line {number}: {what}", why, hint)
            column[code] = value
    return columns


def _number(text: str | None) -> float | None:
    """A cell's number, NaN if it is empty, None if it holds something else."""
    try:
        value = float(text or "nan")
    except ValueError:
        return None
    return value if not text or math.isfinite(value) else None
