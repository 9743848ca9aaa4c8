"""Energy of a training step: the integral of current times supply voltage over the step's window.

A meter records the board's current for as long as a few steps take; marks tell where in the recording each
step is. Nothing is subtracted: what the board takes while it waits is given beside it. All but
`measure_energy` is pure. Current in amperes, time in seconds from the first sample.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Protocol, Self

import numpy as np
import numpy.typing as npt

from harness.errors import MeterError
from harness.measure.accuracy import StepReply, TrainingStep, check_reply, quantize
from harness.results.document import Energy, EnergyWindow, Kind

STEPS = 30
IDLE_SECONDS = 1.0
_CLOCKS_AGREE = 0.01
_MARGIN_SECONDS = 0.05
"""Recorded after the last step, so that its window ends within the recording."""
_START_SECONDS = 0.1
"""What starting and stopping may add to the time that a recording seems to take."""

Marks = Literal["digital", "host-clock"]


@dataclass(frozen=True)
class Recording:
    """What a meter saw. current: float64 (N,), amperes. logic: uint8 (N,), bit n is digital input n."""

    current: npt.NDArray[np.float64]
    logic: npt.NDArray[np.uint8] | None
    sample_rate: float
    supply_volts: float
    lost: int = 0
    """Samples that the instrument took and that did not arrive."""

    @property
    def seconds(self) -> float:
        return len(self.current) / self.sample_rate


class EnergyMeter(ABC):
    """An instrument in the board's supply. Leaving the context frees it; the board keeps its power."""

    instrument: str
    """Name and serial number."""
    kind: Kind = "measured"
    channel: int | None = None
    """Digital input that the board holds high during a step; None: it has no such pin."""

    @abstractmethod
    def start(self) -> None:
        """Begin to record. MeterError: it does not."""

    @abstractmethod
    def mark(self) -> float:
        """Seconds since the recording began, by this computer's clock."""

    @abstractmethod
    def stop(self) -> Recording:
        """End the recording. MeterError: the instrument failed on the way."""

    @abstractmethod
    def close(self) -> None:
        """Free the instrument. Idempotent."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Steppable(Protocol):
    """A running trainer (`harness.run.session.Session`)."""

    def set_learning_rate(self, learning_rate: float) -> None: ...

    def train(self, sample: bytes, label: int, on_placed: Callback) -> StepReply: ...


class Callback(Protocol):
    def __call__(self) -> None: ...


Window = tuple[float, float]
"""(begin, end), seconds from the first sample."""


def measure_energy(
    meter: EnergyMeter,
    trainer: Steppable,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.int64],
    steps: Sequence[TrainingStep],
    idle_seconds: float = IDLE_SECONDS,
) -> Energy:
    """Record an idle trainer, then `steps`. images uint8 (N, H, W, C), labels int64 (N,).

    MeterError: samples were lost, or the marks do not make sense; no figure comes of that.
    """
    asked: list[Window] = []
    meter.start()
    try:
        idle_from = meter.mark()
        time.sleep(idle_seconds)
        idle = (idle_from, meter.mark())
        for number, step in enumerate(steps):
            trainer.set_learning_rate(step.learning_rate)
            begun: list[float] = []
            reply = trainer.train(
                quantize(images[step.image], flip=step.flip),
                int(labels[step.image]),
                lambda begun=begun: begun.append(meter.mark()),
            )
            asked.append((begun[-1], meter.mark()))
            check_reply(reply, number)
        time.sleep(_MARGIN_SECONDS)
        end = meter.mark()
    finally:
        recording = meter.stop()
    return energy_of(recording, asked, idle, end, meter)


def energy_of(
    recording: Recording, asked: Sequence[Window], idle: Window, end: float, meter: EnergyMeter
) -> Energy:
    """Energy by window. `asked`: when each step was asked for and answered; `end`: of the recording."""
    check_recording(recording, end)
    marks: Marks = "host-clock"
    windows = list(asked)
    if meter.channel is not None:
        marks = "digital"
        windows = pulses(recording, meter.channel)
        if len(windows) != len(asked):
            raise MeterError(
                f"digital input {meter.channel} of {meter.instrument} was high {len(windows)} times during"
                f" {len(asked)} training steps; its windows cannot be told"
            )
    return Energy(
        kind=meter.kind,
        instrument=meter.instrument,
        supply_volts=recording.supply_volts,
        sample_rate=recording.sample_rate,
        marks=marks,
        windows=tuple(
            EnergyWindow(joules=joules(recording, window), seconds=window[1] - window[0])
            for window in windows
        ),
        idle_watts=joules(recording, idle) / (idle[1] - idle[0]),
        idle_seconds=idle[1] - idle[0],
    )


def check_recording(recording: Recording, seconds: float) -> None:
    """MeterError where samples are missing: then no time in it can be relied on."""
    if recording.lost:
        raise MeterError(
            f"the energy meter lost {recording.lost} of {recording.lost + len(recording.current)} samples:"
            " this computer did not read fast enough"
        )
    tolerance = _START_SECONDS + _CLOCKS_AGREE * seconds
    if abs(recording.seconds - seconds) > tolerance:
        raise MeterError(
            f"the energy meter gave samples for {recording.seconds:.3f} s, the recording took {seconds:.3f} s"
        )
    if not np.all(np.isfinite(recording.current)):
        raise MeterError("the energy meter gave currents that are no numbers")


def joules(recording: Recording, window: Window) -> float:
    """Supply voltage times the charge in `window`; the samples at its ends count in part."""
    begin, end = (time * recording.sample_rate for time in window)
    if not 0 <= begin < end <= len(recording.current):
        raise MeterError(
            f"a window from {window[0]:.6f} to {window[1]:.6f} s is not within the"
            f" {recording.seconds:.6f} s that the energy meter recorded"
        )
    positions = np.arange(int(begin), min(int(np.ceil(end)), len(recording.current)))
    shares = np.minimum(positions + 1, end) - np.maximum(positions, begin)
    charge = float(recording.current[positions] @ shares) / recording.sample_rate
    return charge * recording.supply_volts


def pulses(recording: Recording, channel: int) -> list[Window]:
    """Where digital input `channel` is high. MeterError: it is high at an end, or was not recorded."""
    if recording.logic is None:
        raise MeterError("the energy meter recorded no digital inputs")
    high = (recording.logic >> channel & 1).astype(np.int8)
    if high.size and (high[0] or high[-1]):
        raise MeterError(f"digital input {channel} is high where the recording begins or ends")
    edges = np.diff(high, prepend=np.int8(0))
    begins, ends = (np.flatnonzero(edges == edge) / recording.sample_rate for edge in (1, -1))
    return list(zip(begins.tolist(), ends.tolist(), strict=True))
