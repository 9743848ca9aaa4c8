"""A device whose every call is timed: where the seconds of a cell go."""

from __future__ import annotations

import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import serial

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis, MemoryAccess
from harness.devices.emulated import EmulatedDevice
from harness.link.frames import FrameSplitter, decode_frame
from harness.link.messages import PredictRequest, TrainRequest

WORK = (TrainRequest.kind, PredictRequest.kind)
Processor = Callable[[], float]
"""Seconds of processor time that the emulator has used."""


class ProcessorTime:
    """Of all threads that a process has now, to the nanosecond (`/proc/PID/task/*/schedstat`)."""

    def __init__(self, pid: int) -> None:
        with ExitStack() as stack:
            self._tasks = [
                stack.enter_context((task / "schedstat").open("rb", buffering=0))
                for task in Path(f"/proc/{pid}/task").iterdir()
            ]
            self._closing = stack.pop_all()

    def seconds(self) -> float:
        """Used since the process began."""
        return sum(int(os.pread(task.fileno(), 64, 0).split()[0]) for task in self._tasks) * 1e-9

    def close(self) -> None:
        self._closing.close()


class Clock:
    """Seconds by what was done; by kind of request, seconds until the first byte of its reply.

    `worked`: the same in the emulator's processor time, of steps and predictions. `emulator`: all that the
    emulator used, known when the device is closed.
    """

    def __init__(self) -> None:
        self.spent: defaultdict[str, float] = defaultdict(float)
        self.waits: defaultdict[int, list[float]] = defaultdict(list)
        self.worked: defaultdict[int, list[float]] = defaultdict(list)
        self.emulator = 0.0
        self.processor: Processor = lambda: 0.0
        self._asked: tuple[int, float, float] | None = None
        self._apart = 0.0

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Add the seconds inside to `what`. While a reply is waited for, they are not the device's."""
        began = time.monotonic()
        try:
            yield
        finally:
            seconds = time.monotonic() - began
            self.spent[what] += seconds
            if self._asked is not None:
                self._apart += seconds

    def asked(self, kind: int) -> None:
        """A request is on its way. One that is sent again is still the first."""
        if self._asked is None:
            used = self.processor() if kind in WORK else 0.0
            self._asked, self._apart = (kind, time.monotonic(), used), 0.0

    def answered(self) -> None:
        """Bytes arrived."""
        if self._asked is not None:
            kind, since, used = self._asked
            self.waits[kind].append(time.monotonic() - since - self._apart)
            if kind in WORK:
                self.worked[kind].append(self.processor() - used)
            self._asked = None


class ClockedSerial:
    """A serial port that tells the clock of requests and replies; all else is the port's own."""

    def __init__(self, port: serial.SerialBase, clock: Clock) -> None:
        object.__setattr__(self, "_port", port)
        object.__setattr__(self, "_clock", clock)

    def write(self, data: bytes, /) -> int | None:
        (frame,) = (decode_frame(encoded) for encoded in FrameSplitter().feed(data))
        self._clock.asked(frame.kind)  # before: the other side may be at work before this call returns
        written: int | None = self._port.write(data)
        return written

    def read(self, size: int = 1, /) -> bytes:
        data: bytes = self._port.read(size)
        if data:
            self._clock.answered()
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._port, name, value)


class ClockedMemory:
    """Reads and writes of memory, timed."""

    def __init__(self, memory: MemoryAccess, clock: Clock) -> None:
        self._memory, self._clock = memory, clock

    def read(self, address: int, length: int) -> bytes:
        with self._clock.timed("memory is read"):
            return self._memory.read(address, length)

    def write(self, address: int, data: bytes) -> None:
        with self._clock.timed("memory is written"):
            self._memory.write(address, data)


class ClockedDevice(Device):
    """An emulator, timed. Closing this closes the emulator; what both used is in the clock then."""

    def __init__(self, device: EmulatedDevice, clock: Clock) -> None:
        self._device, self._clock = device, clock
        self.name, self.versions = device.name, device.versions
        self._used: ProcessorTime | None = ProcessorTime(device.pid)
        clock.processor = self._used.seconds

    @property
    def memory(self) -> MemoryAccess:
        return ClockedMemory(self._device.memory, self._clock)

    def load(self, elf: Path, deadline: Deadline) -> None:
        with self._clock.timed("firmware is loaded and read back"):
            self._device.load(elf, deadline)

    def resume(self, deadline: Deadline) -> None:
        with self._clock.timed("core is halted and resumed"):
            self._device.resume(deadline)

    def halt(self, deadline: Deadline) -> None:
        with self._clock.timed("core is halted and resumed"):
            self._device.halt(deadline)

    def serial(self) -> serial.SerialBase:
        port: Any = ClockedSerial(self._device.serial(), self._clock)
        clocked: serial.SerialBase = port
        return clocked

    def diagnose(self) -> Diagnosis:
        with self._clock.timed("silent device is looked at"):
            return self._device.diagnose()

    def close(self) -> None:
        used, self._used = self._used, None
        if used is not None:
            self._clock.emulator = used.seconds()
            used.close()
        with self._clock.timed("device is closed"):
            self._device.close()
