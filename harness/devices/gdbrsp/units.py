"""Virtual debug units: the breakpoint and watchpoint comparators and the tables by which pyOCD finds them.

A unit is a set of register addresses with a getter and a setter each. What the registers mean: ARMv7-M and
ARMv8-M Architecture Reference Manuals, chapters on debug; CoreSight identification: ADIv5.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from harness.devices.gdbrsp.client import RspClient, expect_ok

SCS, DWT, FPB, ROM = 0xE000E000, 0xE0001000, 0xE0002000, 0xE00FF000
BREAKPOINTS, WATCHPOINTS = 8, 4
_WATCH_V7 = {5: b"3", 6: b"2", 7: b"4"}
"""FUNCTION field of a comparator → GDB packet: 2 write, 3 read, 4 access."""
_WATCH_V8 = {0b0110: b"3", 0b0101: b"2", 0b0100: b"4"}
_GENERIC, _CORESIGHT, _ROM_TABLE = 0xE, 0x9, 0x1


@dataclass
class RegisterFile:
    """Readers and writers of 32-bit registers by address."""

    readers: dict[int, Callable[[], int]] = field(default_factory=dict)
    writers: dict[int, Callable[[int], None]] = field(default_factory=dict)

    def add(self, address: int, read: Callable[[], int], write: Callable[[int], None] | None = None) -> None:
        self.readers[address] = read
        if write is not None:
            self.writers[address] = write

    def constants(self, words: dict[int, int]) -> None:
        for address, word in words.items():
            self.readers[address] = lambda word=word: word  # type: ignore[misc]


class BreakpointUnit:
    """FPB revision 2: a comparator is a hardware breakpoint (`Z1`) at any address."""

    def __init__(self, client: RspClient, file: RegisterFile) -> None:
        self._client = client
        self._comparators = [0] * BREAKPOINTS
        self._enabled = 0
        file.add(FPB, lambda: 0x10000000 | BREAKPOINTS << 4 | self._enabled, self._control)
        for index in range(BREAKPOINTS):
            file.add(
                FPB + 8 + 4 * index,
                lambda index=index: self._comparators[index],  # type: ignore[misc]
                lambda value, index=index: self._compare(index, value),  # type: ignore[misc]
            )

    def release(self) -> None:
        """Take every breakpoint out of the emulator, which would keep it for whoever connects next."""
        self._control(2)

    def covers(self, address: int) -> bool:
        return bool(self._enabled) and (address | 1) in self._comparators

    def _control(self, value: int) -> None:
        if value & 2:
            before, self._enabled = self._enabled, value & 1
            if before != self._enabled:
                for comparator in self._comparators:
                    self._place(comparator, insert=bool(self._enabled))

    def _compare(self, index: int, value: int) -> None:
        if self._enabled:
            self._place(self._comparators[index], insert=False)
        self._comparators[index] = value
        if self._enabled:
            self._place(value, insert=True)

    def _place(self, comparator: int, *, insert: bool) -> None:
        if comparator & 1:
            with self._client.paused():
                packet = b"%c1,%x,2" % (b"Z" if insert else b"z", comparator & ~1)
                expect_ok([self._client.request(packet)], f"a breakpoint at {comparator & ~1:#010x}")


class WatchpointUnit:
    """DWT comparators as GDB watchpoints. There is no cycle counter: an emulator has no cycles to count."""

    def __init__(self, client: RspClient, file: RegisterFile, *, v8m: bool) -> None:
        self._client = client
        self._v8m = v8m
        self._kinds = _WATCH_V8 if v8m else _WATCH_V7
        self._registers = {offset: 0 for n in range(WATCHPOINTS) for offset in range(16 * n, 16 * n + 12, 4)}
        self._placed: dict[int, bytes] = {}
        file.add(DWT, lambda: WATCHPOINTS << 28 | 1 << 25, lambda value: None)
        for offset in self._registers:
            file.add(
                DWT + 0x20 + offset,
                lambda offset=offset: self._registers[offset],  # type: ignore[misc]
                lambda value, offset=offset: self._write(offset, value),  # type: ignore[misc]
            )

    def release(self) -> None:
        """Take every watchpoint out of the emulator."""
        for block in list(self._placed):
            self._write(block + 8, 0)

    def _write(self, offset: int, value: int) -> None:
        self._registers[offset] = value
        block = offset & ~0xF
        address, mask, function = (self._registers[block + part] for part in (0, 4, 8))
        kind = self._kinds.get(function & 0xF)
        length = 1 << ((function >> 10 & 3) if self._v8m else mask)
        wanted = b"%b,%x,%x" % (kind, address, length) if kind else None
        placed = self._placed.pop(block, None)
        if placed is not None and placed == wanted:
            self._placed[block] = placed
            return
        with self._client.paused():
            if placed is not None:
                expect_ok([self._client.request(b"z" + placed)], f"to remove the watchpoint {placed!r}")
            if wanted is not None:
                expect_ok([self._client.request(b"Z" + wanted)], f"a watchpoint at {address:#010x}")
                self._placed[block] = wanted


def identification(cpuid: int) -> dict[int, int]:
    """ROM table and component identification words by address, for the core that `cpuid` names."""
    part = cpuid >> 4 & 0xFFF
    words: dict[int, int] = {}
    if is_v8m(cpuid):
        for base, architecture in ((SCS, 0x2A04), (DWT, 0x1A02), (FPB, 0x1A03)):
            words |= _component(base, part, _CORESIGHT)
            words |= dict.fromkeys(range(base + 0xFBC, base + 0xFD0, 4), 0)
            words[base + 0xFBC] = 0x23B << 21 | 1 << 20 | architecture
    else:
        scs_part = 0x008 if part == 0xC20 else 0x00C
        for base, number in ((SCS, scs_part), (DWT, 0x002), (FPB, 0x003)):
            words |= _component(base, number, _GENERIC)
    words |= _component(ROM, 0x4C0 | part & 0xF, _ROM_TABLE)
    words |= dict.fromkeys(range(ROM, ROM + 64, 4), 0)
    for index, base in enumerate((SCS, DWT, FPB)):
        words[ROM + 4 * index] = (base - ROM & 0xFFFFFFFF) | 3
    return words


def is_v8m(cpuid: int) -> bool:
    """Whether the part number is one of ARMv8-M's (0xD20 Cortex-M23 and up)."""
    return cpuid >> 12 & 0xF == 0xD


def _component(base: int, part: int, component_class: int) -> dict[int, int]:
    """PIDR4–7, PIDR0–3 and CIDR0–3 of an Arm component (JEP106 code 0x3B, continuation 4)."""
    peripheral = (0x04, 0, 0, 0, part & 0xFF, 0xB0 | part >> 8, 0x0B, 0)
    component = (0x0D, component_class << 4, 0x05, 0xB1)
    return {base + 0xFD0 + 4 * index: word for index, word in enumerate(peripheral + component)}
