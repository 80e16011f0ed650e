"""What a run found, for the eye: a page, a terminal, tables."""

from xstilts.report.page import write_page
from xstilts.report.terminal import print_report

__all__ = ["print_report", "write_page"]
