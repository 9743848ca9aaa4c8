"""A board on this machine: pyOCD through its debug probe, its serial port beside it, its clock read back."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any

import serial
from pyocd.core.exceptions import Error as PyocdError

from harness.deadline import Deadline
from harness.devices.base import ClockReading, Diagnosis
from harness.devices.bench import Bench, check_part_is_known, find_port, find_probe
from harness.devices.clocks import CLOCK_TREES
from harness.devices.probed import ProbedDevice
from harness.errors import DeviceError, DeviceGone, MeasurementError, RackError, TargetError
from harness.rack.claim import claim_board
from harness.rack.file import Board, Rack
from harness.rack.identity import Identity, check_identity
from harness.rack.lock import BoardLock
from harness.rack.power import power_cycle
from harness.rack.recovery import Recovery
from harness.targets import BoardPart, Target

CLOCK_SYMBOL = "trainbench_clock_record"
CLOCK_MAGIC = 0xC10CC10C
UID_BYTES = 12


class BoardDevice(ProbedDevice):
    """A real board, ours alone while it is open."""

    _source = "the rack file"
    """Where it is written which board this has to be."""

    def __init__(
        self,
        target: Target,
        deadline: Deadline,
        rack: Rack,
        probe: str | None = None,
        board: str | None = None,
        bench: Bench | None = None,
        recover: bool = False,
    ) -> None:
        """`probe`: unique ID of the probe to use. `board`: name in the rack file. Neither: a free board of
        the rack, or the only probe attached. `recover`: after a transport error, the power of a board whose
        rack file says how is cycled, before anybody else gets the board.

        RackError: no such board, held by somebody, or another board than its name says.
        """
        if target.board is None:
            raise TargetError(f"target {target.name} has driver board but no [board] table")
        super().__init__(target)
        self._part: BoardPart = target.board
        self._bench = bench or Bench()
        self._stack = ExitStack()
        self._line = ""
        check_part_is_known(self._bench, target, self._part)
        try:
            named = self._claim(rack, probe, board, deadline)
            if recover and named is not None and named.power:
                self._stack.push(
                    Recovery(
                        f"board {named.name}", partial(power_cycle, named), partial(self._is_back, named)
                    )
                )
            deadline.check(f"connecting to {target.name}")
            found = find_probe(self._bench, target, self._part, named.probe if named else probe)
            self._probe = str(found.unique_id)
            if named is None:
                self._stack.enter_context(
                    BoardLock(rack.folder, f"probe-{_plain(self._probe)}").acquire(deadline)
                )
            else:
                self.board = named.name
                self.name = f"{target.name} ({named.name})"
            with self._talking(deadline, "connecting"):
                self._session = self._bench.session(found, self._part)
            self._stack.callback(self._disconnect)
            self.idcode = self._identify(named, deadline)
            self._line = find_port(self._bench, named.serial_number if named else self._probe)
            self._serial = self._open_port()
            self._stack.callback(self._serial.close)
        except BaseException:
            self._stack.__exit__(*sys.exc_info())
            raise
        self.versions = {
            "pyocd": version("pyocd"),
            "probe": self._probe,
            "idcode": f"{self.idcode:#010x}",
            **({"board": named.name} if named else {}),
        }

    def load(self, elf: Path, deadline: Deadline) -> None:
        super().load(elf, deadline)
        port: Any = self._serial  # pyserial's annotations leave this one out
        try:
            port.reset_input_buffer()
        except OSError as error:
            raise DeviceGone(f"{self.name}: its serial port {self._line} is gone: {error}") from error

    def clock(self, deadline: Deadline) -> ClockReading:
        """The clock registers, read through the probe, and what they come to.

        MeasurementError where that is not what the firmware says, or not a rate this part is set up for.
        """
        tree = CLOCK_TREES[self._part.family]
        with self._talking(deadline, "reading the clock"):
            values = {name: int(self.core.read32(address)) for name, address in tree.registers.items()}
            recorded = self._clock_record(len(values))
        rates = tree.rates(values, self._part.hse_hz)
        if rates.core not in self._part.clock_hz:
            known = " or ".join(f"{hz:_}" for hz in self._part.clock_hz)
            raise MeasurementError(
                f"{self.name} runs at {rates.core:_} Hz by its clock registers, where it should at {known}"
            )
        if recorded != (rates.core, rates.usart, *values.values()):
            raise MeasurementError(
                f"{self.name}: the clock registers come to {rates.core:_} Hz, but its firmware set up"
                f" {recorded[0]:_} Hz; they were changed since, or the firmware is another"
            )
        return ClockReading(rates.core, rates.usart, {name: f"{v:#010x}" for name, v in values.items()})

    def close(self) -> None:
        self._stack.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _clock_record(self, count: int) -> tuple[int, ...]:
        """Hz of core and USART and `count` register values, as the firmware recorded them."""
        symbol = self._image.symbols.get(CLOCK_SYMBOL) if self._image else None
        if symbol is None:
            raise DeviceError(f"{self.name}: the firmware keeps no record of its clock ({CLOCK_SYMBOL})")
        magic, *record = struct.unpack(f"<{3 + count}I", self._read(symbol.address, 4 * (3 + count)))
        if magic != CLOCK_MAGIC:
            raise MeasurementError(f"{self.name}: its firmware has not set up the clock yet")
        return tuple(record)

    def _claim(self, rack: Rack, probe: str | None, name: str | None, deadline: Deadline) -> Board | None:
        """The rack's board to use, locked; None where the rack knows none for this."""
        if name is None and probe is not None:
            name = next((b.name for b in rack.boards if b.probe.lower() == probe.lower()), None)
        if name is None and (probe is not None or not rack.boards_of(self._target.name)):
            return None
        return self._stack.enter_context(claim_board(rack, self._target.name, deadline, name=name))

    def _identify(self, named: Board | None, deadline: Deadline) -> int:
        """DBGMCU_IDCODE, after it and the chip's unique ID were held against target and rack."""
        with self._talking(deadline, "identifying"):
            idcode = int(self.core.read32(self._part.idcode_address))
            uid = self._read(self._part.uid_address, UID_BYTES).hex()
        device = idcode & 0xFFF
        if device != self._part.device_id:
            raise RackError(
                f"the board at probe {self._probe} is no {self._target.name}: its part has the device ID"
                f" {device:#05x} where {self._part.part} has {self._part.device_id:#05x}"
            )
        if named is not None:
            check_identity(named, Identity(self._probe, idcode, uid), self._source)
        return idcode

    def _open_port(self) -> serial.SerialBase:
        try:
            return self._bench.port(self._line)
        except (OSError, ValueError) as error:
            raise RackError(
                f"{self.name}: its serial port {self._line} cannot be opened: {error};"
                " another program may have it, or this user may not use it"
            ) from error

    def _is_back(self, named: Board) -> bool:
        """Whether its probe can be seen, after its power was cycled."""
        with suppress(PyocdError):
            return any(
                found.unique_id.lower() == named.probe.lower() for found in self._bench.probes(named.probe)
            )
        return False

    def _disconnect(self) -> None:
        """Leave the core halted; a probe that is gone needs no leaving."""
        try:
            self._session.close()
        except (PyocdError, OSError):
            return

    def _ended(self, seconds: float) -> Diagnosis | None:
        """USB takes the serial port away together with the probe."""
        if not self._line or any(port.device == self._line for port in self._bench.ports()):
            return None
        return Diagnosis("exited", f"its probe {self._probe} with the port {self._line} left the USB bus")

    def _bounded(self, deadline: Deadline | None) -> Any:
        # pyOCD ends every USB transfer within a second and every flash operation within its own limit.
        return nullcontext()

    @contextmanager
    def _looking(self) -> Iterator[None]:
        yield

    def _prepare_load(self) -> None:
        self.core.reset_and_halt()


def _plain(unique_id: str) -> str:
    """For a file name."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in unique_id)
