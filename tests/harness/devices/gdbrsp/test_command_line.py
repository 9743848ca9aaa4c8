"""`pyocd` itself with `-u gdbrsp:…`: for people who want the probe and nothing else of this project."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.deadline import Deadline
from harness.devices.elf import read_image
from harness.devices.gdbrsp.client import RspClient
from harness.devices.gdbrsp.dialect import Dialect
from harness.devices.process import ChildProcess

pytestmark = pytest.mark.emulator

PYOCD_SERVER = Dialect(
    name="pyOCD",
    resume=b"vCont;c",
    step=b"vCont;s",
    reset=("reset halt",),
    unmapped_writes_succeed=False,
    acknowledges=True,
    pipeline=1,
)


def pyocd(command: str, address: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pyocd", command, "-u", f"gdbrsp:{address}", "-t", "cortex_m"]
    return subprocess.run(
        [*words, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def commands(address: str, *lines: str) -> subprocess.CompletedProcess[str]:
    return pyocd("cmd", address, *(word for line in lines for word in ("-c", line)))


@pytest.fixture(params=["tcp", "unix"])
def server(needs_emulator: None, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Address of a QEMU that waits, empty."""
    if request.param == "tcp":
        listener = socket.create_server(("127.0.0.1", 0))
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        options = "nodelay=on"
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(tmp_path / "gdb"))
        listener.listen()
        address = f"unix:{tmp_path / 'gdb'}"
        options = "nodelay=off"
    with listener:
        qemu = ChildProcess(
            [
                *("qemu-system-arm", "-machine", "mps2-an500", "-nodefaults", "-display", "none", "-S"),
                *("-chardev", f"socket,id=g,fd={listener.fileno()},server=on,wait=off,{options}"),
                *("-gdb", "chardev:g"),
            ],
            pass_fds=(listener.fileno(),),
        )
    try:
        yield address
    finally:
        qemu.end()


def test_load_and_commands_one_session_after_the_other(server: str, firmware: Path, tmp_path: Path) -> None:
    loaded = pyocd("load", server, firmware)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    segment = read_image(firmware).segments[0]
    saved = tmp_path / "saved.bin"
    # The machine runs since the load: connecting stops it.
    for value in ("0xcafe0001", "0xcafe0002"):
        shown = commands(
            server,
            f"savemem {segment.address:#x} {len(segment.data)} {saved}",
            f"write32 0x20020000 {value}",
            "read32 0x20020000 16",
            "reg pc sp control psp",
        )
        assert shown.returncode == 0, shown.stdout + shown.stderr
        assert value[2:] in shown.stdout
        assert "pc = 0x00000" in shown.stdout
        assert "psp = 0x00000000" in shown.stdout
        assert saved.read_bytes() == segment.data


def test_nobody_there_and_an_address_that_is_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        address = f"127.0.0.1:{closed.getsockname()[1]}"
    gone = commands(address, "read32 0x20020000 16")
    assert gone.returncode != 0
    assert f"no GDB server at gdbrsp:{address}" in gone.stdout + gone.stderr
    wrong = commands("nowhere", "read32 0 4")
    assert wrong.returncode != 0
    assert "write gdbrsp:HOST:PORT" in wrong.stdout + wrong.stderr


@pytest.fixture
def gdbserver(server: str, firmware: Path) -> Iterator[int]:
    """Port of `pyocd gdbserver`, with the firmware loaded."""
    assert pyocd("load", server, firmware).returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as first, socket.create_server(("127.0.0.1", 0)) as second:
        port, telnet = (each.getsockname()[1] for each in (first, second))
    words = [sys.executable, "-m", "pyocd", "gdbserver", "-u", f"gdbrsp:{server}", "-t", "cortex_m"]
    process = ChildProcess([*words, "-p", str(port), "-T", str(telnet)])
    deadline = Deadline.after(30)
    try:
        while "GDB server listening" not in process.output():
            assert process.wait(0.05) is None, process.output()
            deadline.check("waiting for pyocd gdbserver")
        yield port
    finally:
        process.end()


def registers_by_number(client: RspClient) -> dict[str, int]:
    """All registers, from one `g` packet; fails where one is not available."""
    data = bytes.fromhex(client.request(b"g").decode())
    values: dict[str, int] = {}
    offset = 0
    for name, register in client.registers.items():
        size = register.size or 4
        values[name] = int.from_bytes(data[offset : offset + size], "little")
        offset += size
    return values


def test_a_gdb_client_of_pyocd_reads_registers_and_stops_at_breakpoints(
    gdbserver: int, firmware: Path
) -> None:
    symbols = read_image(firmware).symbols
    client = RspClient(socket.create_connection(("127.0.0.1", gdbserver), 5), PYOCD_SERVER)
    client.timeout = 10
    try:
        client.open()
        assert {"msp", "psp", "control", "primask", "s31"} & set(client.registers) >= {
            "msp",
            "psp",
            "control",
        }
        assert client.request(b"qRcmd," + b"reset halt".hex().encode())
        values = registers_by_number(client)
        assert values["pc"] == symbols["reset"].address
        assert values["msp"] == values["sp"] == symbols["stack_top"].address
        assert values["psp"] == values["control"] == 0
        vectors = read_image(firmware).segments[0].data[:8]
        assert client.request(b"m0,8") == vectors.hex().encode()
        # GDB sets software breakpoints in RAM, which no emulator reports: the probe makes them hardware.
        assert client.request(b"Z0,%x,2" % symbols["tick"].address) == b"OK"
        for _ in range(3):
            client.resume()
            assert not client.poll(10)
            assert registers_by_number(client)["pc"] == symbols["tick"].address
        assert client.request(b"z0,%x,2" % symbols["tick"].address) == b"OK"
        client.resume()
        assert client.poll(0.2)
        client.interrupt()
    finally:
        client.close()


@pytest.mark.skipif(shutil.which("gdb-multiarch") is None, reason="needs gdb-multiarch")
@pytest.mark.parametrize("server", ["tcp"], indirect=True)
def test_gdb_itself(gdbserver: int, firmware: Path) -> None:
    lines = (
        "set architecture armv7e-m",
        f"target remote 127.0.0.1:{gdbserver}",
        "monitor reset halt",
        "break *tick",
        "continue",
        "continue",
        "info registers pc psp control",
        "stepi",
        "stepi",
        "info registers pc",
        "detach",
    )
    words = [word for line in lines for word in ("-ex", line)]
    shown = subprocess.run(
        ["gdb-multiarch", "-batch", "-nx", *words, str(firmware)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stdout
    tick: Any = read_image(firmware).symbols["tick"].address
    assert shown.count("Breakpoint 1, ") == 2, shown
    assert f"{tick:#x} <tick>" in shown
    assert f"{tick + 4:#x} <tick+4>" in shown
    assert "unavailable" not in shown


def test_both_import_orders_find_the_plugin() -> None:
    check = "from pyocd.probe.aggregator import PROBE_CLASSES; assert 'gdbrsp' in PROBE_CLASSES"
    for first in ("pyocd", "harness.devices.gdbrsp.plugin", "harness.devices.gdbrsp.probe"):
        subprocess.run([sys.executable, "-c", f"import {first}; {check}"], check=True, timeout=60)
