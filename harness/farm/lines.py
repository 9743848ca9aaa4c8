"""The serial line of a board at a place: TCP, raw or RFC 2217, through ssh where that is needed."""

from __future__ import annotations

import socket
import threading
import time
from abc import ABC, abstractmethod
from urllib.parse import quote

import serial
from serial.rfc2217 import Serial as Rfc2217Serial

from harness.deadline import Deadline
from harness.devices.socket_serial import SocketSerial
from harness.errors import FarmError
from harness.farm.access import BAUD, SerialAddress
from harness.farm.ssh import SshForward, SshLine

CONNECT_SECONDS = 10.0
_SILENCE_MILLISECONDS = 15_000
_POLL_SECONDS = 0.1
_KEEP_ALIVE = (
    (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_MILLISECONDS),
)


class Line(ABC):
    """An open line. `port` is what speaks over it."""

    port: serial.SerialBase

    @abstractmethod
    def ended(self) -> str | None:
        """Why the line is over, one clause; None while it lives."""

    @abstractmethod
    def close(self) -> None: ...


def open_line(address: SerialAddress, deadline: Deadline, place: str) -> Line:
    """FarmError: it cannot be reached, or does not speak the protocol."""
    return (
        RawLine(address, deadline, place)
        if address.protocol == "raw"
        else Rfc2217Line(address, deadline, place)
    )


class RawLine(Line):
    """Bytes as they are."""

    def __init__(self, address: SerialAddress, deadline: Deadline, place: str) -> None:
        self._ssh: SshLine | None = None
        if address.proxy is None:
            self._socket = connect(address, deadline, place)
        else:
            host = f"[{address.host}]" if ":" in address.host else address.host
            self._ssh = SshLine(address.proxy, options=("-W", f"{host}:{address.port}"))
            self._socket = self._ssh.connection
        port = SocketSerial(f"serial line of place {place}")
        port.attach(self._socket)
        self.port = port

    def ended(self) -> str | None:
        if self._ssh is not None and (why := self._ssh.ended()) is not None:
            return why
        return "the exporter hung up the serial line" if hung_up(self._socket) else None

    def close(self) -> None:
        self.port.close()
        if self._ssh is not None:
            self._ssh.close()


class Rfc2217Line(Line):
    """Telnet with the settings of the port over there, which is what labgrid's exporter offers."""

    def __init__(self, address: SerialAddress, deadline: Deadline, place: str) -> None:
        self._forward = (
            None if address.proxy is None else SshForward(address.proxy, address.host, address.port)
        )
        self._port = Rfc2217Port()
        self._port.baudrate = BAUD
        self.port = self._port
        host, number = address.host, address.port
        if self._forward is not None:
            host, number = "127.0.0.1", self._forward.port
        host = f"[{host}]" if ":" in host else quote(host)
        # As labgrid's own driver opens it: some servers never confirm what is set of the control lines.
        self._port.port = f"rfc2217://{host}:{number}?ign_set_control&timeout=3"
        try:
            self._open(deadline.within(CONNECT_SECONDS))
        except (OSError, ValueError) as error:
            reason = (self._forward and self._forward.ended()) or error
            self.close()
            where = f"{address.host}:{address.port}"
            raise FarmError(
                f"the serial line of place {place} at {where} cannot be opened: {reason}"
            ) from error
        except BaseException:
            self.close()
            raise

    def ended(self) -> str | None:
        if self._forward is not None and (why := self._forward.ended()) is not None:
            return why
        return None if self._port.connected else "the exporter hung up the serial line"

    def close(self) -> None:
        try:
            self._port.close()
        finally:
            if self._forward is not None:
                self._forward.close()

    def _open(self, until: Deadline) -> None:
        """ssh takes a moment before it listens."""
        while True:
            try:
                return self._port.open()
            except OSError:
                if self._forward is None or self._forward.ended() is not None or until.expired:
                    raise
            time.sleep(_POLL_SECONDS)


class Rfc2217Port(Rfc2217Serial):
    """pyserial's, but for its negotiating everything anew whenever a timeout is changed.

    A write that the other side does not take fails after the five seconds of pyserial's socket.
    """

    _thread: threading.Thread | None
    _socket: socket.socket
    _is_set = False

    @property
    def connected(self) -> bool:
        """Whether its reader lives, which ends with the connection."""
        return self._thread is not None and self._thread.is_alive()

    def open(self) -> None:
        self._is_set = False
        super().open()
        for level, option, value in _KEEP_ALIVE:
            self._socket.setsockopt(level, option, value)

    def _reconfigure_port(self) -> None:
        if not self._is_set:
            super()._reconfigure_port()  # type: ignore[misc]
            self._is_set = True


def connect(address: SerialAddress, deadline: Deadline, place: str) -> socket.socket:
    """A TCP connection, which breaks when the other machine is silent."""
    seconds = max(0.1, deadline.within(CONNECT_SECONDS).remaining())
    try:
        connection = socket.create_connection((address.host, address.port), seconds)
    except OSError as error:
        where = f"{address.host}:{address.port}"
        raise FarmError(f"the serial line of place {place} at {where} cannot be reached: {error}") from error
    for level, option, value in _KEEP_ALIVE:
        connection.setsockopt(level, option, value)
    return connection


def hung_up(line: socket.socket) -> bool:
    """Whether the connection is over and nothing is left in it to be read."""
    if line.fileno() < 0:
        return True
    try:
        return not line.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
