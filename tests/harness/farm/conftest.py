"""A labgrid coordinator and exporters of emulated boards on loopback, all ended with the test."""

from __future__ import annotations

import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.devices.process import ChildProcess
from harness.farm.hold import list_places
from harness.farm.messages import Place

QEMU = "qemu-mps2-an500"
SECONDS = 60.0

Exporter = Callable[..., ChildProcess]


def wait_for(what: Callable[[], object], doing: str, seconds: float = SECONDS) -> None:
    """Until `what()` is true."""
    deadline = Deadline.after(seconds)
    while not what():
        deadline.check(f"waiting until {doing}")
        time.sleep(0.1)


@pytest.fixture(scope="module")
def coordinator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a coordinator that knows no place yet."""
    pytest.importorskip("labgrid")
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("needs qemu-system-arm")
    folder = tmp_path_factory.mktemp("coordinator")
    words = [sys.executable, "-m", "labgrid.remote.coordinator", "-l", "127.0.0.1:0"]
    process = ChildProcess(["env", "-C", str(folder), *words])
    try:
        listening = re.compile(r"listening on (127\.0\.0\.1:\d+)")
        wait_for(lambda: listening.search(process.output()), "the coordinator listens")
        match = listening.search(process.output())
        assert match is not None
        yield match[1]
    finally:
        process.end()


@pytest.fixture
def exporter(coordinator: str, tmp_path: Path) -> Iterator[Exporter]:
    """exporter(NAME, boards=N): an exporter of N emulated boards, tagged rack=NAME, that is ready."""
    started: list[ChildProcess] = []

    def start(name: str, boards: int = 1) -> ChildProcess:
        words = [sys.executable, "-m", "harness.cli", "farm", "emulators", *[QEMU] * boards]
        process = ChildProcess(
            [*words, "--name", name, "--coordinator", coordinator, "--tag", f"rack={name}"]
        )
        started.append(process)

        def ready() -> bool:
            assert process.poll() is None, process.output()
            return (
                sum(bool(p.resources) for p in list_places(coordinator) if p.name.startswith(name)) == boards
            )

        wait_for(ready, "the exporter offers its boards")
        return process

    yield start
    for process in started:
        process.end()


@pytest.fixture
def place(coordinator: str) -> Callable[[str], Place]:
    def find(name: str) -> Place:
        return next(found for found in list_places(coordinator) if found.name == name)

    return find
