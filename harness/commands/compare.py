"""`trainbench compare BASE HEAD`: what got worse between two runs, with an exit code for CI."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from harness.results.regression_document import Change, RegressionDocument

CHANGE_COLUMNS = ("verdict", "suite", "target", "method", "seeds", "figure", "unit", "base", "head")


def compare(
    base: Annotated[Path, typer.Argument(help="Folder of the run or nightly to compare with.")],
    head: Annotated[Path, typer.Argument(help="Folder of the run or nightly that is judged.")],
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write everything that was compared.")
    ] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the table, unchanged figures too.")
    ] = None,
    cycle_tolerance: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Relative change below which cycles count as equal.")
    ] = 0.005,
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="HEAD need not have all cells of BASE.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="Print unchanged figures too.")] = False,
) -> None:
    """Hold HEAD against BASE: bytes, instructions and digests exactly, accuracy and cycles by interval.

    Exit code: 0 nothing got worse; 1 a regression; 3 nothing was compared, or HEAD lacks a cell of BASE.
    """
    from harness.results.regression import regression_document
    from harness.results.tree import load_tree

    document = regression_document(
        base, head, load_tree(base), load_tree(head), cycle_tolerance, allow_missing=allow_missing
    )
    print_changes(document, everything)
    if json_file is not None:
        from harness.results.store import write_atomically

        write_atomically(json_file, document.model_dump_json(indent=1) + "\n")
    if csv_file is not None:
        write_csv(csv_file, document.changes)
    if document.exit_code:
        raise typer.Exit(document.exit_code)


def print_changes(document: RegressionDocument, everything: bool) -> None:
    """The table, worst first, and the outcome in one sentence."""
    from typing import get_args

    from harness.console import plain_table, print_whole
    from harness.results.regression_document import Verdict

    shown = [c for verdict in get_args(Verdict) for c in document.of(verdict)]
    shown = [c for c in shown if everything or c.verdict != "unchanged"]
    if shown:
        table = plain_table(("", "figure", "cell"), ("base", "head"))
        table.add_column("", no_wrap=True)
        for change in shown:
            table.add_row(
                change.verdict,
                change.figure,
                change.where,
                _text(change.base, change.unit),
                _text(change.head, change.unit),
                "; ".join(filter(None, [_interval(change), change.note])),
            )
        print_whole(table)
    hidden = 0 if everything else len(document.of("unchanged"))
    typer.echo(f"{document.outcome}{f' ({hidden} unchanged)' if hidden else ''}")


def _text(value: float | int | str | None, unit: str) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value[:16]
    if unit == "fraction":
        return f"{value:.1%}"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.1f}"


def _interval(change: Change) -> str:
    if change.low is None or change.high is None:
        return ""
    return f"[{change.low:+.2%}, {change.high:+.2%}]"


def write_csv(path: Path, changes: tuple[Change, ...]) -> None:
    """One row a figure, columns as the fields of `Change`; seeds separated by spaces."""
    import csv
    import io

    from harness.results.store import write_atomically

    columns = (*CHANGE_COLUMNS, "how", "low", "high", "note")
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    for change in changes:
        fields = change.model_dump()
        writer.writerow(
            {**{name: fields[name] for name in columns}, "seeds": " ".join(map(str, change.seeds))}
        )
    write_atomically(path, text.getvalue())
