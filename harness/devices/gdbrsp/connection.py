"""The bytes of a GDB connection: packets out, payloads in.

Every failure is of pyOCD's ProbeError family, and final.
"""

from __future__ import annotations

import socket
import time

from pyocd.core.exceptions import ProbeDisconnected, ProbeError

from harness.devices.gdbrsp.packets import PacketDecoder, PacketError


class RspConnection:
    """A socket to a GDB server. `inbox` has the payloads that came in and were not taken yet, in order."""

    def __init__(self, connection: socket.socket, *, acknowledges: bool) -> None:
        self._socket = connection
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = PacketDecoder()
        self._acknowledges = acknowledges
        self._broken: str | None = None
        self.inbox: list[bytes] = []

    @property
    def broken(self) -> bool:
        """Whether nothing more can be asked."""
        return self._broken is not None

    def close(self) -> None:
        self._broken = self._broken or "the debug connection was closed"
        self._socket.close()

    def fail(self, message: str, *, disconnected: bool = False) -> ProbeError:
        """Make the connection unusable (its byte stream is out of step) and return the error to raise."""
        self._broken = self._broken or message
        return ProbeDisconnected(message) if disconnected else ProbeError(message)

    def send(self, data: bytes, seconds: float) -> None:
        """Send all of `data` within `seconds`."""
        self._check()
        try:
            self._socket.settimeout(seconds)
            self._socket.sendall(data)
        except OSError as error:
            message = f"the emulator closed the debug connection ({error})"
            raise self.fail(message, disconnected=True) from error
        except BaseException:  # half a packet may be on the wire
            self.fail("a debug request was interrupted")
            raise

    def fill(self, seconds: float, patience: float) -> bool:
        """Wait up to `seconds` until a payload is in the inbox; False when none arrived in time.

        `patience`: seconds within which the server has to take an acknowledgement.
        """
        self._check()
        until = time.monotonic() + seconds
        while not self.inbox:
            payloads = self._take(max(0.0, until - time.monotonic()))
            if payloads is None:
                return False
            if self._acknowledges and payloads:
                self.send(b"+" * len(payloads), patience)
            self.inbox += payloads
        return True

    def _take(self, seconds: float) -> list[bytes] | None:
        """Payloads that the next bytes complete; None when there are no bytes in time."""
        try:
            self._socket.settimeout(seconds)
            data = self._socket.recv(1 << 18)
            if not data:
                raise ConnectionResetError("end of stream")
            return self._decoder.feed(data)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as error:
            message = f"the emulator closed the debug connection ({error})"
            raise self.fail(message, disconnected=True) from error
        except PacketError as error:
            raise self.fail(f"the GDB server sent {error}") from error
        except BaseException:  # the reply now on its way would be taken for the next one
            self.fail("a debug request was interrupted")
            raise

    def _check(self) -> None:
        if self._broken is not None:
            raise ProbeDisconnected(self._broken)
