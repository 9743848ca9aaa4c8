"""`trainbench report DIR`: render the run documents of a folder as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A folder that `trainbench run` or `trainbench accuracy` wrote."),
    ],
) -> None:
    """Render the run documents in DIR as DIR/report.html, or its study as DIR/study.html; print the path."""
    from harness.progress import busy
    from harness.results.study import STUDY_FILE
    from reports import write_report, write_study_report

    with busy("rendering the report"):
        path = write_study_report(folder) if (folder / STUDY_FILE).is_file() else write_report(folder)
    typer.echo(str(path))
