"""Run documents → one self-contained HTML file."""

from reports.folder import write_report, write_study_report
from reports.page import render

__all__ = ["render", "write_report", "write_study_report"]
