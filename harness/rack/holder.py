"""Who holds a board: the record beside its lock. It is for people to read; the lock alone decides."""

from __future__ import annotations

import getpass
import os
import socket
import sys
from datetime import UTC, datetime

from harness.declaration import Strict

_LONGEST = 200


class Holder(Strict):
    user: str
    host: str
    pid: int
    command: str
    since: str
    """ISO 8601, UTC."""

    def __str__(self) -> str:
        return f"{self.user} on {self.host} (process {self.pid}, {self.command}) since {self.since}"


def this_process() -> Holder:
    """Ourselves, from now on."""
    return Holder(
        user=_user(),
        host=socket.gethostname(),
        pid=os.getpid(),
        command=" ".join(sys.argv)[:_LONGEST],
        since=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may have no name for its user
        return f"uid {os.getuid()}"
