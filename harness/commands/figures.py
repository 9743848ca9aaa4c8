"""`trainbench figures DIR`: every figure of the run documents in a folder, as CSV."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def figures(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that `trainbench run --out` wrote.")
    ],
) -> None:
    """Print all figures of the run documents in DIR as CSV.

    Columns: method,target,figure,kind,unit,value,low,high,computed_on.
    """
    from harness.progress import busy
    from harness.results.figures import figures as make_figures
    from harness.results.store import load_documents

    with busy("computing intervals"):
        table = make_figures(load_documents(folder)).to_csv(index=False)
    typer.echo(table, nl=False)
