"""From the resources of a place to where its board can be debugged and talked to.

| resource | parameters | what it is |
|---|---|---|
| `PyocdProbe` | `uid` | a debug probe that pyOCD can reach from here, such as `gdbrsp:HOST:PORT` |
| `NetworkSerialPort` | `host`, `port`, `protocol` | labgrid's own: `raw` or `rfc2217` |

`PyocdProbe` is a class of ours; labgrid's exporter and coordinator pass on resources of any class.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import FarmError
from harness.farm.messages import Place, Resource

PROBE = "PyocdProbe"
SERIAL = "NetworkSerialPort"


@dataclass(frozen=True)
class SerialAddress:
    host: str
    port: int
    protocol: str


@dataclass(frozen=True)
class Access:
    """Of one board. `probe`: a pyOCD unique ID."""

    probe: str
    serial: SerialAddress


def access_of(place: Place) -> Access:
    """How the board at `place` is reached; FarmError: what resource is missing, and what is there instead."""
    probe, serial = (_one(place, cls) for cls in (PROBE, SERIAL))
    uid = probe.parameters.get("uid")
    if not isinstance(uid, str) or not uid:
        raise FarmError(f"place {place.name}: {probe} has no `uid` that pyOCD could find its probe by")
    host, port = serial.parameters.get("host"), serial.parameters.get("port")
    if not isinstance(host, str) or not isinstance(port, int) or not 0 < port < 65536:
        raise FarmError(
            f"place {place.name}: {serial} says host {host!r}, port {port!r}, which is no address"
        )
    protocol = serial.parameters.get("protocol") or "rfc2217"
    if protocol not in ("raw", "rfc2217"):
        raise FarmError(f"place {place.name}: {serial} speaks {protocol!r}; there are: raw, rfc2217")
    return Access(uid, SerialAddress(host, port, str(protocol)))


def _one(place: Place, cls: str) -> Resource:
    found = [resource for resource in place.resources if resource.cls == cls]
    if len(found) == 1:
        return found[0]
    others = ", ".join(str(resource) for resource in place.resources) or "no resources at all"
    count = "no" if not found else f"{len(found)}"
    raise FarmError(
        f"place {place.name} has {count} {cls} where it needs one; it has {others}"
        + ("" if place.resources else " (is its exporter connected?)")
    )
