"""`trainbench nightly PLAN.toml`: all suites of a plan over all places, for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def nightly(
    plan: Annotated[Path, typer.Argument(help="The plan, a TOML file (docs/nightly.md).")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder of all nightlies, instead of the plan's.")
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(
            "--base", metavar="DIR", help="Compare with these results; `previous`: the last good ones."
        ),
    ] = None,
    coordinator: Annotated[
        str | None, typer.Option("--coordinator", metavar="HOST:PORT", help="The labgrid coordinator.")
    ] = None,
    summary_file: Annotated[
        Path | None,
        typer.Option("--summary", metavar="FILE", help="Append the summary (Markdown) to this file too."),
    ] = None,
) -> None:
    """Run all suites of PLAN at once, keep what the same commit has, compare, and write results for CI.

    Exit code: 0 nothing got worse; 1 a regression; 3 something was not measured; 2 a wrong plan.
    """
    from harness.commands.compare import print_changes
    from harness.nightly.plan import load_plan
    from harness.nightly.run import run_nightly
    from harness.nightly.summary import SUMMARY_FILE

    changes = {
        "out": None if out is None else out.absolute(),
        "base": base if base in (None, "previous") else str(Path(base).absolute()),
        "coordinator": coordinator,
    }
    loaded = load_plan(plan).model_copy(update={k: v for k, v in changes.items() if v is not None})
    ended = run_nightly(loaded, plan, lambda line: typer.echo(line, err=True))
    if ended.comparison is not None:
        print_changes(ended.comparison, everything=False)
    _write_reports(ended.folder)
    if summary_file is not None:
        with summary_file.open("a", encoding="utf-8") as stream:
            stream.write((ended.folder / SUMMARY_FILE).read_text(encoding="utf-8"))
    typer.echo(f"{ended.document.outcome}\nsummary: {ended.folder / SUMMARY_FILE}")
    if ended.document.exit_code:
        raise typer.Exit(ended.document.exit_code)


def _write_reports(folder: Path) -> None:
    """A report in each suite's folder that can have one."""
    from harness.errors import ResultsError
    from harness.results.store import SUFFIX
    from reports import write_report

    for path in sorted({found.parent for found in folder.glob(f"*/*{SUFFIX}")}):
        try:
            write_report(path)
        except ResultsError as error:
            typer.echo(f"no report of {path.name}: {error}", err=True)
