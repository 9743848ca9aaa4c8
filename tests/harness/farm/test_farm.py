"""Places behind a real coordinator and exporter: held once, always given back, whoever is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.factory import open_device
from harness.devices.process import ChildProcess
from harness.errors import DeviceGone, FarmError, UsageError
from harness.farm.hold import Farm, held_place, list_places, release_place
from harness.farm.messages import Place
from harness.farm.naming import GuardName
from harness.farm.resolve import resolve_targets
from harness.farm.selection import Selection
from harness.targets import load_target

QEMU = "qemu-mps2-an500"
Find = Callable[[str], Place]
Exporter = Callable[..., ChildProcess]

HOLDER = """
import sys, time
from harness.farm.hold import Farm, held_place
from harness.farm.selection import Selection
with held_place(Farm(sys.argv[1], Selection.parse(sys.argv[2]), 60), sys.argv[3]) as held:
    print(held._guard.pid, flush=True)
    time.sleep(600)
"""


@pytest.fixture
def farm(coordinator: str, exporter: Exporter, request: pytest.FixtureRequest) -> Farm:
    """One board, in a rack of its own."""
    name = f"r{abs(hash(request.node.name)) % 10**8}"
    exporter(name)
    return Farm(coordinator, Selection.parse(f"farm:rack={name}"), 20)


def name_of(farm: Farm) -> str:
    return f"{farm.selection.terms[0][1]}-0"


def eventually_free(find: Find, farm: Farm) -> None:
    deadline = Deadline.after(40)
    while find(name_of(farm)).holder is not None:
        deadline.check("waiting for the place to be free")
        time.sleep(0.2)


def holder_process(farm: Farm) -> tuple[subprocess.Popen[str], int]:
    """A process that holds the place, and its guard's number."""
    words = [sys.executable, "-c", HOLDER, farm.coordinator, str(farm.selection), QEMU]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.stdout.close()
    return process, int(line)


def emulators(exporter: ChildProcess | None = None) -> list[psutil.Process]:
    roots = (
        psutil.process_iter() if exporter is None else psutil.Process(exporter.pid).children(recursive=True)
    )
    return [process for process in roots if process.name().startswith("qemu-system")]


def test_a_board_at_a_place(farm: Farm, place: Find) -> None:
    soon = Deadline.after(60)
    with held_place(farm, QEMU) as held:
        assert place(name_of(farm)).holder == held.holder
        guard = GuardName.parse(held.holder)
        assert guard is not None
        assert not guard.dead
        with open_device(load_target(QEMU), soon, held) as device:
            device.memory.write(0x20000000, b"remember")
            assert device.memory.read(0x20000000, 8) == b"remember"
            assert device.versions["farm_place"] == name_of(farm)
        with open_device(load_target(QEMU), soon, held) as device:
            assert device.memory.read(0x20000000, 8) == bytes(8)
        held.check()
    assert place(name_of(farm)).holder is None


def test_one_client_at_a_time(farm: Farm) -> None:
    impatient = Farm(farm.coordinator, farm.selection, 1.0)
    with held_place(farm, QEMU) as held:
        with pytest.raises(FarmError, match=f"came free in 1 s: {name_of(farm)} held by {held.holder}"):
            held_place(impatient, QEMU).__enter__()
        held.check()
    with pytest.raises(FarmError, match="no place of target qemu-mps2-an386"):
        held_place(impatient, "qemu-mps2-an386").__enter__()


def test_a_killed_client_leaves_nothing_acquired(farm: Farm, place: Find) -> None:
    process, _ = holder_process(farm)
    assert place(name_of(farm)).holder is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    eventually_free(place, farm)


def test_a_killed_guard_is_replaced_by_its_owner(farm: Farm, place: Find) -> None:
    held = held_place(farm, QEMU)
    ours = held.__enter__()
    os.kill(ours._guard.pid, signal.SIGKILL)
    psutil.Process(ours._guard.pid).wait(20) if psutil.pid_exists(ours._guard.pid) else None
    with pytest.raises(FarmError):
        ours.check()
    held.__exit__(None, None, None)
    assert place(name_of(farm)).holder is None


def test_what_is_left_when_both_are_killed_the_next_client_releases(farm: Farm, place: Find) -> None:
    process, guard = holder_process(farm)
    os.kill(guard, signal.SIGSTOP)
    process.send_signal(signal.SIGKILL)
    process.wait()
    os.kill(guard, signal.SIGKILL)
    deadline = Deadline.after(20)
    while psutil.pid_exists(guard) and psutil.Process(guard).status() != psutil.STATUS_ZOMBIE:
        deadline.check("waiting for the guard's end")
        time.sleep(0.05)
    with held_place(farm, QEMU) as held:
        assert place(name_of(farm)).holder == held.holder


def test_a_place_that_is_taken_away_is_noticed(farm: Farm) -> None:
    with held_place(farm, QEMU) as held:
        with open_device(load_target(QEMU), Deadline.after(60), held) as device:
            release_place(farm.coordinator, name_of(farm))
            deadline = Deadline.after(20)
            with pytest.raises(DeviceGone, match="was taken from us"):
                while not deadline.expired:
                    device.memory.read(0x20000000, 8)
        for _ in range(2):  # a lost place stays lost
            with pytest.raises(FarmError, match="lost"):
                held.check()


def test_an_exporter_that_is_killed(coordinator: str, exporter: Exporter, place: Find) -> None:
    process = exporter("killed")
    farm = Farm(coordinator, Selection.parse("farm:rack=killed"), 2)
    target = load_target(QEMU)
    with held_place(farm, QEMU) as held, open_device(target, Deadline.after(60), held) as device:
        device.memory.read(0x20000000, 8)
        assert emulators(process)
        os.kill(process.pid, signal.SIGKILL)
        deadline = Deadline.after(20)
        with pytest.raises(DeviceGone):
            while not deadline.expired:
                device.memory.read(0x20000000, 8)
    assert place("killed-0").holder is None
    with pytest.raises(FarmError, match="killed-0 without resources"):
        held_place(farm, QEMU).__enter__()
    exporter("killed")
    with held_place(farm, QEMU):
        pass


def test_names_of_targets(farm: Farm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LG_COORDINATOR", farm.coordinator)
    resolved = resolve_targets(("host", str(farm.selection)), None, 20)
    assert resolved.targets == ("host", QEMU)
    assert resolved.farms == {QEMU: farm}
    assert resolve_targets(("host",), None, 20).farms == {}
    with pytest.raises(UsageError, match="means no place"):
        resolve_targets(("farm:rack=nowhere",), None, 20)
    with pytest.raises(UsageError, match="in two ways"):
        resolve_targets((QEMU, str(farm.selection)), None, 20)
    monkeypatch.delenv("LG_COORDINATOR")
    with pytest.raises(UsageError, match="LG_COORDINATOR"):
        resolve_targets(("farm:rack=a",), None, 20)


def test_no_coordinator(tmp_path: Path) -> None:
    pytest.importorskip("labgrid")
    with pytest.raises(FarmError, match=r"no labgrid coordinator at 127\.0\.0\.1:1"):
        list_places("127.0.0.1:1", 2)
