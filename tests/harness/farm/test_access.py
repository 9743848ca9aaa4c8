"""Resources of a place as debugger and serial line; what is missing is named beside what is there."""

from __future__ import annotations

import pytest

from harness.errors import FarmError
from harness.farm.access import SerialAddress, UsbDebugger, access_of
from harness.farm.messages import Place, Resource
from harness.farm.ssh import ssh_command


def resource(cls: str, proxy: str | None = None, **parameters: str | int | float | None) -> Resource:
    plain: dict[str, str | int | float | bool | None] = dict(parameters)
    return Resource(exporter="e", group="g", name=cls.lower(), cls=cls, parameters=plain, proxy=proxy)


PROBE = resource("PyocdProbe", uid="gdbrsp:h:1")
SERIAL = resource("NetworkSerialPort", host="h", port=2, protocol="raw")


def test_access() -> None:
    access = access_of(Place(name="p", resources=(SERIAL, resource("NetworkPowerPort"), PROBE)))
    assert access.probe == "gdbrsp:h:1"
    assert access.serial == SerialAddress("h", 2, "raw")


def debugger(path: str | None = "1-1.2", host: str = "h", proxy: str | None = None) -> Resource:
    """As labgrid's exporter describes a `USBDebugger`."""
    return resource("NetworkUSBDebugger", proxy, host=host, busnum=1, devnum=9, path=path, vendor_id=0x0483)


def test_access_to_a_board_of_a_stock_exporter() -> None:
    line = resource("NetworkSerialPort", host="h", port=4711, speed=115200)
    place = Place(name="p", resources=(line, debugger(), resource("NetworkPowerPort", model="gude")))
    access = access_of(place)
    assert access.probe == UsbDebugger("h", "1-1.2")
    assert access.serial == SerialAddress("h", 4711, "rfc2217")
    assert access.power == "e/g/NetworkPowerPort/networkpowerport"
    assert access_of(Place(name="p", resources=(line, debugger()))).power is None


def test_an_isolated_exporter_is_reached_through_its_proxy() -> None:
    line = resource("NetworkSerialPort", "gate", host="h", port=4711, speed=115200)
    access = access_of(Place(name="p", resources=(line, debugger(proxy="gate"))))
    assert access.probe == UsbDebugger("gate", "1-1.2")
    assert access.serial == SerialAddress("h", 4711, "rfc2217", "gate")


@pytest.mark.parametrize("host", ["-oProxyCommand=reboot", "", "h; reboot", "h h", "$(reboot)"])
def test_a_host_is_no_option_and_no_command(host: str) -> None:
    with pytest.raises(FarmError, match="is no host for ssh"):
        ssh_command(host)


@pytest.mark.parametrize("host", ["exporter-1", "me@exporter.example", "10.0.0.1", "fe80::1%eth0", "[::1]"])
def test_hosts(host: str) -> None:
    assert ssh_command(host, "-N")[-3:] == ["-N", "--", host]


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ((debugger(), PROBE, SERIAL), "2 NetworkUSBDebugger or PyocdProbe where it needs one"),
        ((debugger(), debugger(), SERIAL), "2 NetworkUSBDebugger or PyocdProbe where it needs one"),
        ((debugger(),), "no NetworkSerialPort where it needs one; it has e/g/NetworkUSBDebugger/"),
        ((debugger(None), SERIAL), "its debugger is not plugged in at exporter e"),
        (
            (debugger("../../tmp"), SERIAL),
            "says USB path '../../tmp' of host 'h', which is no place",
        ),
        ((PROBE, resource("NetworkSerialPort", host="h", port=2, speed=9600)), "is set to 9600 baud"),
        ((PROBE, resource("NetworkSerialPort", host="h", port=None)), "port None, which is no address"),
        (
            (SERIAL,),
            r"no NetworkUSBDebugger or PyocdProbe .*; it has e/g/NetworkSerialPort/networkserialport$",
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
