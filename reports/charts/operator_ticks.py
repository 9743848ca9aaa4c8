"""Ticks of every operator in execution order, colored by phase."""

from __future__ import annotations

from dataclasses import replace

from harness.results.comparison import Cell, Comparison
from harness.results.document import PlannedOperator, RunDocument
from reports.charts.chart import NO_COLOR, Chart, Choice, Figure, TextTable, label, layout
from reports.numbers import count, percent

PHASES = ("forward", "backward", "update", "not in the plan")
SHOWN = 10
"""Rows of the table of the most expensive operators."""


def operator_ticks_chart(comparison: Comparison, first: str) -> Chart:
    """One choice for each method and target with a profile, of one seed; method `first` is shown."""
    runs = []
    for target in comparison.targets:
        for method in comparison.methods:
            run = _profiled(comparison.cell(method, target))
            if run is not None:
                runs.append(run)
    several = len({run.target for run in runs}) > 1
    choices = tuple(
        replace(_choice(run), label=f"{run.method} · {run.target}" if several else run.method) for run in runs
    )
    start = next((index for index, run in enumerate(runs) if run.method == first), 0)
    absent = (
        "No run counted ticks operator by operator. That takes a profiling build, which reads the tick "
        "source around each operator; `trainbench run` makes one for the first seed of each method and "
        "target."
    )
    selector = "Method and target" if several else "Method"
    return Chart("operator-ticks", selector, choices, absent, 400, start)


def _profiled(cell: Cell) -> RunDocument | None:
    return next((run for run in cell.done if run.operator_ticks), None)


def _choice(run: RunDocument) -> Choice:
    planned = {operator.name: operator for operator in run.plan.operators} if run.plan else {}
    ticks = run.step_ticks
    unit, kind = (ticks.unit, ticks.kind) if ticks is not None else ("ticks", "unit not given")
    total = sum(entry.ticks for entry in run.operator_ticks)
    sums = dict.fromkeys(PHASES, 0)
    for entry in run.operator_ticks:
        sums[_phase(planned.get(entry.operator))] += entry.ticks
    shares = ", ".join(f"{phase} {percent(part / total)} %" for phase, part in sums.items() if part and total)
    caption = (
        f"{run.method} on {run.target}, seed {run.seed}: {count(total)} {unit} ({kind}) in "
        f"{len(run.operator_ticks)} operators of a profiling build, median of each; {shares}."
    )
    data = [_trace(run, planned, phase, unit) for phase in PHASES if sums[phase]]
    figure = {
        "data": data,
        "layout": layout(
            "operator, in order of execution",
            unit,
            barmode="overlay",
            bargap=0.1,
            xaxis={"gridcolor": NO_COLOR, "tickformat": ",d", "range": [0, len(run.operator_ticks) + 1]},
            yaxis={"tickformat": ",~s", "rangemode": "tozero"},
        ),
    }
    largest = sorted(run.operator_ticks, key=lambda entry: -entry.ticks)[:SHOWN]
    table = TextTable(
        f"{run.method} on {run.target}: the {len(largest)} operators that take most",
        ("Operator", "Phase", unit.capitalize(), "Share, %"),
        tuple(
            (
                entry.operator,
                _phase(planned.get(entry.operator)),
                count(entry.ticks),
                percent(entry.ticks / total) if total else "",
            )
            for entry in largest
        ),
    )
    return Choice(run.method, figure, caption, table)


def _phase(operator: PlannedOperator | None) -> str:
    return operator.phase if operator is not None else PHASES[-1]


def _trace(run: RunDocument, planned: dict[str, PlannedOperator], phase: str, unit: str) -> Figure:
    entries = [
        (index, entry)
        for index, entry in enumerate(run.operator_ticks, 1)
        if _phase(planned.get(entry.operator)) == phase
    ]
    return {
        "type": "bar",
        "name": phase,
        "x": [index for index, _ in entries],
        "y": [entry.ticks for _, entry in entries],
        "width": 0.9,
        "marker": {"color": f"var(--phase-{PHASES.index(phase)})"},
        "hoverinfo": "text",
        "textposition": "none",
        "hovertext": [
            f"<b>{index} {label(entry.operator)}</b><br>{count(entry.ticks)} {unit}"
            + _detail(planned.get(entry.operator), entry.ticks)
            for index, entry in entries
        ],
    }


def _detail(operator: PlannedOperator | None, ticks: int) -> str:
    if operator is None:
        return "<br>not in the plan"
    per_mac = f", {ticks / operator.macs:.2f} a MAC" if operator.macs else ""
    return f"<br>{label(operator.kind)}, {operator.phase}<br>{count(operator.macs)} MACs{per_mac}"
