"""Large transfers past the GDB server: which are, that both ways show the same bytes, and whose they are."""

from __future__ import annotations

import ctypes
import os
from types import SimpleNamespace
from typing import Any

import pytest
from pyocd.core.exceptions import ProbeError

from harness.devices.gdbrsp.bulk import SMALLEST_BULK, NamedMemory
from harness.devices.gdbrsp.host_memory import HostMemory

SIZE = 1 << 16
START = 0x20000000


class Emulator:
    """This process, whose buffer is the target's memory."""

    def __init__(self, *, gap: int = 0, blocks: tuple[str, str] = ("ram", "ram")) -> None:
        self.buffer = ctypes.create_string_buffer(SIZE)
        self.gap, self.blocks = gap, blocks

    def monitor(self, command: str) -> str:
        address = int(command.removeprefix("gpa2hva "), 16)
        if not START <= address < START + SIZE:
            return f"No memory is mapped at address {address:#x}"
        last = address == START + SIZE - 1
        place = ctypes.addressof(self.buffer) + address - START + (self.gap if last else 0)
        return f"Host virtual address for {address:#x} ({self.blocks[last]}) is {place:#x}"


def host_memory(emulator: Any, start: int = START, *, code: bool = False) -> HostMemory:
    memory = NamedMemory("SRAM", start, start + SIZE)
    return HostMemory(emulator, os.getpid(), [memory], [] if code else [memory])


def test_bytes_are_where_the_emulator_says() -> None:
    emulator = Emulator()
    memory = host_memory(emulator)
    data = bytes(range(256)) * (SMALLEST_BULK // 256)
    assert memory.write(START + 100, data)
    assert emulator.buffer.raw[100 : 100 + len(data)] == data
    assert memory.read(START + 101, len(data)) == data[1:] + b"\0"
    memory.close()
    memory.close()
    assert memory.read(START, SMALLEST_BULK) is None


@pytest.mark.parametrize(
    ("address", "length"), [(START - 1, SMALLEST_BULK), (START + SIZE - 10, SMALLEST_BULK)]
)
def test_bytes_outside_go_by_packets(address: int, length: int) -> None:
    memory = host_memory(Emulator())
    assert memory.read(address, length) is None
    assert not memory.write(address, bytes(length))


def test_few_bytes_are_read_here_but_written_by_packets() -> None:
    emulator = Emulator()
    memory = host_memory(emulator)
    emulator.buffer[7] = b"!"
    assert memory.read(START + 7, 1) == b"!"
    assert not memory.write(START, bytes(SMALLEST_BULK - 1))


def test_code_is_read_here_but_written_by_packets() -> None:
    emulator = Emulator()
    memory = host_memory(emulator, code=True)
    assert memory.read(START, SIZE) == bytes(SIZE)
    assert not memory.write(START, bytes(SMALLEST_BULK))


@pytest.mark.parametrize("emulator", [Emulator(gap=1), Emulator(blocks=("ram", "other"))])
def test_memory_in_pieces_goes_by_packets(emulator: Emulator) -> None:
    assert host_memory(emulator).read(START, SMALLEST_BULK) is None


def test_memory_that_the_emulator_does_not_know_goes_by_packets() -> None:
    assert host_memory(Emulator(), start=0x60000000).read(0x60000000, SMALLEST_BULK) is None


def test_memory_that_is_out_of_reach_is_said() -> None:
    nowhere = SimpleNamespace(
        monitor=lambda text: (
            f"Host virtual address for 0x0 (ram) is {int(text.removeprefix('gpa2hva '), 16) - START + 16:#x}"
        ),
    )
    with pytest.raises(ProbeError, match="out of reach"):
        host_memory(nowhere).read(START, SMALLEST_BULK)
