"""Another machine through ssh, as labgrid reaches it: the user's keys and configuration, never a question.

Each connection is one ssh process whose standard input and output are a socket of ours. The kernel ends it
when we end, and what it runs over there sees the end of its input.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Sequence

from harness.deadline import Deadline
from harness.devices.process import ChildProcess
from harness.errors import FarmError, ToolMissingError

_HOST = re.compile(r"[A-Za-z0-9_\[][A-Za-z0-9_.:%\[\]@-]*")
_OPTIONS = (
    "BatchMode=yes",
    "ConnectTimeout=15",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    "ExitOnForwardFailure=yes",
    # A connection of our own: one that is shared with others would not end with us.
    "ControlMaster=no",
    "ControlPath=none",
)
REAP_SECONDS = 2.0


def ssh_command(host: str, *options: str) -> list[str]:
    """`ssh … HOST`, to be followed by a command. FarmError: `host` is no name of a machine.

    The coordinator says the host, and anybody may tell it one: it must not become an option of ssh.
    """
    if not _HOST.fullmatch(host):
        raise FarmError(f"{host!r}, which the labgrid coordinator names, is no host for ssh")
    words = ["ssh", "-T", "-x", "-a"]
    for option in _OPTIONS:
        words += ["-o", option]
    return [*words, *options, "--", host]


class SshLine:
    """An ssh process and the socket that is its standard input and output."""

    def __init__(self, host: str, options: Sequence[str] = (), command: Sequence[str] = ()) -> None:
        """`command`: words for the other side's shell, quoted already."""
        self.host = host
        self.connection, theirs = socket.socketpair()
        try:
            with theirs:
                words = [*ssh_command(host, *options), *command]
                self._process = ChildProcess(words, stream=theirs.fileno())
        except ToolMissingError as error:
            self.connection.close()
            raise ToolMissingError(
                "boards at a labgrid exporter need ssh, which is not installed;"
                " run: apt install openssh-client"
            ) from error
        except BaseException:
            self.connection.close()
            raise

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self, seconds: float = 0.0) -> str | None:
        """Why ssh ended, one clause, if it does within so long; None while it lives."""
        code = self._process.wait(seconds) if seconds else self._process.poll()
        if code is None:
            return None
        lines = [line for line in self._process.output().splitlines() if line.strip()]
        said = f": {lines[-1].strip()}" if lines else ""
        # 255 is ssh's own; any other is that of the program over there.
        what = f"ssh to {self.host}" if code in (255, -9) else f"what ssh runs on {self.host}"
        how = "was ended by a signal" if code < 0 else f"ended with exit code {code}"
        return f"{what} {how}{said}"

    def line(self, deadline: Deadline) -> bytes:
        """The first line that comes, without its end. FarmError: none came, and why."""
        received = bytearray()
        while not received.endswith(b"\n") and len(received) < 1 << 16:
            self.connection.settimeout(max(0.05, deadline.remaining()))
            try:
                # Byte by byte: what follows the line is somebody else's to read.
                data = self.connection.recv(1)
            except TimeoutError:
                raise FarmError(f"{self.host} did not answer over ssh in {deadline.seconds:g} s") from None
            except OSError as error:
                raise FarmError(f"ssh to {self.host} broke: {error}") from error
            if not data:
                raise FarmError(self.ended(REAP_SECONDS) or f"ssh to {self.host} ended without a word")
            received += data
        return bytes(received[:-1])

    def close(self) -> None:
        """The other side sees the end of its input, and a moment later ssh is gone."""
        self.connection.close()
        try:
            self._process.wait(REAP_SECONDS)
        finally:
            self._process.end()


class SshForward:
    """A port of this machine that ssh connects to a port over there."""

    def __init__(self, proxy: str, host: str, port: int) -> None:
        self.port = _free_port()
        target = f"[{host}]" if ":" in host else host
        forward = f"127.0.0.1:{self.port}:{target}:{port}"
        self._line = SshLine(proxy, options=("-N", "-L", forward))

    def ended(self) -> str | None:
        return self._line.ended()

    def close(self) -> None:
        self._line.close()


def _free_port() -> int:
    """Free at this moment; whoever is quicker makes ssh end with a word about it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
