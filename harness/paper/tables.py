"""The lines of a paper document as text and as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from harness.results.paper import FACTORS, Line, Own, PaperDocument
from harness.results.store import write_atomically

CSV_NAME = "paper.csv"
COLUMNS = (
    *("place", "network", "dataset", "method", "figure", "status"),
    *("published", "published_unit", "plus_minus", "plus_minus_means"),
    *("value", "low", "high", "unit", "kind", "target", "difference", "reason", "note"),
)


def write_csv(folder: Path, document: PaperDocument) -> Path:
    """`paper.csv` in `folder`: one row a line of the document, columns COLUMNS; its path.

    value, low and high are in `unit`, which is ours; difference is in `published_unit`.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for line in document.lines:
        published, own = line.published, line.own
        notes = [note for note in (published.note if published else "", own.note if own else "") if note]
        writer.writerow(
            [
                published.place if published else "",
                *(line.network, line.dataset, line.method, line.figure, line.status),
                *((published.value, published.unit) if published else ("", "")),
                *((_or_empty(published.plus_minus), published.plus_minus_means) if published else ("", "")),
                *((own.value, _or_empty(own.low), _or_empty(own.high)) if own else ("", "", "")),
                *((own.unit, own.kind, own.target) if own else ("", "", "")),
                *(_or_empty(line.difference), line.reason, "; ".join(notes)),
            ]
        )
    path = folder / CSV_NAME
    write_atomically(path, text.getvalue())
    return path


def numbers_of(line: Line) -> tuple[str, str, str, str]:
    """(published, ours, difference, kind of ours) for the terminal; empty where there is none."""
    published, own = line.published, line.own
    one = ""
    if published is not None:
        spread = "" if published.plus_minus is None else f" ± {published.plus_minus:g}"
        one = f"{published.value:g}{spread} {published.unit}"
    other = "" if own is None else _own_text(own, published.unit if published else "")
    apart = "" if line.difference is None or published is None else _apart(line.difference, published.unit)
    return one, other, apart, "" if own is None else own.kind


def _own_text(own: Own, unit: str) -> str:
    """In the paper's unit where it has one."""
    if own.unit == "fraction":
        interval = (
            "" if own.low is None or own.high is None else f" [{100 * own.low:.1f}, {100 * own.high:.1f}]"
        )
        return f"{100 * own.value:.1f} %{interval}"
    if own.unit == "bytes":
        shown = unit or "KB"
        return f"{own.value * FACTORS[own.unit, shown]:.{2 if shown == 'MB' else 1}f} {shown}"
    return f"{own.value:,.0f} {own.unit}"


def _apart(value: float, unit: str) -> str:
    """Two decimals where one would say nothing; a true minus sign."""
    digits = 2 if unit == "MB" or abs(value) < 0.95 else 1
    text = f"{value:+.{digits}f}"
    return f"{text if float(text) else f'{0:.{digits}f}'} {unit}".replace("-", "−")


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value
