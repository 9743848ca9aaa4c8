"""Accuracy against peak SRAM: one point a method, with its interval, and the budget as a line."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from harness.results.comparison import Comparison, accuracies
from harness.results.statistics import Interval
from reports.charts.chart import Chart, Choice, Figure, TextTable, label, layout, method_color, symbol
from reports.numbers import KB, count, kilobytes, percent, percent_range
from reports.sentences import LEVEL

TICKS_KB = tuple(2**power for power in range(0, 21))


def tradeoff_chart(comparison: Comparison) -> Chart:
    """One choice for each target with both figures."""
    choices = [_choice(comparison, target) for target in comparison.targets]
    return Chart(
        "tradeoff",
        "Target",
        tuple(choice for choice in choices if choice is not None),
        "No target has both an accuracy and a peak SRAM.",
    )


def _choice(comparison: Comparison, target: str) -> Choice | None:
    traces: list[Figure] = []
    rows: list[tuple[str, ...]] = []
    sizes: list[float] = []
    budget: tuple[str, int] | None = None
    for method in comparison.methods:
        cell = comparison.cell(method, target)
        tested, run = accuracies(cell), cell.sram_run
        if tested is None or run is None or run.sram is None:
            continue
        sram, after = run.sram, tested[1]
        sizes.append(sram.peak / KB)
        if sram.budget_bytes is not None:
            budget = (sram.budget_part or "budget", sram.budget_bytes)
        interval = percent_range(after.low, after.high)
        look = Look(method_color(comparison.methods, method), symbol(comparison.methods, method))
        traces.append(point(method, sram.peak, "peak SRAM", after, look))
        rows.append((method, percent(after.value), interval, count(sram.peak)))
    if not traces:
        return None
    table = TextTable(
        f"Accuracy and peak SRAM on {target}",
        ("Method", "Accuracy after, %", f"{LEVEL} interval", "Peak SRAM, bytes"),
        tuple(rows),
    )
    caption = (
        f"{target}: top-1 accuracy after training, with its {LEVEL} interval, against peak SRAM. "
        "Up and left is better."
    )
    return Choice(target, {"data": traces, "layout": size_layout(sizes, budget, "peak SRAM")}, caption, table)


@dataclass(frozen=True)
class Look:
    """How a point is drawn. `shift`: factor on its horizontal place, to tell equal ones apart."""

    color: str
    symbol: str
    shift: float = 1.0


def point(name: str, size: int, what: str, accuracy: Interval, look: Look) -> Figure:
    """The trace of one accuracy with its interval at `size` bytes."""
    interval = percent_range(accuracy.low, accuracy.high)
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": [look.shift * size / KB],
        "y": [100 * accuracy.value],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [100 * (accuracy.high - accuracy.value)],
            "arrayminus": [100 * (accuracy.value - accuracy.low)],
            "color": look.color,
            "thickness": 1.5,
            "width": 5,
        },
        "marker": {"color": look.color, "symbol": look.symbol, "size": 12},
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{label(name)}</b><br>{percent(accuracy.value)} % ({interval})<br>{count(size)} bytes {what}"
        ],
    }


def size_layout(sizes: list[float], budget: tuple[str, int] | None, what: str, **own: Any) -> Figure:
    """Axes for points at `sizes` (KB), with the budget (part, bytes) as a line; `own`: as of `layout`."""
    shown = [*sizes, budget[1] / KB] if budget else sizes
    low, high = min(shown), max(shown)
    wide = high > 4 * low
    x_axis: Figure = {}
    if wide:
        x_axis |= {
            "type": "log",
            "range": [math.log10(low / 1.35), math.log10(high * 1.35)],
            "tickvals": list(TICKS_KB),
            "ticktext": [kilobytes(value * KB) for value in TICKS_KB],
        }
    else:
        margin = 0.12 * (high - low) or 0.1 * high
        x_axis |= {"range": [max(0.0, low - margin), high + margin], "tickformat": ",~r", "ticksuffix": " KB"}
    more: Figure = {"xaxis": x_axis, "yaxis": {"ticksuffix": " %"}}
    if budget:
        part, size = budget
        position = size / KB
        more["shapes"] = [
            {
                "type": "line",
                "x0": position,
                "x1": position,
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": "var(--bad)", "width": 1.5, "dash": "dash"},
            }
        ]
        more["annotations"] = [
            {
                "x": math.log10(position) if wide else position,
                "yref": "paper",
                "y": 1,
                "yanchor": "bottom",
                "showarrow": False,
                "text": f"{label(part)}: {kilobytes(size)}",
                "font": {"color": "var(--bad)", "size": 12},
            }
        ]
    title = what + (", logarithmic" if wide else "")
    return layout(title, "accuracy after training", **(more | own))
