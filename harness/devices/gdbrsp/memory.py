"""The seam with pyOCD: debug registers go to virtual units, all other addresses to the target."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from pyocd.core.exceptions import TransferFaultError
from pyocd.core.memory_interface import MemoryInterface

from harness.devices.gdbrsp.access import SYSTEM_SPACE, TargetAccess
from harness.devices.gdbrsp.bulk import Bulk
from harness.devices.gdbrsp.client import RspClient
from harness.devices.gdbrsp.core import VirtualCore
from harness.devices.gdbrsp.units import BreakpointUnit, RegisterFile, WatchpointUnit, identification, is_v8m

_CPUID = 0xE000ED00


class GdbMemoryInterface(MemoryInterface):  # type: ignore[misc]
    """pyOCD's view of the target's bus. Signatures are pyOCD's; bus attributes mean nothing here."""

    def __init__(self, client: RspClient) -> None:
        self._access = TargetAccess(client)
        cpuid = int.from_bytes(self._access.read(_CPUID, 4), "little")
        self._file = RegisterFile()
        known = client.dialect.identification.get(cpuid >> 4 & 0xFFF, {})
        self._file.constants({**identification(cpuid), **known})
        self._breakpoints = BreakpointUnit(client, self._file)
        self._watchpoints = WatchpointUnit(client, self._file, v8m=is_v8m(cpuid))
        VirtualCore(self._access, self._file, self._breakpoints)

    def use_bulk(self, bulk: Bulk) -> None:
        """Move large amounts of memory so from now on."""
        self._access.bulk = bulk

    def release(self) -> None:
        """Leave no breakpoint and no watchpoint behind."""
        self._breakpoints.release()
        self._watchpoints.release()

    def read_memory(
        self, addr: int, transfer_size: int = 32, now: bool = True, **attrs: Any
    ) -> int | Callable[[], int]:
        value = int.from_bytes(self._read(addr, transfer_size // 8), "little")
        return value if now else lambda: value

    def write_memory(self, addr: int, data: int, transfer_size: int = 32, **attrs: Any) -> None:
        size = transfer_size // 8
        self._write(addr, (data & (1 << transfer_size) - 1).to_bytes(size, "little"))

    def read_memory_block32(self, addr: int, size: int, **attrs: Any) -> Sequence[int]:
        return list(struct.unpack(f"<{size}I", self._read(addr, 4 * size)))

    def write_memory_block32(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        self._write(addr, struct.pack(f"<{len(data)}I", *data))

    def read_memory_block8(self, addr: int, size: int, **attrs: Any) -> Sequence[int]:
        return list(self._read(addr, size))

    def write_memory_block8(self, addr: int, data: Sequence[int], **attrs: Any) -> None:
        self._write(addr, bytes(data))

    def read_bytes(self, address: int, length: int) -> bytes:
        """The same without a list of millions of integers."""
        return self._read(address, length)

    def _read(self, address: int, length: int) -> bytes:
        if address not in SYSTEM_SPACE:
            return self._access.read(address, length)
        first, end = address & ~3, address + length
        words = b"".join(self._read_word(at).to_bytes(4, "little") for at in range(first, end, 4))
        return words[address - first : end - first]

    def _read_word(self, address: int) -> int:
        reader = self._file.readers.get(address)
        return reader() if reader else int.from_bytes(self._access.read(address, 4), "little")

    def _write(self, address: int, data: bytes) -> None:
        if address not in SYSTEM_SPACE:
            self._access.write(address, data)
            return
        for offset in range(0, len(data), 4):
            writer = self._file.writers.get(address + offset)
            if writer is None or len(data) - offset < 4:
                raise TransferFaultError(
                    "an emulator does not take a debugger's writes to the system control space",
                    fault_address=address + offset,
                    length=4,
                )
            writer(int.from_bytes(data[offset : offset + 4], "little"))
