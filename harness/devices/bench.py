"""What is plugged into this machine: debug probes and serial ports, found by USB serial number."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import serial
from pyocd.core.exceptions import Error as PyocdError
from pyocd.core.session import Session
from pyocd.probe.aggregator import DebugProbeAggregator
from pyocd.probe.debug_probe import DebugProbe
from pyocd.target import TARGET, normalise_target_type_name
from pyocd.target.pack.pack_target import ManagedPacks
from serial.tools import list_ports

from harness.devices.probe_choice import PROBE_VARIABLE
from harness.devices.probe_session import quiet_log
from harness.errors import DeviceError, RackError, ToolMissingError
from harness.targets import BoardPart, Target

BAUD = 115200


class Port(Protocol):
    """A serial port as pyserial lists it."""

    @property
    def device(self) -> str: ...

    @property
    def serial_number(self) -> str | None: ...


def open_port(device: str) -> serial.SerialBase:
    """The port, ours alone."""
    return serial.Serial(device, BAUD, exclusive=True)


def open_board_session(probe: DebugProbe, part: BoardPart) -> Session:
    """Connect and halt, with pyOCD's own knowledge of the part: flash algorithms and debug sequences."""
    quiet_log()
    options: dict[str, Any] = {
        "project_dir": str(Path.cwd()),
        "no_config": True,
        "user_script": os.devnull,
        "target_override": part.part,
        "connect_mode": "under-reset",
        "resume_on_disconnect": False,
        "hide_programming_progress": True,
    }
    session = Session(probe, auto_open=False, options=options)
    session.open()
    return session


def list_probes(unique_id: str | None = None) -> Sequence[DebugProbe]:
    """Attached debug probes; with an ID, that one only, and no other is touched."""
    probes: Sequence[DebugProbe] = DebugProbeAggregator.get_all_connected_probes(unique_id=unique_id)
    return probes


def pyocd_knows(part: str) -> bool:
    """Whether pyOCD has the part built in or a CMSIS pack with it is installed."""
    name = normalise_target_type_name(part)
    if name not in TARGET:
        ManagedPacks.populate_target(name)
    return name in TARGET


@dataclass(frozen=True)
class Bench:
    """Ways to what is plugged in; replaced in tests."""

    probes: Callable[[str | None], Sequence[Any]] = list_probes
    ports: Callable[[], Sequence[Port]] = list_ports.comports
    port: Callable[[str], serial.SerialBase] = open_port
    session: Callable[[Any, BoardPart], Any] = open_board_session
    knows: Callable[[str], bool] = pyocd_knows


def find_probe(bench: Bench, target: Target, part: BoardPart, wanted: str | None) -> Any:
    """The probe with the unique ID `wanted`, or the only one. RackError: none, or several to choose from."""
    try:
        found = list(bench.probes(wanted))
    except PyocdError as error:
        raise DeviceError(f"debug probes cannot be listed: {error}") from error
    if wanted is not None:
        found = [probe for probe in found if probe.unique_id.lower() == wanted.lower()]
    if not found:
        which = f" with the unique ID {wanted}" if wanted else ""
        raise RackError(
            f"no debug probe{which} is attached; connect {target.title} to this machine at {part.usb}"
        )
    if len(found) > 1:
        listed = ", ".join(sorted(f"{probe.unique_id} ({probe.description})" for probe in found))
        raise RackError(
            f"{len(found)} debug probes are attached: {listed}; say which has {target.name}"
            f" with --probe or ${PROBE_VARIABLE}, or list the boards in a rack file"
        )
    return found[0]


def find_port(bench: Bench, serial_number: str) -> str:
    """Device file of the serial port of the USB device with that serial number, whatever it is called."""
    wanted = serial_number.lower()
    found = sorted(port.device for port in bench.ports() if (port.serial_number or "").lower() == wanted)
    if not found:
        raise RackError(
            f"the USB device {serial_number} has no serial port; its virtual COM port may be switched off,"
            " or this user may not see it"
        )
    if len(found) > 1:
        raise RackError(f"the USB device {serial_number} has {len(found)} serial ports: {', '.join(found)}")
    return found[0]


def check_part_is_known(bench: Bench, target: Target, part: BoardPart) -> None:
    """ToolMissingError with the command to run where pyOCD does not know the part."""
    if not bench.knows(part.part):
        raise ToolMissingError(
            f"target {target.name} needs the CMSIS pack {part.pack}, which is not installed;"
            f" run: {pack_command(part)}"
        )


def pack_command(part: BoardPart) -> str:
    """What installs the part's CMSIS pack."""
    return f"pyocd pack install {part.part}"
