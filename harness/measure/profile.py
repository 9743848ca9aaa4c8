"""Ticks per operator, from a firmware built with TRAINER_PROFILE (harness/agent/profile.c).

The build differs from the measured one by one clock reading an operator, so its figures show where the
ticks of a step go; the step's own ticks come from the build without it.
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
"""Marks that the agent keeps; AGENT_PROFILE_CAPACITY."""


def read_marks(memory: MemoryAccess, address: int, operators: int) -> tuple[int, ...]:
    """Clock counts at the start of each operator and after the last, from the agent's array at `address`."""
    if operators + 1 > CAPACITY:
        raise MeasurementError(f"the step has {operators} operators, but a profile holds {CAPACITY - 1}")
    raw = memory.read(address, 8 * (operators + 1))
    return tuple(np.frombuffer(raw, "<u8").tolist())


def operator_ticks(
    names: Sequence[str], marks: Sequence[int], ticks_per_count: int
) -> tuple[OperatorTicks, ...]:
    """Ticks of each operator in execution order, from the marks of one step.

    Raises MeasurementError where the clock ran backwards or an operator was never reached.
    """
    if len(marks) != len(names) + 1:
        raise MeasurementError(f"{len(marks)} clock readings for {len(names)} operators; one more is needed")
    counts = np.diff(np.asarray(marks, np.int64))
    if (counts < 0).any():
        name = names[int(np.argmax(counts < 0))]
        raise MeasurementError(f"the clock of the profiling build ran backwards in operator {name}")
    return tuple(
        OperatorTicks(operator=name, ticks=int(count) * ticks_per_count)
        for name, count in zip(names, counts, strict=True)
    )
