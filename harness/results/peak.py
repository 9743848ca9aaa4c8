"""Where the arena's peak is, and what lives at it."""

from __future__ import annotations

from harness.results.document import MemoryPlan, PlannedBuffer


def peak_operator(plan: MemoryPlan) -> int:
    """Index of the first operator at which most arena bytes are live."""
    return max(range(len(plan.operators)), key=lambda index: (plan.operators[index].live_bytes, -index))


def live_buffers(plan: MemoryPlan, operator: int) -> tuple[PlannedBuffer, ...]:
    """The buffers that live while operator number `operator` runs, largest first."""
    live = (buffer for buffer in plan.buffers if buffer.first <= operator < buffer.last)
    return tuple(sorted(live, key=lambda buffer: (-buffer.size, buffer.offset)))
