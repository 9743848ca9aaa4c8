"""The lines of a paper document as text and as CSV."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from harness.results.paper import Line, PaperDocument
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
    other = "" if own is None else _own_text(own.value, own.unit, own.low, own.high)
    apart = ""
    if line.difference is not None and published is not None:
        # No sign before a zero.
        apart = f"{round(line.difference, 1) + 0.0:+.1f} {published.unit}".replace("+0.0 ", "0.0 ")
    return one, other, apart.replace("-", "−"), "" if own is None else own.kind


def _own_text(value: float, unit: str, low: float | None, high: float | None) -> str:
    if unit == "fraction":
        interval = "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"
        return f"{100 * value:.1f} %{interval}"
    if unit == "bytes":
        return f"{value / 1024:.1f} KB"
    return f"{value:,.0f} {unit}"


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value
