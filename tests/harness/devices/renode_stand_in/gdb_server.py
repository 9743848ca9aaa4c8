"""Renode's GDB server as it was measured: what it answers, what it does not, and the traps it adds."""

import heapq
import itertools
import re
import time

from monitor import CommandError

DELAY = 0.01
"""Seconds after which a trap that means nothing follows a stop; up to 23 ms were measured."""
CROSSING = 0.2
"""Seconds in which an interrupt may cross a stop on the wire."""
GENERAL = {**{n: f"r{n}" for n in range(13)}, 13: "sp", 14: "lr", 15: "pc"}
SPECIAL = {18: "control", 19: "basepri", 20: "vtor", 22: "inactive", 25: "xpsr"}
MASKS = {28: "primask", 30: "faultmask"}
REGISTERS = {**GENERAL, **SPECIAL, **MASKS, 74: "fpscr", **{42 + n: f"d{n}" for n in range(16)}}


def packet(payload):
    body = bytearray()
    for byte in payload:
        body += bytes((0x7D, byte ^ 0x20)) if byte in b"$#}*" else bytes((byte,))
    return b"$" + bytes(body) + b"#%02x" % (sum(body) & 0xFF)


class GdbServer:
    def __init__(self, machine, monitor, fault, journal):
        self._machine = machine
        self._monitor = monitor
        self._fault = fault
        self._journal = journal
        self._connection = None
        self._pending = b""
        self._due = []
        self._order = itertools.count()
        self._steps = 0
        self._stopped_at_breakpoint = False
        self._stopped_at = 0.0

    # The connection

    def attach(self, connection):
        self._connection, self._pending = connection, b""
        if self._machine.running:
            self._machine.running = False
            self._send(b"S05")

    def detach(self):
        self._connection = None
        self._due.clear()
        if self._machine.breakpoints or self._machine.watchpoints:
            self._journal("disconnected with breakpoints armed")
        if self._stopped_at_breakpoint:
            self._machine.running = True

    def seconds_until_due(self):
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else None

    def send_due(self):
        while self._due and self._due[0][0] <= time.monotonic():
            self._send(heapq.heappop(self._due)[2])

    def _later(self, payload, seconds=DELAY):
        heapq.heappush(self._due, (time.monotonic() + seconds, next(self._order), payload))

    def _send(self, payload):
        if self._connection is not None:
            self._connection.sendall(packet(payload))

    def receive(self, data):
        if self._fault == "mute":
            return
        self._pending += data
        while self._pending:
            self._pending = self._pending.lstrip(b"+")
            if self._pending[:1] == b"\x03":
                self._pending = self._pending[1:]
                self._interrupt()
                continue
            end = self._pending.find(b"#")
            if end < 0 or len(self._pending) < end + 3:
                return
            assert self._pending[:1] == b"$", self._pending
            body, digits = self._pending[1:end], self._pending[end + 1 : end + 3]
            self._pending = self._pending[end + 3 :]
            assert digits == b"%02x" % (sum(body) & 0xFF), "wrong checksum"
            self._connection.sendall(b"+")
            payload = re.sub(rb"\x7d(.)", lambda match: bytes((match[1][0] ^ 0x20,)), body, flags=re.DOTALL)
            for reply in self._answer(payload):
                self._send(reply)

    def _interrupt(self):
        if not self._machine.running:
            if time.monotonic() > self._stopped_at + CROSSING:
                self._journal("0x03 to a target that stands still is never answered")
        elif self._fault != "ignores-interrupt":
            self._machine.running = False
            self._stopped_at_breakpoint = False
            self._later(b"S02", 0.005)

    # Stops

    def report(self, stop):
        """The machine stopped by itself."""
        kind, address = stop
        self._stopped_at = time.monotonic()
        self._stopped_at_breakpoint = True
        if kind == "lost":
            self._send(b"X06")
        elif kind == "watch":
            self._send(b"T05watch:%08x;" % address)
            self._later(b"S05")
        else:
            self._send(b"T05hwbreak:;")
            self._later(b"S05")

    # Requests

    def _answer(self, payload):
        text = payload.split(b":", 1)[0].decode("latin-1")
        if text.startswith("qSupported"):
            return [b"PacketSize=1024;qXfer:features:read+;swbreak+;hwbreak+"]
        if text == "?":
            return [b"S00"]
        if text.startswith("qRcmd,"):
            return self._command(bytes.fromhex(text[6:]).decode())
        if text.startswith("m"):
            address, length = (int(part, 16) for part in text[1:].split(","))
            data = self._machine.peek(address, length)
            return [b"E14" if data is None else data.hex().encode()]
        if text[0] in "MX":
            address, length = (int(part, 16) for part in text[1:].split(","))
            body = payload.split(b":", 1)[1]
            data = body if text[0] == "X" else bytes.fromhex(body.decode())
            assert len(data) == length
            self._machine.poke(address, data)
            return [b"OK"]
        if text[0] == "p":
            return [self._register(int(text[1:], 16))]
        if text[0] == "P":
            number, _, digits = text[1:].partition("=")
            return [self._set_register(int(number, 16), bytes.fromhex(digits))]
        if text[0] in "Zz":
            return [self._point(text)]
        if text == "c":
            if self._fault == "dies-when-running":
                raise SystemExit(3)
            self._stopped_at_breakpoint = False
            self._machine.resume()
            return []
        if text == "s":
            return self._step()
        if text.startswith("vCont"):
            self._journal("vCont was not measured")
        return [b""]

    def _command(self, line):
        try:
            printed = self._monitor.execute(line)
        except CommandError as error:
            printed = f"There was an error executing command '{error.command}'\n{error}\n"
        if line == "start" and self._fault != "no-trap-after-reset":
            # The trap may overtake the command's own reply, and comes more than once.
            self._send(b"S05")
            self._later(b"S05")
        return ([b"O" + printed.encode().hex().encode()] if printed else []) + [b"OK"]

    def _step(self):
        self._steps += 1
        kind = self._machine.step()
        if kind is not None and kind[0] == "lost":
            return [b"X06"]
        self._later(b"S05")
        if self._steps % 2:
            self._later(b"S05", 2 * DELAY)
        return [b"S05"]

    def _register(self, number):
        name = REGISTERS.get(number)
        if name is None:
            return b"00000000"
        size = 8 if name[0] == "d" else 1 if name in ("primask", "faultmask") else 4
        return self._machine.get(name).to_bytes(8, "little")[:size].hex().encode()

    def _set_register(self, number, data):
        if number in (21, 27):
            self._journal(f"register {number} is not to be written")
        name = REGISTERS.get(number)
        if name is not None:
            self._machine.set(name, int.from_bytes(data, "little"))
        return b"OK"

    def _point(self, text):
        kind, address, length = int(text[1]), *(int(part, 16) for part in text[3:].split(","))
        points = self._machine.breakpoints if kind < 2 else self._machine.watchpoints
        if text[0] == "Z":
            points[address] = length
        else:
            points.pop(address, None)
        self._machine.points_changed()
        return b"OK"
