"""Charts of a paper report: what a scheme costs, and what it gains, against its extra memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.results.document import RunDocument
from harness.results.paper import FACTORS, Line, Own, PaperDocument
from reports.charts.chart import Chart, Choice, Figure, TextTable, label, layout
from reports.numbers import DASH, KB

FAMILIES = {"sparse": 0, "last:": 1, "bias-only": 2, "full": 3}
"""How names of methods begin, and what number of color and mark they have; the rest is the next."""
NAMES = ("sparse update", "last k layers", "biases of the last k layers", "full update", "other")
TICKS_KB = tuple(4**power for power in range(-2, 12))
MARKS = ("circle", "square", "diamond", "triangle-up", "cross")


def memory_chart(document: PaperDocument, runs: Mapping[str, RunDocument]) -> Chart:
    """Peak SRAM against extra memory by the paper's rule, both in KB; one choice a network."""
    choices = []
    for network in dict.fromkeys(line.network for line in document.lines):
        found = _both(document, network, "", "peak_sram")
        if found:
            choices.append(_memory_choice(network, found, _budget(found, runs)))
    return Chart("paper-memory", "Network", tuple(choices), "No cell has a peak SRAM.")


def accuracy_chart(document: PaperDocument) -> Chart:
    """Accuracy against extra memory, ours and the paper's; one choice a network and dataset."""
    choices = []
    for network, dataset in dict.fromkeys((line.network, line.dataset) for line in document.lines):
        found = _both(document, network, dataset, "accuracy_after")
        # Methods that differ in something else than what they update stand one above the other.
        if len({extra.value for _, extra, _ in found}) >= FEWEST_SIZES:
            choices.append(_accuracy_choice(document, network, dataset, found))
    return Chart("paper-accuracy", "Network and data", tuple(choices), "No cell has an accuracy.")


FEWEST_SIZES = 3

Point = tuple[str, Own, Own]
"""Method, extra memory, and the figure it is drawn against."""


def _both(document: PaperDocument, network: str, dataset: str, figure: str) -> list[Point]:
    cells: dict[str, dict[str, Own]] = {}
    for line in document.lines:
        if (line.network, line.dataset) == (network, dataset) and line.own is not None:
            cells.setdefault(line.method, {})[line.figure] = line.own
    points = [
        (method, cell["extra_memory"], cell[figure])
        for method, cell in cells.items()
        if {"extra_memory", figure} <= cell.keys()
    ]
    return sorted(points, key=lambda point: point[1].value)


def _family(method: str) -> int:
    for word, number in FAMILIES.items():
        if method.startswith(word):
            return number
    return len(FAMILIES)


def _traces(points: Sequence[Point], scale: float, unit: str) -> list[Figure]:
    """A trace a family of methods, with intervals where ours have them."""
    traces: list[Figure] = []
    for number in sorted({_family(method) for method, _, _ in points}):
        part = [point for point in points if _family(point[0]) == number]
        trace: Figure = {
            "type": "scatter",
            "mode": "markers",
            "name": label(NAMES[number]),
            "x": [extra.value / KB for _, extra, _ in part],
            "y": [own.value * scale for _, _, own in part],
            "marker": {"color": f"var(--method-{number})", "symbol": MARKS[number], "size": 11},
            "hoverinfo": "text",
            "hovertext": [
                f"<b>{label(method)}</b><br>{own.value * scale:.1f} {unit}"
                f"<br>{extra.value / KB:.1f} KB extra memory"
                for method, extra, own in part
            ],
        }
        if unit == "%":
            trace["error_y"] = {
                "type": "data",
                "symmetric": False,
                "array": [scale * ((own.high or own.value) - own.value) for _, _, own in part],
                "arrayminus": [scale * (own.value - (own.low or own.value)) for _, _, own in part],
                "color": f"var(--method-{number})",
                "thickness": 1.5,
                "width": 4,
            }
        traces.append(trace)
    return traces


def _logarithmic() -> Figure:
    """An axis of kilobytes."""
    texts = [f"{value:g} KB" if value < KB else f"{value // KB:g} MB" for value in TICKS_KB]
    return {"type": "log", "tickvals": list(TICKS_KB), "ticktext": texts}


def _memory_choice(network: str, points: Sequence[Point], budget: tuple[str, int] | None) -> Choice:
    more: dict[str, Any] = {"xaxis": _logarithmic(), "yaxis": _logarithmic()}
    if budget is not None:
        size = budget[1]
        more["shapes"] = [
            {
                "type": "line",
                "xref": "paper",
                "x0": 0,
                "x1": 1,
                "y0": size / KB,
                "y1": size / KB,
                "line": {"color": "var(--bad)", "width": 1.5, "dash": "dash"},
            }
        ]
    table = TextTable(
        f"{network}: peak SRAM and extra memory",
        ("Method", "Extra memory, KB (analytic)", "Peak SRAM, KB", "Kind"),
        tuple((m, f"{extra.value / KB:.1f}", f"{own.value / KB:.1f}", own.kind) for m, extra, own in points),
    )
    line = "" if budget is None else f" The line is the budget of {budget[0]}, {budget[1] // KB} KB."
    caption = f"{network}: peak SRAM of a training step against extra memory by the paper’s rule.{line}"
    figure = {
        "data": _traces(points, 1 / KB, "KB"),
        "layout": layout("extra memory (analytic), logarithmic", "peak SRAM, logarithmic", **more),
    }
    return Choice(network, figure, caption, table)


def _budget(points: Sequence[Point], runs: Mapping[str, RunDocument]) -> tuple[str, int] | None:
    for _, _, own in points:
        for path in own.runs:
            sram = runs[path].sram if path in runs else None
            if sram is not None and sram.budget_bytes is not None:
                return sram.budget_part or "the part", sram.budget_bytes
    return None


def _accuracy_choice(document: PaperDocument, network: str, dataset: str, points: Sequence[Point]) -> Choice:
    traces = _traces(points, 100.0, "%")
    there = _published(document, network, points)
    if there:
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "published",
                "x": [x for _, x, _, _ in there],
                "y": [y for _, _, y, _ in there],
                "marker": {"color": "var(--muted)", "symbol": "circle-open", "size": 11},
                "hoverinfo": "text",
                "hovertext": [f"<b>{label(m)}</b><br>{y:g} %, {label(place)}" for m, _, y, place in there],
            }
        )
    rows = [
        (
            method,
            f"{extra.value / KB:.1f}",
            f"{100 * own.value:.1f}",
            DASH if own.low is None or own.high is None else f"{100 * own.low:.1f}{DASH}{100 * own.high:.1f}",
            next((f"{y:g}" for name, _, y, _ in there if name == method), DASH),
        )
        for method, extra, own in points
    ]
    table = TextTable(
        f"{network}, {dataset}: accuracy and extra memory",
        ("Method", "Extra memory, KB (analytic)", "Accuracy here, %", "95 % interval", "Published, %"),
        tuple(rows),
    )
    notes = {own.note for _, _, own in points if own.note}
    caption = f"{network}, {dataset}: top-1 after training, with its 95 % interval, against extra memory."
    caption += f" {'; '.join(sorted(notes))}." if notes else ""
    figure = {
        "data": traces,
        "layout": layout(
            "extra memory (analytic), logarithmic",
            "accuracy after training",
            xaxis=_logarithmic(),
            yaxis={"ticksuffix": " %"},
        ),
    }
    return Choice(f"{network}, {dataset}", figure, caption, table)


def _published(
    document: PaperDocument, network: str, points: Sequence[Point]
) -> list[tuple[str, float, float, str]]:
    """(method, extra memory KB, accuracy %, place) of this network in the paper; its mean over datasets."""
    extra = {method: size.value / KB for method, size, _ in points}
    found: list[tuple[str, float, float, str]] = []
    for line in document.lines:
        if _is_mean(line, network) and line.method in extra and line.published is not None:
            found.append((line.method, extra[line.method], line.published.value, line.published.place))
    return found


def _is_mean(line: Line, network: str) -> bool:
    return (
        line.network == network
        and line.dataset == "mean"
        and line.published is not None
        and ("fraction", line.published.unit) in FACTORS
    )
