"""Renode as a device: the emulator process, its serial line, and pyOCD in control of it.

Serial line and GDB server are TCP ports of Renode's choice. The machine does not run until firmware is
loaded: Renode needs a vector table to start it.
"""

from __future__ import annotations

import hashlib
import re
import socket
from importlib.metadata import version
from pathlib import Path

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.elf import Image
from harness.devices.emulated import EmulatedDevice
from harness.devices.faults import TRAP_SYMBOL
from harness.devices.gdbrsp.bulk import BulkFiles, NamedMemory
from harness.devices.gdbrsp.dialect import RENODE
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.probe_session import open_session
from harness.devices.renode_process import RenodeProcess
from harness.errors import DeviceGone, LoadError, TargetError
from harness.targets import RenodeStart, Target

_HOST = "127.0.0.1"
_CONNECT_SECONDS = 5.0
_CLOSE_SECONDS = 0.5


class RenodeDevice(EmulatedDevice):
    """A target in Renode. Opening it starts Renode; memory can be accessed while the firmware runs."""

    _process: RenodeProcess

    def __init__(self, target: Target, deadline: Deadline) -> None:
        start = target.renode
        if start is None:
            raise TargetError(f"target {target.name} has driver renode but no [renode] table with a machine")
        super().__init__(target)
        self._trap: int | None = None
        self._process = process = RenodeProcess(target, start, deadline)
        self._probe = GdbRemoteProbe(
            target.name, lambda: self._connect(process.debug_port, Deadline.after(_CONNECT_SECONDS)), RENODE
        )
        try:
            # The serial line first: Renode keeps for its first client what was sent before.
            self._serial.attach(self._connect(process.serial_port, deadline))
            with self._talking(deadline, f"starting machine {start.machine}"):
                self._session = open_session(target, self._probe)
                emulator = self._probe.client.monitor("version")
            self._bulk = self._use_files(start)
        except BaseException:
            self._process.end()
            self._probe.close()
            self._serial.close()
            raise
        self.versions = {
            "renode": _version(emulator),
            "renode platform": _digest(target, start),
            "pyocd": version("pyocd"),
        }

    def load(self, elf: Path, deadline: Deadline) -> None:
        super().load(elf, deadline)
        assert self._image is not None
        with self._talking(deadline, f"preparing {elf.name}"):
            self._check_reset()
            # Faults do not escalate here, and one inside its handler repeats for ever: stop at the first.
            symbol = self._image.symbols.get(TRAP_SYMBOL)
            if self._trap is not None:
                self.core.remove_breakpoint(self._trap)
            self._trap = symbol.address if symbol else None
            if self._trap is not None:
                self.core.set_breakpoint(self._trap)

    def close(self) -> None:
        try:
            if self._process.poll() is None:
                with self._replies_within(_CLOSE_SECONDS):
                    self._probe.close()
        finally:
            try:
                self._process.quit()
            finally:
                self._probe.close()
                self._serial.close()

    def _prepare_load(self) -> None:
        self.core.halt()

    def _program(self, image: Image) -> None:
        # Not with pyOCD's programmer, which cuts into pages: a segment is one file.
        self._bulk.loading = True
        try:
            for segment in image.segments:
                self.core.write_memory_block8(segment.address, segment.data)
        finally:
            self._bulk.loading = False

    def _check_reset(self) -> None:
        """The core stands where the vector table says: Renode's answer to a reset carries no state."""
        assert self._image is not None
        table = min(segment.address for segment in self._image.segments if not segment.writable)
        handler = int.from_bytes(self._read(table + 4, 4), "little") & ~1
        pc = int(self.core.read_core_register("pc"))
        if pc != handler:
            raise LoadError(
                f"{self.name} was reset, but stands at {pc:#010x}, not at its reset handler {handler:#010x}"
            )

    def _use_files(self, start: RenodeStart) -> BulkFiles:
        memories = (NamedMemory(m.name, m.start, m.start + m.size) for m in start.memories)
        bulk = BulkFiles(self._probe.client, self._process.folder, memories)
        self._probe.memory.use_bulk(bulk)
        return bulk

    def _connect(self, port: int, deadline: Deadline) -> socket.socket:
        deadline.check(f"connecting to port {port} of Renode")
        try:
            connection = socket.create_connection((_HOST, port), deadline.remaining())
        except OSError as error:
            raise DeviceGone(f"{self.name}: Renode takes no connection to port {port}: {error}") from error
        # A message is one write, and is not held back until the one before it was acknowledged.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _exited(self) -> Diagnosis:
        output = self._process.output()
        detail = f" ({output.splitlines()[-1].strip()})" if output else ""
        return Diagnosis("exited", self._process.how_it_ended() + detail)


def _version(printed: str) -> str:
    match = re.search(r"\d+\.\d+\.\d+\S*", printed)
    return match[0] if match else printed.strip() or "unknown"


def _digest(target: Target, start: RenodeStart) -> str:
    """SHA-256 over platform file and script: they decide what is counted."""
    parts = (target.folder / name for name in (start.platform, start.script))
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
