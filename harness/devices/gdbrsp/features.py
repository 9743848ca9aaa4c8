"""Which registers a server offers: names and numbers from its target description.

The description is XML, but QEMU's uses an undeclared namespace, and a server is not trusted with an XML
parser's entity expansion; two patterns are enough for `<xi:include href=…>` and `<reg name=…>`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

_TAG = re.compile(r"<(xi:include|reg)\b([^>]*)>")
_ATTRIBUTE = re.compile(r"([\w:]+)\s*=\s*\"([^\"]*)\"")
_MAX_DOCUMENTS = 32


@dataclass(frozen=True)
class Register:
    """A register as the server numbers it. `size` in bytes; None: as many as the server answers, up to 4."""

    number: int
    size: int | None


def read_registers(fetch: Callable[[str], str]) -> dict[str, Register]:
    """Registers by name. `fetch` returns the text of one document, starting with `target.xml`.

    Numbers count up through the documents in order of inclusion, unless `regnum` sets them.
    """
    registers: dict[str, Register] = {}
    pending = ["target.xml"]
    documents = 0
    number = 0
    while pending and documents < _MAX_DOCUMENTS:
        documents += 1
        for tag, text in _TAG.findall(fetch(pending.pop(0))):
            attributes = dict(_ATTRIBUTE.findall(text))
            if tag == "xi:include":
                pending.append(attributes["href"])
                continue
            number = int(attributes.get("regnum", number))
            registers.setdefault(attributes["name"], Register(number, int(attributes["bitsize"]) // 8))
            number += 1
    return registers
