"""What every running target offers. Tiny abstract classes; the drivers are in the sibling modules."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import serial

from harness.deadline import Deadline


class MemoryAccess(Protocol):
    """Reads and writes the target's memory. Works while the firmware runs and while it is halted."""

    def read(self, address: int, length: int) -> bytes: ...

    def write(self, address: int, data: bytes) -> None: ...


@dataclass(frozen=True)
class Diagnosis:
    """Why a device is silent, in one sentence, and the registers it was read from."""

    kind: str
    """One of: running, waiting, fault, exited, unknown."""
    sentence: str
    registers: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ClockReading:
    """What a device's clock registers said, and what that comes to."""

    core_hz: int
    usart_hz: int
    registers: dict[str, str]
    """Name → value, hexadecimal."""


class Device(ABC):
    """A target that can be loaded, run and read. Leaving the context ends everything it started."""

    name: str
    versions: dict[str, str]
    """Emulator, probe software and the like, for the provenance of the run document."""
    board: str = ""
    """Name of the board in the rack file; empty: it is none of the rack's."""

    @property
    @abstractmethod
    def memory(self) -> MemoryAccess: ...

    @abstractmethod
    def load(self, elf: Path, deadline: Deadline) -> None:
        """Program every PT_LOAD segment, read it back and compare; raise LoadError on a difference.

        Afterwards the core is halted at the reset handler, nothing of the firmware has run.
        """

    @abstractmethod
    def resume(self, deadline: Deadline) -> None: ...

    @abstractmethod
    def halt(self, deadline: Deadline) -> None: ...

    @abstractmethod
    def serial(self) -> serial.SerialBase:
        """The byte stream of the link (opened once, closed with the device)."""

    @abstractmethod
    def diagnose(self) -> Diagnosis:
        """Look at a device that does not answer. Never raises; never waits longer than two seconds."""

    def clock(self, deadline: Deadline) -> ClockReading | None:
        """The clock of running firmware, read back; None where ticks are not cycles of a clock."""
        return None

    @abstractmethod
    def close(self) -> None:
        """End every process and connection. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
