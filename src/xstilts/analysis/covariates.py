"""What else sets languages apart besides their distance: columns by which a slope can be adjusted."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.runs.run_files import read_language_features

Columns = dict[str, dict[str, float]]

GIVEN = "covariates.csv"
"""In a run folder: what the user gives."""


def covariates(run: Path, codes: Sequence[str], source_sets: Sequence[Sequence[str]]) -> Columns:
    """Covariate → language → value.

    `same script` and `same family` are the share of the replicates in which a source has the language's own. To them
    come `fertility` (sub-words per word), `sub-word overlap` with the source that shares most, and `pretraining size`,
    as far as they were measured on the run's texts (means over encoders and replicates), and all that the user gives:
    `covariates.csv`, with a column `language` and one for each covariate.
    Raises XstiltsError for a file that cannot be read.
    """
    columns: Columns = {"same script": {}, "same family": {}}
    for code in codes:
        for name, key in (("same script", "script"), ("same family", "family")):
            columns[name][code] = _shared(code, source_sets, key)
    given = run / GIVEN
    return columns | _measured(run, codes, source_sets) | (_read(given) if given.is_file() else {})


def _measured(run: Path, codes: Sequence[str], source_sets: Sequence[Sequence[str]]) -> Columns:
    """Columns of what is known of a run's texts; one that no language has a value of is left out."""
    found = read_language_features(run)
    columns: Columns = {}
    for name, key in (("fertility", "fertility"), ("pretraining size", "log_size")):
        by_encoder = list(found.get(key, {}).values())
        columns[name] = {code: _mean([own.get(code, math.nan) for own in by_encoder]) for code in codes}
    overlaps = list(found.get("overlap", {}).values())
    columns["sub-word overlap"] = {
        code: _mean([
            max((own[code][source] for source in sources if source in own.get(code, {})), default=math.nan)
            for own in overlaps for sources in source_sets
        ])
        for code in codes
    }  # fmt: skip
    return {name: column for name, column in columns.items() if any(value == value for value in column.values())}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


def _shared(code: str, source_sets: Sequence[Sequence[str]], key: str) -> float:
    own = _fact(code, key)
    if not own or not source_sets:
        return math.nan
    return sum(any(_fact(source, key) == own for source in sources) for sources in source_sets) / len(source_sets)


def _fact(code: str, key: str) -> str:
    try:
        return str(getattr(language(code), key))
    except XstiltsError:
        return ""


def _read(file: Path) -> Columns:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows: list[Mapping[str, str]] = list(csv.DictReader(lines))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise XstiltsError(
            "bad-file", f"{file} cannot be read", str(error), "write a table in UTF-8, with commas"
        ) from None
    if not rows or "language" not in rows[0] or len(rows[0]) < 2:
        raise XstiltsError(
            "too-few", f"{file}: no covariates", "the first line must name a column `language` and at least one more",
            "write `language,pretraining size` and a row for each language",
        )  # fmt: skip
    columns: Columns = {name: {} for name in rows[0] if name and name != "language"}
    for number, row in enumerate(rows, 2):
        code = language(row["language"] or "").code
        for name, column in columns.items():
            value = _number(row[name])
            if value is None or code in column:
                what = f"'{row[name]}' is no number" if value is None else f"'{code}' has a row already"
                raise XstiltsError(
                    "inconsistent", f"{file}, line {number}: {what}", f"column '{name}' holds a number for each language",
                    "leave the cell empty where a value is not known",
                )  # fmt: skip
            column[code] = value
    return columns


def _number(text: str | None) -> float | None:
    """A cell's number, NaN where it is empty, None where it holds something else."""
    try:
        value = float(text) if text else math.nan
    except ValueError:
        return None
    return value if not text or math.isfinite(value) else None
