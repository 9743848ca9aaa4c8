"""The PPK2's driver against a stand-in on a pseudo-terminal that speaks its commands and streams samples."""

from __future__ import annotations

import os
import select
import struct
import threading
import time
import tty
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.energy.ppk2 import SAMPLE_RATE, Ppk2Meter, find_port, lost_samples
from harness.energy.settings import MeterSettings
from harness.errors import MeterError
from harness.measure.energy import measure_energy

api = pytest.importorskip("ppk2_api.ppk2_api")

GET_META_DATA, AVERAGE_START, AVERAGE_STOP = 0x19, 0x06, 0x07
LENGTHS = {0x0C: 2, 0x0D: 3, 0x11: 2}
RANGE, RESISTANCE = 3, 0.94
SETTINGS = MeterSettings(driver="ppk2", serial="S1", mode="source", supply_millivolts=3300, channel=0)


def amperes(reading: int) -> float:
    return reading * 4 * 1.8 / 163840 / RESISTANCE


class StandIn(threading.Thread):
    """The far end of the port. `reading` is what the converter shows, `logic` the digital inputs."""

    def __init__(self, calibration: str = "0", drop: int = 0) -> None:
        super().__init__(daemon=True)
        self._far, self._near = os.openpty()
        tty.setraw(self._far)
        tty.setraw(self._near)
        self.port = os.ttyname(self._near)
        self.reading, self.logic = 500, 0
        self.commands: list[bytes] = []
        self._calibration, self._drop = calibration, drop
        self._ending = threading.Event()
        self.start()

    def run(self) -> None:
        streaming_since, sent = 0.0, 0
        while not self._ending.is_set():
            readable, _, _ = select.select([self._far], [], [], 0.001)
            for command in self._split(os.read(self._far, 64)) if readable else ():
                self.commands.append(command)
                if command[0] == GET_META_DATA:
                    os.write(self._far, self._metadata())
                elif command[0] == AVERAGE_START:
                    streaming_since, sent = time.monotonic(), 0
                elif command[0] == AVERAGE_STOP:
                    streaming_since = 0.0
            if streaming_since:
                due = min(int((time.monotonic() - streaming_since) * SAMPLE_RATE), sent + 900)
                words = [
                    self.reading | RANGE << 14 | (number & 63) << 18 | self.logic << 24
                    for number in range(sent, due)
                ]
                if self._drop and sent > 5000:
                    words, self._drop = words[self._drop :], 0
                os.write(self._far, struct.pack(f"<{len(words)}I", *words))
                sent = due

    @staticmethod
    def _split(data: bytes) -> Iterator[bytes]:
        while data:
            length = LENGTHS.get(data[0], 1)
            yield data[:length]
            data = data[length:]

    def _metadata(self) -> bytes:
        lines = [f"Calibrated: {self._calibration}"]
        for index, resistance in enumerate((1031.64, 101.65, 10.15, RESISTANCE, 0.043)):
            values = {"R": resistance, "GS": 0, "GI": 1, "O": 0, "S": 0, "I": 0, "UG": 1}
            lines += [f"{name}{index}: {value}" for name, value in values.items()]
        return ("\n".join([*lines, "HW: 9173", "IA: 0", "END"]) + "\n").encode()

    def end(self) -> None:
        self._ending.set()
        self.join(2)
        os.close(self._far)
        os.close(self._near)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    found = StandIn()
    yield found
    found.end()


def open_meter(stand_in: StandIn, settings: MeterSettings = SETTINGS) -> Ppk2Meter:
    return Ppk2Meter(api.PPK2_API(stand_in.port, timeout=1.0, write_timeout=1.0), settings)


class Trainer:
    """A step of 30 ms draws twice the current and holds D0 high."""

    def __init__(self, stand_in: StandIn) -> None:
        self._stand_in = stand_in

    def set_learning_rate(self, learning_rate: float) -> None:
        return

    def train(self, sample: bytes, label: int, on_placed: object) -> SimpleNamespace:
        on_placed()  # type: ignore[operator]
        time.sleep(0.01)
        self._stand_in.reading, self._stand_in.logic = 1000, 1
        time.sleep(0.03)
        self._stand_in.reading, self._stand_in.logic = 500, 0
        time.sleep(0.01)
        return SimpleNamespace(loss=0.5, ticks=1)


def test_steps_are_measured_by_the_digital_input(stand_in: StandIn) -> None:
    images, labels = np.zeros((1, 2, 2, 3), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    step = SimpleNamespace(image=0, flip=False, learning_rate=0.1)
    with open_meter(stand_in) as meter:
        energy = measure_energy(meter, Trainer(stand_in), images, labels, [step] * 3, 0.1)  # type: ignore
    assert (energy.kind, energy.marks, energy.sample_rate) == ("measured", "digital", 100_000.0)
    assert energy.supply_volts == 3.3
    assert "S1" in energy.instrument
    assert energy.idle_watts == pytest.approx(3.3 * amperes(500))
    assert len(energy.windows) == 3
    for window in energy.windows:
        assert window.seconds > 0.01
        assert window.joules == pytest.approx(3.3 * amperes(1000) * window.seconds, rel=1e-6)
    assert b"\x11\x02" in stand_in.commands
    assert b"\x0d\x0c\xe4" in stand_in.commands
    assert b"\x0c\x01" in stand_in.commands
    assert stand_in.commands[-1] == bytes([AVERAGE_STOP])


def test_lost_samples_are_seen() -> None:
    stand_in = StandIn(drop=7)
    try:
        with open_meter(stand_in) as meter:
            meter.start()
            time.sleep(0.2)
            assert meter.stop().lost == 7
    finally:
        stand_in.end()


def test_an_instrument_that_does_not_answer_is_refused() -> None:
    far, near = os.openpty()
    try:
        with pytest.raises(MeterError, match="does not tell its calibration"):
            Ppk2Meter(api.PPK2_API(os.ttyname(near), timeout=0.1, write_timeout=1.0), SETTINGS)
    finally:
        os.close(far)
        os.close(near)


@given(st.integers(0, 63), st.lists(st.integers(0, 62), max_size=50))
def test_the_counter_tells_every_gap_up_to_62(first: int, gaps: list[int]) -> None:
    counters = np.cumsum([first, *(gap + 1 for gap in gaps)]) % 64
    words = (counters << 18 | 0xFF03FFFF).astype(np.uint32)
    assert lost_samples(words) == sum(gaps)


def test_a_port_is_found_by_the_serial_number(monkeypatch: pytest.MonkeyPatch) -> None:
    ports = [
        SimpleNamespace(device="/dev/ttyACM2", product="PPK2", serial_number="S1"),
        SimpleNamespace(device="/dev/ttyACM1", product="PPK2", serial_number="S1"),
        SimpleNamespace(device="/dev/ttyACM0", product="J-Link", serial_number="S1"),
    ]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    assert find_port("S1") == "/dev/ttyACM1"
    with pytest.raises(MeterError, match="serial number S2; there are: S1"):
        find_port("S2")
