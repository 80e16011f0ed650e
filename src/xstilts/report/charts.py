"""All figures of a run."""

from collections.abc import Iterator
from typing import Any

from xstilts.report.chart_basics import Figure
from xstilts.report.design_charts import plan_figure
from xstilts.report.effect_charts import effect_figures
from xstilts.report.score_charts import score_figures


def figures_of(result: dict[str, Any]) -> Iterator[Figure]:
    """Everything that a run has to show.

    File names are numbered, because names in the study may differ only in characters that a file name cannot hold.
    """
    yield from effect_figures(result)
    yield from score_figures(result)
    yield plan_figure(result)
