"""Ticks around one training step and one prediction: raw values, at least thirty of each.

A profile takes fewer: it shows where ticks go, and says from how many steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from harness.errors import MeasurementError
from harness.results.document import Kind, TickSeries
from harness.targets import Target, TickUnit

MINIMUM_SAMPLES = 30


def tick_series(values: Sequence[int], target: Target, fewest: int = MINIMUM_SAMPLES) -> TickSeries:
    """The series of `values` (raw ticks, in order), in the target's unit, labelled by where it was read."""
    if len(values) < fewest:
        raise MeasurementError(
            f"a latency needs at least {fewest} samples, {len(values)} were taken on {target.name}"
        )
    if min(values) <= 0:
        raise MeasurementError(
            f"the tick source of {target.name} counted {min(values)} ticks for a step: it does not run"
        )
    return TickSeries(unit=target.tick_unit.value, kind=reading_kind(target), values=tuple(values))


def reading_kind(target: Target) -> Kind:
    """`simulated` for what was read from an emulator, `measured` for what was read from hardware."""
    return "simulated" if target.tick_unit is TickUnit.INSTRUCTIONS else "measured"
