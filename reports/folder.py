"""The report of a folder of run documents, or of a paper document and those that it names."""

from __future__ import annotations

from pathlib import Path

from harness.results.paper import FILE_NAME as PAPER_FILE_NAME
from harness.results.paper import load_paper, load_runs
from harness.results.store import load_documents, write_atomically
from harness.results.study import load_study
from reports.page import render
from reports.paper import render_paper
from reports.study import render_study

FILE_NAME = "report.html"
STUDY_FILE_NAME = "study.html"


def write_report(folder: Path) -> Path:
    """Render what `folder` holds to `folder/report.html`, replacing an older one at once; its path.

    A folder with a paper document is one of a paper suite, any other one of run documents.

    Raises ResultsError when there are no documents, one is broken, or they do not belong side by side.
    """
    path = folder / FILE_NAME
    if (folder / PAPER_FILE_NAME).is_file():
        document = load_paper(folder)
        write_atomically(path, render_paper(document, load_runs(folder, document)))
    else:
        write_atomically(path, render(load_documents(folder)))
    return path


def write_study_report(folder: Path) -> Path:
    """Render `folder/study.json` to `folder/study.html`, replacing an older one at once; its path.

    Raises ResultsError when there is no study or it is broken.
    """
    path = folder / STUDY_FILE_NAME
    write_atomically(path, render_study(load_study(folder)))
    return path
