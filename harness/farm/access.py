"""From the resources of a place to where its board can be debugged, talked to, and switched off.

| resource | parameters | what it is |
|---|---|---|
| `NetworkUSBDebugger` | `host`, `path` | a `USBDebugger` of an exporter: a probe that hangs there |
| `PyocdProbe` | `uid` | a probe that pyOCD can reach from here: `gdbrsp:HOST:PORT`, `remote:HOST:PORT` |
| `NetworkSerialPort` | `host`, `port`, `protocol` | `raw` or `rfc2217`; an exporter's `USBSerialPort` |
| those in `POWER` | | what `labgrid-client power` switches |

`PyocdProbe` is a class of ours; labgrid's exporter and coordinator pass on resources of any class.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.errors import FarmError
from harness.farm.messages import Place, Resource

PROBE = "PyocdProbe"
USB_DEBUGGER = "NetworkUSBDebugger"
SERIAL = "NetworkSerialPort"
POWER = (
    "NetworkPowerPort",
    "NetworkUSBPowerPort",
    "NetworkSiSPMPowerPort",
    "NetworkYKUSHPowerPort",
    "PDUDaemonPort",
    "TasmotaPowerPort",
)
"""What `labgrid-client power` of labgrid 26 takes, but for relays on pins."""
BAUD = 115200
"""labgrid's default speed, and what the firmware speaks."""
_USB_PATH = re.compile(r"\d+-\d+(\.\d+)*")


@dataclass(frozen=True)
class UsbDebugger:
    """A probe at a USB port of an exporter."""

    machine: str
    """Where ssh goes: the exporter's host, or the proxy that an isolated exporter names."""
    path: str
    """The kernel's name of the device, such as `1-1.2`."""


@dataclass(frozen=True)
class SerialAddress:
    host: str
    port: int
    protocol: str
    proxy: str | None = None
    """The machine from which `host` can be reached, by ssh; None: from here."""


@dataclass(frozen=True)
class Access:
    """Of one board."""

    probe: str | UsbDebugger
    """A pyOCD unique ID, or where the probe hangs."""
    serial: SerialAddress
    power: str | None = None
    """The resource that switches its power; None: nothing does."""


def access_of(place: Place) -> Access:
    """How the board at `place` is reached; FarmError: what resource is missing, and what is there instead."""
    debugger, serial = _one(place, USB_DEBUGGER, PROBE), _one(place, SERIAL)
    probe = _usb_debugger(place, debugger) if debugger.cls == USB_DEBUGGER else _uid(place, debugger)
    power = next((str(resource) for resource in place.resources if resource.cls in POWER), None)
    return Access(probe, _serial(place, serial), power)


def _uid(place: Place, probe: Resource) -> str:
    uid = probe.parameters.get("uid")
    if not isinstance(uid, str) or not uid:
        raise FarmError(f"place {place.name}: {PROBE} has no `uid` that pyOCD could find its probe by")
    return uid


def _usb_debugger(place: Place, debugger: Resource) -> UsbDebugger:
    path, machine = debugger.parameters.get("path"), debugger.proxy or debugger.parameters.get("host")
    if path is None:
        raise FarmError(f"place {place.name}: its debugger is not plugged in at exporter {debugger.exporter}")
    if not isinstance(path, str) or not _USB_PATH.fullmatch(path) or not isinstance(machine, str):
        raise FarmError(
            f"place {place.name}: {debugger} says USB path {path!r} of host {machine!r}, which is no place of"
            " a USB device"
        )
    return UsbDebugger(machine, path)


def _serial(place: Place, serial: Resource) -> SerialAddress:
    host, port = serial.parameters.get("host"), serial.parameters.get("port")
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 65536:
        raise FarmError(
            f"place {place.name}: {serial} says host {host!r}, port {port!r}, which is no address"
        )
    protocol = serial.parameters.get("protocol") or "rfc2217"
    if protocol not in ("raw", "rfc2217"):
        raise FarmError(f"place {place.name}: {serial} speaks {protocol!r}; there are: raw, rfc2217")
    speed = serial.parameters.get("speed") or BAUD
    if speed != BAUD:
        raise FarmError(f"place {place.name}: {serial} is set to {speed} baud; the firmware speaks {BAUD}")
    return SerialAddress(host, port, str(protocol), serial.proxy)


def _one(place: Place, *classes: str) -> Resource:
    found = [resource for resource in place.resources if resource.cls in classes]
    if len(found) == 1:
        return found[0]
    others = ", ".join(str(resource) for resource in place.resources) or "no resources at all"
    count = "no" if not found else f"{len(found)}"
    raise FarmError(
        f"place {place.name} has {count} {' or '.join(classes)} where it needs one; it has {others}"
        + ("" if place.resources else " (is its exporter connected?)")
    )
