"""A debug probe that another machine's `pyocd server` has: pyOCD's own client, with waits that end.

pyOCD 0.46's client (`pyocd.probe.tcp_client_probe`) waits for a reply for ever, spins when the connection
ends, cannot send bytes, and takes what it is told. Here every reply has a deadline, a connection that broke
stays broken, and numbers are numbers.
"""

from __future__ import annotations

import socket
import time
from typing import Any

from pyocd.core.exceptions import Error as PyocdError
from pyocd.core.exceptions import ProbeDisconnected, ProbeError
from pyocd.probe.tcp_client_probe import TCPClientProbe

REPLY_SECONDS = 30.0
"""The longest request, a megabyte of memory through a slow probe, with room."""
_LONGEST_REPLY = 1 << 27
_CHUNK = 1 << 16
_ONE = frozenset({"read_dp", "read_ap", "read_mem"})
_MANY = {"read_ap_multiple": 1, "read_block32": 2, "read_block8": 2}
"""Requests that are answered with as many numbers as this argument says."""


class RequestLine:
    """In place of pyOCD's `ClientSocket`: lines over a connection, each by a deadline."""

    def __init__(self, connection: socket.socket) -> None:
        self.seconds = REPLY_SECONDS
        self.broken: str | None = None
        """Why nothing more can be asked."""
        self._connection = connection
        self._buffer = bytearray()

    def connect(self) -> None:
        """It is connected."""

    def set_timeout(self, timeout: float) -> None:
        """`seconds` is what counts."""

    def write(self, data: bytes) -> None:
        self._check()
        try:
            self._connection.settimeout(max(0.05, self.seconds))
            self._connection.sendall(data)
        except OSError as error:
            raise self.lost(f"the connection to pyOCD's server broke: {error}") from error

    def readline(self) -> bytes:
        self._check()
        until = time.monotonic() + self.seconds
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            try:
                self._connection.settimeout(max(0.05, until - time.monotonic()))
                data = self._connection.recv(_CHUNK)
            except TimeoutError:
                raise self.lost(f"pyOCD's server did not answer in {self.seconds:g} s") from None
            except OSError as error:
                raise self.lost(f"the connection to pyOCD's server broke: {error}") from error
            if not data:
                raise self.lost("pyOCD's server closed the connection")
            self._buffer += data
            if len(self._buffer) > _LONGEST_REPLY:
                raise self.lost("pyOCD's server sends without an end")
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    def close(self) -> None:
        self._connection.close()

    def lost(self, reason: str) -> ProbeError:
        """From now on every request fails: a reply that comes late would be taken for the next one's."""
        self.broken = reason
        return ProbeDisconnected(reason)

    def _check(self) -> None:
        if self.broken is not None:
            raise ProbeDisconnected(self.broken)


class RemoteProbe(TCPClientProbe):  # type: ignore[misc]
    """The probe at the other end of `connection`."""

    def __init__(self, connection: socket.socket) -> None:
        super().__init__("nowhere:0")
        self.line = RequestLine(connection)
        self._socket = self.line
        self._uid = ""

    @property
    def description(self) -> str:
        return f"probe {self._uid} of pyOCD's server"

    def identify(self) -> str:
        """Its unique ID, as the server has it. Raises ProbeError."""
        self._perform_request("hello", self.PROTOCOL_VERSION)
        unique_id = self._perform_request("readprop", "unique_id")
        if not isinstance(unique_id, str) or not unique_id.isprintable():
            raise self.line.lost(f"pyOCD's server says that its probe has the unique ID {unique_id!r}")
        self._uid = unique_id
        return unique_id

    def open(self) -> None:
        try:
            super().open()
        except PyocdError as error:
            if self.line.broken is not None:
                raise
            raise ProbeError(
                f"pyOCD's server cannot open the probe {self._uid}; another program over there may have it"
                f" ({error})"
            ) from error

    def lock(self) -> None:
        # pyOCD unlocks what it failed to lock, on which its own client asserts.
        with self._lock_count_lock:
            self._lock_count += 1
            if self._lock_count == 1:
                self._perform_request("lock")

    def unlock(self) -> None:
        with self._lock_count_lock:
            self._lock_count -= 1
            if self._lock_count == 0 and self.line.broken is None:
                self._perform_request("unlock")

    def _read_property(self, name: str, default: Any = None) -> Any:
        try:
            return super()._read_property(name, default)
        except (KeyError, TypeError) as error:
            raise self.line.lost(
                f"pyOCD's server answered {name} with {error}, which this pyOCD lacks"
            ) from error

    def _perform_request_without_raise(self, request: str, *args: Any) -> tuple[Any, BaseException | None]:
        plain = [list(each) if isinstance(each, bytes | bytearray | memoryview) else each for each in args]
        try:
            result, error = super()._perform_request_without_raise(request, *plain)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as broken:
            raise self.line.lost(f"what came from pyOCD's server is no reply ({broken})") from broken
        if error is None and not _makes_sense(request, plain, result):
            raise self.line.lost(f"pyOCD's server answered {request} with {str(result)[:60]!r}")
        return result, error


def _makes_sense(request: str, arguments: list[Any], result: Any) -> bool:
    if request in _ONE:
        return _is_word(result, 32)
    if request in _MANY:
        count, bits = arguments[_MANY[request]], 8 if request == "read_block8" else 32
        return isinstance(result, list) and len(result) == count and all(_is_word(n, bits) for n in result)
    return True


def _is_word(value: Any, bits: int) -> bool:
    return type(value) is int and 0 <= value < 1 << bits
