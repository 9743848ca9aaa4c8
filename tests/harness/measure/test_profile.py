"""Ticks per operator from clock counts."""

import struct

import pytest

from harness.errors import MeasurementError
from harness.measure.profile import CAPACITY, operator_ticks, read_counts


class Memory:
    def __init__(self, counts: list[int]) -> None:
        self._bytes = struct.pack(f"<{len(counts)}Q", *counts)

    def read(self, address: int, length: int) -> bytes:
        return self._bytes[address : address + length]

    def write(self, address: int, data: bytes) -> None:
        raise AssertionError("a profile is only read")


def test_counts_times_the_clock_are_the_operators_ticks() -> None:
    ticks = operator_ticks(["stem", "pool"], [10, 3], 40)
    assert [(entry.operator, entry.ticks) for entry in ticks] == [("stem", 400), ("pool", 120)]


def test_counts_are_read_as_unsigned_64_bit_little_endian() -> None:
    assert read_counts(Memory([1, 2**40, 2**63]), 0, 3) == (1, 2**40, 2**63)


def test_a_clock_that_runs_backwards_is_an_error() -> None:
    with pytest.raises(MeasurementError, match="ran backwards in operator pool"):
        operator_ticks(["stem", "pool"], [10, 2**64 - 1], 1)


def test_too_many_operators_are_refused() -> None:
    with pytest.raises(MeasurementError, match=f"holds {CAPACITY}"):
        read_counts(Memory([]), 0, CAPACITY + 1)


def test_one_count_an_operator_is_needed() -> None:
    with pytest.raises(MeasurementError, match="1 clock counts for 2 operators"):
        operator_ticks(["stem", "pool"], [1], 1)
