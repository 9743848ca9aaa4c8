"""Figures of peers for the same work, beside ours."""

from __future__ import annotations

from harness.results.comparison import Comparison
from harness.results.document import RunDocument
from harness.results.statistics import median_and_range
from reports.charts.chart import TextTable
from reports.numbers import DASH, count

CAPTION = "What other trainers need for the same network, scheme, classes and core"
HEADINGS = ("Method", "Target", "Figure", "Here", "There", "Here ÷ there", "Source")


def reference_table(comparison: Comparison) -> TextTable | None:
    """One row a method, target and figure; None where no peer did the same work."""
    rows: list[tuple[str, ...]] = []
    seen: set[tuple[str, str, str, str]] = set()
    for run in comparison.documents:
        for reference in run.references:
            ours = _ours(run, reference.figure, reference.unit)
            key = (run.method, run.target, reference.figure, reference.source)
            if ours is None or key in seen:
                continue
            seen.add(key)
            ratio = f"{ours / reference.value:.2f}" if reference.value > 0 else DASH
            name = f"{reference.figure.replace('_', ' ')}, {reference.unit}"
            rows.append(
                (run.method, run.target, name, count(ours), count(reference.value), ratio, reference.source)
            )
    return TextTable(CAPTION, HEADINGS, tuple(rows)) if rows else None


def _ours(run: RunDocument, figure: str, unit: str) -> float | None:
    """Our figure in the reference's unit; None where it was not taken or is in another unit."""
    if figure == "peak_sram" and unit == "bytes":
        return None if run.sram is None else float(run.sram.peak)
    series = {"step_ticks": run.step_ticks, "predict_ticks": run.predict_ticks}.get(figure)
    if series is None or series.unit != unit:
        return None
    return float(median_and_range(series.values)[0])
