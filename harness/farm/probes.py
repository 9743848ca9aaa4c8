"""The debug probe of a board at a place: at the exporter's USB, at a pyOCD server, or at pyOCD's hand."""

from __future__ import annotations

import json
import os
import shlex
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyocd.core.exceptions import Error as PyocdError

from harness.deadline import Deadline
from harness.errors import FarmError
from harness.farm import exporter_side
from harness.farm.access import UsbDebugger
from harness.farm.remote_probe import RemoteProbe
from harness.farm.ssh import SshLine

PROGRAM_VARIABLE = "TRAINBENCH_EXPORTER_PYOCD"
"""Path of `pyocd` on exporters; empty: it is on the PATH there, or in ~/.local/bin."""
USB_DEVICES = "/sys/bus/usb/devices"
REMOTE = "remote:"
SSH_SECONDS = 20.0
READY_SECONDS = 20.0
"""For pyOCD's server on an exporter."""
CONNECT_SECONDS = 10.0


@dataclass
class PlaceProbe:
    """A probe that can be reached, by serial number. `remote`: None where pyOCD has to look for it here."""

    serial_number: str
    remote: RemoteProbe | None = None
    ssh: SshLine | None = None

    def ended(self) -> str | None:
        """Why it cannot be reached any more, one clause; None while it can."""
        return None if self.ssh is None else self.ssh.ended()

    def close(self) -> None:
        if self.remote is not None:
            self.remote.line.close()
        if self.ssh is not None:
            self.ssh.close()


def open_probe(probe: str | UsbDebugger, place: str, deadline: Deadline) -> PlaceProbe:
    """Reach the probe at `place`; nothing is asked of the board yet. FarmError says why it cannot be."""
    if isinstance(probe, UsbDebugger):
        return _over_ssh(probe, place, deadline.within(SSH_SECONDS + READY_SECONDS))
    if probe.startswith(REMOTE):
        remote = RemoteProbe(_connect(probe, place, deadline.within(CONNECT_SECONDS)))
        return _identified(PlaceProbe("", remote), place, deadline)
    return PlaceProbe(probe)


def _over_ssh(debugger: UsbDebugger, place: str, deadline: Deadline) -> PlaceProbe:
    """pyOCD's server on the exporter's machine, for the probe at that USB port."""
    deadline.check(f"connecting to the exporter's machine {debugger.machine}")
    source = Path(exporter_side.__file__).read_text(encoding="utf-8")
    arguments = (
        USB_DEVICES,
        debugger.path,
        os.environ.get(PROGRAM_VARIABLE, ""),
        f"{min(READY_SECONDS, deadline.remaining()):.1f}",
    )
    words = [shlex.quote(word) for word in ("python3", "-c", source, *arguments)]
    ssh = SshLine(debugger.machine, command=words)
    found = PlaceProbe("", RemoteProbe(ssh.connection), ssh)
    try:
        said = _header(ssh.line(deadline), debugger.machine)
        if "error" in said:
            raise FarmError(said["error"])
        expected = said["serial"]
    except FarmError as error:
        found.close()
        raise FarmError(
            f"the debugger of place {place}, at {debugger.path} of {debugger.machine}, cannot be reached:"
            f" {error}"
        ) from error
    except BaseException:
        found.close()
        raise
    return _identified(found, place, deadline, expected)


def _header(line: bytes, machine: str) -> dict[str, str]:
    """`serial` or `error`, as `exporter_side` says them."""
    try:
        said: Any = json.loads(line)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
        said = {}
    if not said.keys() & {"serial", "error"}:
        raise FarmError(
            f"{machine} said {line[:80]!r} where its probe was expected; a shell that greets over ssh is in"
            " the way"
        )
    return {key: value for key, value in said.items() if value.isprintable()} or {
        "error": "what it says is no text"
    }


def _identified(found: PlaceProbe, place: str, deadline: Deadline, expected: str | None = None) -> PlaceProbe:
    """With the serial number that pyOCD's server tells, which has to be `expected`."""
    assert found.remote is not None
    found.remote.line.seconds = max(0.1, deadline.within(CONNECT_SECONDS).remaining())
    try:
        found.serial_number = found.remote.identify()
    except PyocdError as error:
        found.close()
        raise FarmError(f"the debugger of place {place} cannot be reached: {error}") from error
    except BaseException:
        found.close()
        raise
    if expected is not None and found.serial_number.lower() != expected.lower():
        found.close()
        raise FarmError(
            f"place {place}: pyOCD on its exporter has the probe {found.serial_number}, but the USB device of"
            f" the place is {expected}"
        )
    return found


def _connect(probe: str, place: str, deadline: Deadline) -> socket.socket:
    """To `remote:HOST:PORT`."""
    host, _, port = probe.removeprefix(REMOTE).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise FarmError(f"place {place}: its probe {probe!r} is no address; write remote:HOST:PORT")
    try:
        connection = socket.create_connection((host.strip("[]"), int(port)), max(0.1, deadline.remaining()))
    except OSError as error:
        raise FarmError(
            f"the debugger of place {place} at {host}:{port} cannot be reached: {error}"
        ) from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return connection
