"""A search's charts: accuracy against memory, totals against the budget's figure, and every contribution."""

from __future__ import annotations

from typing import Any

from harness.results.search_document import Curve, Part, Scored, SearchDocument
from reports.charts.chart import SYMBOLS, Chart, Choice, Figure, TextTable, label, layout
from reports.numbers import KB, count, percent, points

Trace = dict[str, Any]

COSTS = {"analytic": "extra memory, KB (analytic)", "sram": "peak SRAM, KB (planned)"}


def accuracy_chart(document: SearchDocument) -> Chart:
    """Held-out accuracy of every scheme that was trained, by extra memory and by planned peak SRAM."""
    choices = []
    for name, axis in (("extra memory", COSTS["analytic"]), ("peak SRAM", COSTS["sram"])):
        parts = [part.trained for part in document.parts]
        traces = [_cloud(document, parts, name)] if parts else []
        traces += [
            _scheme(document, number, candidate.name, candidate.trained, name)
            for number, candidate in enumerate(document.candidates)
        ]
        caption = (
            f"Accuracy on held-out images (not the test part) against {name}, one point a scheme; bars are "
            "one standard error of the difference to the classifier alone. Up and left is better."
        )
        limited = {"analytic": "extra memory", "sram": "peak SRAM"}[document.cost] == name
        figure = {
            "data": traces,
            "layout": _layout(axis, "accuracy, %", document.budget if limited else None),
        }
        choices.append(Choice(name, figure, caption))
    return Chart("accuracy", "Memory", tuple(choices), start=0 if document.cost == "analytic" else 1)


def totals_chart(document: SearchDocument) -> Chart:
    """Totals of all schemes within the budget that were asked about, against what the budget limits."""
    traces: list[Trace] = []
    for number, (name, curve) in enumerate((("random", document.random), ("evolution", document.evolution))):
        if curve is not None:
            traces.append(_within(name, curve, number))
    rows = []
    for number, candidate in enumerate(document.candidates):
        if candidate.total is not None:
            hover = f"<b>{label(candidate.name)}</b><br>{label(candidate.trained.label)}"
            traces.append(_marker(number + 2, candidate.name, candidate.cost, candidate.total.value, hover))
            rows.append((candidate.name, f"{candidate.total.value:.4f}", count(candidate.cost)))
    if document.evolution is None:
        return Chart("totals", "", (), "Freezing does not search over totals.")
    caption = (
        f"Total of contributions ({document.measure}) of the schemes that each search asked about and that "
        f"keep within the budget; {count(document.evaluations)} schemes each."
    )
    if document.upper_bound is not None:
        caption += f" No scheme within the budget has a total above {document.upper_bound:.4f}."
    table = TextTable("Totals", ("Scheme", "Total", "Cost, bytes"), tuple(rows))
    figure = {"data": traces, "layout": _layout(COSTS[document.cost], "total", document.budget)}
    return Chart("totals", "", (Choice("totals", figure, caption, table),))


def parts_chart(document: SearchDocument) -> Chart:
    """Contributions of biases by depth and of weights by layer and ratio, with standard errors."""
    groups = {"biases of the last k": [part for part in document.parts if part.kind == "bias"]}
    for ratio in document.ratios:
        groups[f"weights, ratio {ratio:g}"] = [
            part for part in document.parts if part.kind == "weights" and part.trained.weights[0][1] == ratio
        ]
    traces = [
        _bars(document, number, name, parts) for number, (name, parts) in enumerate(groups.items()) if parts
    ]
    if not traces:
        return Chart("parts", "", (), "No contributions were measured.")
    caption = (
        f"What each part contributes ({document.measure}), with one standard error: biases of all "
        "convolutions from this one on against the classifier alone; weights of this one on top of them."
    )
    figure = {
        "data": traces,
        "layout": layout("first updated convolution (stem = 0)", document.measure),
    }
    return Chart("parts", "", (Choice("parts", figure, caption),))


def _bars(document: SearchDocument, number: int, name: str, parts: list[Part]) -> Trace:
    shown = [(part, part.contribution) for part in parts if part.contribution is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": [document.convolutions - part.trained.bias_last for part, _ in shown],
        "y": [found.value for _, found in shown],
        "error_y": {"type": "data", "array": [found.error for _, found in shown], "thickness": 1},
        "marker": _look(number),
        "hoverinfo": "text",
        "hovertext": [
            f"<b>{label(part.trained.label)}</b><br>{found.value:+.4f} ± {found.error:.4f}"
            for part, found in shown
        ],
    }


def _cloud(document: SearchDocument, parts: list[Scored], name: str) -> Trace:
    shown = [part for part in parts if part.accuracy is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "parts",
        "x": [_size(document, part, name) / KB for part in shown],
        "y": [100 * (part.accuracy or 0.0) for part in shown],
        "marker": {"color": "var(--muted)", "size": 6, "opacity": 0.6},
        "hoverinfo": "text",
        "hovertext": [f"{label(part.label)}<br>{percent(part.accuracy or 0.0)} %" for part in shown],
    }


def _scheme(document: SearchDocument, number: int, title: str, trained: Scored, name: str) -> Trace:
    size = _size(document, trained, name)
    gain = trained.accuracy_gain
    error = 0.0 if gain is None else 100 * gain.error
    shown = "diverged" if trained.accuracy is None else f"{percent(trained.accuracy)} %"
    minus = "" if gain is None else f", {points(gain.value)} points to the classifier alone"
    hover = f"<b>{label(title)}</b><br>{label(trained.label)}<br>{count(size)} bytes<br>{shown}{minus}"
    trace = _marker(number + 1, title, size, 100 * (trained.accuracy or 0.0), hover)
    if trained.accuracy is None:
        trace["x"], trace["y"] = [], []
    return {**trace, "error_y": {"type": "data", "array": [error], "thickness": 1}}


def _size(document: SearchDocument, scored: Scored, name: str) -> int:
    if name == "peak SRAM":
        return scored.state_bytes + scored.arena_bytes + document.overhead
    return scored.extra_memory_analytic


def _marker(number: int, name: str, size: int, value: float, hover: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label(name),
        "x": [size / KB],
        "y": [value],
        "marker": {**_look(number), "size": 12},
        "hoverinfo": "text",
        "hovertext": [hover],
    }


def _within(name: str, curve: Curve, number: int) -> Trace:
    return {
        "type": "scatter",
        "mode": "markers",
        "name": f"asked about by {name}",
        "x": [cost / KB for cost, _ in curve.within],
        "y": [total for _, total in curve.within],
        "marker": {**_look(number), "size": 4, "opacity": 0.4},
        "hoverinfo": "skip",
    }


def _look(number: int) -> Figure:
    return {"color": f"var(--method-{number % 8})", "symbol": SYMBOLS[number % len(SYMBOLS)], "size": 8}


def _layout(x_title: str, y_title: str, budget: int | None) -> Figure:
    figure = layout(x_title, y_title, xaxis={"rangemode": "tozero"})
    if budget is not None:
        line = {"color": "var(--ink)", "dash": "dot", "width": 1}
        figure["shapes"] = [
            {
                "type": "line",
                "x0": budget / KB,
                "x1": budget / KB,
                "y0": 0,
                "y1": 1,
                "yref": "paper",
                "line": line,
            }
        ]
    return figure
