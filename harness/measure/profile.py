"""Ticks per operator, from a firmware built with TRAINER_PROFILE (harness/agent/profile.c).

The build differs from the measured one by the clock readings, so its figures show where the ticks of a step
go; the step's own ticks come from the build without it. An operator that is streamed by rows runs in many
pieces: its counts are their sum.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.devices.base import MemoryAccess
from harness.errors import MeasurementError
from harness.results.document import OperatorTicks

PROFILE_DEFINES = {"TRAINER_PROFILE": 1}
PROFILE_SYMBOL = "agent_profile_counts"
CAPACITY = 1024
"""Operators that the agent counts; AGENT_PROFILE_CAPACITY."""


def read_counts(memory: MemoryAccess, address: int, operators: int) -> tuple[int, ...]:
    """Clock counts that each operator took in the last step, from the agent's array at `address`."""
    if operators > CAPACITY:
        raise MeasurementError(f"the step has {operators} operators, but a profile holds {CAPACITY}")
    raw = memory.read(address, 8 * operators)
    return tuple(np.frombuffer(raw, "<u8").tolist())


def operator_ticks(
    names: Sequence[str], counts: Sequence[int], ticks_per_count: int
) -> tuple[OperatorTicks, ...]:
    """Ticks of each operator in execution order, from the counts of one step.

    Raises MeasurementError where the clock ran backwards.
    """
    if len(counts) != len(names):
        raise MeasurementError(f"{len(counts)} clock counts for {len(names)} operators")
    for name, count in zip(names, counts, strict=True):
        if count >= 1 << 63:
            raise MeasurementError(f"the clock of the profiling build ran backwards in operator {name}")
    return tuple(
        OperatorTicks(operator=name, ticks=count * ticks_per_count)
        for name, count in zip(names, counts, strict=True)
    )
