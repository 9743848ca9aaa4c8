"""Charts of an accuracy study: accuracy against memory, and what the learning rates were chosen from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.results.study import Candidate, StudyDocument, StudyRow
from reports.charts.chart import (
    METHOD_COLORS,
    SYMBOLS,
    Chart,
    Choice,
    Figure,
    TextTable,
    label,
    layout,
)
from reports.charts.tradeoff import Look, point, size_layout
from reports.numbers import DASH, KB, count, percent, percent_range
from reports.sentences import LEVEL

SPREAD = 0.02
"""Of its size, by which a point is moved aside from another of the same size."""


def memory_chart(study: StudyDocument) -> Chart:
    """Accuracy against peak SRAM on the target, and against the analytic extra memory."""
    choices = [
        _memory_choice(
            study,
            f"peak SRAM on {study.measured_on}",
            lambda row: row.measured.sram.peak if row.measured else None,
        ),
        _memory_choice(study, "extra memory (analytic)", lambda row: row.extra_memory_analytic),
    ]
    found = tuple(choice for choice in choices if choice is not None)
    return Chart("study-memory", "Memory", found, "No method has both an accuracy and a size.", height=560)


def _memory_choice(
    study: StudyDocument, what: str, size_of: Callable[[StudyRow], int | None]
) -> Choice | None:
    shown = [
        (row, size) for row in study.rows if row.after is not None and (size := size_of(row)) is not None
    ]
    if not shown:
        return None
    sizes = [size for _, size in shown]
    traces = [
        point(row.method, size, what, row.after, look(study.rows, row, sizes[:number].count(size)))
        for number, (row, size) in enumerate(shown)
        if row.after is not None
    ]
    budget = _budget(study) if what.startswith("peak") else None
    table = TextTable(
        f"Accuracy and {what}",
        ("Method", "Accuracy after, %", f"{LEVEL} interval", "Bytes"),
        tuple(
            (row.method, percent(row.after.value), percent_range(row.after.low, row.after.high), count(size))
            for row, size in shown
            if row.after is not None
        ),
    )
    caption = (
        f"Top-1 accuracy on the test images, with its {LEVEL} interval, against {what}. Up and left is"
        " better. One color a scheme, one shape a way to train it. Points of equal size stand side by side."
    )
    missing = len(study.rows) - len(shown)
    if missing:
        caption += f" {missing} of {len(study.rows)} methods have no such size or no accuracy (table above)."
    axes = size_layout([size / KB for size in sizes], budget, what)
    return Choice(what, {"data": traces, "layout": axes}, caption, table)


def look(rows: Sequence[StudyRow], row: StudyRow, earlier: int) -> Look:
    """One color a scheme, one symbol a way to train it; `earlier`: how many points of its size there are."""
    schemes = list(dict.fromkeys(other.scheme for other in rows))
    kinds = list(dict.fromkeys(kind(other) for other in rows))
    return Look(
        f"var(--method-{schemes.index(row.scheme) % METHOD_COLORS})",
        SYMBOLS[kinds.index(kind(row)) % len(SYMBOLS)],
        (1 + SPREAD) ** earlier,
    )


def kind(row: StudyRow) -> tuple[str, bool, bool, str, str, str]:
    """What distinguishes ways to train the same scheme."""
    separate = row.rates_are_searched[1]
    return (
        row.precision,
        row.quantization_aware_scaling,
        separate,
        row.rule,
        row.rounding,
        row.gradient,
    )


def _budget(study: StudyDocument) -> tuple[str, int] | None:
    for row in study.rows:
        if row.measured is not None and row.measured.sram.budget_bytes is not None:
            return row.measured.sram.budget_part or "budget", row.measured.sram.budget_bytes
    return None


def selection_chart(study: StudyDocument) -> Chart:
    """Validation accuracy by learning rate, one choice a method; the chosen rates are marked."""
    choices = tuple(_selection_choice(study, row) for row in study.rows if row.candidates)
    return Chart("study-selection", "Method", choices, "No learning rate was searched.", height=380)


def _selection_choice(study: StudyDocument, row: StudyRow) -> Choice:
    lines = list(dict.fromkeys((one.fold, one.convolution_rate) for one in row.candidates))
    traces = [
        _line(study, row, fold, factor, f"var(--method-{number % METHOD_COLORS})")
        for number, (fold, factor) in enumerate(lines)
    ]
    chosen = [one for one in row.candidates if one.chosen and one.accuracy is not None]
    traces.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": "chosen",
            "x": [one.learning_rate for one in chosen],
            "y": [100 * (one.accuracy or 0) for one in chosen],
            "marker": {
                "symbol": "circle-open",
                "size": 16,
                "color": "var(--ink)",
                "line": {"width": 2},
            },
            "hoverinfo": "skip",
        }
    )
    rates = sorted({one.learning_rate for one in row.candidates})
    axes = layout(
        "learning rate per image, logarithmic",
        "validation accuracy",
        xaxis={"type": "log", "tickvals": rates, "ticktext": [f"{rate:g}" for rate in rates]},
        yaxis={"ticksuffix": " %"},
    )
    caption = f"{row.method}: accuracy on validation images, on which the rates were chosen."
    failed = sum(one.accuracy is None for one in row.candidates)
    if failed:
        caption += f" {failed} of {len(row.candidates)} trainings failed (table)."
    return Choice(row.method, {"data": traces, "layout": axes}, caption, candidate_table(row))


def _line(study: StudyDocument, row: StudyRow, fold: int, factor: float, color: str) -> Figure:
    points = sorted(
        (one.learning_rate, one.accuracy)
        for one in row.candidates
        if (one.fold, one.convolution_rate) == (fold, factor) and one.accuracy is not None
    )
    words = [f"fold {fold}"] if study.protocol.folds > 1 else []
    words += [f"convolutions × {factor:g}"] if row.rates_are_searched[1] else []
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": label(", ".join(words) or "validation"),
        "x": [rate for rate, _ in points],
        "y": [100 * accuracy for _, accuracy in points],
        "line": {"color": color},
        "marker": {"color": color},
        "hovertemplate": "%{x:g}: %{y:.1f} %<extra></extra>",
    }


def candidate_table(row: StudyRow) -> TextTable:
    """Everything that was tried for a method."""
    return TextTable(
        f"What was tried for {row.method}",
        ("Learning rate", "Convolutions ×", "Fold", "Validation accuracy, %", "Images", "Chosen"),
        tuple(_candidate_row(one) for one in row.candidates),
    )


def _candidate_row(one: Candidate) -> tuple[str, ...]:
    accuracy = one.reason if one.accuracy is None else percent(one.accuracy)
    images = count(one.images) if one.images else DASH
    return (
        f"{one.learning_rate:g}",
        f"{one.convolution_rate:g}",
        count(one.fold),
        accuracy,
        images,
        "chosen" if one.chosen else "",
    )
