"""Run documents → one self-contained HTML file."""

from reports.folder import write_report
from reports.page import render

__all__ = ["render", "write_report"]
