"""The host as a target: the firmware is a process, its serial line a socket, its memory `/proc/PID/mem`.

The firmware is started with `--link-fd N` and reads one byte `G` from the link before it does anything, so
that its memory can be painted first; `resume()` sends that byte once. It is linked without position
independence, so that the addresses in the ELF file are the addresses in memory.
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import serial

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis
from harness.devices.elf import Image, Segment, read_image
from harness.devices.process import ChildProcess, signal_name
from harness.devices.socket_serial import SocketSerial
from harness.errors import DeviceError, DeviceGone, LoadError
from harness.targets import Target

GO = b"G"
_MACHINES = {"x86_64": "EM_X86_64", "aarch64": "EM_AARCH64", "riscv64": "EM_RISCV"}
_FAULTS: dict[int, str] = {
    signal.SIGSEGV: "it accessed memory it does not have",
    signal.SIGBUS: "it accessed memory that does not exist",
    signal.SIGFPE: "it divided by zero",
    signal.SIGILL: "it executed an undefined instruction",
    signal.SIGABRT: "it aborted",
}
_READ_CALLS = {"x86_64": {0, 7, 23, 45, 271}, "aarch64": {63, 72, 73, 207}}
"""Numbers of read, poll, select and recvfrom: the system calls in which firmware waits for its link."""
_POLL_SECONDS = 0.001


class NativeDevice(Device):
    """A firmware process on this machine. There is nothing before load(): no process, no line."""

    def __init__(self, target: Target) -> None:
        self.name = target.name
        self.versions = {"kernel": platform.release(), "machine": platform.machine()}
        self._serial = SocketSerial(f"serial line of {target.name}")
        self._process: ChildProcess | None = None
        self._image: Image | None = None
        self._link: socket.socket | None = None
        self._started = False

    @property
    def memory(self) -> NativeDevice:
        return self

    @property
    def pid(self) -> int:
        return self._running().pid

    def load(self, elf: Path, deadline: Deadline) -> None:
        """Start the firmware, waiting at its door; its read-only segments are compared with the file."""
        deadline.check(f"starting {elf.name}")
        image = read_image(elf)
        self._check(image)
        self._end()
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = ChildProcess(
                    [str(elf.resolve()), "--link-fd", str(theirs.fileno())], pass_fds=(theirs.fileno(),)
                )
            except BaseException:
                ours.close()
                raise
        self._serial.attach(ours)
        self._link, self._image, self._started = ours, image, False
        self._wait_for_mapping(image, deadline)
        for segment in image.segments:
            if not segment.writable:
                self._compare(elf, segment)

    def _wait_for_mapping(self, image: Image, deadline: Deadline) -> None:
        """A started process can be seen a moment before the kernel has mapped its segments."""
        for segment in image.segments:
            if not segment.data:
                continue
            while not self._is_mapped(segment.address + len(segment.data) - 1):
                deadline.check(f"waiting for {self.name} to map {segment.address:#x}")
                time.sleep(_POLL_SECONDS)

    def _is_mapped(self, address: int) -> bool:
        with self._memory_file(f"looking for {address:#x}") as fd:
            try:
                return len(os.pread(fd, 1, address)) == 1
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                return False

    def resume(self, deadline: Deadline) -> None:
        deadline.check(f"resuming {self.name}")
        process = self._running()
        process.send_signal(signal.SIGCONT)
        if not self._started:
            assert self._link is not None
            try:
                self._link.send(GO)
            except OSError as error:
                raise self._gone("starting", error) from error
            self._started = True

    def halt(self, deadline: Deadline) -> None:
        process = self._running()
        process.send_signal(signal.SIGSTOP)
        while self._state() != "T":
            self._running()
            deadline.check(f"waiting for {self.name} to stop")
            time.sleep(_POLL_SECONDS)

    def read(self, address: int, length: int) -> bytes:
        with self._memory_file(f"reading {length} bytes at {address:#x}") as fd:
            data = os.pread(fd, length, address)
        if len(data) != length:
            self._running()
            raise DeviceError(f"{self.name}: only {len(data)} of {length} bytes exist at {address:#x}")
        return data

    def write(self, address: int, data: bytes) -> None:
        with self._memory_file(f"writing {len(data)} bytes at {address:#x}") as fd:
            done = os.pwrite(fd, data, address)
        if done != len(data):
            self._running()
            raise DeviceError(f"{self.name}: only {done} of {len(data)} bytes exist at {address:#x}")

    def serial(self) -> serial.SerialBase:
        if self._process is None:
            raise DeviceError(f"{self.name} has no serial line yet; load the firmware first")
        return self._serial

    def diagnose(self) -> Diagnosis:
        if self._process is None:
            return Diagnosis("unknown", f"{self.name}: no firmware was loaded")
        try:
            code = self._process.poll()
            return self._inspect() if code is None else self._ended(code)
        except (OSError, ValueError, IndexError) as error:
            return Diagnosis("unknown", f"the state of {self.name} cannot be read: {error}")

    def close(self) -> None:
        try:
            self._end()
        finally:
            self._serial.close()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()

    def _running(self) -> ChildProcess:
        if self._process is None:
            raise DeviceError(f"{self.name}: no firmware was loaded")
        if self._process.poll() is not None:
            raise DeviceGone(f"{self.name} is gone: {self.diagnose().sentence}")
        return self._process

    def _gone(self, doing: str, error: OSError) -> DeviceError:
        if self._process is not None and self._process.wait(0.5) is not None:
            return DeviceGone(f"{self.name} is gone while {doing}: {self.diagnose().sentence}")
        if isinstance(error, PermissionError):
            return DeviceError(
                f"{self.name}: the kernel does not let this user access the memory of its own child process "
                f"(/proc/PID/mem: {error.strerror}); see /proc/sys/kernel/yama/ptrace_scope"
            )
        return DeviceError(f"{self.name}: {doing} failed: {error.strerror}")

    @contextmanager
    def _memory_file(self, doing: str) -> Iterator[int]:
        """A descriptor of the process's memory; errors inside become ours."""
        process = self._running()
        try:
            fd = os.open(f"/proc/{process.pid}/mem", os.O_RDWR | os.O_CLOEXEC)
            try:
                yield fd
            finally:
                os.close(fd)
        except OSError as error:
            raise self._gone(doing, error) from error

    def _state(self) -> str:
        """The kernel's letter: R running, S sleeping, T stopped, Z ended."""
        return self._proc("stat").rpartition(")")[2].split()[0]

    def _proc(self, name: str) -> str:
        assert self._process is not None
        return Path(f"/proc/{self._process.pid}/{name}").read_text(encoding="ascii", errors="replace")

    def _inspect(self) -> Diagnosis:
        assert self._process is not None
        state = self._state()
        fields = self._proc("syscall").split()
        if state == "T":
            return Diagnosis("unknown", f"the firmware process is halted {self._place(fields)}")
        if fields[0].isdigit() and int(fields[0]) in _READ_CALLS.get(platform.machine(), ()):
            return Diagnosis("waiting", "the firmware waits for its link")
        self._process.send_signal(signal.SIGSTOP)
        try:
            until = Deadline.after(1.0)
            while self._state() not in "TZ" and not until.expired:
                time.sleep(_POLL_SECONDS)
            fields = self._proc("syscall").split()
        finally:
            self._process.send_signal(signal.SIGCONT)
        return Diagnosis("running", f"the firmware runs {self._place(fields)}")

    def _place(self, fields: list[str]) -> str:
        """`at PC in FUNCTION` from /proc/PID/syscall, whose last field is the program counter."""
        if len(fields) < 3:
            return "at an unknown address"
        pc = int(fields[-1], 16)
        function = self._image.function_at(pc) if self._image else None
        return f"at {pc:#x}" + (f" in {function}" if function else "")

    def _ended(self, code: int) -> Diagnosis:
        assert self._process is not None
        output = self._process.output()
        detail = f" ({output.splitlines()[-1]})" if output else ""
        meaning = _FAULTS.get(-code)
        if meaning is not None:
            name = signal_name(-code)
            return Diagnosis("fault", f"the firmware process was ended by {name}: {meaning}{detail}")
        return Diagnosis("exited", f"the firmware process {self._process.how_it_ended()}{detail}")

    def _check(self, image: Image) -> None:
        expected = _MACHINES.get(platform.machine())
        if image.machine != expected:
            raise LoadError(f"{image.path} is built for {image.machine}, but this machine is {expected}")
        if image.position_independent:
            raise LoadError(
                f"{image.path} is position independent, so its addresses are not known; link it with -no-pie"
            )

    def _compare(self, elf: Path, segment: Segment) -> None:
        if self.read(segment.address, len(segment.data)) != segment.data:
            raise LoadError(
                f"loading {elf} failed: memory at {segment.address:#x} differs from the file's segment"
            )
