"""Where GDB servers differ: one frozen value a server, so that nobody asks who it talks to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SIGINT, SIGTRAP = 2, 5


@dataclass(frozen=True)
class Dialect:
    """Quirks of a server."""

    name: str
    resume: bytes
    step: bytes
    reset: tuple[str, ...]
    """Monitor commands that reset the machine, keep RAM, and leave it halted at its reset handler."""
    unmapped_writes_succeed: bool
    """Writes to unmapped memory are answered OK and dropped, so that a read has to tell."""
    query: tuple[bytes, tuple[bytes, ...]] | None = None
    """A packet and the replies that only this server gives, if there is one to know it by."""
    acknowledges: bool = False
    """The server is told of every packet it sends."""
    serves_running: bool = False
    """Requests are answered while the target runs, without stopping it."""
    repeats_breakpoint: bool = True
    """Resuming where a breakpoint stopped the target hits it again, so that it is stepped over first."""
    echoes_stops: bool = False
    """A stop is followed by bare traps (`S05`) up to ECHO_SECONDS later, which mean nothing."""
    survives_exit: bool = False
    """An exit reply (`X06`) is a stop: the emulator and its connection live on."""
    reset_traps: bool = False
    """The last command of `reset` is followed by a trap once the target stands still."""
    packet_size: int | None = None
    """Bytes, where the announced size is not the true one."""
    pipeline: int = 32
    """Requests in flight. More would fill the reply buffer and block both sides."""
    binary_writes: bool = False
    """Memory is written with X instead of M: half the bytes on the wire."""
    lends_core: bool = False
    """A stopped core can execute an instruction for us, to read registers that the server does not offer."""
    registers: Mapping[str, int] | None = None
    """Register numbers, where those in the target description are wrong."""
    identification: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    """Part number of a core (CPUID) → identification registers that the emulator has wrong: address → word
    that the real core has."""
    physical_memory: bytes | None = None
    """Packet prefix that selects CPU view (0) or physical view (1) of memory, if there are two.

    QEMU: the CPU view honours the MPU, reports unmapped reads and shows 0xE000xxxx, but drops writes to
    peripherals; the physical view does the opposite.
    """
    probe_command: str | None = None
    """Monitor command with {address}; its answer contains `probe_failure` where nothing is mapped. For a
    server that shows what the firmware may see; None: it shows everything."""
    probe_failure: str = ""
    monitor_failure: str | None = None
    """Pattern of what a failed monitor command prints, where its reply does not tell."""
    bulk_load: tuple[str, ...] = ()
    """Monitor commands with {path} and {address} that fill the memory of a halted machine from a file."""
    bulk_dump: str | None = None
    """Monitor command with {memory}, {path}, {offset} and {length} that saves memory to a file."""


ECHO_SECONDS = 0.05
"""Twice the longest delay that was measured."""

QEMU = Dialect(
    name="QEMU",
    resume=b"vCont;c",
    step=b"vCont;s",
    reset=("system_reset",),
    unmapped_writes_succeed=True,
    # QEMU 7.2 gives a Cortex-M4 the ID_ISAR1-3 of a Cortex-M3, though it executes its DSP instructions.
    identification={0xC24: {0xE000ED64: 0x02112000, 0xE000ED68: 0x21232231, 0xE000ED6C: 0x01111131}},
    lends_core=True,
    query=(b"qqemu.PhyMemMode", (b"0", b"1")),
    physical_memory=b"Qqemu.PhyMemMode:",
    probe_command="xp /1bx {address:#x}",
    probe_failure="Cannot access memory",
)

_M7_SINGLE_PRECISION = {
    0xE000ED60: 0x01101110,  # ID_ISAR0-4
    0xE000ED64: 0x02112000,
    0xE000ED68: 0x20232231,
    0xE000ED6C: 0x01111131,
    0xE000ED70: 0x01310132,
    0xE000EF40: 0x10110021,  # MVFR0-2
    0xE000EF44: 0x11000011,
    0xE000EF48: 0x00000040,
}
# Measured on Renode 1.16.1 with a Cortex-M7; docs/renode.md says how each of these shows.
RENODE = Dialect(
    name="Renode",
    resume=b"c",
    step=b"s",
    # `cpu Reset` is not an alternative: it zeroes PC, SP and VTOR for good.
    reset=("pause", "machine Reset", "cpu ExecutionMode SingleStep", "start"),
    reset_traps=True,
    unmapped_writes_succeed=True,
    acknowledges=True,
    serves_running=True,
    repeats_breakpoint=False,
    echoes_stops=True,
    survives_exit=True,
    packet_size=1 << 15,
    pipeline=1,
    binary_writes=True,
    # 27 overwrites CPACR, 21 is not to be written: numbers the target description gives to psp and others.
    registers={
        **{f"r{number}": number for number in range(13)},
        **{"sp": 13, "lr": 14, "pc": 15, "control": 18, "basepri": 19, "inactive_sp": 22, "xpsr": 25},
        **{"primask": 28, "faultmask": 30, "fpscr": 74},
        **{f"d{number}": 42 + number for number in range(16)},
    },
    identification={0xC27: _M7_SINGLE_PRECISION},
    monitor_failure=r"(?i)there was an error executing command|no such command|\berror\b",
    bulk_load=("pause", "sysbus LoadBinary @{path} {address:#x}"),
    bulk_dump="sysbus.{memory} DumpBinary @{path} {offset:#x} {length:#x}",
)
DIALECTS = {"qemu": QEMU, "renode": RENODE}
