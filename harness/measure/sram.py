"""Peak SRAM by painting: fill all free SRAM before the first step, read it back after the last.

The pattern depends on the address, so that a byte of the trainer's own data equals it only by chance
(1 in 256), never systematically. Everything here is pure but `paint` and `read_back`, which go through the
probe. Addresses and sizes are bytes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from harness.devices.base import MemoryAccess
from harness.errors import MeasurementError

Bytes = npt.NDArray[np.uint8]

CHUNK = 1 << 18
"""Bytes per probe transfer; the pattern does not depend on it."""


@dataclass(frozen=True)
class Span:
    """Addresses [start, start + size)."""

    start: int
    size: int

    @property
    def end(self) -> int:
        return self.start + self.size

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


@dataclass(frozen=True)
class Area:
    """A span of SRAM and who may touch it. `free` belongs to nobody: a touched byte there is an error."""

    name: str
    span: Span
    use: Literal["arena", "stack", "free"]


@dataclass(frozen=True)
class Symbol:
    name: str
    address: int


@dataclass(frozen=True)
class Touched:
    """What painting found."""

    arena: int
    """Highest touched offset + 1."""
    stack: int
    """From the lowest touched byte of the stack to its top."""


def pattern(start: int, size: int) -> Bytes:
    """The paint of addresses [start, start + size): uint8, a hash of each word's address (lowbias32)."""
    first = start >> 2
    words = np.arange(((start + size + 3) >> 2) - first, dtype=np.uint32)
    words += np.uint32((first + 0x9E3779B9) & 0xFFFFFFFF)
    words ^= words >> np.uint32(16)
    words *= np.uint32(0x7FEB352D)
    words ^= words >> np.uint32(15)
    words *= np.uint32(0x846CA68B)
    words ^= words >> np.uint32(16)
    skip = start - (first << 2)
    return words.astype("<u4").view(np.uint8)[skip : skip + size]


def free_spans(region: Span, occupied: Iterable[Span]) -> list[Span]:
    """What `occupied` leaves of `region`, in order of address."""
    spans: list[Span] = []
    cursor = region.start
    for taken in sorted((span for span in occupied if span.size > 0), key=lambda span: span.start):
        if taken.end <= cursor or taken.start >= region.end:
            continue
        if taken.start > cursor:
            spans.append(Span(cursor, taken.start - cursor))
        cursor = max(cursor, taken.end)
    if cursor < region.end:
        spans.append(Span(cursor, region.end - cursor))
    return spans


def paint(memory: MemoryAccess, areas: Sequence[Area]) -> None:
    """Write the pattern over all areas and read a sample back: memory that does not take it is no SRAM."""
    for area in areas:
        for start, size in _chunks(area.span):
            memory.write(start, pattern(start, size).tobytes())
    for area in areas:
        for start in {area.span.start, max(area.span.start, area.span.end - 64)}:
            size = min(64, area.span.end - start)
            if memory.read(start, size) != pattern(start, size).tobytes():
                raise MeasurementError(
                    f"SRAM at {start:#010x} ({area.name}) does not hold what was written to it,"
                    " so its use cannot be measured; check the memory map in target.toml"
                )


def read_back(memory: MemoryAccess, areas: Sequence[Area]) -> list[tuple[Area, Bytes]]:
    """The bytes of all areas, uint8 each."""
    return [
        (
            area,
            np.frombuffer(b"".join(memory.read(*chunk) for chunk in _chunks(area.span)), dtype=np.uint8),
        )
        for area in areas
    ]


def touched_offsets(area: Area, contents: Bytes) -> npt.NDArray[np.int64]:
    """Offsets of the bytes that no longer carry the paint, ascending, int64."""
    if contents.size != area.span.size:
        raise MeasurementError(
            f"{area.name} at {area.span.start:#010x} has {area.span.size} bytes,"
            f" but {contents.size} were read back"
        )
    touched = [
        np.flatnonzero(contents[start - area.span.start :][:size] != pattern(start, size))
        + start
        - area.span.start
        for start, size in _chunks(area.span)  # which a processor's cache holds
    ]
    return np.concatenate(touched) if touched else np.empty(0, dtype=np.int64)


def evaluate(readings: Sequence[tuple[Area, Bytes]], symbols: Sequence[Symbol]) -> Touched:
    """Arena and stack use; MeasurementError for a byte touched where nothing may be, with its symbol."""
    arena = 0
    stack = 0
    for area, contents in readings:
        touched = touched_offsets(area, contents)
        if touched.size == 0:
            continue
        if area.use == "arena":
            arena += int(touched[-1]) + 1
        elif area.use == "stack":
            stack += area.span.size - int(touched[0])
            _check_stack_not_full(area, int(touched[0]))
        else:
            address = area.span.start + int(touched[0])
            raise MeasurementError(
                f"{touched.size} bytes outside the plan were touched, the first at {address:#010x}"
                f" ({area.name}; {nearest_symbol(address, symbols)})"
            )
    return Touched(arena=arena, stack=stack)


def nearest_symbol(address: int, symbols: Sequence[Symbol]) -> str:
    """'NAME + OFFSET' of the closest symbol at or below `address`."""
    below = [symbol for symbol in symbols if symbol.address <= address]
    if not below:
        return "below every symbol"
    closest = max(below, key=lambda symbol: (symbol.address, symbol.name))
    return f"nearest symbol {closest.name} + {address - closest.address}"


def _check_stack_not_full(area: Area, lowest: int) -> None:
    if lowest == 0:
        raise MeasurementError(
            f"the stack used all of its {area.span.size} bytes, so its high-water mark is not known;"
            " give it more in the link script"
        )


def _chunks(span: Span) -> list[tuple[int, int]]:
    return [(start, min(CHUNK, span.end - start)) for start in range(span.start, span.end, CHUNK)]
