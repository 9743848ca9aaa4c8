"""The name under which a guard holds a place: it tells whether the guard still lives.

labgrid's coordinator keeps a place acquired when its client vanishes. So every name says which process of
which machine it is, and whoever comes next on that machine releases what dead guards have left.
"""

from __future__ import annotations

import os
import re
import socket
from dataclasses import dataclass
from pathlib import Path

USER = "trainbench"
_NAME = re.compile(rf"(?P<host>.+)/{USER}-(?P<boot>[0-9a-f]{{8}})-(?P<space>\d+)-(?P<pid>\d+)-(?P<start>\d+)")


@dataclass(frozen=True)
class GuardName:
    """A process, for good: no other has the same. `start`: kernel ticks after boot."""

    host: str
    boot: str
    space: int
    """Of process numbers: that of a container is its own."""
    pid: int
    start: int

    @classmethod
    def ours(cls) -> GuardName:
        pid = os.getpid()
        start = _start(pid)
        assert start is not None
        return cls(socket.gethostname(), _boot(), _space(), pid, start)

    @classmethod
    def parse(cls, text: str) -> GuardName | None:
        """The guard of that name; None: it is somebody else's."""
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        return cls(match["host"], match["boot"], int(match["space"]), int(match["pid"]), int(match["start"]))

    def __str__(self) -> str:
        return f"{self.host}/{USER}-{self.boot}-{self.space}-{self.pid}-{self.start}"

    @property
    def dead(self) -> bool:
        """Whether it certainly runs no more. False for one that cannot be seen from here."""
        if self.host != socket.gethostname():
            return False
        if self.boot != _boot():
            return True
        return self.space == _space() and _start(self.pid) != self.start


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]


def _space() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _start(pid: int) -> int | None:
    """When a process began; None for one that is not there or was only not yet reaped."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
