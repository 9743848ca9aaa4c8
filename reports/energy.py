"""Energy of a training step, where a meter was in the board's supply."""

from __future__ import annotations

from statistics import median

from harness.results.comparison import Comparison
from harness.results.document import Energy
from reports.charts.chart import TextTable
from reports.numbers import DASH, count

CAPTION = "Energy of a training step: supply voltage times current, nothing subtracted"
HEADINGS = (
    *("Method", "Target", "Millijoules, median", "Range", "Milliseconds, median", "Idle, milliwatts"),
    *("Steps", "Steps told by", "Instrument"),
)
MARKS = {"digital": "a pin of the board", "host-clock": "the computer's clock, link included"}


def energy_table(comparison: Comparison) -> TextTable | None:
    """One row a run with a meter; None where there is none."""
    rows = [
        (run.method, run.target, *_row(run.energy))
        for run in comparison.documents
        if run.status == "done" and run.energy is not None and run.energy.windows
    ]
    return TextTable(CAPTION, HEADINGS, tuple(rows)) if rows else None


def _row(energy: Energy) -> tuple[str, ...]:
    millijoules = [1000 * window.joules / window.steps for window in energy.windows]
    milliseconds = [1000 * window.seconds / window.steps for window in energy.windows]
    return (
        f"{median(millijoules):.4g} · {energy.kind}",
        f"{min(millijoules):.4g}{DASH}{max(millijoules):.4g}",
        f"{median(milliseconds):.4g}",
        f"{1000 * energy.idle_watts:.4g}",
        count(sum(window.steps for window in energy.windows)),
        MARKS[energy.marks],
        f"{energy.instrument}, {energy.supply_volts:g} V, {energy.sample_rate / 1000:g} kHz",
    )
