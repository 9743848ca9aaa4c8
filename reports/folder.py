"""The report of a folder of run documents."""

from __future__ import annotations

from pathlib import Path

from harness.results.store import load_documents, write_atomically
from reports.page import render

FILE_NAME = "report.html"


def write_report(folder: Path) -> Path:
    """Render the run documents of `folder` to `folder/report.html`, replacing an older one at once; its path.

    Raises ResultsError when there are no documents, one is broken, or they do not belong side by side.
    """
    path = folder / FILE_NAME
    write_atomically(path, render(load_documents(folder)))
    return path
