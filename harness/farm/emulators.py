"""Emulators as the boards of an exporter: this machine's part of a farm whose boards are QEMU.

Each board has two ports, for its debugger and its serial line. When a client has connected to both, an
emulator is started for it, and ended when the client hangs up on either: what a board remembers ends with its
client. A second client waits in the queue of the ports, as for a board that is in use.
"""

from __future__ import annotations

import json
import select
import selectors
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from harness.devices.process import ChildProcess
from harness.devices.qemu import PACKAGE, PROGRAM, qemu_arguments
from harness.errors import ToolMissingError, UsageError
from harness.targets import Target

_BACKLOG = 8
_POLL_SECONDS = 0.1
_PAIR_SECONDS = 10.0
"""A client that connected to one port has so long for the other."""


class EmulatedBoard:
    """One board: its ports, and the emulator while somebody is connected to both."""

    def __init__(self, target: Target, host: str) -> None:
        """`host`: the address to listen on; the ports are free ones."""
        if target.qemu is None:
            raise UsageError(f"{target.name} is no QEMU target; only those can be emulated for a farm")
        program = shutil.which(PROGRAM)
        if program is None:
            raise ToolMissingError(f"{PROGRAM} is not installed; run: apt install {PACKAGE}")
        self.target = target
        self._program = program
        self._ports = tuple(socket.create_server((host, 0), backlog=_BACKLOG) for _ in range(2))
        self._clients: list[socket.socket | None] = [None, None]
        self._since = 0.0
        self._process: ChildProcess | None = None

    @property
    def debug_port(self) -> int:
        return int(self._ports[0].getsockname()[1])

    @property
    def serial_port(self) -> int:
        return int(self._ports[1].getsockname()[1])

    def waiting_for(self) -> list[socket.socket]:
        """Sockets on which something can happen: ports without a client, and clients that may hang up."""
        return [client or port for client, port in zip(self._clients, self._ports, strict=True)]

    def step(self) -> None:
        """Take clients, start or end the emulator. Never waits."""
        if self._process is not None:
            if self._process.poll() is not None or any(map(_hung_up, self._clients)):
                self._reset()
            return
        for number, port in enumerate(self._ports):
            if self._clients[number] is None:
                self._clients[number] = _accept(port)
                self._since = time.monotonic()
        if any(client is not None and _hung_up(client) for client in self._clients):
            self._reset()
        if None not in self._clients:
            self._start()
        elif self._clients != [None, None] and time.monotonic() - self._since > _PAIR_SECONDS:
            self._reset()

    def close(self) -> None:
        self._reset()
        for port in self._ports:
            port.close()

    def _start(self) -> None:
        debug, line = self._clients
        assert debug is not None
        assert line is not None
        argv = qemu_arguments(self._program, self.target, line.fileno(), debug.fileno())
        self._process = ChildProcess(argv, pass_fds=(line.fileno(), debug.fileno()))

    def _reset(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.end()
        for client in self._clients:
            if client is not None:
                client.close()
        self._clients = [None, None]


def serve(boards: Sequence[EmulatedBoard], alive: Callable[[], bool]) -> None:
    """Serve clients of `boards` until `alive` says no more."""
    while alive():
        with selectors.DefaultSelector() as selector:
            for waited in (sock for board in boards for sock in board.waiting_for()):
                # What clients send is their emulator's to read; whether they hung up is seen at every step.
                if waited.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    selector.register(waited, selectors.EVENT_READ)
            selector.select(_POLL_SECONDS)
        for board in boards:
            board.step()


def exporter_file(boards: Sequence[EmulatedBoard], host: str, name: str) -> str:
    """The labgrid exporter's configuration (YAML; JSON is) that offers `boards`, a group each."""
    groups = {
        group_name(name, number): {
            "PyocdProbe": {"uid": f"gdbrsp:{host}:{board.debug_port}"},
            "NetworkSerialPort": {"host": host, "port": board.serial_port, "protocol": "raw"},
        }
        for number, board in enumerate(boards)
    }
    return json.dumps(groups, indent=1) + "\n"


def group_name(name: str, number: int) -> str:
    """Of board `number`: the group of its resources, and its place."""
    return f"{name}-{number}"


def start_exporter(coordinator: str, name: str, configuration: Path) -> ChildProcess:
    """labgrid's exporter with `configuration`, as `name`."""
    words = [sys.executable, "-m", "labgrid.remote.exporter", "-c", coordinator, "-n", name]
    return ChildProcess([*words, str(configuration)])


def _accept(port: socket.socket) -> socket.socket | None:
    port.setblocking(False)
    try:
        client, _ = port.accept()
    except (BlockingIOError, ConnectionError):
        return None
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return client


def _hung_up(client: socket.socket | None) -> bool:
    """Whether the client has closed its side; what it sent before is left for the emulator to read."""
    if client is None:
        return False
    poll = select.poll()
    poll.register(client, select.POLLRDHUP)
    return bool(poll.poll(0))
