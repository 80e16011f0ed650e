"""Everything that a run folder shows: analysis, page, tables, charts and paper."""

from pathlib import Path
from typing import Any

from xstilts.analysis import analyse
from xstilts.report.charts import figures_of
from xstilts.report.page import write_page
from xstilts.report.paper import write_paper
from xstilts.runs.run_files import ANALYSIS, write_json


def write_report(run: Path) -> dict[str, Any]:
    """Analyse a run and write its report; the analysis."""
    result = analyse(run)
    write_json(run, ANALYSIS, result)
    figures = list(figures_of(result))
    write_page(result, run, figures)
    write_paper(result, run, figures)
    return result
