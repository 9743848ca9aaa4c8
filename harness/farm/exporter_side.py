"""What is run on an exporter's machine: pyOCD's server for one probe, on its standard input and output.

It is sent there as text (`ssh HOST python3 -c …`), and imports nothing but Python's own library (3.8). Its
first line says, as JSON, which probe it is, or what is wrong; from then on every byte is one of pyOCD's probe
protocol. The end of its standard input ends it, and with it pyOCD: that is how ssh shows that the client is
gone, however it went.

Arguments: folder of USB devices, the probe's place in it (`1-1.2`), the program `pyocd` (empty: looked for),
seconds to be ready.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

PR_SET_PDEATHSIG = 1
SERVING = re.compile(r"on port (\d+)")
NO_PROBE = ("Waiting for a debug probe", "No connected debug probe", "More than one debug probe")
POLL_SECONDS = 0.1
END_SECONDS = 1.0
TAIL = 2000


class RefusedError(Exception):
    """What is wrong, in one clause."""


def main(devices: str, path: str, program: str, seconds: str) -> int:
    until = time.monotonic() + float(seconds)
    server = None
    try:
        try:
            serial = read_serial(Path(devices) / path, until)
            server = Server(find_program(program), serial)
            line = server.connect(serial, path, until)
        except RefusedError as refused:
            say({"error": str(refused)})
            return 1
        say({"serial": serial})
        with line:
            return server.relay(line)
    finally:
        if server is not None:
            server.end()


def read_serial(device: Path, until: float) -> str:
    """USB serial number of the device, which may just be coming back from a power cycle."""
    while not device.is_dir():
        if time.monotonic() > until or client_gone():
            raise RefusedError(f"there is no USB device at {device.name}")
        time.sleep(POLL_SECONDS)
    try:
        serial = (device / "serial").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        serial = ""
    if not serial:
        raise RefusedError(f"the USB device at {device.name} has no serial number to tell pyOCD")
    return serial


def find_program(program: str) -> str:
    places = [os.environ.get("PATH", os.defpath), str(Path.home() / ".local" / "bin")]
    found = shutil.which(program or "pyocd", path=os.pathsep.join(places))
    if found is None:
        raise RefusedError(
            f"{program or 'pyocd'} is not installed there, or not on the PATH of a command over ssh"
        )
    return found


class Server:
    """pyOCD's server for one probe, on a free port of this machine alone."""

    def __init__(self, program: str, serial: str) -> None:
        parent = os.getpid()
        prctl = ctypes.CDLL(None).prctl

        def die_with_us() -> None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

        command = [program, "server", "-u", serial, "-p", "0", "-O", "no_config=true"]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, PYTHONUNBUFFERED="1", PYOCD_COLOR="never"),
                start_new_session=True,
                preexec_fn=die_with_us,
            )
        except OSError as error:
            raise RefusedError(f"{program} cannot be started: {error.strerror}") from error
        assert self.process.stdout is not None
        self.output = self.process.stdout.fileno()
        self.said = ""

    def connect(self, serial: str, path: str, until: float) -> socket.socket:
        """A connection, once it is ready."""
        while (match := SERVING.search(self.said)) is None:
            readable, _, _ = select.select([self.output, 0], [], [], POLL_SECONDS)
            if 0 in readable and client_gone():
                raise RefusedError("the client is gone")
            if self.output in readable and not self.listen():
                raise RefusedError(f"pyOCD's server ended at once: {last_line(self.said)}")
            if any(words in self.said for words in NO_PROBE):
                raise RefusedError(
                    f"pyOCD finds no probe {serial} there: it does not know this kind of probe, or its user"
                    f" may not use the USB device at {path}"
                )
            if time.monotonic() > until:
                raise RefusedError(f"pyOCD's server was not ready in time: {last_line(self.said)}")
        try:
            return socket.create_connection(("127.0.0.1", int(match.group(1))), 5)
        except OSError as error:
            raise RefusedError(f"pyOCD's server cannot be reached: {error}") from error

    def relay(self, line: socket.socket) -> int:
        """Until the client is gone (0) or pyOCD is (1)."""
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            readable, _, _ = select.select([0, line.fileno(), self.output], [], [])
            if 0 in readable:
                data = os.read(0, 65536)
                if not data:
                    return 0
                if not passed_on(line, data):
                    break
            if line.fileno() in readable:
                data = received(line)
                if not data:
                    break
                write(data)
            if self.output in readable and not self.listen():
                break
        while select.select([self.output], [], [], POLL_SECONDS)[0]:
            if not self.listen():
                break
        sys.stderr.write(f"pyOCD's server ended: {last_line(self.said)}\n")
        return 1

    def listen(self) -> bool:
        """Take what it prints; False: it has ended."""
        data = os.read(self.output, 4096)
        self.said = (self.said + data.decode("utf-8", "replace"))[-TAIL:]
        return bool(data)

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
                self.process.wait(END_SECONDS)
            except (OSError, subprocess.TimeoutExpired):
                continue


def passed_on(line: socket.socket, data: bytes) -> bool:
    """Whether pyOCD took `data`."""
    try:
        line.settimeout(None)
        line.sendall(data)
    except OSError:
        return False
    return True


def received(line: socket.socket) -> bytes:
    """What pyOCD says; nothing: it has ended."""
    try:
        return line.recv(65536)
    except OSError:
        return b""


def client_gone() -> bool:
    """Nothing is sent before our first line was read, so what can be read now is the end."""
    readable, _, _ = select.select([0], [], [], 0)
    return bool(readable)


def write(data: bytes) -> None:
    while data:
        data = data[os.write(1, data) :]


def say(message: dict[str, str]) -> None:
    write(json.dumps(message).encode() + b"\n")


def last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "it said nothing"


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except (BrokenPipeError, ConnectionError):
        sys.exit(1)
