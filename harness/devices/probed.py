"""A Cortex-M under pyOCD's control: loading, memory and diagnosis are the same for all of them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import serial
from pyocd.core.exceptions import Error as PyocdError
from pyocd.core.exceptions import ProbeError, TransferFaultError
from pyocd.core.session import Session
from pyocd.flash.file_programmer import FileProgrammer

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis
from harness.devices.elf import Image, Segment, read_image
from harness.devices.inspection import inspect_core
from harness.errors import DeviceError, DeviceGone, LoadError
from harness.targets import Target


class ProbedDevice(Device):
    """What pyOCD does is done here. A subclass opens the session and says what became of the other side."""

    _session: Session
    _serial: serial.SerialBase

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self._target = target
        self._image: Image | None = None

    @property
    def memory(self) -> ProbedDevice:
        return self

    @property
    def core(self) -> Any:
        """pyOCD's CortexM, for breakpoints, stepping and registers."""
        return self._session.target.selected_core

    def read(self, address: int, length: int) -> bytes:
        with self._talking(None, f"reading {length} bytes at {address:#010x}"):
            return self._read(address, length)

    def write(self, address: int, data: bytes) -> None:
        with self._talking(None, f"writing {len(data)} bytes at {address:#010x}"):
            self.core.write_memory_block8(address, data)

    def load(self, elf: Path, deadline: Deadline) -> None:
        image = read_image(elf)
        if image.machine != "EM_ARM":
            raise LoadError(f"{elf} is built for {image.machine}, but {self.name} is an Arm Cortex-M")
        self._check_fits(image)
        with self._talking(deadline, f"loading {elf.name}"):
            self._prepare_load()
            self._program(image)
            for segment in image.segments:
                deadline.check(f"reading {elf.name} back from {self.name}")
                self._compare(elf, segment)
            self.core.reset_and_halt()
        self._image = image

    def resume(self, deadline: Deadline) -> None:
        with self._talking(deadline, "resuming"):
            self.core.resume()

    def halt(self, deadline: Deadline) -> None:
        with self._talking(deadline, "halting"):
            self.core.halt()

    def serial(self) -> serial.SerialBase:
        return self._serial

    def diagnose(self) -> Diagnosis:
        ended = self._ended(0.0)
        if ended is not None:
            return ended
        try:
            with self._looking():
                return inspect_core(self.core, self._target, self._image)
        except ProbeError as error:
            return self._ended(0.5) or Diagnosis(
                "unknown", f"{self.name} does not answer its debug connection: {error}"
            )
        except (PyocdError, OSError, ValueError, KeyError) as error:
            return Diagnosis("unknown", f"the state of {self.name} cannot be read: {error}")

    # What differs between emulators and boards

    @abstractmethod
    def _ended(self, seconds: float) -> Diagnosis | None:
        """How the other side ended, if it does within `seconds`; None when it lives."""

    @abstractmethod
    def _bounded(self, deadline: Deadline | None) -> Any:
        """A context in which every reply of the probe comes by the deadline or fails."""

    @abstractmethod
    def _looking(self) -> Any:
        """The same for a diagnosis, which may take two seconds."""

    @abstractmethod
    def _prepare_load(self) -> None:
        """Bring the core to where its memory can be programmed."""

    def _program(self, image: Image) -> None:
        programmer = FileProgrammer(self._session, progress=lambda done: None, no_reset=True)
        programmer.program(str(image.path), file_format="elf")

    def _read(self, address: int, length: int) -> bytes:
        # Through the access port: the core's own read looks each byte up among software breakpoints.
        return bytes(self.core.ap.read_memory_block8(address, length))

    def _check_fits(self, image: Image) -> None:
        for segment in image.segments:
            inside = (r for r in self._target.regions if r.start <= segment.address < r.start + r.size)
            region = next(inside, None)
            if region is None or segment.end > region.start + region.size:
                known = ", ".join(f"{r.name} {r.start:#x}+{r.size:#x}" for r in self._target.regions)
                raise LoadError(
                    f"{image.path} has a segment at {segment.address:#010x}–{segment.end:#010x}, which is "
                    f"outside the memory of {self.name} ({known or 'no regions'})"
                )

    def _compare(self, elf: Path, segment: Segment) -> None:
        found = self._read(segment.address, len(segment.data))
        if found != segment.data:
            offset = next(
                i for i, pair in enumerate(zip(segment.data, found, strict=True)) if len({*pair}) == 2
            )
            raise LoadError(
                f"loading {elf} into {self.name} failed: {segment.address + offset:#010x} holds "
                f"{found[offset]:#04x} where the file has {segment.data[offset]:#04x}"
            )

    @contextmanager
    def _talking(self, deadline: Deadline | None, doing: str) -> Iterator[None]:
        """Bound every reply by the deadline, and turn pyOCD's errors into ours."""
        if deadline is not None:
            deadline.check(f"{doing} {self.name}")
        # What pyOCD remembers of a halted core needs no connection: ask whether the other side still lives.
        if (ended := self._ended(0.0)) is not None:
            raise DeviceGone(f"{self.name} is gone while {doing}: {ended.sentence}")
        try:
            with self._bounded(deadline):
                yield
        except TransferFaultError as error:
            where = "" if error.fault_address is None else f" at {error.fault_address:#010x}"
            raise DeviceError(f"{self.name}: {doing} failed: there is no memory{where}") from error
        except PyocdError as error:
            lost = isinstance(error, ProbeError)
            if lost and (ended := self._ended(0.5)) is not None:
                raise DeviceGone(f"{self.name} is gone while {doing}: {ended.sentence}") from error
            kind = DeviceGone if lost else DeviceError
            raise kind(f"{self.name}: {doing} failed: {error}") from error
