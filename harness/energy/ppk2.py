"""Nordic Power Profiler Kit II through the package ppk2-api, which knows its commands and calibration.

A sample is 4 bytes, little endian: 14 bits of the converter, 3 of the range (bit 14), 6 of a counter (from
bit 18), 8 of the digital inputs (from bit 24). The package converts all but the counter, which tells what was
lost. 100 000 samples a second.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import serial
from serial.tools import list_ports

from harness.energy.settings import MeterSettings
from harness.errors import MeterError, ToolMissingError
from harness.measure.energy import EnergyMeter, Recording

SAMPLE_RATE = 100_000.0
SAMPLE_BYTES = 4
COUNTER_SHIFT, COUNTER_VALUES = 18, 64
_PRODUCT = "PPK2"
_POLL_SECONDS = 0.002
_FIRST_SAMPLE_SECONDS = 2.0
_QUIET_SECONDS = 0.05
_STOP_SECONDS = 1.0
_MOST_BYTES = 600 * int(SAMPLE_RATE) * SAMPLE_BYTES


class Profiler(Protocol):
    """What of `ppk2_api.PPK2_API` is used."""

    ser: Any

    def get_modifiers(self) -> bool | None: ...
    def use_ampere_meter(self) -> None: ...
    def use_source_meter(self) -> None: ...
    def set_source_voltage(self, millivolts: int) -> None: ...
    def toggle_DUT_power(self, state: str) -> None: ...  # noqa: N802 - the package's name
    def start_measuring(self) -> None: ...
    def stop_measuring(self) -> None: ...
    def get_data(self) -> bytes: ...
    def get_samples(self, buffer: bytes) -> tuple[list[float], list[int]]: ...


def open_ppk2(settings: MeterSettings) -> Ppk2Meter:
    """The instrument of that serial number, set up. ToolMissingError: no package; MeterError: no such
    instrument, or it does not answer.
    """
    try:
        from ppk2_api.ppk2_api import PPK2_API  # late: an extra, and only a board with such a meter needs it
    except ImportError:
        raise ToolMissingError(
            "a Nordic PPK2 needs the package ppk2-api, which is not installed;"
            " run: pip install 'trainbench[energy]'"
        ) from None
    port = find_port(settings.serial)
    try:
        profiler = PPK2_API(port, timeout=1.0, write_timeout=1.0, exclusive=True)
    except (OSError, serial.SerialException) as error:
        raise MeterError(f"the PPK2 {settings.serial} at {port} cannot be opened: {error}") from error
    return Ppk2Meter(profiler, settings)


def find_port(serial_number: str) -> str:
    """Device file of the PPK2 with that USB serial number; its first port, where it has two."""
    profilers = [port for port in list_ports.comports() if port.product == _PRODUCT]
    own = sorted(port.device for port in profilers if port.serial_number == serial_number)
    if not own:
        there = ", ".join(sorted({str(port.serial_number) for port in profilers})) or "none"
        raise MeterError(f"there is no PPK2 with serial number {serial_number}; there are: {there}")
    return own[0]


class Ppk2Meter(EnergyMeter):
    """A PPK2 whose samples a thread takes from the port, as fast as they come."""

    def __init__(self, profiler: Profiler, settings: MeterSettings) -> None:
        """Read its calibration and set it up. MeterError: it does not answer as one."""
        self._profiler = profiler
        self.instrument = f"Nordic PPK2 {settings.serial}, {settings.mode} meter"
        self.channel = settings.channel
        self._volts = settings.supply_millivolts / 1000
        self._reader: _Reader | None = None
        self._started = 0.0
        try:
            # One that was left measuring would mix samples into its answer.
            profiler.stop_measuring()
            time.sleep(_QUIET_SECONDS)
            profiler.get_data()
            if not profiler.get_modifiers():
                raise MeterError(f"{self.instrument}: it does not tell its calibration")
            if settings.mode == "source":
                profiler.use_source_meter()
            else:
                profiler.use_ampere_meter()
            profiler.set_source_voltage(settings.supply_millivolts)
            profiler.toggle_DUT_power("ON")
        except (OSError, serial.SerialException, UnicodeDecodeError) as error:
            self.close()
            raise MeterError(f"{self.instrument}: {error}") from error
        except MeterError:
            self.close()
            raise

    def start(self) -> None:
        if self._reader is not None:
            raise MeterError(f"{self.instrument}: it is recording already")
        self._profiler.get_data()
        self._reader = _Reader(self._profiler)
        self._profiler.start_measuring()
        self._started = self._reader.wait_for_first(_FIRST_SAMPLE_SECONDS, self.instrument)

    def mark(self) -> float:
        return time.monotonic() - self._started

    def stop(self) -> Recording:
        reader, self._reader = self._reader, None
        if reader is None:
            raise MeterError(f"{self.instrument}: it is not recording")
        self._profiler.stop_measuring()
        raw = reader.end(self.instrument)
        return decode(self._profiler, raw, self._volts)

    def close(self) -> None:
        reader, self._reader = self._reader, None
        with suppress(OSError, serial.SerialException):
            if reader is not None:
                self._profiler.stop_measuring()
                reader.abandon()
            self._profiler.ser.close()


class _Reader(threading.Thread):
    """Collects bytes until it is told to end."""

    def __init__(self, profiler: Profiler) -> None:
        super().__init__(daemon=True, name="ppk2")
        self._profiler = profiler
        self._pieces: list[bytes] = []
        self._ending = threading.Event()
        self._first = threading.Event()
        self._first_at = 0.0
        self._failure = ""
        self.start()

    def run(self) -> None:
        count, last = 0, time.monotonic()
        try:
            while not (self._ending.is_set() and time.monotonic() - last > _QUIET_SECONDS):
                data = self._profiler.get_data()
                if not data:
                    time.sleep(_POLL_SECONDS)
                    continue
                last = time.monotonic()
                if not self._first.is_set():
                    self._first_at = last - len(data) / SAMPLE_BYTES / SAMPLE_RATE
                    self._first.set()
                self._pieces.append(data)
                count += len(data)
                if count > _MOST_BYTES:
                    raise OSError("the recording is longer than ten minutes")
        except (OSError, serial.SerialException, TypeError) as error:
            self._failure = str(error)

    def wait_for_first(self, seconds: float, instrument: str) -> float:
        """When the first sample was taken, by the monotonic clock."""
        if not self._first.wait(seconds):
            raise MeterError(f"{instrument}: no sample came in {seconds:g} s {self._failure}".rstrip())
        return self._first_at

    def end(self, instrument: str) -> bytes:
        """Everything that came."""
        self.abandon()
        if self.is_alive():
            raise MeterError(f"{instrument}: it does not stop recording")
        if self._failure:
            raise MeterError(f"{instrument}: {self._failure}")
        return b"".join(self._pieces)

    def abandon(self) -> None:
        self._ending.set()
        self.join(_STOP_SECONDS)


def decode(profiler: Profiler, raw: bytes, volts: float) -> Recording:
    """Samples of `raw` with the instrument's calibration; the package gives microamperes."""
    whole = raw[: len(raw) - len(raw) % SAMPLE_BYTES]
    if not whole:
        raise MeterError("the PPK2 gave no sample")
    microamperes, logic = profiler.get_samples(whole)
    count = len(whole) // SAMPLE_BYTES
    if len(microamperes) != count or len(logic) != count:
        raise MeterError(f"the PPK2 gave {count} samples, of which {len(microamperes)} could be converted")
    return Recording(
        current=np.asarray(microamperes, dtype=np.float64) * 1e-6,
        logic=np.asarray(logic, dtype=np.uint8),
        sample_rate=SAMPLE_RATE,
        supply_volts=volts,
        lost=lost_samples(np.frombuffer(whole, dtype="<u4")),
    )


def lost_samples(words: npt.NDArray[np.uint32]) -> int:
    """How many are missing between `words` (uint32, raw samples), by their counter of 6 bits."""
    counters = (words >> COUNTER_SHIFT & (COUNTER_VALUES - 1)).astype(np.int64)
    return int(np.sum((np.diff(counters) - 1) % COUNTER_VALUES))
