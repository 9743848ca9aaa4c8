from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MeasurementError
from harness.measure import sram
from harness.measure.sram import Area, Span, Symbol

BASE = 0x2000_0000


class FakeMemory:
    """RAM at BASE; bytes in `stuck` do not take writes."""

    def __init__(self, size: int, stuck: frozenset[int] = frozenset()) -> None:
        self.content = bytearray(size)
        self.stuck = stuck

    def read(self, address: int, length: int) -> bytes:
        return bytes(self.content[address - BASE : address - BASE + length])

    def write(self, address: int, data: bytes) -> None:
        for offset, byte in enumerate(data, address - BASE):
            if offset not in self.stuck:
                self.content[offset] = byte


def areas(arena: int = 256, stack: int = 128, free: int = 64) -> list[Area]:
    return [
        Area("stack", Span(BASE, stack), "stack"),
        Area("free", Span(BASE + stack, free), "free"),
        Area("arena", Span(BASE + stack + free, arena), "arena"),
    ]


@given(st.integers(0, 2**32 - 4096), st.integers(0, 300), st.integers(0, 300))
def test_the_pattern_depends_on_the_address_alone(start: int, skip: int, size: int) -> None:
    whole = sram.pattern(start, skip + size)
    assert whole.dtype == np.uint8
    np.testing.assert_array_equal(whole[skip:], sram.pattern(start + skip, size))


def test_constant_data_equals_the_pattern_only_by_chance() -> None:
    paint = sram.pattern(BASE, 1 << 16)
    counts = np.bincount(paint, minlength=256)
    assert counts.max() < 2 * (1 << 16) / 256
    shifted = sram.pattern(BASE + 4, 1 << 16)
    assert (paint == shifted).mean() < 0.01


@given(
    st.integers(1, 200),
    st.lists(st.tuples(st.integers(-20, 220), st.integers(0, 50)), max_size=6),
)
def test_free_spans_are_exactly_what_is_not_occupied(size: int, taken: list[tuple[int, int]]) -> None:
    occupied = [Span(1000 + start, length) for start, length in taken]
    used = {address for span in occupied for address in range(span.start, span.end)}
    free = sram.free_spans(Span(1000, size), occupied)
    covered = [address for span in free for address in range(span.start, span.end)]
    assert covered == [address for address in range(1000, 1000 + size) if address not in used]


def test_untouched_memory_measures_zero() -> None:
    memory = FakeMemory(448)
    sram.paint(memory, areas())
    found = sram.evaluate(sram.read_back(memory, areas()), [])
    assert (found.arena, found.stack) == (0, 0)


@given(st.integers(0, 255), st.integers(1, 127))
def test_high_water_marks_are_exact(arena_offset: int, stack_offset: int) -> None:
    memory = FakeMemory(448)
    sram.paint(memory, areas())
    memory.content[192 + arena_offset] ^= 0xFF
    memory.content[stack_offset] ^= 1
    found = sram.evaluate(sram.read_back(memory, areas()), [])
    assert found.arena == arena_offset + 1
    assert found.stack == 128 - stack_offset


@given(st.integers(0, 2**32 - 4096), st.integers(1, 300), st.integers(1, 64), st.sets(st.integers(0, 299)))
def test_touched_bytes_do_not_depend_on_the_chunks(
    start: int, size: int, chunk: int, touched: set[int]
) -> None:
    contents = sram.pattern(start, size).copy()
    expected = sorted(offset for offset in touched if offset < size)
    contents[expected] ^= 0x5A
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sram, "CHUNK", chunk)
        found = sram.touched_offsets(Area("arena", Span(start, size), "arena"), contents)
    assert found.dtype == np.int64
    assert found.tolist() == expected


def test_an_area_of_no_bytes_has_no_touched_ones() -> None:
    found = sram.touched_offsets(Area("free", Span(BASE, 0), "free"), np.empty(0, dtype=np.uint8))
    assert found.tolist() == []


def test_the_pattern_is_the_hash_of_its_addresses() -> None:
    def lowbias32(word: int) -> int:
        word ^= word >> 16
        word = word * 0x7FEB352D & 0xFFFFFFFF
        word ^= word >> 15
        word = word * 0x846CA68B & 0xFFFFFFFF
        return word ^ word >> 16

    for start in (0, BASE, 0xFFFFFF00, 4 * (2**32 - 0x9E3779B9) - 8 & 0xFFFFFFFF):
        words = [lowbias32((start // 4 + n + 0x9E3779B9) & 0xFFFFFFFF) for n in range(8)]
        expected = b"".join(word.to_bytes(4, "little") for word in words)
        assert sram.pattern(start, 32).tobytes() == expected


@given(st.integers(128, 191))
def test_a_byte_outside_the_plan_is_an_error_that_names_address_and_symbol(offset: int) -> None:
    memory = FakeMemory(448)
    sram.paint(memory, areas())
    memory.content[offset] ^= 0x10
    symbols = [Symbol("first", BASE), Symbol("trainer_bias", BASE + 100), Symbol("later", BASE + 300)]
    with pytest.raises(MeasurementError) as caught:
        sram.evaluate(sram.read_back(memory, areas()), symbols)
    assert f"{BASE + offset:#010x}" in str(caught.value)
    assert f"trainer_bias + {offset - 100}" in str(caught.value)


def test_a_full_stack_is_an_error_not_a_figure() -> None:
    memory = FakeMemory(448)
    sram.paint(memory, areas())
    memory.content[0] ^= 1
    with pytest.raises(MeasurementError, match="stack used all of its 128 bytes"):
        sram.evaluate(sram.read_back(memory, areas()), [])


def test_memory_that_does_not_hold_the_paint_is_an_error() -> None:
    memory = FakeMemory(448, stuck=frozenset(range(440, 448)))
    with pytest.raises(MeasurementError, match="does not hold what was written"):
        sram.paint(memory, areas())


def test_a_short_read_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="were read back"):
        sram.touched_offsets(areas()[0], np.zeros(3, dtype=np.uint8))
