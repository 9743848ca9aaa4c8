"""GDB remote protocol packets as bytes: `$payload#checksum`, escapes and run lengths. Pure, no I/O.

Source: GDB manual, appendix "Overview" of the remote serial protocol.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PAYLOAD = 1 << 20
"""Bytes; a server that sends more is broken or hostile."""

_SPECIAL = re.compile(rb"[$#}*]")
_ESCAPE = 0x7D
_RUN = 0x2A
_STOP = re.compile(rb"([TS])([0-9a-fA-F]{2})(.*)", re.DOTALL)
_WATCH = re.compile(rb"(?:^|;)(?:watch|rwatch|awatch):([0-9a-fA-F]+)")


class PacketError(ValueError):
    """Bytes that are no packet: a wrong checksum, a refusal, or an endless payload."""


@dataclass(frozen=True)
class StopReply:
    """Why the target stopped. `signal` is GDB's number: 2 interrupted by us, 5 trap."""

    signal: int
    watch_address: int | None = None


@dataclass(frozen=True)
class ExitReply:
    """The program in the emulator ended, with an exit code or by a signal."""

    code: int
    by_signal: bool


def checksum(payload: bytes) -> int:
    return sum(payload) & 0xFF


def encode(payload: bytes) -> bytes:
    """Frame a payload; the four special bytes are escaped."""
    escaped = _SPECIAL.sub(lambda match: bytes((_ESCAPE, match[0][0] ^ 0x20)), payload)
    return b"$%b#%02x" % (escaped, checksum(escaped))


def decode_body(body: bytes) -> bytes:
    """Undo escapes and run lengths of the bytes between `$` and `#`."""
    if _ESCAPE not in body and _RUN not in body:
        return body
    payload = bytearray()
    position = 0
    while position < len(body):
        byte = body[position]
        if byte in (_ESCAPE, _RUN):
            position += 1
            if position == len(body) or (byte == _RUN and not payload):
                raise PacketError(f"a packet with a dangling {chr(byte)!r}: {body[:40]!r}")
            follower = body[position]
            payload += bytes((follower ^ 0x20,)) if byte == _ESCAPE else payload[-1:] * max(follower - 29, 0)
        else:
            payload.append(byte)
        position += 1
        if len(payload) > MAX_PAYLOAD:
            raise PacketError(f"a packet that unpacks to more than {MAX_PAYLOAD} bytes")
    return bytes(payload)


class PacketDecoder:
    """Cuts a byte stream into payloads, however the stream was chopped. Acknowledgements are dropped."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads completed by `data`, in order; raises PacketError when the stream is damaged."""
        self._pending += data
        payloads: list[bytes] = []
        while True:
            start = self._pending.find(b"$")
            between = self._pending if start < 0 else self._pending[:start]
            if b"-" in between:
                raise PacketError("the server refused a packet (checksum mismatch on its side)")
            if start < 0:
                self._pending.clear()
                return payloads
            end = self._pending.find(b"#", start)
            if end < 0 or len(self._pending) < end + 3:
                if len(self._pending) - start > MAX_PAYLOAD:
                    raise PacketError(f"a packet longer than {MAX_PAYLOAD} bytes")
                del self._pending[:start]
                return payloads
            body, digits = bytes(self._pending[start + 1 : end]), bytes(self._pending[end + 1 : end + 3])
            del self._pending[: end + 3]
            if digits.lower() != b"%02x" % checksum(body):
                raise PacketError(f"checksum {digits!r} does not match packet {body[:40]!r}")
            payloads.append(decode_body(body))


def parse_stop(payload: bytes) -> StopReply | ExitReply | None:
    """A stop or exit reply, or None when the payload is something else."""
    if match := _STOP.fullmatch(payload):
        watch = _WATCH.search(match[3])
        return StopReply(int(match[2], 16), int(watch[1], 16) if watch else None)
    if payload[:1] in (b"W", b"X") and re.fullmatch(rb"[0-9a-fA-F]{2}", payload[1:3]):
        return ExitReply(int(payload[1:3], 16), by_signal=payload[:1] == b"X")
    return None
