"""Memory of an emulator on this machine, through the kernel's window on that process (`/proc/PID/mem`).

A GDB server takes megabytes digit by digit: painting 20 MB of SRAM took longer than many a run. The
emulator's monitor says where in its own memory the target's is. As with the debug port of a chip, the target
need not stand still for it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable
from typing import TypeVar

from pyocd.core.exceptions import ProbeError

from harness.devices.gdbrsp.bulk import SMALLEST_BULK, NamedMemory
from harness.devices.gdbrsp.client import RspClient

T = TypeVar("T")

_PLACE = re.compile(r"Host virtual address for 0x[0-9a-f]+ \((.+)\) is 0x([0-9a-f]+)")


class HostMemory:
    """Reads of `memories`, and large writes to `data`, those of them that hold no code: a translated
    instruction that is overwritten here would still be executed.

    What the emulator does not hold in one piece of RAM goes by packets. Raises OSError where the kernel does
    not let us at its memory. Close it with the emulator.
    """

    def __init__(
        self, client: RspClient, pid: int, memories: Iterable[NamedMemory], data: Container[NamedMemory]
    ) -> None:
        found = [(memory, _place(client, memory)) for memory in memories]
        self._readable = [(memory, place) for memory, place in found if place is not None]
        self._writable = [(memory, place) for memory, place in self._readable if memory in data]
        # Of this process for ever: another that gets its number is not reached.
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDWR | os.O_CLOEXEC)

    def close(self) -> None:
        """Idempotent."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def write(self, address: int, data: bytes) -> bool:
        """Store `data`; False when that is better done with packets."""
        at = _find(self._writable, address, len(data))
        if at is None or len(data) < SMALLEST_BULK or self._file < 0:
            return False
        written = self._moved(lambda: os.pwrite(self._file, data, at), address)
        if written != len(data):
            raise ProbeError(f"the emulator's memory took {written} of {len(data)} bytes at {address:#010x}")
        return True

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes, or None when they are better read with packets."""
        at = _find(self._readable, address, length)
        if at is None or self._file < 0:
            return None
        data = self._moved(lambda: os.pread(self._file, length, at), address)
        if len(data) != length:
            raise ProbeError(f"the emulator's memory gave {len(data)} of {length} bytes at {address:#010x}")
        return data

    def _moved(self, move: Callable[[], T], address: int) -> T:
        try:
            return move()
        except OSError as error:  # the emulator has ended
            raise ProbeError(
                f"the emulator's memory at {address:#010x} is out of reach: {error.strerror}"
            ) from error


def _find(places: Iterable[tuple[NamedMemory, int]], address: int, length: int) -> int | None:
    """Where in the emulator the bytes are; None: not all in one memory."""
    for memory, place in places:
        if memory.start <= address and address + length <= memory.end:
            return place + address - memory.start
    return None


def _place(client: RspClient, memory: NamedMemory) -> int | None:
    """The address of `memory` in the emulator; None where it is not all in one piece of RAM."""
    first, last = (
        _PLACE.search(client.monitor(f"gpa2hva {address:#x}")) for address in (memory.start, memory.end - 1)
    )
    if first is None or last is None or first[1] != last[1]:
        return None
    start, end = int(first[2], 16), int(last[2], 16)
    return start if end - start == memory.end - 1 - memory.start else None
