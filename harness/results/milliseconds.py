"""Milliseconds of calls: only from cycles, at a clock that was read back from the board that counted."""

from __future__ import annotations

from harness.results.comparison import Cell


def milliseconds(cell: Cell, series: str) -> tuple[float, ...]:
    """Of every call of all seeds, in order; `series` is 'step_ticks' or 'predict_ticks'.

    Empty where ticks are no cycles, or the clock of one of the runs is not known.
    """
    found: list[float] = []
    for run in cell.done:
        ticks = getattr(run, series)
        if ticks is None:
            continue
        if ticks.unit != "cycles" or run.clock is None or run.clock.core_hz <= 0:
            return ()
        found += [1000.0 * value / run.clock.core_hz for value in ticks.values]
    return tuple(found)
