"""Where the arena's peak is, and what lives at it."""

from __future__ import annotations

from harness.results.document import MemoryPlan, PlannedBuffer, PlannedOperator
from harness.results.peak import live_buffers, peak_operator


def plan() -> MemoryPlan:
    """Buffers a (10 bytes), b (20), c (20) over three operators; operators 1 and 2 are both peaks."""
    buffers = tuple(
        PlannedBuffer(name=name, offset=offset, size=size, first=first, last=last, what="activation")
        for name, offset, size, first, last in (("a", 0, 10, 0, 2), ("b", 10, 20, 1, 3), ("c", 30, 10, 2, 3))
    )
    operators = tuple(
        PlannedOperator(name=f"o{i}", kind="k", phase="forward", layer="", macs=0, live_bytes=live)
        for i, live in enumerate((10, 30, 30))
    )
    return MemoryPlan(
        arena_bytes=40, lower_bound=30, gap_bytes=10, order="", buffers=buffers, operators=operators
    )


def test_the_first_of_equal_peaks_is_taken() -> None:
    assert peak_operator(plan()) == 1


def test_what_lives_at_an_operator_comes_largest_first() -> None:
    assert [buffer.name for buffer in live_buffers(plan(), 1)] == ["b", "a"]
    assert [buffer.name for buffer in live_buffers(plan(), 2)] == ["b", "c"]
