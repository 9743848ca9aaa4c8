"""The clock: what is added to what, and that a clocked port and device do what theirs do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness.bench import clocked
from harness.bench.clocked import Clock, ClockedDevice, ClockedSerial, ProcessorTime
from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.link.frames import Frame, encode_frame
from harness.link.messages import StateSpanRequest, TrainRequest


class Time:
    """Passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Time:
    told = Time()
    monkeypatch.setattr(clocked, "time", told)
    return told


def test_seconds_are_added_by_what_was_done(now: Time) -> None:
    clock = Clock()
    for seconds, what in ((1.0, "read"), (2.0, "written"), (4.0, "read")):
        with clock.timed(what):
            now.now += seconds
    with pytest.raises(ValueError, match="whatever"), clock.timed("read"):
        now.now += 8.0
        raise ValueError("whatever")
    assert dict(clock.spent) == {"read": 13.0, "written": 2.0}


def test_a_reply_is_waited_for_from_the_first_request_to_its_first_byte(now: Time) -> None:
    clock, used = Clock(), iter((10.0, 13.0))
    clock.processor = lambda: next(used)
    clock.asked(TrainRequest.kind)
    now.now += 1.0
    clock.asked(TrainRequest.kind)  # sent again
    with clock.timed("silent device is looked at"):
        now.now += 0.5
    now.now += 2.0
    clock.answered()
    now.now += 4.0
    clock.answered()  # the rest of the reply
    assert dict(clock.waits) == {TrainRequest.kind: [3.0]}
    assert dict(clock.worked) == {TrainRequest.kind: [3.0]}
    clock.asked(StateSpanRequest.kind)
    now.now += 0.25
    clock.answered()
    assert clock.waits[StateSpanRequest.kind] == [0.25]
    assert dict(clock.worked) == {TrainRequest.kind: [3.0]}  # of steps and predictions alone


def test_a_port_tells_the_clock_of_requests_and_replies(now: Time) -> None:
    sent: list[bytes] = []
    received = [b"", b"\0", b"rest"]

    def write(data: bytes) -> int:
        sent.append(data)
        now.now += 1.0  # a line that does not take bytes is part of the wait
        return len(data)

    port: Any = SimpleNamespace(write=write, read=lambda size: received.pop(0), in_waiting=7, timeout=None)
    clock = Clock()
    wrapped = ClockedSerial(port, clock)
    wire = encode_frame(Frame(TrainRequest.kind, 1, TrainRequest(0).pack()))
    assert wrapped.write(wire) == len(wire)
    assert sent == [wire]
    assert wrapped.in_waiting == 7
    wrapped.timeout = 5.0
    assert port.timeout == 5.0
    for expected in (b"", b"\0", b"rest"):
        now.now += 1.0
        assert wrapped.read(8) == expected
    assert clock.waits[TrainRequest.kind] == [3.0]  # an empty read is no reply


class Emulator:
    """Answers every call; costs a second each."""

    name, versions, pid = "emulator", {"qemu": "8"}, os.getpid()

    def __init__(self, now: Time) -> None:
        self.now, self.calls, self.memory = now, [], self

    def __getattr__(self, name: str) -> Any:
        def called(*arguments: object) -> Any:
            self.calls.append((name, *arguments))
            self.now.now += 1.0
            return Diagnosis("running", "") if name == "diagnose" else b"data" if name == "read" else None

        return called


def test_every_call_of_a_device_is_passed_on_and_timed(now: Time) -> None:
    emulator: Any = Emulator(now)
    clock = Clock()
    deadline = Deadline.after(60)
    with ClockedDevice(emulator, clock) as device:
        assert (device.name, device.versions) == ("emulator", {"qemu": "8"})
        device.load(Path("firmware.elf"), deadline)
        device.resume(deadline)
        device.halt(deadline)
        assert device.memory.read(16, 4) == b"data"
        device.memory.write(16, b"data")
        assert device.diagnose().kind == "running"
    device.close()
    assert emulator.calls == [
        ("load", Path("firmware.elf"), deadline),
        ("resume", deadline),
        ("halt", deadline),
        ("read", 16, 4),
        ("write", 16, b"data"),
        ("diagnose",),
        ("close",),
        ("close",),
    ]
    assert dict(clock.spent) == {
        "firmware is loaded and read back": 1.0,
        "core is halted and resumed": 2.0,
        "memory is read": 1.0,
        "memory is written": 1.0,
        "silent device is looked at": 1.0,
        "device is closed": 2.0,
    }
    assert clock.emulator > 0


def test_processor_time_is_that_of_the_process() -> None:
    used = ProcessorTime(os.getpid())
    before, began = used.seconds(), time.thread_time()
    while time.thread_time() - began < 0.05:
        pass
    assert used.seconds() - before > 0.04
    used.close()
    with pytest.raises(ValueError, match="closed"):
        used.seconds()
