"""The agent as it runs on a target, built for the host and driven over a socket pair by the real client."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.devices.socket_serial import SocketSerial
from harness.firmware.build import build_firmware
from harness.link.client import LinkClient
from harness.targets import load_target

TINY_TRAINER = Path(__file__).resolve().parents[2] / "data" / "tiny_trainer"


class RunningAgent:
    """A host firmware process and both ways to talk to it: raw bytes, and the client."""

    def __init__(self, elf: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [elf, "--link-fd", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
                text=True,
            )
        self.expected_code = 0
        ours.send(b"G")
        self.line = SocketSerial("agent")
        self.line.attach(ours)
        self.client = LinkClient(self.line, resend_after=0.2)

    def close(self) -> str:
        """End of file ends the agent by itself; returns what it printed on standard error."""
        self.line.close()
        try:
            return self.process.communicate(timeout=10)[1]
        finally:
            self.process.kill()


Build = Callable[..., Path]
Start = Callable[..., RunningAgent]


@pytest.fixture(scope="session")
def host_firmware(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Builds the tiny trainer for the host with sanitizers, once for each set of defines."""
    built: dict[tuple[tuple[str, str | int], ...], Path] = {}

    def build(**defines: str | int) -> Path:
        key = tuple(sorted(defines.items()))
        if key not in built:
            folder = tmp_path_factory.mktemp("host_firmware")
            target = load_target("host")
            built[key] = build_firmware(
                TINY_TRAINER, target, folder, compiler="gcc", sanitize=True, defines=defines
            ).elf
        return built[key]

    return build


@pytest.fixture
def start_agent(host_firmware: Build) -> Iterator[Start]:
    """Starts the tiny trainer built with `defines`; checks at the end that the sanitizers found nothing."""
    started: list[RunningAgent] = []

    def start(**defines: str | int) -> RunningAgent:
        started.append(RunningAgent(host_firmware(**defines)))
        return started[-1]

    yield start
    for agent in started:
        errors = agent.close()
        # A finding ends the process with another code; a warning about programs with two stacks does not.
        assert agent.process.returncode == agent.expected_code, errors


@pytest.fixture
def agent(start_agent: Start) -> RunningAgent:
    """A running tiny trainer with an open session."""
    running = start_agent()
    running.client.hello(Deadline.after(10))
    return running
