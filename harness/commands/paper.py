"""`trainbench run` for suites of the paper: networks, methods and datasets, beside what is published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from harness.console import plain_table, print_whole, stdout_console
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.paper.options import PaperOptions
    from harness.paper.suite import PaperSuite
    from harness.results.paper import Line, PaperDocument


def run_paper_suite(suite: PaperSuite, options: PaperOptions) -> None:
    """Run `suite`, write run documents, paper.json, paper.csv and report.html, and print the lines.

    Exit code 2: a cell failed.
    """
    from harness.paper.compare import make_paper_document
    from harness.paper.request import make_paper_request
    from harness.paper.run import run_paper
    from harness.paper.tables import write_csv
    from harness.progress import ProgressWatcher, busy
    from harness.results.paper import save_paper
    from reports import write_report

    with busy("reading networks and datasets") as report:
        request = make_paper_request(suite, options, report)
    with ProgressWatcher() as watcher:
        results = run_paper(request, watcher, lambda text: typer.echo(text, err=True))
    with busy("comparing with the paper"):
        document = make_paper_document(request, results)
        save_paper(request.out, document)
        write_csv(request.out, document)
    print_lines(document)
    with busy("rendering the report"):
        path = write_report(request.out)
    typer.echo(f"report: {path}")
    _report_failures(document)


def refuse(name: str, given: Mapping[str, object], why: str) -> None:
    """Raise UsageError for the first option of `given` that has a value."""
    for option, value in given.items():
        if value not in (None, False, [], ()):
            raise UsageError(f"suite {name} takes no {option}: {why}")


def one_dataset(name: str, given: Sequence[str]) -> str | None:
    """The one --dataset that an ordinary suite may be given."""
    if len(given) > 1:
        raise UsageError(f"suite {name} takes one --dataset, not {len(given)}")
    return given[0] if given else None


def print_lines(document: PaperDocument) -> None:
    """A row for each figure of the paper that has one of ours beside it, then what was not run."""
    from harness.paper.tables import numbers_of

    columns = ("network", "dataset", "method", "figure", "in the paper")
    table = plain_table(columns, ("paper", "here", "difference", "kind"))
    done = [line for line in document.lines if line.own is not None]
    for line in done:
        published, own, difference, kind = numbers_of(line)
        place = line.published.table if line.published else ""
        about = (line.network, line.dataset, line.method, line.figure.replace("_", " "), place)
        table.add_row(*about, published, own, difference, kind)
    console = stdout_console()
    if done:
        print_whole(table)
    if document.reduced:
        console.print(document.reduced, markup=False, soft_wrap=True)
    for line in document.lines:
        if line.status == "not-run" and line.own is not None:
            console.print(f"{_cell(line)} was not run: {line.reason}", markup=False, soft_wrap=True)
    for reason, count in _reasons(document).items():
        cells = f"{count} cell{'' if count == 1 else 's'}"
        console.print(f"{cells} not run: {reason}", markup=False, soft_wrap=True)


def _reasons(document: PaperDocument) -> dict[str, int]:
    """By reason: cells without any figure."""
    cells = {
        (_cell(line), line.reason) for line in document.lines if line.status == "not-run" and not line.own
    }
    reasons = [reason for _, reason in sorted(cells)]
    return {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}


def _cell(line: Line) -> str:
    return ", ".join(part for part in (line.network, line.dataset, line.method) if part)


def _report_failures(document: PaperDocument) -> None:
    failed = {(_cell(line), line.reason): None for line in document.lines if line.status == "failed"}
    for cell, reason in failed:
        typer.echo(f"trainbench: {cell}: {reason}", err=True)
    if failed:
        raise typer.Exit(2)
