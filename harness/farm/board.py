"""A real board at a place: `harness.devices.board` through the exporter's debugger and serial port."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType
from typing import Any

import serial
from pydantic import ValidationError

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.bench import Bench
from harness.devices.board import BoardDevice
from harness.errors import FarmError, RackError
from harness.farm.access import Access, SerialAddress
from harness.farm.hold import Held
from harness.farm.lines import Line, open_line
from harness.farm.power import power_cycle
from harness.farm.probes import PlaceProbe, open_probe
from harness.farm.remote_probe import REPLY_SECONDS
from harness.rack.file import Board, Rack
from harness.rack.recovery import Recovery
from harness.targets import Target

DIAGNOSIS_SECONDS = 1.0
CLOSE_SECONDS = 5.0
_SHORTEST_WAIT = 0.1


@dataclass(frozen=True)
class PlacePort:
    """The serial port of a place, as a bench lists it."""

    device: str
    serial_number: str | None


class FarmBoard(BoardDevice):
    """The board at `held`. Its tags `probe`, `uid`, `idcode`, where there are any, say which it has to be."""

    _source = "the place's tags"

    def __init__(
        self,
        target: Target,
        held: Held,
        access: Access,
        deadline: Deadline,
        recover: bool = False,
        bench: Bench | None = None,
    ) -> None:
        """FarmError: it cannot be reached. RackError: it is another board. `bench`: replaced in tests."""
        self._held = held
        self._place_line: Line | None = None
        with ExitStack() as way:
            if recover and access.power is not None:
                way.push(Recovery(f"place {held.place.name}", partial(power_cycle, held)))
            self._place_probe = open_probe(access.probe, held.place.name, deadline)
            way.callback(self._place_probe.close)
            self._expected = expected_board(held, target, self._place_probe.serial_number)
            super().__init__(
                target,
                deadline,
                Rack(),
                bench=place_bench(bench or Bench(), self._place_probe, access.serial, self._open_line),
            )
            self._way = way.pop_all()
        # No board of a rack file, whatever its place is called.
        self.board = ""
        self.name = f"{target.name} at place {held.place.name}"
        self.versions = {
            **{key: value for key, value in self.versions.items() if key != "board"},
            "farm_place": held.place.name,
            "farm_exporter": held.place.exporters,
            "farm_probe": self._place_probe.serial_number,
        }

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._way.close()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
        finally:
            self._way.__exit__(kind, error, trace)

    def _claim(self, rack: Rack, probe: str | None, name: str | None, deadline: Deadline) -> Board:
        """The place is ours already."""
        return self._expected

    def _open_line(self, address: SerialAddress) -> serial.SerialBase:
        line = open_line(address, Deadline.after(CLOSE_SECONDS * 2), self._held.place.name)
        self._stack.callback(line.close)
        self._place_line = line
        return line.port

    def _ended(self, seconds: float) -> Diagnosis | None:
        """Whether the place was lost, or the way to its board ended."""
        why = self._held.gone(seconds, self._broken)
        return None if why is None else Diagnosis("exited", why)

    def _broken(self) -> str | None:
        why = self._place_probe.ended()
        if why is None and self._place_line is not None:
            why = self._place_line.ended()
        return None if why is None else f"the way to its board broke: {why}"

    def _disconnect(self) -> None:
        with self._replies_within(CLOSE_SECONDS):
            super()._disconnect()

    def _bounded(self, deadline: Deadline | None) -> Any:
        return self._replies_within(
            REPLY_SECONDS if deadline is None else max(_SHORTEST_WAIT, deadline.remaining())
        )

    def _looking(self) -> Any:
        return self._replies_within(DIAGNOSIS_SECONDS)

    @contextmanager
    def _replies_within(self, seconds: float) -> Iterator[None]:
        remote = self._place_probe.remote
        if remote is None:
            yield
            return
        before, remote.line.seconds = remote.line.seconds, min(seconds, REPLY_SECONDS)
        try:
            yield
        finally:
            remote.line.seconds = before


def expected_board(held: Held, target: Target, found: str) -> Board:
    """What the place's tags say of its board. RackError: they name another probe than `found`."""
    place = held.place
    wanted = place.tags.get("probe", found)
    if wanted.lower() != found.lower():
        raise RackError(
            f"this is not the board of place {place.name}: its probe has the serial number {found} where the"
            f" place's tags have {wanted}; boards were swapped, or the tags are out of date"
        )
    try:
        return Board(
            name=re.sub(r"[^A-Za-z0-9._-]", "-", f"place {place.name}"),
            target=target.name,
            probe=found,
            uid=place.tags.get("uid"),
            idcode=None if (idcode := place.tags.get("idcode")) is None else int(idcode, 16),
        )
    except (ValidationError, ValueError) as error:
        raise FarmError(
            f"place {place.name}: its tags uid and idcode have to be hexadecimal, and are"
            f" {place.tags.get('uid')!r} and {place.tags.get('idcode')!r}"
        ) from error


def place_bench(bench: Bench, probe: PlaceProbe, address: SerialAddress, open_line_to: Any) -> Bench:
    """`bench` with what is at the place plugged in, and nothing else."""
    port = PlacePort(f"{address.protocol} {address.host}:{address.port}", probe.serial_number)
    return replace(
        bench,
        probes=bench.probes if probe.remote is None else lambda wanted: [probe.remote],
        ports=lambda: [port],
        port=lambda device: open_line_to(address),
    )
