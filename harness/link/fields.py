"""Fields of a reply's body, little endian. What does not parse raises LinkError, in which `what` names it."""

from __future__ import annotations

import struct
from typing import Any

from harness.errors import LinkError


def unpack(form: str, body: bytes, what: str) -> tuple[Any, ...]:
    """The fields of a body that has nothing else; `form` is one of struct."""
    if len(body) != struct.calcsize(form):
        raise LinkError(f"{what} has {len(body)} bytes, it takes {struct.calcsize(form)}")
    return struct.unpack(form, body)


def unpack_head(form: str, body: bytes, what: str) -> tuple[Any, ...]:
    """The fields that a body begins with."""
    if len(body) < struct.calcsize(form):
        raise LinkError(f"{what} has {len(body)} bytes, it takes at least {struct.calcsize(form)}")
    return struct.unpack_from(form, body)


def floats(data: bytes, what: str) -> tuple[float, ...]:
    """float32 values, as many as there are bytes for."""
    if len(data) % 4:
        raise LinkError(f"{what} ends in {len(data)} bytes of logits, which is not a multiple of 4")
    return struct.unpack(f"<{len(data) // 4}f", data)


def strings(data: bytes, count: int, what: str) -> tuple[str, ...]:
    """`count` strings, each with its length in one byte before it, and nothing after the last."""
    found: list[str] = []
    rest = data
    for _ in range(count):
        if not rest or len(rest) < 1 + rest[0]:
            raise LinkError(f"{what} ends within a string")
        raw, rest = rest[1 : 1 + rest[0]], rest[1 + rest[0] :]
        if any(byte < 0x20 or byte > 0x7E for byte in raw):
            raise LinkError(f"{what} has a string that is not printable ASCII: {raw!r}")
        found.append(raw.decode("ascii"))
    if rest:
        raise LinkError(f"{what} has {len(rest)} bytes after its end")
    return tuple(found)


def span_start(address: int, length: int, what: str) -> int:
    """`address`, if memory of `length` bytes can be there."""
    if address == 0 or address + length > 1 << 64:
        raise LinkError(f"the firmware says {what} is {length} bytes at 0x{address:x}, which is no address")
    return address
