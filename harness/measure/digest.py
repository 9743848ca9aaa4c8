"""The state digest: SHA-256 of the trainable state, span after span in network order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from harness.devices.base import MemoryAccess
from harness.measure.sram import Span


def state_digest(memory: MemoryAccess, spans: Iterable[Span]) -> str:
    """Hexadecimal SHA-256 of the bytes of `spans`, in the given order, as read through the probe."""
    digest = hashlib.sha256()
    for span in spans:
        digest.update(memory.read(span.start, span.size))
    return digest.hexdigest()
