"""A pyserial port over a socket that this process already holds: the link of emulators and host processes."""

from __future__ import annotations

import fcntl
import select
import socket
import termios
import time
from array import array
from typing import Any

import serial


class SocketSerial(serial.SerialBase):
    """Behaves as pyserial's ports do: `timeout` and `write_timeout` in seconds, short reads on a timeout.

    A line that the other side has closed raises SerialException once its last bytes were read.
    """

    def __init__(self, name: str) -> None:
        self._connection: socket.socket | None = None
        super().__init__()
        self.name = name

    def attach(self, connection: socket.socket) -> None:
        """Use `connection` from now on; an earlier one is closed."""
        self.close()
        connection.setblocking(False)
        self._connection = connection
        self.is_open = True

    def open(self) -> None:
        if self._connection is None:
            raise serial.SerialException(f"{self.name} has no line yet; load the firmware first")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self.is_open = False

    @property
    def in_waiting(self) -> int:
        """Bytes that a read returns at once."""
        count = array("i", (0,))
        fcntl.ioctl(self._line(), termios.FIONREAD, count)
        return count[0]

    def fileno(self) -> int:
        return self._line().fileno()

    def read(self, size: int = 1) -> bytes:
        until = None if self.timeout is None else time.monotonic() + self.timeout
        received = bytearray()
        while len(received) < size:
            try:
                data = self._line().recv(size - len(received))
            except BlockingIOError:
                if not self._wait(until, for_reading=True):
                    break
                continue
            except OSError as error:
                raise self._gone(error) from error
            if not data:
                if received:
                    break
                raise self._gone("end of stream")
            received += data
        return bytes(received)

    def write(self, data: Any, /) -> int:
        until = None if self.write_timeout is None else time.monotonic() + self.write_timeout
        rest = memoryview(data).cast("B")
        total = len(rest)
        while rest:
            try:
                rest = rest[self._line().send(rest) :]
            except BlockingIOError:
                if not self._wait(until, for_reading=False):
                    taken = f"{total - len(rest)} of {total} bytes"
                    raise serial.SerialTimeoutException(
                        f"{self.name} took {taken} within {self.write_timeout:g} s"
                    ) from None
            except OSError as error:
                raise self._gone(error) from error
        return total

    def flush(self) -> None:
        """Nothing is buffered on this side."""

    def reset_input_buffer(self) -> None:
        """Throw away what has arrived."""
        while self.in_waiting:
            self._line().recv(1 << 16)

    def reset_output_buffer(self) -> None:
        """Nothing is buffered on this side."""

    def _reconfigure_port(self) -> None:
        """No wire, no line settings."""

    def _line(self) -> socket.socket:
        if self._connection is None:
            raise serial.PortNotOpenError()
        return self._connection

    def _wait(self, until: float | None, *, for_reading: bool) -> bool:
        poll = select.poll()
        poll.register(self._line(), select.POLLIN if for_reading else select.POLLOUT)
        return bool(poll.poll(None if until is None else max(0.0, until - time.monotonic()) * 1000))

    def _gone(self, reason: object) -> serial.SerialException:
        return serial.SerialException(f"{self.name}: the device closed its serial line ({reason})")
