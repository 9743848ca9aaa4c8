"""Energy from synthetic recordings with known answers, and a whole measurement with a simulated meter."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MeterError
from harness.measure.accuracy import StepReply, TrainingStep
from harness.measure.energy import (
    Callback,
    EnergyMeter,
    Recording,
    check_recording,
    energy_of,
    joules,
    measure_energy,
    pulses,
)

RATE = 1000.0


def recording(current: list[float], logic: list[int] | None = None, lost: int = 0) -> Recording:
    inputs = None if logic is None else np.array(logic, dtype=np.uint8)
    return Recording(np.array(current, dtype=np.float64), inputs, RATE, 3.0, lost)


class SimulatedMeter(EnergyMeter):
    """The clock is the computer's; the current is 0.1 A, and 0.3 A while the trainer computes."""

    instrument = "simulated meter"
    kind = "simulated"

    def __init__(self, channel: int | None) -> None:
        self.channel = channel
        self.busy: list[tuple[float, float]] = []
        self.closed = False

    def start(self) -> None:
        self._started = time.monotonic()

    def mark(self) -> float:
        return time.monotonic() - self._started

    def stop(self) -> Recording:
        times = np.arange(int(self.mark() * RATE)) / RATE
        high = np.zeros(len(times), dtype=bool)
        for begin, end in self.busy:
            high |= (begin <= times) & (times < end)
        return Recording(np.where(high, 0.3, 0.1), high.astype(np.uint8) << 2, RATE, 3.0)

    def close(self) -> None:
        self.closed = True


class Trainer:
    """A step takes 20 ms, in a request of 30 ms."""

    def __init__(self, meter: SimulatedMeter) -> None:
        self._meter = meter

    def set_learning_rate(self, learning_rate: float) -> None:
        assert learning_rate == 0.5

    def train(self, sample: bytes, label: int, on_placed: Callback) -> StepReply:
        on_placed()
        begin = self._meter.mark()
        time.sleep(0.02)
        self._meter.busy.append((begin, self._meter.mark()))
        time.sleep(0.01)
        return StepReply(loss=0.5, ticks=1)


@pytest.mark.parametrize("channel", [None, 2])
def test_a_whole_measurement(channel: int | None) -> None:
    images, labels = np.zeros((1, 2, 2, 3), dtype=np.uint8), np.zeros(1, dtype=np.int64)
    with SimulatedMeter(channel) as meter:
        steps = [TrainingStep(0, False, 0.5)] * 5
        energy = measure_energy(meter, Trainer(meter), images, labels, steps, idle_seconds=0.1)
    assert meter.closed
    assert energy.kind == "simulated"
    assert energy.marks == ("host-clock" if channel is None else "digital")
    assert len(energy.windows) == 5
    assert energy.idle_watts == pytest.approx(0.3)
    for window, (begin, end) in zip(energy.windows, meter.busy, strict=True):
        waiting = window.seconds - (end - begin)
        assert waiting >= (0.009 if channel is None else -0.002)
        assert window.joules == pytest.approx(3 * (0.3 * (end - begin) + 0.1 * waiting), abs=3e-3)


@given(
    st.lists(st.floats(0, 1), min_size=10, max_size=60),
    st.floats(0, 0.3),
    st.floats(0.05, 0.9),
    st.floats(0.05, 0.9),
)
def test_the_energy_of_parts_adds_up(current: list[float], begin: float, middle: float, share: float) -> None:
    seen = recording(current)
    first, last = begin * seen.seconds, seen.seconds * (begin + (1 - begin) * middle)
    cut = first + share * (last - first)
    whole = joules(seen, (first, last))
    assert joules(seen, (first, cut)) + joules(seen, (cut, last)) == pytest.approx(whole, abs=1e-9)
    assert 0 <= whole <= 3 * max(current) * (last - first) + 1e-9


def test_a_constant_current_is_voltage_times_current_times_time() -> None:
    assert joules(recording([0.2] * 100), (0.0105, 0.0855)) == pytest.approx(3 * 0.2 * 0.075)


@pytest.mark.parametrize("window", [(-0.001, 0.01), (0.01, 0.01), (0.09, 0.101)])
def test_a_window_outside_the_recording_is_refused(window: tuple[float, float]) -> None:
    with pytest.raises(MeterError, match="not within"):
        joules(recording([0.2] * 100), window)


def test_pulses_are_where_the_input_is_high() -> None:
    seen = recording([0.0] * 8, [0, 4, 4, 0, 3, 4, 0, 0])
    assert pulses(seen, 2) == [(0.001, 0.003), (0.005, 0.006)]
    for logic in ([4, 0], [0, 4]):
        with pytest.raises(MeterError, match="begins or ends"):
            pulses(recording([0.0] * 2, logic), 2)
    with pytest.raises(MeterError, match="no digital inputs"):
        pulses(recording([0.0]), 2)


def test_another_number_of_pulses_than_steps_is_refused() -> None:
    seen = recording([0.1] * 10, [0, 4, 0, 0, 0, 0, 0, 0, 0, 0])
    with pytest.raises(MeterError, match="was high 1 times during 2 training steps"):
        energy_of(seen, [(0.001, 0.002), (0.004, 0.005)], (0.0, 0.001), 0.01, SimulatedMeter(2))


def test_a_recording_with_holes_gives_no_figure() -> None:
    with pytest.raises(MeterError, match="lost 3 of 103 samples"):
        check_recording(recording([0.1] * 100, lost=3), 0.1)
    with pytest.raises(MeterError, match=r"samples for 0\.100 s, the recording took 0\.500 s"):
        check_recording(recording([0.1] * 100), 0.5)
    with pytest.raises(MeterError, match="no numbers"):
        check_recording(recording([0.1, float("nan")]), 0.002)
