"""The red list as a static HTML page and as a workbook."""

from churnrisk.report.html import render_report, write_report
from churnrisk.report.summary import Figure
from churnrisk.report.xlsx import write_workbook

__all__ = ["Figure", "render_report", "write_report", "write_workbook"]
