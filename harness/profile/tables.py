"""A profile as tables on the terminal."""

from __future__ import annotations

from rich.table import Table

from harness.console import plain_table, print_whole, stdout_console
from harness.errors import MeasurementError
from harness.results.costs import Cost, StepCosts, step_costs
from harness.results.document import MemoryPlan, RunDocument, TickSeries
from harness.results.peak import live_buffers, peak_operator
from harness.results.statistics import median_and_range


def print_profile(run: RunDocument) -> None:
    """Operators, costs by phase, SRAM and what lives at the arena's peak, on stdout."""
    costs, plan, ticks = step_costs(run), run.plan, run.step_ticks
    if costs is None or plan is None or ticks is None:
        raise MeasurementError(f"{run.method} on {run.target} was not profiled")
    for title, table in (
        (_heading(run), None),
        (f"Operators in order of execution, {ticks.unit} of the profiling build", _operators(costs)),
        ("By phase", _phases(costs)),
        (_step(ticks, costs), None),
        (_memory_title(run), _memory(run, plan)),
        (_peak_title(plan), _peak(plan)),
    ):
        _say(title)
        if table is not None:
            print_whole(table)
        _say("")


def _say(text: str) -> None:
    stdout_console().print(text, markup=False, soft_wrap=True)


def _heading(run: RunDocument) -> str:
    return (
        f"{run.provenance.model_name}, {run.method}, {run.scheme.rounding} rounding,"
        f" {run.scheme.gradient} gradients, on {run.target} ({run.target_title});"
        f" data: {run.provenance.dataset_description}"
    )


def _operators(costs: StepCosts) -> Table:
    table = plain_table(
        ("#", "operator", "kind", "phase"), ("ticks", "share", "MACs", "ticks/MAC", "arena live")
    )
    whole = costs.total.ticks
    for number, entry in enumerate(costs.operators, 1):
        operator, cost = entry.operator, entry.cost
        table.add_row(
            *(str(number), operator.name, operator.kind, operator.phase),
            *(f"{cost.ticks:,}", _share(cost.ticks, whole)),
            *(f"{cost.macs:,}" if cost.macs else "", _per_mac(cost), f"{operator.live_bytes:,}"),
        )
    return table


def _phases(costs: StepCosts) -> Table:
    table = plain_table(("phase",), ("ticks", "share", "MACs", "ticks/MAC"))
    for name, cost in (
        ("forward", costs.forward),
        ("loss and gradients", costs.of("backward")),
        ("updates", costs.of("update")),
        ("all after the forward pass", costs.backward),
        ("training step", costs.total),
    ):
        share = _share(cost.ticks, costs.total.ticks)
        table.add_row(name, f"{cost.ticks:,}", share, f"{cost.macs:,}", _per_mac(cost))
    return table


def _step(ticks: TickSeries, costs: StepCosts) -> str:
    middle, low, high = median_and_range(ticks.values)
    return (
        f"A training step of the build without clock readings: {middle:,.0f} {ticks.unit} ({ticks.kind}),"
        f" median of {len(ticks.values)}, from {low:,} to {high:,}. The operators add up to"
        f" {costs.total.ticks:,}."
    )


def _memory_title(run: RunDocument) -> str:
    if run.sram is None:
        return f"SRAM is not measured on {run.target}, which is no microcontroller; the plan:"
    budget = ""
    if run.sram.budget_bytes is not None:
        state = f"{run.sram.lacking_bytes:,} bytes too many" if run.sram.lacking_bytes else "fits"
        budget = f"; {run.sram.budget_part} has {run.sram.budget_bytes:,}: {state}"
    return f"SRAM, bytes ({run.sram.kind}){budget}"


def _memory(run: RunDocument, plan: MemoryPlan) -> Table:
    table = plain_table(("what",), ("bytes",))
    sram = run.sram
    if sram is not None:
        for name, size in (
            ("peak = static + state + arena + stack", sram.peak),
            ("  static", sram.static),
            ("  state", sram.state),
            ("  arena", sram.arena),
            ("  stack", sram.stack),
            ("agent, not part of the peak", sram.agent),
            ("arena touched", sram.arena_touched),
        ):
            table.add_row(name, f"{size:,}")
    table.add_row("plan: arena (analytic)", f"{plan.arena_bytes:,}")
    table.add_row("plan: lower bound", f"{plan.lower_bound:,}")
    table.add_row("plan: gap", f"{plan.gap_bytes:,}")
    if run.sections is not None:
        table.add_row("flash", f"{run.sections.flash:,}")
    return table


def _peak_title(plan: MemoryPlan) -> str:
    index = peak_operator(plan)
    operator = plan.operators[index]
    return (
        f"The arena's peak is at operator {index + 1} of {len(plan.operators)}, {operator.name}"
        f" ({operator.phase}), with {operator.live_bytes:,} bytes live:"
    )


def _peak(plan: MemoryPlan) -> Table:
    table = plain_table(("buffer", "what"), ("bytes", "offset", "operators"))
    for buffer in live_buffers(plan, peak_operator(plan)):
        alive = f"{buffer.first + 1} to {buffer.last}"
        table.add_row(buffer.name, buffer.what, f"{buffer.size:,}", f"{buffer.offset:,}", alive)
    return table


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else ""


def _per_mac(cost: Cost) -> str:
    return "" if cost.per_mac is None else f"{cost.per_mac:.2f}"
