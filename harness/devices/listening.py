"""On which TCP ports a process listens, asked of the kernel: for programs that take any and do not say."""

from __future__ import annotations

import re
from pathlib import Path

import psutil

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def listening_ports(pid: int) -> list[int]:
    """Ports of a process and those it started, by process and then in the order in which they were opened.

    Raises psutil.Error when the process has ended.
    """
    process = psutil.Process(pid)
    found: list[int] = []
    for each in (process, *process.children(recursive=True)):
        root = Path(f"/proc/{each.pid}")
        ports: dict[int, int] = {}
        for table in ("tcp", "tcp6"):
            path = root / "net" / table
            ports |= parse_listeners(path.read_text(encoding="ascii")) if path.exists() else {}
        found += [ports[inode] for inode in _socket_inodes(root / "fd") if inode in ports]
    return list(dict.fromkeys(found))


def parse_listeners(table: str) -> dict[int, int]:
    """Inode → port of each listening socket in the text of /proc/PID/net/tcp."""
    rows = (line.split() for line in table.splitlines()[1:])
    return {int(row[9]): int(row[1].rpartition(":")[2], 16) for row in rows if row[3] == _LISTEN}


def _socket_inodes(folder: Path) -> list[int]:
    """Inodes of a process's sockets, by descriptor: the kernel gives out the lowest that is free."""
    inodes = []
    for entry in sorted(folder.iterdir(), key=lambda path: int(path.name)):
        try:
            match = _SOCKET.fullmatch(str(entry.readlink()))
        except FileNotFoundError:  # closed since
            continue
        if match:
            inodes.append(int(match[1]))
    return inodes
