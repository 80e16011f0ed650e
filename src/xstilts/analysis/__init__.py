"""Pure functions of predictions: effects, intervals, verdicts, and their relation to distance."""

from xstilts.analysis.analyse import analyse

__all__ = ["analyse"]
