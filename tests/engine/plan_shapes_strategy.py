"""Random shapes for the planner's tests, and the best plan of a few small ones by brute force."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from engine.plan import Buffer, Part


@st.composite
def shapes(draw: st.DrawFn, max_buffers: int = 12, max_size: int = 64, step: int = 16) -> list[Buffer]:
    """Buffers of one to three parts; starts are multiples of `step`."""
    buffers = []
    for i in range(draw(st.integers(0, max_buffers))):
        operator = draw(st.integers(0, 9))
        parts = []
        for _ in range(draw(st.integers(1, 3))):
            length = draw(st.integers(1, 4))
            start = step * draw(st.integers(0, 3))
            parts.append(Part(start, draw(st.integers(1, max_size)), operator, operator + length))
            operator += length
        lowest = min(part.start for part in parts)
        buffers.append(Buffer(f"b{i}", tuple(replace(p, start=p.start - lowest) for p in parts)))
    return buffers


def collide(offset: int, a: Buffer, other_offset: int, b: Buffer) -> bool:
    """By the bytes of each operator, one at a time."""

    def taken(base: int, buffer: Buffer) -> set[tuple[int, int]]:
        return {
            (operator, base + part.start + byte)
            for part in buffer.parts
            for operator in range(part.first, part.last)
            for byte in range(part.size)
        }

    return bool(taken(offset, a) & taken(other_offset, b))


def brute_force_peak(buffers: list[Buffer]) -> int:
    """The least peak over all plans at alignment 1, by trying every offset of every buffer."""

    def fits(peak: int, placed: list[tuple[int, Buffer]]) -> bool:
        if len(placed) == len(buffers):
            return True
        buffer = buffers[len(placed)]
        return any(
            not any(collide(offset, buffer, other, neighbour) for other, neighbour in placed)
            and fits(peak, [*placed, (offset, buffer)])
            for offset in range(peak - buffer.extent + 1)
        )

    peak = 0
    while not fits(peak, []):
        peak += 1
    return peak
