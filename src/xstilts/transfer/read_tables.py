"""Published results as files: SumEval's JSON, a long CSV with one score per row, or a matrix of sources and targets."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.check_tables import checked, notes_on_codes
from xstilts.transfer.results_table import ResultsTable

COLUMNS = ("encoder", "task", "source", "examples", "target", "score", "replicate")
NEEDED = ("source", "target", "score")
FORMS = "SumEval's JSON, a CSV with the columns source, target and score, or a matrix with sources in the first column"
CONFIGURATIONS = "give a list of {train_config: {language: examples}, eval_results: {language: score}}"
Training = tuple[Mapping[str, float], Mapping[str, float]]


def read_tables(
    file: str | Path, columns: Mapping[str, str] | None = None, encoder: str = "", task: str = "", examples: float = 0
) -> tuple[list[ResultsTable], list[str]]:
    """The tables of a file, one for each encoder and task, and notes on language codes.

    A long CSV has a row per score: source (`de` or `de+fr`), target, score, and if it varies encoder, task, examples
    (`5000` in all, or `1000+500` each) and replicate; `columns` maps these names to those of the file. SumEval's files
    are named TASK_ENCODER. Scores between 0 and 1 are turned into points. Raises XstiltsError for another form.
    """
    path = Path(file)
    if path.suffix == ".json":
        first, _, rest = path.stem.partition("_")
        middle, _, last = rest.partition("_")
        tables = [_sumeval(path, encoder or middle, task or "_".join(part for part in (first, last) if part))]
    else:
        rows = csv_rows(path)
        names = {name: (columns or {}).get(name, name) for name in COLUMNS}
        wanted = {"encoder": encoder, "task": task or path.stem, "examples": str(examples or 1)}
        present = [name for name in NEEDED if names[name] in (rows[0] if rows else [])]
        if present or columns:
            _need_columns(path, rows[0] if rows else [], names)
            tables = _long(path, rows, names, wanted)
        else:
            tables = _matrix(path, rows, wanted)
    if not tables:
        raise XstiltsError("bad-file", f"{path} has no results", f"it is none of: {FORMS}", "check the columns")
    return [checked(table, path) for table in tables], notes_on_codes(tables)


def sumeval_configurations(file: Path) -> list[dict[str, Any]]:
    """The trainings of a SumEval file: `train_config` and `eval_results` of each; raises XstiltsError otherwise."""
    try:
        rows = json.loads(_text(file))
        for row in rows:
            counts, scores = row["train_config"].values(), row["eval_results"]
            if not scores or not isinstance(scores, dict):
                raise ValueError("a training has no eval_results")
            if not all(isinstance(count, int | float) and 0 <= count < math.inf for count in counts):
                raise ValueError("numbers of examples must be 0 or more")
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        raise XstiltsError("bad-file", f"{file} is not a SumEval file", str(error), CONFIGURATIONS) from None
    if not rows:
        raise XstiltsError("bad-file", f"{file} is empty", "it has no trainings", CONFIGURATIONS)
    return list(rows)


def _text(file: Path) -> str:
    if not file.is_file():
        raise XstiltsError("missing-file", f"there is no file {file}", "results are read from it", "check the path")
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise XstiltsError("bad-file", f"cannot read {file}", str(error), "give a text file in UTF-8") from None


def csv_rows(file: Path) -> list[list[str]]:
    """The cells of a CSV or TSV file, without empty lines."""
    try:
        rows = list(csv.reader(_text(file).splitlines(), delimiter="\t" if file.suffix == ".tsv" else ","))
    except csv.Error as error:
        raise XstiltsError("bad-file", f"cannot read {file}", str(error), "give comma-separated values") from None
    return [row for row in rows if any(cell.strip() for cell in row)]


def _need_columns(file: Path, header: Sequence[str], names: Mapping[str, str]) -> None:
    """Raise XstiltsError if a long table lacks a column, or has one twice."""
    for name in NEEDED:
        if header.count(names[name]) != 1:
            what = f"{file} has {'no' if names[name] not in header else 'more than one'} column '{names[name]}'"
            why, hint = f"it has {', '.join(header)}", f"name it: --column {name}=COLUMN"
            raise XstiltsError("bad-file", what, why, hint)


def _sumeval(file: Path, encoder: str, task: str) -> ResultsTable:
    rows = sumeval_configurations(file)
    scores: list[Any] = [score for row in rows for score in row["eval_results"].values()]
    if any(not isinstance(score, int | float) for score in scores):
        why = "some of its scores are not numbers, as in the test files of SumEval"
        raise XstiltsError("bad-file", f"{file} has no scores", why, "predict them: `xstilts transfer predict`")
    return _table(encoder, task, [(row["train_config"], row["eval_results"]) for row in rows])


def _long(
    file: Path, rows: Sequence[Sequence[str]], names: Mapping[str, str], wanted: Mapping[str, str]
) -> list[ResultsTable]:
    trainings: dict[tuple[str, str], dict[tuple[str, str, str], dict[str, float]]] = {}
    for number, cells in enumerate(rows[1:], start=2):
        row = dict(zip(rows[0], cells, strict=False))
        facts = {name: row.get(names[name], wanted.get(name, "")).strip() for name in COLUMNS}
        key = (facts["source"], facts["examples"], facts["replicate"])
        scores = trainings.setdefault((facts["encoder"], facts["task"]), {}).setdefault(key, {})
        if facts["target"] in scores:
            why = f"row {number} repeats {facts['source']} → {facts['target']}"
            raise XstiltsError("bad-file", f"{file} has two scores of one training", why, "add a column replicate")
        scores[facts["target"]] = _number(facts["score"], f"{file}, row {number}")
    tables = []
    for (encoder, task), group in trainings.items():
        mixtures = [(_mixture(file, source, count), scores) for (source, count, _), scores in group.items()]
        tables.append(_table(encoder, task, mixtures))
    return tables


def _matrix(file: Path, rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> list[ResultsTable]:
    if len(rows) < 2 or len(rows[0]) < 2:
        return []
    targets, trainings = [code.strip() for code in rows[0][1:]], []
    if len(set(targets)) < len(targets):
        raise XstiltsError("bad-file", f"{file} has a target twice", "columns are targets", "leave one out")
    for number, cells in enumerate(rows[1:], start=2):
        filled = [(code, cell) for code, cell in zip(targets, cells[1:], strict=False) if cell.strip()]
        scores = {code: _number(cell, f"{file}, row {number}") for code, cell in filled}
        trainings.append((_mixture(file, cells[0], wanted["examples"]), scores))
    return [_table(wanted["encoder"], wanted["task"], trainings)]


def _mixture(file: Path, source: str, examples: str) -> dict[str, float]:
    """Source → examples of `de+fr` and `1000+500`, or `1500` in all."""
    codes = [code.strip() for code in source.split("+")]
    counts = [_number(part, str(file)) for part in examples.split("+")]
    if len(counts) not in (1, len(codes)):
        why = f"{len(codes)} sources and {len(counts)} numbers of examples"
        raise XstiltsError("bad-file", f"{file}: '{source}' does not fit '{examples}'", why, "write one for each")
    if not all(codes) or len(set(codes)) < len(codes):
        raise XstiltsError("bad-file", f"{file}: '{source}' is not a mixture", "each source counts once", "write de+fr")
    return dict(zip(codes, counts if len(counts) == len(codes) else [counts[0] / len(codes)] * len(codes), strict=True))


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise XstiltsError("bad-file", f"{place}: '{text}' is not a number", f"a table is {FORMS}", "correct the file")
    return value


def _table(encoder: str, task: str, trainings: Sequence[Training]) -> ResultsTable:
    sources = tuple(dict.fromkeys(code for mixture, _ in trainings for code in mixture))
    targets = tuple(dict.fromkeys(code for _, scores in trainings for code in scores))
    examples = np.array([[float(mixture.get(code, 0)) for code in sources] for mixture, _ in trainings])
    scores = np.array([[float(row.get(code, math.nan)) for code in targets] for _, row in trainings])
    return ResultsTable(encoder, task, sources, examples, targets, scores)
