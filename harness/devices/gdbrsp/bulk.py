"""Bulk transfers through files that an emulator on this machine reads and writes itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pyocd.core.exceptions import ProbeError

from harness.devices.gdbrsp.client import RspClient

SMALLEST_BULK = 1 << 12
"""Bytes; for fewer, packets are as fast."""


@dataclass(frozen=True)
class NamedMemory:
    """A memory by its name in the emulator. Addresses in bytes."""

    name: str
    start: int
    end: int


class Bulk(Protocol):
    """A way for large transfers beside the packets. It is asked first."""

    def write(self, address: int, data: bytes) -> bool:
        """Store `data`; False when that is better done with packets."""

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes, or None when they are better read with packets."""


class BulkFiles:
    """Files in `folder`, which is the caller's and has no white space in its name.

    A load stops the machine in a way that only a reset ends, so it happens only while `loading` is set.
    """

    def __init__(self, client: RspClient, folder: Path, memories: Iterable[NamedMemory]) -> None:
        self._client = client
        self._path = folder / "transfer.bin"
        self._memories = tuple(memories)
        self.loading = False

    def write(self, address: int, data: bytes) -> bool:
        """Store `data`; False when that is better done with packets."""
        commands = self._client.dialect.bulk_load
        if not self.loading or not commands or len(data) < SMALLEST_BULK or self._client.running:
            return False
        self._path.write_bytes(data)
        for command in commands:
            self._client.monitor(command.format(path=self._path, address=address))
        return True

    def read(self, address: int, length: int) -> bytes | None:
        """`length` bytes, or None when they are better read with packets."""
        command = self._client.dialect.bulk_dump
        parts = self._parts(address, address + length)
        if command is None or length < SMALLEST_BULK or parts is None:
            return None
        with self._client.paused():
            return b"".join(self._dump(command, memory, start, end - start) for memory, start, end in parts)

    def _parts(self, start: int, end: int) -> list[tuple[NamedMemory, int, int]] | None:
        """The memories of start..end in order; None where it is not all in one."""
        parts = []
        while start < end:
            memory = next((m for m in self._memories if m.start <= start < m.end), None)
            if memory is None:
                return None
            parts.append((memory, start, min(end, memory.end)))
            start = memory.end
        return parts

    def _dump(self, command: str, memory: NamedMemory, start: int, length: int) -> bytes:
        self._path.unlink(missing_ok=True)
        offset = start - memory.start
        text = command.format(memory=memory.name, path=self._path, offset=offset, length=length)
        printed = self._client.monitor(text)
        data = self._path.read_bytes() if self._path.is_file() else b""
        if len(data) != length:
            raise ProbeError(
                f"the emulator's monitor command {text!r} saved {len(data)} of {length} bytes:"
                f" {printed.strip()}"
            )
        return data
