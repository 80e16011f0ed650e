"""What sets languages apart besides their distance: their families, and columns by which a slope can be adjusted."""

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from xstilts.errors import XstiltsError
from xstilts.languages import language
from xstilts.models.published import published
from xstilts.runs.run_files import read_language_features

Columns = dict[str, dict[str, float]]


def families_of(codes: Sequence[str]) -> dict[str, str]:
    """Language → family; an isolate, and a code that the table does not know, is a family of its own."""
    return {code: _fact(code, "family") or code for code in codes}


def covariates(
    run: Path, codes: Sequence[str], source_sets: Sequence[Sequence[str]], encoders: Sequence[str] = ()
) -> Columns:
    """Covariate → language → value, NaN if it is not known.

    same script, same family: the share of the replicates in which a source has that of the language. `fertility`
    (sub-words per word), `sub-word overlap` with the source that shares most, and `pretraining size` are added as far
    as they were measured on the run's texts (means over encoders and replicates); so are the columns of the user's
    `covariates.csv`, which has a column `language` and one for each covariate. `in pretraining`, the share of
    `encoders` (folders or repositories) that saw the language, is added if it is known of all and languages differ.
    Raises XstiltsError for a file that cannot be read.
    """
    columns: Columns = {}
    for fact in ("script", "family"):
        drawn = [{_fact(source, fact) for source in sources} for sources in source_sets]
        facts = {code: _fact(code, fact) for code in codes}
        columns[f"same {fact}"] = {
            code: _mean([value in values for values in drawn]) if value else math.nan for code, value in facts.items()
        }
    features = read_language_features(run)
    measured = {
        name: {code: _mean([values.get(code, math.nan) for values in features.get(key, {}).values()]) for code in codes}
        for name, key in (("fertility", "fertility"), ("pretraining size", "log_size"))
    }

    def overlap(code: str) -> float:
        shares = [of_encoder.get(code, {}) for of_encoder in features.get("overlap", {}).values()]
        known = [[of[source] for source in sources if source in of] for of in shares for sources in source_sets]
        return _mean([max(values, default=math.nan) for values in known])

    measured["sub-word overlap"] = {code: overlap(code) for code in codes}
    columns |= {name: column for name, column in measured.items() if not all(map(math.isnan, column.values()))}
    seen = [published(load).languages for load in encoders]
    shares = {code: _mean([code in languages for languages in seen]) for code in codes}
    if seen and all(seen) and len(set(shares.values())) > 1:  # what does not vary would only hide the joint model
        columns["in pretraining"] = shares
    given = run / "covariates.csv"
    return columns | (_read(given) if given.is_file() else {})


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else math.nan


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
            try:
                value = float(row[name]) if row[name] else None
            except ValueError:
                value = math.nan
            invalid = value is not None and not math.isfinite(value)
            if invalid or code in column:
                what = f"'{row[name]}' is no number" if invalid else f"'{code}' has a row already"
                why = f"column '{name}' holds one number for each language"
                hint = "leave the cell empty if a value is not known"
                raise XstiltsError("bad-file", f"{file}, line {number}: {what}", why, hint)
            column[code] = math.nan if value is None else value
    return columns
