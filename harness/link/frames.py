"""Frames of the link: COBS between zero bytes, with version, kind, sequence number and CRC-32.

On the wire: `00 COBS(version u8 | kind u8 | sequence u16 | body | crc32 u32) 00`, little endian. The CRC is
the one of zlib (polynomial 0x04C11DB7, reflected) over everything before it. The other end: `harness/agent/`.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from cobs import cobs

from harness.errors import LinkError

PROTOCOL_VERSION = 1
MAX_BODY = 1024
"""Largest body in bytes; the agent's buffers are this big plus header and CRC."""

SEQUENCES = 1 << 16
_HEADER = struct.Struct("<BBH")
_CRC = struct.Struct("<I")
_DELIMITER = b"\0"
_MAX_PLAIN = _HEADER.size + MAX_BODY + _CRC.size
MAX_ENCODED = _MAX_PLAIN + _MAX_PLAIN // 254 + 1
"""Largest frame between two delimiters, in bytes."""


@dataclass(frozen=True)
class Frame:
    """One frame; `kind` is a command or a reply number, `sequence` in 0..65535."""

    kind: int
    sequence: int
    body: bytes
    version: int = PROTOCOL_VERSION


def encode_frame(frame: Frame) -> bytes:
    """Bytes for the wire, delimiters included; raise LinkError for a body longer than MAX_BODY."""
    if len(frame.body) > MAX_BODY:
        raise LinkError(f"a frame body has {len(frame.body)} bytes, the link carries at most {MAX_BODY}")
    plain = _HEADER.pack(frame.version, frame.kind, frame.sequence) + frame.body
    # The leading delimiter ends whatever noise the receiver collected before.
    encoded: bytes = cobs.encode(plain + _CRC.pack(zlib.crc32(plain)))
    return _DELIMITER + encoded + _DELIMITER


def decode_frame(encoded: bytes) -> Frame:
    """The frame in the bytes between two delimiters; raise LinkError when it is damaged."""
    if len(encoded) > MAX_ENCODED:
        raise LinkError(f"a frame is longer than the {MAX_ENCODED} bytes the link allows")
    try:
        plain: bytes = cobs.decode(encoded)
    except cobs.DecodeError as error:
        raise LinkError(f"a frame of {len(encoded)} bytes is not valid COBS: {error}") from error
    if not _HEADER.size + _CRC.size <= len(plain) <= _MAX_PLAIN:
        raise LinkError(
            f"a frame has {len(plain)} bytes; {_HEADER.size + _CRC.size} to {_MAX_PLAIN} are allowed"
        )
    content, (expected,) = plain[: -_CRC.size], _CRC.unpack(plain[-_CRC.size :])
    found = zlib.crc32(content)
    if found != expected:
        raise LinkError(f"a frame carries CRC 0x{expected:08x}, its content has 0x{found:08x}")
    version, kind, sequence = _HEADER.unpack_from(content)
    return Frame(kind, sequence, content[_HEADER.size :], version)


class FrameSplitter:
    """Cuts a byte stream at the delimiters. Never keeps more than MAX_ENCODED + 1 bytes of a frame."""

    def __init__(self) -> None:
        self._partial = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The encoded frames completed by `data`, damaged ones included, empty ones left out.

        A frame longer than MAX_ENCODED comes out cut to MAX_ENCODED + 1 bytes, which `decode_frame` refuses.
        """
        complete: list[bytes] = []
        *ended, rest = data.split(_DELIMITER)
        for piece in ended:
            self._keep(piece)
            if self._partial:
                complete.append(bytes(self._partial))
                self._partial.clear()
        self._keep(rest)
        return complete

    def _keep(self, piece: bytes) -> None:
        self._partial += piece[: MAX_ENCODED + 1 - len(self._partial)]
