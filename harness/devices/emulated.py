"""An emulator process on this machine, driven by pyOCD through the emulator's GDB server."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.gdbrsp.client import REPLY_TIMEOUT
from harness.devices.gdbrsp.probe import GdbRemoteProbe
from harness.devices.probed import ProbedDevice
from harness.devices.process import ChildProcess
from harness.devices.socket_serial import SocketSerial
from harness.targets import Target

DIAGNOSIS_SECONDS = 1.0
_SHORTEST_WAIT = 0.1
"""Seconds; even with the deadline at hand an answer that is already there is taken."""


class EmulatedDevice(ProbedDevice):
    """A subclass starts the process and the probe."""

    _process: ChildProcess
    _probe: GdbRemoteProbe
    _serial: SocketSerial

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._serial = SocketSerial(f"serial line of {target.name}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def _read(self, address: int, length: int) -> bytes:
        return self._probe.memory.read_bytes(address, length)

    def _ended(self, seconds: float) -> Diagnosis | None:
        code = self._process.wait(seconds) if seconds else self._process.poll()
        return None if code is None else self._exited()

    @abstractmethod
    def _exited(self) -> Diagnosis:
        """How the process ended, and what it said."""

    @contextmanager
    def _bounded(self, deadline: Deadline | None) -> Iterator[None]:
        seconds = REPLY_TIMEOUT if deadline is None else max(_SHORTEST_WAIT, deadline.remaining())
        with self._replies_within(seconds):
            yield

    @contextmanager
    def _looking(self) -> Iterator[None]:
        with self._replies_within(DIAGNOSIS_SECONDS):
            yield

    @contextmanager
    def _replies_within(self, seconds: float) -> Iterator[None]:
        client = self._probe.client if self._probe.is_open else None
        if client is None:
            yield
            return
        before, client.timeout = client.timeout, min(seconds, client.timeout)
        try:
            yield
        finally:
            client.timeout = before
