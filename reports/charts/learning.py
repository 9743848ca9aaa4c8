"""Learning curves: training loss in blocks of steps, and held-out accuracy, each a mean over seeds."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np

from harness.results.comparison import Cell, Comparison, by_trainer
from harness.results.document import Accuracy
from reports.charts.chart import Chart, Choice, Figure, TextTable, label, layout, method_color, symbol
from reports.numbers import DASH, count, percent, plural

POINTS = 40
"""At most so many points a loss curve: few enough to average out what single images do."""

Curve = tuple[list[int], list[float | None]]


def loss_chart(comparison: Comparison) -> Chart:
    def choice(trainer: str, cells: dict[str, Cell]) -> Choice:
        block = max(_block(cell) for cell in cells.values())
        curve = partial(_loss, block=block)
        figure = _lines(comparison, cells, curve, "training loss", yaxis={"rangemode": "tozero"})
        caption = (
            f"Cross-entropy before each update, mean over seeds and over blocks of {plural(block, 'step')}, "
            f"trained on {trainer}. A gap is a loss that is not finite."
        )
        return Choice(trainer, figure, caption)

    return _chart(comparison, "loss", "No run recorded a training loss.", choice)


def held_out_chart(comparison: Comparison) -> Chart:
    def choice(trainer: str, cells: dict[str, Cell]) -> Choice:
        figure = _lines(comparison, cells, held_out, "held-out accuracy", yaxis={"ticksuffix": " %"})
        rows = []
        for method, cell in cells.items():
            steps, values = held_out(cell)
            rows += [
                (method, count(step), percent(value / 100) if value is not None else DASH)
                for step, value in zip(steps, values, strict=True)
            ]
        table = TextTable("Held-out accuracy along training", ("Method", "Step", "Accuracy, %"), tuple(rows))
        caption = f"Top-1 accuracy on the test images along training, mean over seeds, trained on {trainer}."
        return Choice(trainer, figure, caption, table)

    return _chart(comparison, "held-out", "No run recorded an accuracy curve.", choice)


def held_out(cell: Cell) -> Curve:
    """Mean held-out accuracy in percent at the steps that all seeds share."""
    curves = [dict(accuracy.curve) for accuracy in _accuracies(cell)]
    steps = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return steps, [_finite(100 * float(np.mean([curve[step] for curve in curves]))) for step in steps]


def block_means(losses: list[tuple[float, ...]], block: int) -> Curve:
    """(last step of each block, mean of the block over all seeds); the last block may be shorter.

    Steps that not all seeds reached are left out; a block with a value that is not finite is a gap (None).
    """
    length = min(map(len, losses), default=0)
    values = np.asarray([series[:length] for series in losses], dtype=np.float64)
    ends = [min(start + block, length) for start in range(0, length, block)]
    means = [
        _finite(float(values[:, start:end].mean()))
        for start, end in zip(range(0, length, block), ends, strict=True)
    ]
    return ends, means


def _chart(
    comparison: Comparison, identifier: str, absent: str, choice: Callable[[str, dict[str, Cell]], Choice]
) -> Chart:
    choices = []
    for trainer, cells in by_trainer(comparison).items():
        ordered = {method: cells[method] for method in comparison.methods if method in cells}
        made = choice(trainer, ordered)
        if made.figure["data"]:
            choices.append(made)
    return Chart(identifier, "Trained on", tuple(choices), absent, height=340)


def _lines(
    comparison: Comparison,
    cells: dict[str, Cell],
    curve: Callable[[Cell], Curve],
    title: str,
    **more: Figure,
) -> Figure:
    traces = []
    for method, cell in cells.items():
        steps, values = curve(cell)
        if not steps:
            continue
        color = method_color(comparison.methods, method)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": label(method),
                "x": steps,
                "y": values,
                "line": {"color": color, "width": 2},
                "marker": {"color": color, "symbol": symbol(comparison.methods, method), "size": 7},
                "hoverinfo": "text",
                "hovertext": [
                    f"<b>{label(method)}</b><br>step {count(step)}: {_shown(value)}"
                    for step, value in zip(steps, values, strict=True)
                ],
            }
        )
    return {
        "data": traces,
        "layout": layout("training step", title, xaxis={"tickformat": ",d", "rangemode": "tozero"}, **more),
    }


def _shown(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.3g}"


def _loss(cell: Cell, block: int) -> Curve:
    return block_means([accuracy.losses for accuracy in _accuracies(cell)], block)


def _block(cell: Cell) -> int:
    length = min((len(accuracy.losses) for accuracy in _accuracies(cell)), default=0)
    return max(1, math.ceil(length / POINTS))


def _accuracies(cell: Cell) -> list[Accuracy]:
    return [run.accuracy for run in cell.tested if run.accuracy is not None]


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
