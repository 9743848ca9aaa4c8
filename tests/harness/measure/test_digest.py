from __future__ import annotations

import hashlib

from harness.measure.digest import state_digest
from harness.measure.sram import Span


class Memory:
    def read(self, address: int, length: int) -> bytes:
        return bytes(address + offset & 0xFF for offset in range(length))

    def write(self, address: int, data: bytes) -> None:
        raise AssertionError("a digest writes nothing")


def test_the_digest_is_sha256_of_the_spans_in_the_given_order() -> None:
    spans = [Span(10, 3), Span(2, 2)]
    assert state_digest(Memory(), spans) == hashlib.sha256(bytes([10, 11, 12, 2, 3])).hexdigest()
    assert state_digest(Memory(), spans[::-1]) != state_digest(Memory(), spans)
