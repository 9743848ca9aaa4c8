"""`trainbench report DIR`: render the run documents of a folder as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def report(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that `trainbench run --out` wrote.")
    ],
) -> None:
    """Render the run documents in DIR as DIR/report.html and print its path."""
    from harness.progress import busy
    from reports import write_report

    with busy("rendering the report"):
        path = write_report(folder)
    typer.echo(str(path))
