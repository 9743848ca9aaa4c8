"""Run documents as one flat table of figures: what `trainbench figures` prints as CSV.

| figure | unit | value, low, high |
|---|---|---|
| peak_sram, static, state, arena, arena_touched, stack, agent | bytes | seed of highest peak; min, max |
| sram_lacking | bytes | what the highest peak is over budget, 0 when it fits; no row without a budget |
| flash | bytes | ELF text + rodata + data initializers; min and max over seeds |
| step_ticks, predict_ticks | the target's | median, min and max of the raw ticks of all seeds |
| step_milliseconds, predict_milliseconds | milliseconds | cycles at the clock read back; of boards |
| forward_per_mac, backward_per_mac | ticks/MAC | of the profiled seeds (`harness.results.costs`); min, max |
| step_energy | joules | median, min and max over the windows of all seeds (`harness.measure.energy`) |
| idle_power | watts | while the firmware waits; not subtracted; median, min, max |
| accuracy_before, accuracy_after | fraction | mean and 95 % interval over seeds and test images |
| extra_memory | bytes | the paper's analytic rule; not of trainers that users bring |
| plan_peak, plan_bound, plan_gap | bytes | planned arena, its lower bound, the difference |
| state_digest | sha256 after N steps | hexadecimal; no low and high |

`state_digest` is of the highest number of steps that all runs of the method (all seeds, all targets) share,
so that rows of targets can be held against each other; where they share none, the highest that the target's
own seeds share. With one seed it is that seed's digest; with several, the SHA-256 of their hexadecimal
digests concatenated in seed order.

computed_on: the target whose firmware did the training whose accuracy is given, which may be another than the
row's where both had the same state after the same steps; empty for other figures.

Kind: as the document says; flash, accuracy and digest come from the built ELF and from executed training and
count as measured. A failed run gives no figures. One that was not run gives its analytic figures, where no
other seed was run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import NamedTuple

import pandas as pd

from harness.errors import ResultsError
from harness.results.comparison import Cell, Comparison, accuracies, compare
from harness.results.costs import step_costs
from harness.results.document import RunDocument, TickSeries
from harness.results.milliseconds import milliseconds
from harness.results.statistics import Interval, median_and_range

COLUMNS = ("method", "target", "figure", "kind", "unit", "value", "low", "high", "computed_on")
SRAM_FIGURES = ("static", "state", "arena", "arena_touched", "stack", "agent")

Number = int | float


class Figure(NamedTuple):
    """One row. `low` and `high` are None for digests. `computed_on`: of accuracies, else empty."""

    method: str
    target: str
    figure: str
    kind: str
    unit: str
    value: Number | str
    low: Number | None
    high: Number | None
    computed_on: str = ""


def figures(documents: Sequence[RunDocument]) -> pd.DataFrame:
    """All figures of `documents`, columns `COLUMNS`, sorted by method, target and figure.

    Raises ResultsError for documents that cannot stand side by side (see `compare`).
    """
    comparison = compare(documents)
    rows = sorted(row for cell in comparison.cells.values() for row in _cell_figures(comparison, cell))
    return pd.DataFrame([list(row) for row in rows], columns=list(COLUMNS), dtype=object)


def pooled_ticks(cell: Cell, series: str) -> TickSeries | None:
    """Raw ticks of all seeds of `cell` as one series; `series` is 'step_ticks' or 'predict_ticks'."""
    found: list[TickSeries] = [ticks for run in cell.done if (ticks := getattr(run, series)) is not None]
    if not any(ticks.values for ticks in found):
        return None
    units = {(ticks.unit, ticks.kind) for ticks in found}
    if len(units) > 1:
        raise ResultsError(
            f"{series} of {cell.method} on {cell.target} mixes "
            f"{' and '.join(sorted(f'{kind} {unit}' for unit, kind in units))}; "
            "seeds of one target need one tick source"
        )
    return found[0].model_copy(update={"values": tuple(value for ticks in found for value in ticks.values)})


def state_digest(comparison: Comparison, cell: Cell) -> tuple[int, str] | None:
    """(steps, hexadecimal digest over all seeds) as described above; None where seeds share no step count."""
    everywhere = [
        run
        for other in comparison.cells.values()
        if other.method == cell.method
        for run in other.done
        if run.digests
    ]
    own = [run for run in cell.done if run.digests]
    steps = _highest_common_steps(everywhere) or _highest_common_steps(own)
    if not own or steps is None:
        return None
    states = [next(d.state for d in run.digests if d.steps == steps) for run in own]
    return steps, states[0] if len(states) == 1 else hashlib.sha256("".join(states).encode()).hexdigest()


def _cell_figures(comparison: Comparison, cell: Cell) -> Iterator[Figure]:
    def row(
        figure: str, kind: str, unit: str, values: Iterable[Number], value: Number | None = None
    ) -> Figure:
        found = list(values)
        chosen = max(found) if value is None else value
        return Figure(cell.method, cell.target, figure, kind, unit, chosen, min(found), max(found))

    def spread(figure: str, unit: str, interval: Interval) -> Figure:
        return Figure(
            *(cell.method, cell.target, figure, "measured", unit),
            *(interval.value, interval.low, interval.high, trainers),
        )

    trainers = ", ".join(sorted({run.accuracy.computed_on for run in cell.tested if run.accuracy}))
    runs = cell.done or tuple(run for run in cell.runs if run.status == "not-run")
    worst = cell.sram_run
    if worst is not None and worst.sram is not None:
        srams = [run.sram for run in runs if run.sram is not None and run.sram.kind == worst.sram.kind]
        for figure in ("peak", *SRAM_FIGURES):
            name = "peak_sram" if figure == "peak" else figure
            values = [getattr(sram, figure) for sram in srams]
            yield row(name, worst.sram.kind, "bytes", values, getattr(worst.sram, figure))
        if worst.sram.budget_bytes is not None:
            yield row("sram_lacking", worst.sram.kind, "bytes", [sram.lacking_bytes for sram in srams])
    if flash := [run.sections.flash for run in cell.done if run.sections is not None]:
        yield row("flash", "measured", "bytes", flash)
    for name in ("step_ticks", "predict_ticks"):
        if (ticks := pooled_ticks(cell, name)) is not None:
            middle, low, high = median_and_range(ticks.values)
            value = int(middle) if middle.is_integer() else middle
            yield row(name, ticks.kind, ticks.unit, (low, high), value)
        if times := milliseconds(cell, name):
            figure = name.replace("ticks", "milliseconds")
            yield row(figure, "measured", "milliseconds", times, median(times))
    yield from _per_mac_figures(cell)
    yield from _energy_figures(cell)
    if (tested := accuracies(cell)) is not None:
        yield spread("accuracy_before", "fraction", tested[0])
        yield spread("accuracy_after", "fraction", tested[1])
    if compiled := [run for run in runs if run.foreign is None]:
        extra = (run.scheme.extra_memory_analytic for run in compiled)
        yield row("extra_memory", "analytic", "bytes", extra)
    if plans := [run.plan for run in runs if run.plan is not None]:
        yield row("plan_peak", "analytic", "bytes", (plan.arena_bytes for plan in plans))
        yield row("plan_bound", "analytic", "bytes", (plan.lower_bound for plan in plans))
        yield row("plan_gap", "analytic", "bytes", (plan.gap_bytes for plan in plans))
    if (digest := state_digest(comparison, cell)) is not None:
        steps, state = digest
        unit = f"sha256 after {steps} steps"
        yield Figure(cell.method, cell.target, "state_digest", "measured", unit, state, None, None)


def _energy_figures(cell: Cell) -> Iterator[Figure]:
    """Joules a training step and idle watts, of the runs that a meter watched."""
    found = [run.energy for run in cell.done if run.energy is not None and run.energy.windows]
    if not found:
        return
    for name, unit, values in (
        ("step_energy", "joules", [w.joules / w.steps for energy in found for w in energy.windows]),
        ("idle_power", "watts", [energy.idle_watts for energy in found]),
    ):
        spread = (median(values), min(values), max(values))
        yield Figure(cell.method, cell.target, name, found[0].kind, unit, *spread)


def _per_mac_figures(cell: Cell) -> Iterator[Figure]:
    """Ticks a multiply-accumulate, where a seed of the cell was profiled."""
    ticks = pooled_ticks(cell, "step_ticks")
    steps = [costs for run in cell.done if (costs := step_costs(run)) is not None]
    if ticks is None:
        return
    for name, per_mac in (
        ("forward_per_mac", [step.forward.per_mac for step in steps]),
        ("backward_per_mac", [step.backward.per_mac for step in steps]),
    ):
        if values := [value for value in per_mac if value is not None]:
            spread = (median(values), min(values), max(values))
            yield Figure(cell.method, cell.target, name, ticks.kind, f"{ticks.unit}/MAC", *spread)


def _highest_common_steps(runs: Sequence[RunDocument]) -> int | None:
    if not runs:
        return None
    return max(set.intersection(*({d.steps for d in run.digests} for run in runs)), default=None)
