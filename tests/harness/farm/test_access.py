"""Resources of a place as debugger and serial line; what is missing is named beside what is there."""

from __future__ import annotations

import pytest

from harness.errors import FarmError
from harness.farm.access import SerialAddress, access_of
from harness.farm.messages import Place, Resource


def resource(cls: str, **parameters: str | int) -> Resource:
    return Resource(exporter="e", group="g", name=cls.lower(), cls=cls, parameters=parameters)


PROBE = resource("PyocdProbe", uid="gdbrsp:h:1")
SERIAL = resource("NetworkSerialPort", host="h", port=2, protocol="raw")


def test_access() -> None:
    access = access_of(Place(name="p", resources=(SERIAL, resource("NetworkPowerPort"), PROBE)))
    assert access.probe == "gdbrsp:h:1"
    assert access.serial == SerialAddress("h", 2, "raw")


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            (SERIAL,),
            r"no NetworkUSBDebugger or PyocdProbe where it needs one; it has e/g/NetworkSerialPort/networkserialport$",
        ),
        ((), r"no NetworkUSBDebugger or PyocdProbe .* no resources at all \(is its exporter connected\?\)"),
        ((PROBE, PROBE, SERIAL), "2 NetworkUSBDebugger or PyocdProbe where it needs one"),
        ((resource("PyocdProbe"), SERIAL), "has no `uid`"),
        ((PROBE, resource("NetworkSerialPort", host="h", port=0)), "port 0, which is no address"),
        ((PROBE, resource("NetworkSerialPort", host="h", port=2, protocol="x")), "speaks 'x'"),
    ],
)
def test_what_is_wrong(resources: tuple[Resource, ...], message: str) -> None:
    with pytest.raises(FarmError, match=message):
        access_of(Place(name="p", resources=resources))
