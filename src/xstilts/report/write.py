"""Everything that a run folder shows: analysis, page, tables, charts and paper."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from xstilts.analysis import analyse
from xstilts.report.charts import figures_of
from xstilts.report.page import SECTIONS, write_page
from xstilts.report.paper import COLUMNS, paper_tables, write_paper
from xstilts.runs.run_files import ANALYSIS, CHARTS, PAPER, write_json


def write_report(run: Path) -> dict[str, Any]:
    """Analyse a run and write its report; the analysis."""
    result = analyse(run)
    write_json(run, ANALYSIS, result)
    figures = list(figures_of(result))
    write_page(result, run, figures)
    write_paper(result, run, figures)
    names = {figure.name for figure in figures} | {table.name for table in paper_tables(result)}
    _remove_others(run / CHARTS, names)
    _remove_others(run / PAPER, names)
    return result


def _remove_others(folder: Path, names: Collection[str]) -> None:
    """Removes figures and tables of an earlier plan, which had other contrasts or targets: they would pass for results
    of this one. Other files, such as a `plan.md`, are the user's own."""
    for file in folder.iterdir():
        name = file.stem
        for columns in COLUMNS:
            name = name.removesuffix(f"-{columns}")
        figure = file.suffix in (".svg", ".pdf") and name.partition("-")[0] in SECTIONS
        table = file.suffix in (".tex", ".md") and name.startswith("scores-")
        if (figure or table) and name not in names:
            file.unlink(missing_ok=True)
