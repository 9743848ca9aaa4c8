"""Where GDB servers differ: one frozen value a server, so that nobody asks who it talks to."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    """Quirks of a server."""

    name: str
    physical_memory: bytes | None
    """Packet prefix that selects CPU view (0) or physical view (1) of memory, if there are two.

    QEMU: the CPU view honours the MPU, reports unmapped reads and shows 0xE000xxxx, but drops writes to
    peripherals; the physical view does the opposite.
    """
    unmapped_writes_succeed: bool
    """Writes to unmapped memory are answered OK and dropped, so that a read has to tell."""
    reset_command: str
    """Monitor command that resets the machine and keeps RAM."""
    probe_command: str | None
    """Monitor command with {address}; its answer contains `probe_failure` where nothing is mapped."""
    probe_failure: str = ""


QEMU = Dialect(
    name="QEMU",
    physical_memory=b"Qqemu.PhyMemMode:",
    unmapped_writes_succeed=True,
    reset_command="system_reset",
    probe_command="xp /1bx {address:#x}",
    probe_failure="Cannot access memory",
)
