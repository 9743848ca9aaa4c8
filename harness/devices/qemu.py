"""QEMU as a device: the emulator process, its serial line, and pyOCD in control of it.

No network ports: QEMU inherits one end of a socket pair each for the serial line and the GDB server. It
starts stopped and empty; firmware is loaded through pyOCD, so that no reset reloads it behind our back.
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import serial
from pyocd.core.exceptions import Error as PyocdError
from pyocd.core.exceptions import ProbeError, TransferFaultError
from pyocd.flash.file_programmer import FileProgrammer

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis
from harness.devices.elf import Image, Segment, read_image
from harness.devices.gdbrsp.client import REPLY_TIMEOUT
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.inspection import inspect_core
from harness.devices.probe_session import open_session
from harness.devices.process import ChildProcess
from harness.devices.socket_serial import SocketSerial
from harness.errors import DeviceError, DeviceGone, LoadError, TargetError, ToolMissingError
from harness.targets import Target

PROGRAM = "qemu-system-arm"
PACKAGE = "qemu-system-arm"
DIAGNOSIS_SECONDS = 1.0
_ICOUNT = "shift=0,sleep=off,align=off"
"""One instruction is one nanosecond of virtual time, whatever the host does."""


class QemuDevice(Device):
    """A target in QEMU. Opening it starts QEMU; memory can be accessed while the firmware runs."""

    def __init__(self, target: Target, deadline: Deadline) -> None:
        if target.qemu is None:
            raise TargetError(f"target {target.name} has driver qemu but no [qemu] table with a machine")
        program = shutil.which(PROGRAM)
        if program is None:
            raise ToolMissingError(
                f"target {target.name} needs {PROGRAM}, which is not installed; run: apt install {PACKAGE}"
            )
        self.name = target.name
        self._target = target
        self._image: Image | None = None
        self._serial = SocketSerial(f"serial line of {target.name}")
        link, link_far = socket.socketpair()
        debug, debug_far = socket.socketpair()
        self._serial.attach(link)
        self._probe = GdbRemoteProbe.over(debug, target.name)
        with link_far, debug_far:
            arguments = _arguments(program, target, link_far.fileno(), debug_far.fileno())
            try:
                self._process = ChildProcess(arguments, pass_fds=(link_far.fileno(), debug_far.fileno()))
            except BaseException:
                self._serial.close()
                debug.close()
                raise
        try:
            with self._talking(deadline, f"starting machine {target.qemu.machine}"):
                self._session = open_session(target, self._probe)
                self._core = self._session.target.selected_core
                emulator = self._probe.client.monitor("info version").strip()
        except BaseException:
            debug.close()
            self.close()
            raise
        self.versions = {"qemu": emulator, "pyocd": version("pyocd"), "icount": _ICOUNT}

    @property
    def memory(self) -> QemuDevice:
        return self

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def core(self) -> Any:
        """pyOCD's CortexM, for breakpoints, stepping and registers."""
        return self._core

    def read(self, address: int, length: int) -> bytes:
        with self._talking(None, f"reading {length} bytes at {address:#010x}"):
            return self._read(address, length)

    def write(self, address: int, data: bytes) -> None:
        with self._talking(None, f"writing {len(data)} bytes at {address:#010x}"):
            self._core.write_memory_block8(address, data)

    def load(self, elf: Path, deadline: Deadline) -> None:
        image = read_image(elf)
        if image.machine != "EM_ARM":
            raise LoadError(f"{elf} is built for {image.machine}, but {self.name} is an Arm Cortex-M")
        self._check_fits(image)
        with self._talking(deadline, f"loading {elf.name}"):
            self._core.reset_and_halt()
            programmer = FileProgrammer(self._session, progress=lambda done: None, no_reset=True)
            programmer.program(str(elf), file_format="elf")
            for segment in image.segments:
                deadline.check(f"reading {elf.name} back from {self.name}")
                self._compare(elf, segment)
            self._core.reset_and_halt()
        self._image = image

    def resume(self, deadline: Deadline) -> None:
        with self._talking(deadline, "resuming"):
            self._core.resume()

    def halt(self, deadline: Deadline) -> None:
        with self._talking(deadline, "halting"):
            self._core.halt()

    def serial(self) -> serial.SerialBase:
        return self._serial

    def diagnose(self) -> Diagnosis:
        if self._process.poll() is not None:
            return self._exited()
        try:
            with self._reply_timeout(DIAGNOSIS_SECONDS):
                return inspect_core(self._core, self._target, self._image)
        except ProbeError as error:
            if self._process.wait(0.5) is not None:
                return self._exited()
            return Diagnosis("unknown", f"QEMU runs but does not answer its debug connection: {error}")
        except (PyocdError, OSError, ValueError, KeyError) as error:
            return Diagnosis("unknown", f"the state of {self.name} cannot be read: {error}")

    def close(self) -> None:
        # The emulator goes first: pyOCD's orderly disconnect has nothing to leave behind.
        try:
            self._process.end()
        finally:
            self._probe.close()
            self._serial.close()

    def _read(self, address: int, length: int) -> bytes:
        # Through the access port: the core's own read looks each byte up among software breakpoints.
        return bytes(self._core.ap.read_memory_block8(address, length))

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

    def _exited(self) -> Diagnosis:
        how, output = self._process.how_it_ended(), self._process.output()
        if "Lockup" in output:
            return Diagnosis("exited", f"the firmware locked up (a fault inside a fault handler), and {how}")
        complaints = [line for line in output.splitlines() if line and "warning:" not in line]
        return Diagnosis("exited", how + (f" ({complaints[0]})" if complaints else ""))

    @contextmanager
    def _reply_timeout(self, seconds: float) -> Iterator[None]:
        client = self._probe.client if self._probe.is_open else None
        if client is None:
            yield
            return
        before, client.timeout = client.timeout, min(seconds, client.timeout)
        try:
            yield
        finally:
            client.timeout = before

    @contextmanager
    def _talking(self, deadline: Deadline | None, doing: str) -> Iterator[None]:
        """Bound every reply by the deadline, and turn pyOCD's errors into ours."""
        if deadline is not None:
            deadline.check(f"{doing} {self.name}")
        try:
            with self._reply_timeout(REPLY_TIMEOUT if deadline is None else max(0.1, deadline.remaining())):
                yield
        except TransferFaultError as error:
            where = "" if error.fault_address is None else f" at {error.fault_address:#010x}"
            raise DeviceError(f"{self.name}: {doing} failed: there is no memory{where}") from error
        except PyocdError as error:
            if isinstance(error, ProbeError) and self._process.wait(0.5) is not None:
                raise DeviceGone(f"{self.name} is gone while {doing}: {self._exited().sentence}") from error
            kind = DeviceGone if isinstance(error, ProbeError) else DeviceError
            raise kind(f"{self.name}: {doing} failed: {error}") from error


def _arguments(program: str, target: Target, link: int, debug: int) -> list[str]:
    assert target.qemu is not None
    return [
        *(program, "-machine", target.qemu.machine, "-nodefaults", "-no-user-config"),
        *("-display", "none", "-monitor", "none", "-S", "-icount", _ICOUNT),
        *("-chardev", f"socket,id=link,fd={link}", "-serial", "chardev:link"),
        *("-chardev", f"socket,id=debug,fd={debug}", "-gdb", "chardev:debug"),
        *target.qemu.arguments,
    ]
