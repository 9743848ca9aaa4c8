"""QEMU as a device: the emulator process, its serial line, and pyOCD in control of it.

No network ports: QEMU inherits one end of a socket pair each for the serial line and the GDB server. It
starts stopped and empty; firmware is loaded through pyOCD, so that no reset reloads it behind our back.
"""

from __future__ import annotations

import shutil
import socket

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.emulated import EmulatedDevice
from harness.devices.gdbrsp.bulk import NamedMemory
from harness.devices.gdbrsp.host_memory import HostMemory
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.probe_session import open_session
from harness.devices.process import ChildProcess
from harness.errors import DeviceError, TargetError, ToolMissingError
from harness.provenance import package_version
from harness.targets import Target

PROGRAM = "qemu-system-arm"
PACKAGE = "qemu-system-arm"
_ICOUNT = "shift=0,sleep=off,align=off"
"""One instruction is one nanosecond of virtual time, whatever the host does."""


class QemuDevice(EmulatedDevice):
    """A target in QEMU. Opening it starts QEMU; memory can be accessed while the firmware runs."""

    _memory: HostMemory | None = None

    def __init__(self, target: Target, deadline: Deadline) -> None:
        if target.qemu is None:
            raise TargetError(f"target {target.name} has driver qemu but no [qemu] table with a machine")
        program = shutil.which(PROGRAM)
        if program is None:
            raise ToolMissingError(
                f"target {target.name} needs {PROGRAM}, which is not installed; run: apt install {PACKAGE}"
            )
        super().__init__(target)
        link, link_far = socket.socketpair()
        debug, debug_far = socket.socketpair()
        self._serial.attach(link)
        self._probe = GdbRemoteProbe.over(debug, target.name)
        with link_far, debug_far:
            arguments = qemu_arguments(program, target, link_far.fileno(), debug_far.fileno())
            try:
                self._process = ChildProcess(arguments, pass_fds=(link_far.fileno(), debug_far.fileno()))
            except BaseException:
                self._serial.close()
                debug.close()
                raise
        try:
            with self._talking(deadline, f"starting machine {target.qemu.machine}"):
                self._session = open_session(target, self._probe)
                emulator = self._probe.client.monitor("info version").strip()
                self._memory = self._use_host_memory()
        except BaseException:
            debug.close()
            self.close()
            raise
        self.versions = {"qemu": emulator, "pyocd": package_version("pyocd"), "icount": _ICOUNT}

    def close(self) -> None:
        # The emulator goes first: pyOCD's orderly disconnect has nothing to leave behind.
        try:
            self._process.end()
        finally:
            self._probe.close()
            self._serial.close()
            if self._memory is not None:
                self._memory.close()

    def _use_host_memory(self) -> HostMemory:
        """Data goes straight to the emulator's memory. Code does not: the emulator has to see it change."""
        regions = {
            NamedMemory(each.name, each.start, each.start + each.size): each.kind
            for each in self._target.regions
        }
        data = [memory for memory, kind in regions.items() if kind == "ram"]
        try:
            memory = HostMemory(self._probe.client, self.pid, regions, data)
        except OSError as error:
            raise DeviceError(
                f"{self.name}: the kernel does not let this user access the memory of its own child process"
                f" (/proc/PID/mem: {error.strerror}); see /proc/sys/kernel/yama/ptrace_scope"
            ) from error
        self._probe.memory.use_bulk(memory)
        return memory

    def _prepare_load(self) -> None:
        self.core.reset_and_halt()

    def _exited(self) -> Diagnosis:
        how, output = self._process.how_it_ended(), self._process.output()
        if "Lockup" in output:
            return Diagnosis("exited", f"the firmware locked up (a fault inside a fault handler), and {how}")
        complaints = [line for line in output.splitlines() if line and "warning:" not in line]
        return Diagnosis("exited", how + (f" ({complaints[0]})" if complaints else ""))


def qemu_arguments(program: str, target: Target, link: int, debug: int) -> list[str]:
    """How QEMU is started, with its serial line and GDB server on the descriptors `link` and `debug`."""
    assert target.qemu is not None
    return [
        *(program, "-machine", target.qemu.machine, "-nodefaults", "-no-user-config"),
        *("-display", "none", "-monitor", "none", "-S", "-icount", _ICOUNT),
        *("-chardev", f"socket,id=link,fd={link}", "-serial", "chardev:link"),
        *("-chardev", f"socket,id=debug,fd={debug}", "-gdb", "chardev:debug"),
        *target.qemu.arguments,
    ]
