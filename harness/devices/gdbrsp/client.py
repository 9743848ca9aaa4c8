"""A GDB remote protocol client: packets out, replies in, and whether the target runs.

Pitfalls it takes care of (measured on QEMU): any byte sent to a running target stops it, so nothing is
acknowledged and every request first pauses the target; registers are numbered only once the target
description was read; a stop reply may cross our interrupt on the wire.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pyocd.core.exceptions import ProbeDisconnected, ProbeError

from harness.devices.gdbrsp.dialect import QEMU, Dialect
from harness.devices.gdbrsp.features import Register, read_registers
from harness.devices.gdbrsp.packets import (
    ExitReply,
    PacketDecoder,
    PacketError,
    StopReply,
    encode,
    parse_stop,
)

SIGINT, SIGTRAP = 2, 5
REPLY_TIMEOUT = 5.0
"""Seconds; an emulator answers within milliseconds, so silence means that it hangs."""
MINIMUM_RUN = 0.001
"""Seconds a resumed target is left alone. QEMU takes a while to start executing: a debugger that polls memory
without pause stops it before its first instruction three times in four."""
PIPELINE_DEPTH = 32
"""Requests in flight. More would fill the reply buffer and block both sides."""


class RspClient:
    """One connection to one core. Every failure is of pyOCD's ProbeError family and final."""

    def __init__(self, connection: socket.socket, dialect: Dialect = QEMU) -> None:
        self._socket = connection
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._decoder = PacketDecoder()
        self._inbox: list[bytes] = []
        self._broken: str | None = None
        self.dialect = dialect
        self.timeout = REPLY_TIMEOUT
        self.packet_size = 512
        self.registers: dict[str, Register] = {}
        self.running = False
        self.stop = StopReply(SIGTRAP)
        self._resumed_at = 0.0

    def open(self) -> None:
        """Agree on sizes, stop the target, drop stale breakpoints, learn the registers."""
        features = dict(
            item.partition("=")[::2] for item in self.request(b"qSupported").decode("latin-1").split(";")
        )
        try:
            self.packet_size = min(max(int(features.get("PacketSize", "200"), 16), 128), 1 << 16)
            self.registers = read_registers(self._read_document)
        except (ValueError, KeyError) as error:
            raise self._fail(
                f"the GDB server describes itself in a way that makes no sense ({error})"
            ) from error
        stop = self._parse_stop(self.request(b"?"))
        if stop is None:
            raise self._fail("the GDB server does not say why its target stands still")
        self.stop = stop

    def close(self) -> None:
        self._broken = self._broken or "the debug connection was closed"
        self._socket.close()

    # Requests

    def request(self, payload: bytes) -> bytes:
        """Send one packet to a stopped target and return its reply."""
        return self.requests((payload,))[0]

    def requests(self, payloads: Iterable[bytes]) -> list[bytes]:
        """Send packets without waiting for each reply; replies come back in order."""
        if self.running:
            raise self._fail("a request was sent while the target runs (a defect of this probe)")
        replies: list[bytes] = []
        sent = 0
        for payload in payloads:
            self._send(encode(payload))
            sent += 1
            if sent - len(replies) >= PIPELINE_DEPTH:
                replies.append(self._receive())
        while len(replies) < sent:
            replies.append(self._receive())
        return replies

    def monitor(self, command: str) -> str:
        """Run a command of the emulator's monitor and return what it printed."""
        reply = self.request(b"qRcmd," + command.encode().hex().encode())
        printed: list[bytes] = []
        while reply[:1] == b"O" and reply != b"OK":
            printed.append(reply[1:])
            reply = self._receive()
        if reply != b"OK":
            raise ProbeError(f"the emulator refused the monitor command {command!r}: {reply!r}")
        return self._unhex(b"".join(printed)).decode("utf-8", "replace")

    # Running and stopping

    def resume(self) -> None:
        self._send(encode(b"vCont;c"))
        self.running = True
        self._resumed_at = time.monotonic()

    def step(self) -> StopReply:
        """Execute one instruction, interrupts masked."""
        self._send(encode(b"vCont;s"))
        self.running = True
        return self._wait_for_stop()

    def interrupt(self) -> StopReply:
        """Stop the target; returns why it stands, which may be a breakpoint that came first."""
        if self.poll(self._resumed_at + MINIMUM_RUN - time.monotonic()):
            self._send(b"\x03")
            self._wait_for_stop()
        return self.stop

    def poll(self, seconds: float = 0.0) -> bool:
        """Whether the target still runs, looking for a stop reply for `seconds`, without disturbing it."""
        until = time.monotonic() + seconds
        while self.running and self._fill(max(0.0, until - time.monotonic())):
            self._take_stop()
        return self.running

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The target stands still inside; it then runs on, unless it stopped for a reason of its own."""
        if not self.poll():
            yield
            return
        resume_after = self.interrupt().signal == SIGINT
        try:
            yield
        finally:
            if resume_after and self._broken is None:
                self.resume()

    # Below: bytes

    def _read_document(self, name: str) -> str:
        text, chunk = b"", self.packet_size - 8
        while len(text) < 1 << 20:
            reply = self.request(b"qXfer:features:read:%b:%x,%x" % (name.encode(), len(text), chunk))
            text += reply[1:]
            if reply[:1] == b"l":
                return text.decode("utf-8", "replace")
            if reply[:1] != b"m" or len(reply) < 2:
                raise ValueError(f"document {name!r}: {reply[:40]!r}")
        raise ValueError(f"document {name!r} does not end")

    def _wait_for_stop(self) -> StopReply:
        until = time.monotonic() + self.timeout
        while self.running:
            if not self._fill(max(0.0, until - time.monotonic())):
                raise self._fail(f"the emulator did not stop within {self.timeout:g} s")
            self._take_stop()
        return self.stop

    def _take_stop(self) -> None:
        stop = self._parse_stop(self._inbox.pop(0))
        if stop is not None:
            self.stop, self.running = stop, False

    def _parse_stop(self, payload: bytes) -> StopReply | None:
        stop = parse_stop(payload)
        if isinstance(stop, ExitReply):
            how = "was ended by signal" if stop.by_signal else "ended with exit code"
            raise self._fail(f"the program in the emulator {how} {stop.code}", disconnected=True)
        return stop

    def _receive(self) -> bytes:
        if not self._fill(self.timeout):
            raise self._fail(f"the emulator did not answer its debug connection within {self.timeout:g} s")
        return self._inbox.pop(0)

    def _send(self, data: bytes) -> None:
        self._check()
        try:
            self._socket.settimeout(self.timeout)
            self._socket.sendall(data)
        except OSError as error:
            raise self._fail(
                f"the emulator closed the debug connection ({error})", disconnected=True
            ) from error
        except BaseException:  # half a packet may be on the wire
            self._fail("a debug request was interrupted")
            raise

    def _fill(self, seconds: float) -> bool:
        """Wait until a payload is in the inbox; False when none arrived in time."""
        self._check()
        until = time.monotonic() + seconds
        while not self._inbox:
            try:
                self._socket.settimeout(max(0.0, until - time.monotonic()))
                data = self._socket.recv(1 << 18)
                if not data:
                    raise ConnectionResetError("end of stream")
                self._inbox += self._decoder.feed(data)
            except (TimeoutError, BlockingIOError):
                return False
            except OSError as error:
                message = f"the emulator closed the debug connection ({error})"
                raise self._fail(message, disconnected=True) from error
            except PacketError as error:
                raise self._fail(f"the GDB server sent {error}") from error
            except BaseException:  # the reply now on its way would be taken for the next one
                self._fail("a debug request was interrupted")
                raise
        return True

    def _check(self) -> None:
        if self._broken is not None:
            raise ProbeDisconnected(self._broken)

    def _fail(self, message: str, *, disconnected: bool = False) -> ProbeError:
        """Make the connection unusable (its byte stream is out of step) and return the error to raise."""
        self._broken = self._broken or message
        return ProbeDisconnected(message) if disconnected else ProbeError(message)

    def _unhex(self, digits: bytes) -> bytes:
        try:
            return bytes.fromhex(digits.decode("ascii"))
        except ValueError as error:
            raise self._fail(f"the GDB server sent {digits[:40]!r} where hexadecimal was due") from error


def expect_ok(replies: Sequence[bytes], doing: str) -> None:
    """Raise ProbeError for the first reply that is not OK."""
    for reply in replies:
        if reply != b"OK":
            raise ProbeError(f"the GDB server refused {doing}: {reply!r}")
