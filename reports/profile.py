"""The run document of a profile → one HTML page: ticks by operator, memory over operators, the peak."""

from __future__ import annotations

from harness.results.comparison import compare
from harness.results.costs import Cost, StepCosts, step_costs
from harness.results.document import MemoryPlan, RunDocument
from harness.results.peak import live_buffers, peak_operator
from reports.charts.chart import TextTable
from reports.charts.memory_map import WHAT, memory_map_chart
from reports.charts.operator_ticks import operator_ticks_chart
from reports.html import render_page
from reports.numbers import DASH, count, percent
from reports.provenance import origins


def render_profile(run: RunDocument) -> str:
    """One HTML page about `run`; raises ResultsError where profile and plan contradict each other."""
    comparison = compare([run])
    charts = {
        chart.identifier: chart
        for chart in (operator_ticks_chart(comparison, run.method), memory_map_chart(comparison, run.method))
    }
    costs = step_costs(run)
    unit = run.step_ticks.unit if run.step_ticks is not None else "ticks"
    return render_page(
        "profile.html.j2",
        charts,
        title=f"{run.method} on {run.target}: profile of a training step",
        run=run,
        phases=None if costs is None else phase_table(costs, unit),
        operators=None if costs is None else operator_table(costs, unit),
        memory=memory_table(run),
        peak=None if run.plan is None or not run.plan.operators else peak_table(run.plan),
        origins=origins([run]),
    )


def phase_table(costs: StepCosts, unit: str) -> TextTable:
    """Ticks a multiply-accumulate of the forward pass, and of all after it."""
    rows = (
        ("forward", costs.forward),
        ("loss and gradients", costs.of("backward")),
        ("updates", costs.of("update")),
        ("all after the forward pass", costs.backward),
        ("training step", costs.total),
    )
    return TextTable(
        "By phase; ticks of a build that reads the clock before each operator",
        ("Phase", unit.capitalize(), "Share, %", "MACs", f"{unit.capitalize()} a MAC"),
        tuple((name, *_cost(cost, costs.total.ticks)) for name, cost in rows),
    )


def operator_table(costs: StepCosts, unit: str) -> TextTable:
    """Every operator, in order of execution."""
    return TextTable(
        "Operators in order of execution",
        (
            *("Operator", "Number", "Kind", "Phase"),
            *(unit.capitalize(), "Share, %", "MACs", f"{unit.capitalize()} a MAC", "Arena bytes live"),
        ),
        tuple(
            (
                *(entry.operator.name, count(number), entry.operator.kind, entry.operator.phase),
                *_cost(entry.cost, costs.total.ticks),
                count(entry.operator.live_bytes),
            )
            for number, entry in enumerate(costs.operators, 1)
        ),
    )


def memory_table(run: RunDocument) -> TextTable:
    """SRAM as measured, and the plan beside it."""
    rows: list[tuple[str, str, str]] = []
    sram, plan = run.sram, run.plan
    if sram is not None:
        parts = (
            ("peak SRAM = static + state + arena + stack", sram.peak),
            *(("static", sram.static), ("state", sram.state), ("arena", sram.arena), ("stack", sram.stack)),
            *(("agent, not part of the peak", sram.agent), ("arena touched", sram.arena_touched)),
        )
        rows += [(name, count(size), sram.kind) for name, size in parts]
    if plan is not None:
        sizes = (
            ("planned arena", plan.arena_bytes),
            ("lower bound of the plan", plan.lower_bound),
            ("gap", plan.gap_bytes),
        )
        rows += [(name, count(size), "analytic") for name, size in sizes]
    if run.sections is not None:
        rows.append(("flash", count(run.sections.flash), "measured"))
    absent = f"SRAM is not measured on {run.target}, which is no microcontroller. " if sram is None else ""
    return TextTable(f"{absent}Sizes in bytes", ("What", "Bytes", "Kind"), tuple(rows))


def peak_table(plan: MemoryPlan) -> TextTable:
    """What lives at the arena's peak, largest first."""
    index = peak_operator(plan)
    operator = plan.operators[index]
    return TextTable(
        f"Buffers live at the arena's peak, operator {index + 1} of {len(plan.operators)}: {operator.name}"
        f" ({operator.phase}), {count(operator.live_bytes)} bytes",
        ("Buffer", "What", "Bytes", "Offset", "Operators"),
        tuple(
            (b.name, WHAT[b.what], count(b.size), count(b.offset), f"{b.first + 1} to {b.last}")
            for b in live_buffers(plan, index)
        ),
    )


def _cost(cost: Cost, whole: int) -> tuple[str, str, str, str]:
    return (
        count(cost.ticks),
        percent(cost.ticks / whole) if whole else DASH,
        count(cost.macs) if cost.macs else DASH,
        DASH if cost.per_mac is None else f"{cost.per_mac:.2f}",
    )
