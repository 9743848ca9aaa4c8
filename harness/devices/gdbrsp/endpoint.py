"""Where a GDB server listens, and whose it is.

`HOST:PORT`, `unix:PATH`, or `fd:N` for a socket this process already holds; with `renode:` or `qemu:` before
it for the server's dialect, which is QEMU's by default.
"""

from __future__ import annotations

import re
import socket

from pyocd.core.exceptions import ProbeError

from harness.devices.gdbrsp.dialect import DIALECTS, QEMU, Dialect

CONNECT_TIMEOUT = 5.0

_HOST_PORT = re.compile(r"(?P<host>\[[^\]]+\]|[^:]+):(?P<port>\d{1,5})")


def split_dialect(address: str) -> tuple[Dialect, str]:
    """The dialect that an address begins with, and the rest. A host may be called as a dialect is."""
    name, _, rest = address.partition(":")
    return (DIALECTS[name], rest) if name in DIALECTS and ":" in rest else (QEMU, address)


def connect(address: str) -> socket.socket:
    """Open the connection an address names; raises ProbeError with what is wrong with it."""
    kind, _, rest = address.partition(":")
    try:
        if kind == "fd" and rest.isdigit():
            return socket.socket(fileno=int(rest))
        if kind == "unix" and rest:
            connection = socket.socket(socket.AF_UNIX)
            connection.settimeout(CONNECT_TIMEOUT)
            connection.connect(rest)
            return connection
        if (match := _HOST_PORT.fullmatch(address)) and 0 < int(match["port"]) < 65536:
            host = match["host"].strip("[]")
            return socket.create_connection((host, int(match["port"])), CONNECT_TIMEOUT)
    except OSError as error:
        raise ProbeError(f"no GDB server at gdbrsp:{address}: {error}") from error
    raise ProbeError(
        f"gdbrsp:{address} is no address; write gdbrsp:HOST:PORT, gdbrsp:unix:PATH or gdbrsp:fd:N,"
        " for Renode gdbrsp:renode:HOST:PORT"
    )
