"""What was measured on a run's texts and encoders, or is told of them: the one reader of both files that hold it."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from xstilts.errors import XstiltsError
from xstilts.runs.run_files import told
from xstilts.tasks.data_source import Entry

SUBWORDS = "subwords.json"
"""In a run folder: what the study itself measures."""
MEASURED = "transfer-features.json"
"""In a run folder: what `predict-transfer --store` measures, and what a user writes by hand."""

Numbers = dict[str, Any]


class Measured(Entry):
    """What a file may hold: {encoder: {language: number}}, for overlap {encoder: {language: {language: number}}}, for
    logme and h_score {encoder: {task: {language: number}}}."""

    fertility: dict[str, dict[str, float]] = {}
    log_size: dict[str, dict[str, float]] = {}
    overlap: dict[str, dict[str, dict[str, float]]] = {}
    logme: dict[str, dict[str, dict[str, float]]] = {}
    h_score: dict[str, dict[str, dict[str, float]]] = {}


def read_measured(run: Path) -> Numbers:
    """All that is known of a run, {} where nothing is: `transfer-features.json` goes before what the study measured.

    Raises XstiltsError for a file that cannot be read.
    """
    study, own = (read_numbers(run / name) for name in (SUBWORDS, MEASURED))
    return {key: {**study.get(key, {}), **own.get(key, {})} for key in dict.fromkeys([*study, *own])}


def read_numbers(file: Path) -> Numbers:
    """What one file holds, {} where there is none; raises XstiltsError where it cannot be read."""
    try:
        text = file.read_text(encoding="utf-8") if file.is_file() else "{}"
        return Measured.model_validate_json(text).model_dump(exclude_unset=True)
    except ValidationError as error:
        why = told(error)
    except (OSError, UnicodeDecodeError) as error:
        why = str(error)
    raise XstiltsError("not-a-run", f"{file} cannot be read", why, "mend it, or remove it and measure again")
