"""A GDB remote protocol client: packets out, replies in, and whether the target runs.

Pitfalls it takes care of. QEMU: any byte sent to a running target stops it, so nothing is acknowledged and
every request first pauses the target; registers have numbers only once the target description was read; a
stop reply may cross our interrupt on the wire. Renode: a stop is followed by traps that mean nothing, the
state of the target cannot be asked for, and an interrupt of a target that stands still is never answered.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from pyocd.core.exceptions import ProbeError, TargetError

from harness.devices.gdbrsp.connection import RspConnection
from harness.devices.gdbrsp.dialect import ECHO_SECONDS, QEMU, SIGINT, SIGTRAP, Dialect
from harness.devices.gdbrsp.features import Register, read_registers
from harness.devices.gdbrsp.packets import (
    ExitReply,
    StopReply,
    encode,
    parse_stop,
)

REPLY_TIMEOUT = 5.0
"""Seconds; an emulator answers within milliseconds, so silence means that it hangs."""
MINIMUM_RUN = 0.001
"""Seconds a resumed target is left alone. QEMU takes a while to start executing: a debugger that polls memory
without pause stops it before its first instruction three times in four."""
_TRAP = b"S05"
_STOPS = (b"T", b"S02", b"X", b"W")
"""How stops begin that may come between a request and its reply; no reply begins like that."""


class RspClient:
    """One connection to one core. Every failure is of pyOCD's ProbeError family and final."""

    def __init__(self, connection: socket.socket, dialect: Dialect = QEMU) -> None:
        self._wire = RspConnection(connection, acknowledges=dialect.acknowledges)
        self.dialect = dialect
        self.timeout = REPLY_TIMEOUT
        self.packet_size = 512
        self.registers: dict[str, Register] = {}
        self.running = False
        self.stop = StopReply(SIGTRAP)
        self._resumed_at = self._stopped_at = 0.0
        self._stepping = False
        self._traps = 0

    def open(self) -> None:
        """Agree on sizes, stop the target, drop stale breakpoints, learn the registers."""
        self._recognise()
        features = dict(
            item.partition("=")[::2] for item in self.request(b"qSupported").decode("latin-1").split(";")
        )
        try:
            announced = min(max(int(features.get("PacketSize", "200"), 16), 128), 1 << 16)
            self.packet_size = self.dialect.packet_size or announced
            self.registers = self._learn_registers()
        except (ValueError, KeyError) as error:
            raise self._wire.fail(
                f"the GDB server describes itself in a way that makes no sense ({error})"
            ) from error
        stop = self._parse_stop(self.request(b"?"))
        if stop is None:
            raise self._wire.fail("the GDB server does not say why its target stands still")
        self.stop = stop

    @property
    def broken(self) -> bool:
        """Whether nothing more can be asked."""
        return self._wire.broken

    def close(self) -> None:
        self._wire.close()

    # Requests

    def request(self, payload: bytes) -> bytes:
        """Send one packet to a stopped target, or one that is served while it runs; returns the reply."""
        return self.requests((payload,))[0]

    def requests(self, payloads: Iterable[bytes]) -> list[bytes]:
        """Send packets without waiting for each reply; replies come back in order."""
        if self.running and not self.dialect.serves_running:
            raise self._wire.fail("a request was sent while the target runs (a defect of this probe)")
        replies: list[bytes] = []
        sent = 0
        for payload in payloads:
            self._send(encode(payload))
            sent += 1
            if sent - len(replies) >= self.dialect.pipeline:
                replies.append(self._receive())
        while len(replies) < sent:
            replies.append(self._receive())
        return replies

    def monitor(self, command: str) -> str:
        """What a command of the emulator's monitor prints; raises TargetError if it failed."""
        reply = self.request(b"qRcmd," + command.encode().hex().encode())
        printed: list[bytes] = []
        while reply[:1] == b"O" and reply != b"OK":
            printed.append(reply[1:])
            reply = self._receive()
        if reply != b"OK":
            raise ProbeError(f"the emulator refused the monitor command {command!r}: {reply!r}")
        text = self._unhex(b"".join(printed)).decode("utf-8", "replace")
        failure = self.dialect.monitor_failure
        if failure is not None and re.search(failure, text):
            raise TargetError(f"the emulator's monitor command {command!r} failed: {' '.join(text.split())}")
        return text

    # Running and stopping

    def resume(self) -> None:
        self._send(encode(self.dialect.resume))
        self.running = True
        self._resumed_at = time.monotonic()

    def step(self) -> StopReply:
        """Execute one instruction, interrupts masked."""
        self._let_echoes_pass()
        self._send(encode(self.dialect.step))
        self.running = self._stepping = True
        return self._wait_for_stop()

    def reset(self) -> None:
        """Reset the machine of a stopped target: it stands at its reset handler, and RAM is as it was."""
        self._let_echoes_pass()
        traps = self._traps
        for command in self.dialect.reset:
            traps = self._traps
            self.monitor(command)
        until = time.monotonic() + self.timeout
        while self.dialect.reset_traps and self._traps == traps:
            if not self._fill(max(0.0, until - time.monotonic())):
                raise self._wire.fail(f"the emulator did not reset its machine within {self.timeout:g} s")
            self._skip()
        self.stop, self._stopped_at = StopReply(SIGTRAP), time.monotonic()

    def interrupt(self) -> StopReply:
        """Stop the target; returns why it stands, which may be a breakpoint that came first."""
        if self.poll(self._resumed_at + MINIMUM_RUN - time.monotonic()):
            self._send(b"\x03")
            if self._wait_for_stop().signal != SIGINT:
                self._let_echoes_pass()  # and the answer to our interrupt with them, if there is one
        return self.stop

    def poll(self, seconds: float = 0.0) -> bool:
        """Whether the target still runs, looking for a stop reply for `seconds`, without disturbing it."""
        until = time.monotonic() + seconds
        while self.running and self._fill(max(0.0, until - time.monotonic())):
            self._take_stop()
        return self.running

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Requests are served inside. Where that takes a target that stands still, it runs on afterwards,
        unless it stopped for a reason of its own."""
        if not self.poll() or self.dialect.serves_running:
            yield
            return
        resume_after = self.interrupt().signal == SIGINT
        try:
            yield
        finally:
            if resume_after and not self.broken:
                self.resume()

    # Below: bytes

    def _recognise(self) -> None:
        if self.dialect.query is None:
            return
        packet, expected = self.dialect.query
        self._send(encode(packet))
        reply = self._receive()
        if reply.startswith(_STOPS):  # a target that ran stops when a debugger connects, and says so
            reply = self._receive()
        if reply not in expected:
            raise self._wire.fail(
                f"the GDB server is not {self.dialect.name}'s: {packet.decode()} is answered {reply[:20]!r};"
                " for Renode write gdbrsp:renode:HOST:PORT"
            )

    def _learn_registers(self) -> dict[str, Register]:
        if self.dialect.registers is None:
            return read_registers(self._read_document)
        # Masks may have fewer bytes than a core register: as many as the server answers.
        return {
            name: Register(number, 8 if name[0] == "d" else None)
            for name, number in self.dialect.registers.items()
        }

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
                raise self._wire.fail(f"the emulator did not stop within {self.timeout:g} s")
            self._take_stop()
        return self.stop

    def _take_stop(self) -> None:
        payload = self._wire.inbox.pop(0)
        if self.dialect.echoes_stops and payload == _TRAP and not self._stepping:
            return
        stop = self._parse_stop(payload)
        if stop is not None:
            self.stop, self.running, self._stepping = stop, False, False
            self._stopped_at = time.monotonic()

    def _parse_stop(self, payload: bytes) -> StopReply | None:
        stop = parse_stop(payload)
        if isinstance(stop, ExitReply) and self.dialect.survives_exit:
            return StopReply(stop.code)
        if isinstance(stop, ExitReply):
            how = "was ended by signal" if stop.by_signal else "ended with exit code"
            raise self._wire.fail(f"the program in the emulator {how} {stop.code}", disconnected=True)
        return stop

    def _receive(self) -> bytes:
        until = time.monotonic() + self.timeout
        while True:
            if not self._fill(max(0.0, until - time.monotonic())):
                raise self._wire.fail(
                    f"the emulator did not answer its debug connection within {self.timeout:g} s"
                )
            if not self.dialect.echoes_stops or not self._is_stray(self._wire.inbox[0]):
                return self._wire.inbox.pop(0)
            self._skip()

    def _is_stray(self, payload: bytes) -> bool:
        return payload == _TRAP or payload.startswith(_STOPS)

    def _skip(self) -> None:
        """Take a packet that answers no request: a stop of a target that ran, or an echo of a stop."""
        self._traps += self._wire.inbox[0] == _TRAP
        if self.running:
            self._take_stop()
        else:
            self._wire.inbox.pop(0)

    def _let_echoes_pass(self) -> None:
        """Wait until no trap can come any more that belongs to the last stop."""
        if not self.dialect.echoes_stops:
            return
        until = self._stopped_at + ECHO_SECONDS
        while self._fill(max(0.0, until - time.monotonic())):
            self._skip()

    def _send(self, data: bytes) -> None:
        self._wire.send(data, self.timeout)

    def _fill(self, seconds: float) -> bool:
        return self._wire.fill(seconds, self.timeout)

    def _unhex(self, digits: bytes) -> bytes:
        try:
            return bytes.fromhex(digits.decode("ascii"))
        except ValueError as error:
            raise self._wire.fail(f"the GDB server sent {digits[:40]!r} where hexadecimal was due") from error


def expect_ok(replies: Sequence[bytes], doing: str) -> None:
    """Raise ProbeError for the first reply that is not OK."""
    for reply in replies:
        if reply != b"OK":
            raise ProbeError(f"the GDB server refused {doing}: {reply!r}")
