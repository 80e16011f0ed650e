"""Published results as files: SumEval's JSON, a long CSV with one score per row, or a matrix of sources and targets."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xstilts.errors import XstiltsError
from xstilts.transfer.relations import known_language
from xstilts.transfer.results_table import ResultsTable

COLUMNS = ("encoder", "task", "source", "examples", "target", "score", "replicate")
FORMS = "SumEval's JSON, a CSV with the columns source, target and score, or a matrix with sources in the first column"


def read_tables(
    file: str | Path, columns: Mapping[str, str] | None = None, encoder: str = "", task: str = "", examples: float = 0
) -> tuple[list[ResultsTable], list[str]]:
    """The tables of a file, one for each encoder and task, and notes on language codes.

    A long CSV has a row per score: source (`de` or `de+fr`), target, score, and if it varies encoder, task, examples
    (`5000` in all, or `1000+500` each) and replicate; `columns` maps these names to those of the file. SumEval's files
    are named TASK_ENCODER. Scores between 0 and 1 are turned into points. Raises XstiltsError for another form.
    """
    path = Path(file)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise XstiltsError("bad-file", f"cannot read {path}", str(error), "give a text file in UTF-8") from None
    if path.suffix == ".json":
        first, _, last = path.stem.partition("_")
        tables = [_sumeval(path, encoder or last.partition("_")[0], task or first)]
    else:
        rows = list(csv.reader(text.splitlines()))
        names = {name: (columns or {}).get(name, name) for name in COLUMNS}
        header = rows[0] if rows else []
        long = {"source", "target", "score"} <= {name for name, column in names.items() if column in header}
        wanted = {"encoder": encoder, "task": task or path.stem, "examples": str(examples or 1)}
        tables = _long(path, rows, names, wanted) if long else _matrix(path, rows, wanted)
    if not tables:
        raise XstiltsError("bad-file", f"{path} has no results", f"it is none of: {FORMS}", "check the columns")
    return [_with_known_codes(table) for table in tables], _notes(tables)


def sumeval_configurations(file: Path) -> list[dict[str, Any]]:
    """The trainings of a SumEval file: `train_config` and `eval_results` of each; raises XstiltsError otherwise."""
    try:
        rows = json.loads(file.read_text(encoding="utf-8"))
        for row in rows:
            if not {"train_config", "eval_results"} <= row.keys() or not row["eval_results"]:
                raise ValueError("a training has no train_config or eval_results")
            [float(count) for count in row["train_config"].values()]
    except (OSError, ValueError, TypeError, AttributeError) as error:
        why, hint = str(error), "give a list of {train_config: {language: examples}, eval_results: {language: score}}"
        raise XstiltsError("bad-file", f"{file} is no SumEval file", why, hint) from None
    if not rows:
        raise XstiltsError("bad-file", f"{file} is empty", "it has no trainings", "give another file")
    return list(rows)


def _sumeval(file: Path, encoder: str, task: str) -> ResultsTable:
    rows = sumeval_configurations(file)
    scores: list[Any] = [score for row in rows for score in row["eval_results"].values()]
    if any(not isinstance(score, int | float) for score in scores):
        why = "some of its scores are no numbers, as in the test files of SumEval"
        raise XstiltsError("bad-file", f"{file} has no scores", why, "predict them: `xstilts transfer predict`")
    trainings = [(row["train_config"], row["eval_results"]) for row in rows]
    return _table(encoder, task, trainings)


def _long(
    file: Path, rows: Sequence[Sequence[str]], names: Mapping[str, str], wanted: Mapping[str, str]
) -> list[ResultsTable]:
    header = rows[0]
    trainings: dict[tuple[str, str], dict[tuple[str, str, str], dict[str, float]]] = {}
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cells):
            continue
        row = dict(zip(header, cells, strict=False))
        facts = {name: row.get(names[name], wanted.get(name, "")) for name in COLUMNS}
        score = _number(facts["score"], f"{file}, line {number}")
        key = (facts["source"], facts["examples"], facts["replicate"])
        group = trainings.setdefault((facts["encoder"], facts["task"]), {})
        group.setdefault(key, {})[facts["target"]] = score
    tables = []
    for (encoder, task), group in trainings.items():
        mixtures = [(_mixture(file, source, count), scores) for (source, count, _), scores in group.items()]
        tables.append(_table(encoder, task, mixtures))
    return tables


def _matrix(file: Path, rows: Sequence[Sequence[str]], wanted: Mapping[str, str]) -> list[ResultsTable]:
    if len(rows) < 2 or len(rows[0]) < 2:
        return []
    targets, trainings = rows[0][1:], []
    for number, cells in enumerate(rows[1:], start=2):
        filled = [(code, cell) for code, cell in zip(targets, cells[1:], strict=False) if cell.strip()]
        scores = {code: _number(cell, f"{file}, line {number}") for code, cell in filled}
        trainings.append((_mixture(file, cells[0], wanted["examples"]), scores))
    return [_table(wanted["encoder"], wanted["task"], trainings)]


def _mixture(file: Path, source: str, examples: str) -> dict[str, float]:
    """Source → examples of `de+fr` and `1000+500`, or `1500` in all."""
    codes, counts = source.split("+"), [_number(part, str(file)) for part in examples.split("+")]
    if len(counts) not in (1, len(codes)):
        why = f"{len(codes)} sources and {len(counts)} numbers of examples"
        raise XstiltsError("bad-file", f"{file}: '{source}' does not fit '{examples}'", why, "write one for each")
    return dict(zip(codes, counts if len(counts) == len(codes) else [counts[0] / len(codes)] * len(codes), strict=True))


def _number(text: str, place: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise XstiltsError("bad-file", f"{place}: '{text}' is no number", f"a table is {FORMS}", "correct the file")
    return value


def _table(
    encoder: str, task: str, trainings: Sequence[tuple[Mapping[str, float], Mapping[str, float]]]
) -> ResultsTable:
    sources = tuple(dict.fromkeys(code for mixture, _ in trainings for code in mixture))
    targets = tuple(dict.fromkeys(code for _, scores in trainings for code in scores))
    examples = np.array([[float(mixture.get(code, 0)) for code in sources] for mixture, _ in trainings])
    scores = np.array([[float(row.get(code, math.nan)) for code in targets] for _, row in trainings])
    return ResultsTable(encoder, task, sources, examples, targets, scores * (100 if np.nanmax(scores) <= 1 else 1))


def _with_known_codes(table: ResultsTable) -> ResultsTable:
    """The table with the package's code of each language that it knows, and others as they are."""
    renamed = [tuple(_code(code) for code in codes) for codes in (table.sources, table.targets)]
    if any(len(set(new)) < len(new) for new in renamed):
        return table  # two codes of one language: keep them apart
    return ResultsTable(table.encoder, table.task, renamed[0], table.examples, renamed[1], table.scores)


def _code(code: str) -> str:
    entry = known_language(code)
    return entry.code if entry else code


def _notes(tables: Sequence[ResultsTable]) -> list[str]:
    codes = dict.fromkeys(code for table in tables for code in (*table.sources, *table.targets))
    mapped = [f"{code} → {_code(code)}" for code in codes if _code(code) != code]
    unknown = [code for code in codes if not known_language(code)]
    notes = [f"read as other codes: {', '.join(mapped)}"] if mapped else []
    return notes + ([f"unknown languages, whose distances count as large: {', '.join(unknown)}"] if unknown else [])
