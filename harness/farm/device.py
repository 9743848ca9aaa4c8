"""A board at a place of the farm as a device: its debugger and serial line, wherever the exporter runs."""

from __future__ import annotations

import socket
import time
from importlib.metadata import version

from pyocd.core.exceptions import Error as PyocdError

from harness.deadline import Deadline
from harness.devices.base import Device, Diagnosis
from harness.devices.emulated import EmulatedDevice
from harness.devices.gdbrsp.endpoint import split_dialect
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.probe_session import open_session
from harness.errors import FarmError
from harness.farm.access import Access, SerialAddress, access_of
from harness.farm.hold import Held
from harness.targets import Target

CONNECT_SECONDS = 10.0
_SILENCE_MILLISECONDS = 15_000
_POLL_SECONDS = 0.02
GDBRSP = "gdbrsp:"


def open_place(target: Target, held: Held, deadline: Deadline) -> Device:
    """The board at a place that is held. FarmError: it cannot be reached. DeviceError: it does not start."""
    access = access_of(held.place)
    if target.driver == "qemu" and access.probe.startswith(GDBRSP):
        return FarmEmulator(target, held, access, deadline)
    raise FarmError(
        f"place {held.place.name} has the probe {access.probe} and is of target {target.name}, whose driver"
        f" is {target.driver}; through the farm go qemu targets with a gdbrsp: probe"
    )


class FarmEmulator(EmulatedDevice):
    """An emulator on another machine, which starts it for our two connections, and ends it after them."""

    def __init__(self, target: Target, held: Held, access: Access, deadline: Deadline) -> None:
        super().__init__(target)
        self._held = held
        self.name = f"{target.name} at place {held.place.name}"
        self._line = connect(access.serial, deadline, held.place.name)
        self._serial.attach(self._line)
        self._probe = GdbRemoteProbe.at(access.probe.removeprefix(GDBRSP))
        try:
            with self._talking(deadline, "starting"):
                self._session = open_session(target, self._probe)
                _, address = split_dialect(access.probe.removeprefix(GDBRSP))
                emulator = self._probe.client.monitor("info version").strip()
        except BaseException:
            self.close()
            raise
        exporters = ", ".join(sorted({resource.exporter for resource in held.place.resources}))
        self.versions = {
            "qemu": emulator,
            "pyocd": version("pyocd"),
            "farm_place": held.place.name,
            "farm_exporter": exporters,
            "farm_probe": address,
        }

    @property
    def pid(self) -> int:
        raise FarmError(f"{self.name} runs on another machine")

    def close(self) -> None:
        try:
            self._probe.close()
        except (PyocdError, OSError):  # the other side is gone already
            return
        finally:
            self._serial.close()

    def _prepare_load(self) -> None:
        self.core.reset_and_halt()

    def _ended(self, seconds: float) -> Diagnosis | None:
        """Whether the other side has hung up, or the place was lost."""
        try:
            self._held.check()
        except FarmError as error:
            return Diagnosis("exited", str(error))
        until = Deadline.after(seconds)
        while True:
            if _hung_up(self._line):
                return self._exited()
            if until.expired:
                return None
            time.sleep(min(_POLL_SECONDS, until.remaining()))

    def _exited(self) -> Diagnosis:
        return Diagnosis("exited", "its emulator ended, or the machine that it runs on is gone")


def connect(address: SerialAddress, deadline: Deadline, place: str) -> socket.socket:
    """The serial line of an emulator: a TCP connection, which breaks when the other machine is silent."""
    if address.protocol != "raw":
        raise FarmError(
            f"place {place}: the serial line of an emulator is raw, not {address.protocol};"
            " the exporter's file says `protocol: raw`"
        )
    seconds = max(0.1, deadline.within(CONNECT_SECONDS).remaining())
    try:
        connection = socket.create_connection((address.host, address.port), seconds)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise FarmError(f"the serial line of place {place} at {where} cannot be reached: {error}") from error
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 5),
        (socket.TCP_KEEPINTVL, 5),
        (socket.TCP_KEEPCNT, 2),
        (socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS),
    ):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


def _hung_up(line: socket.socket) -> bool:
    """Whether the connection is over and nothing is left in it to be read."""
    if line.fileno() < 0:
        return True
    try:
        return not line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
