"""A place with a USB debugger and a serial port, as a stock exporter offers them, behind a real coordinator.

Real: coordinator, exporter, ssh and sshd, pyOCD's server, ser2net. Stand-ins: the USB device is a folder, and
what pyOCD's server and ser2net reach is QEMU.
"""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.bench import Bench
from harness.devices.probe_session import open_session
from harness.devices.process import ChildProcess
from harness.errors import DeviceGone, FarmError, RackError
from harness.farm import probes
from harness.farm.access import access_of
from harness.farm.board import FarmBoard
from harness.farm.device import open_place
from harness.farm.hold import Farm, Held, held_place, list_places, make_places
from harness.farm.messages import NewPlace
from harness.farm.selection import Selection
from harness.targets import BoardPart, Target, load_target

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
SER2NET = shutil.which("ser2net", path=f"{os.environ['PATH']}:/usr/sbin")
QEMU = "qemu-mps2-an500"
IDCODE_AT, UID_AT = 0x20300000, 0x20300010
IDCODE = 0x10016449
FIRMWARE = Path(__file__).parents[1] / "devices" / "firmware"
USB_PATH = "1-1.2"

pytestmark = [
    pytest.mark.skipif(
        SSHD is None or shutil.which("ssh") is None,
        reason="needs ssh and sshd; run: apt install openssh-client openssh-server",
    ),
    pytest.mark.skipif(shutil.which("arm-none-eabi-gcc") is None, reason="needs arm-none-eabi-gcc"),
]

PYOCD = """#!/bin/sh
# `pyocd server -u SERIAL …`, for a probe that is no USB device.
shift 2; serial="$1"; shift
exec {python} -m pyocd server -u "gdbrsp:$serial" "$@"
"""
SSHD_CONFIG = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
"""
SSH_CONFIG = """
Host *
  HostName 127.0.0.1
  Port {port}
  User {user}
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def started() -> Iterator[list[ChildProcess]]:
    processes: list[ChildProcess] = []
    yield processes
    for process in reversed(processes):
        process.end(grace=1.0)


@pytest.fixture
def sshd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, started: list[ChildProcess]) -> Path:
    """sshd on loopback with keys of its own, and `ssh` that goes there whatever the host; its folder."""
    folder, port = tmp_path / "ssh", free_port()
    (folder / "bin").mkdir(parents=True)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host_key", "key"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(words, check=True, timeout=20)
    shutil.copy(folder / "key.pub", folder / "authorized_keys")
    host = (folder / "host_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}")
    (folder / "sshd_config").write_text(SSHD_CONFIG.format(folder=folder, port=port))
    (folder / "ssh_config").write_text(SSH_CONFIG.format(folder=folder, port=port, user=getpass.getuser()))
    program = folder / "bin" / "ssh"
    program.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {folder}/ssh_config "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}/bin:{os.environ['PATH']}")
    assert SSHD is not None
    started.append(ChildProcess([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]))
    deadline = Deadline.after(20)
    while "Server listening" not in started[-1].output():
        assert started[-1].poll() is None, started[-1].output()
        deadline.check("waiting for sshd")
    return folder


def make_target(name: str) -> Target:
    """QEMU's machine described as a board; its ID registers are memory that QEMU fills."""
    part = BoardPart(
        usb="nowhere",
        part="cortex_m",
        family="stm32f7",
        idcode_address=IDCODE_AT,
        device_id=IDCODE & 0xFFF,
        uid_address=UID_AT,
        clock_hz=(216_000_000,),
        hse_hz=25_000_000,
    )
    return load_target(QEMU).model_copy(update={"name": name, "driver": "board", "board": part, "qemu": None})


@dataclass
class Site:
    """An exporter's machine with one board, and the place for it."""

    name: str
    coordinator: str
    folder: Path
    serial: str
    emulator: ChildProcess
    terminal: str
    started: list[ChildProcess]
    resources: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        return make_target(f"board-{self.name}")

    def export(self) -> None:
        """Start the exporter, make the place, and wait until it has its resources."""
        path = self.folder / "exporter.yaml"
        path.write_text(json.dumps({self.name: self.resources}))
        words = [sys.executable, "-m", "labgrid.remote.exporter", "-c", self.coordinator, "-n", self.name]
        words += ["--hostname", "127.0.0.1", *self.options, str(path)]
        paths = f"{os.environ['PATH']}:/usr/sbin"
        self.started.append(ChildProcess(words, environment={**os.environ, "PATH": paths}))
        tags = {"target": self.target.name, **self.tags}
        place = NewPlace(name=self.name, tags=tags, match=f"{self.name}/*/*")
        make_places(self.coordinator, (place,))
        deadline = Deadline.after(40)
        while not any(p.name == self.name and p.resources for p in list_places(self.coordinator)):
            assert self.started[-1].poll() is None, self.started[-1].output()
            deadline.check("waiting for the exporter")

    def hold(self) -> Any:
        return held_place(Farm(self.coordinator, Selection.parse("farm:"), 20), self.target.name)

    def open(self, held: Held, *, recover: bool = False) -> FarmBoard:
        bench = Bench(session=lambda probe, part: open_session(self.target, probe), knows=lambda part: True)
        access = access_of(held.place)
        return FarmBoard(self.target, held, access, Deadline.after(60), recover, bench)

    def servers(self) -> list[psutil.Process]:
        """pyOCD's servers for this board's probe, on the exporter's machine."""
        return [
            process
            for process in psutil.process_iter(["cmdline"])
            if f"gdbrsp:{self.serial}" in (process.info["cmdline"] or ())
        ]


@pytest.fixture
def site(
    coordinator: str,
    sshd: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    started: list[ChildProcess],
    request: pytest.FixtureRequest,
) -> Site:
    port = free_port()
    words = ["qemu-system-arm", "-machine", "mps2-an500", "-nodefaults", "-display", "none", "-S"]
    words += ["-gdb", f"tcp:127.0.0.1:{port}", "-chardev", "pty,id=link", "-serial", "chardev:link"]
    words += ["-device", f"loader,addr={IDCODE_AT},data={IDCODE},data-len=4"]
    emulator = ChildProcess(words)
    started.append(emulator)
    deadline = Deadline.after(20)
    while (terminal := re.search(r"redirected to (/dev/pts/\d+)", emulator.output())) is None:
        assert emulator.poll() is None, emulator.output()
        deadline.check("waiting for QEMU")
    device = tmp_path / "devices" / USB_PATH
    device.mkdir(parents=True)
    (device / "serial").write_text(f"127.0.0.1:{port}\n")
    monkeypatch.setattr(probes, "USB_DEVICES", str(device.parent))
    program = tmp_path / "pyocd"
    program.write_text(PYOCD.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv(probes.PROGRAM_VARIABLE, str(program))
    # As labgrid's exporter describes a USBDebugger; its own finds none without a USB device.
    debugger = {"host": "127.0.0.1", "busnum": 1, "devnum": 7, "path": USB_PATH}
    debugger |= {"vendor_id": 0x0483, "model_id": 0x374B}
    return Site(
        name=f"b{abs(hash(request.node.name)) % 10**8}",
        coordinator=coordinator,
        folder=tmp_path,
        serial=f"127.0.0.1:{port}",
        emulator=emulator,
        terminal=terminal[1],
        started=started,
        resources={"NetworkUSBDebugger": debugger, "RawSerialPort": {"port": terminal[1]}},
    )


@pytest.fixture(scope="session")
def elf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("firmware") / "firmware.elf"
    flags = [
        "-mcpu=cortex-m4",
        "-mfloat-abi=hard",
        "-mfpu=fpv4-sp-d16",
        "-mthumb",
        "-O1",
        "-ffreestanding",
        "-nostdlib",
    ]
    sources = ["-T", str(FIRMWARE / "firmware.ld"), str(FIRMWARE / "firmware.c"), "-o", str(path)]
    subprocess.run(["arm-none-eabi-gcc", *flags, *sources], check=True, timeout=60)
    return path


def needs_ser2net(function: Callable[..., None]) -> Any:
    mark = pytest.mark.skipif(SER2NET is None, reason="needs ser2net; run: apt install ser2net")
    return mark(function)


def gone(site: Site) -> None:
    """Nothing of ours is left on the exporter's machine."""
    deadline = Deadline.after(20)
    while site.servers():
        deadline.check("waiting for pyOCD's server to end")


def talk(device: FarmBoard, elf: Path) -> None:
    """Load, run, and an echo over the serial line."""
    device.load(elf, Deadline.after(60))
    device.resume(Deadline.after(10))
    line: Any = device.serial()
    line.timeout = line.write_timeout = 10
    line.write(b"HAL")
    assert line.read(3) == b"IBM"


@needs_ser2net
@pytest.mark.parametrize("options", [(), ("--isolated",)], ids=["open", "isolated"])
def test_a_board_at_a_place(site: Site, elf: Path, options: tuple[str, ...]) -> None:
    site.options = options
    site.tags = {"probe": site.serial, "idcode": hex(IDCODE), "uid": "00" * 12}
    site.export()
    with site.hold() as held:
        with site.open(held) as device:
            talk(device, elf)
            assert device.diagnose().kind == "running"
            assert site.servers()
            device.memory.write(0x20100000, bytes(range(256)) * 64)
            assert device.memory.read(0x20100000, 1 << 14) == bytes(range(256)) * 64
            assert device.board == ""
            assert device.versions["farm_place"] == device.versions["farm_exporter"] == site.name
            assert device.versions["probe"] == device.versions["farm_probe"] == site.serial
            assert device.versions["idcode"] == "0x10016449"
        gone(site)
        with site.open(held) as device:
            talk(device, elf)
    gone(site)


HOLDER = """
import sys, time
sys.path.insert(0, {folder!r})
from pathlib import Path
from harness.farm import probes
from harness.farm.probes import open_probe
from harness.farm.access import UsbDebugger
from harness.deadline import Deadline
probes.USB_DEVICES = {devices!r}
found = open_probe(UsbDebugger("127.0.0.1", {path!r}), "p", Deadline.after(30))
print(found.serial_number, flush=True)
time.sleep(600)
"""


def test_a_killed_client_leaves_nothing_on_the_exporter(site: Site) -> None:
    text = HOLDER.format(folder=str(site.folder), devices=probes.USB_DEVICES, path=USB_PATH)
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == site.serial
        children = psutil.Process(process.pid).children(recursive=True)
        assert [child.name() for child in children] == ["ssh"]
        assert site.servers()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close() if process.stdout else None
    gone(site)
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []


@needs_ser2net
@pytest.mark.parametrize("victim", ["pyocd", "serial"])
def test_a_way_that_breaks_is_noticed(site: Site, elf: Path, victim: str) -> None:
    site.export()
    broke = pytest.raises(DeviceGone, match="the way to its board broke")
    with site.hold() as held, broke as caught, site.open(held) as device:
        talk(device, elf)
        if victim == "pyocd":
            site.servers()[0].kill()
        else:
            exporter = psutil.Process(site.started[-1].pid)
            (ser2net,) = [c for c in exporter.children() if c.name() == "ser2net"]
            ser2net.kill()
        deadline = Deadline.after(20)
        while not deadline.expired:
            device.memory.read(0x20000000, 8)
    expected = "pyOCD's server ended" if victim == "pyocd" else "hung up the serial line"
    assert expected in str(caught.value), caught.value
    gone(site)


class Switch(BaseHTTPRequestHandler):
    """A power switch: GET /relay/INDEX/VALUE."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200 if self.path.startswith("/relay") else 500)
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Not on the terminal."""


@pytest.mark.parametrize("works", [True, False], ids=["works", "fails"])
def test_after_a_transport_error_the_power_is_cycled_while_the_place_is_ours(site: Site, works: bool) -> None:
    asked: list[str] = []
    with HTTPServer(("127.0.0.1", 0), type("OurSwitch", (Switch,), {"asked": asked})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        kind = "relay" if works else "broken"
        url = f"http://127.0.0.1:{server.server_port}/{kind}/{{index}}/{{value}}"
        power = {"model": "simplerest", "host": url, "index": "3"}
        # Any labgrid client has to be told what this is.
        probe = {"PyocdProbe": {"uid": "remote:127.0.0.1:1"}}
        line = {"NetworkSerialPort": {"host": "127.0.0.1", "port": 1, "protocol": "raw"}}
        site.resources = {"NetworkPowerPort": power, **probe, **line}
        site.export()
        with site.hold() as held, pytest.raises(FarmError, match="Connection refused") as caught:
            site.open(held, recover=True)
        (note,) = caught.value.__notes__
        with site.hold() as held, pytest.raises(FarmError, match="Connection refused") as unasked:
            site.open(held)
        assert not hasattr(unasked.value, "__notes__")
        server.shutdown()
    if works:
        assert note == f"the power of place {site.name} was cycled"
        assert asked == ["/relay/3/0", "/relay/3/1"]
    else:
        assert note.startswith(f"the power of place {site.name} could not be cycled: labgrid-client cannot")
        assert "500" in note


def test_what_ssh_says_is_passed_on(site: Site, sshd: Path) -> None:
    (sshd / "authorized_keys").write_text("")
    site.resources.pop("RawSerialPort")
    site.resources["NetworkSerialPort"] = {"host": "127.0.0.1", "port": 1, "protocol": "raw"}
    site.export()
    with (
        site.hold() as held,
        pytest.raises(FarmError, match=r"at 1-1\.2 of 127\.0\.0\.1, .*: Permission denied"),
    ):
        site.open(held)


def no_pyocd(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(probes.PROGRAM_VARIABLE, "/opt/pyocd")


def no_device(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "READY_SECONDS", 2.0)
    shutil.rmtree(site.folder / "devices" / USB_PATH)


def no_serial_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "devices" / USB_PATH / "serial").unlink()


def unknown_probe(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "pyocd").write_text(f'#!/bin/sh\nexec {sys.executable} -m pyocd "$@"\n')
    (site.folder / "devices" / USB_PATH / "serial").write_text("066DFF303451343257215418\n")


def dies_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.folder / "pyocd").write_text("#!/bin/sh\necho no module named pyocd >&2\nexit 1\n")


def another_probe(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (site.folder / "pyocd").read_text()
    (site.folder / "pyocd").write_text(text.replace("$serial", "localhost:${serial#*:}"))


def no_port(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """All is well but for the serial line."""


def busy(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emulator has its debugger already, as a probe has its program."""
    host, port = site.serial.split(":")
    monkeypatch.setattr(site, "busy", socket.create_connection((host, int(port))), raising=False)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_pyocd, "cannot be reached: /opt/pyocd is not installed there"),
        (no_device, "there is no USB device at 1-1.2"),
        (no_serial_number, "the USB device at 1-1.2 has no serial number"),
        (unknown_probe, "pyOCD finds no probe 066DFF303451343257215418 there"),
        (dies_at_once, "pyOCD's server ended at once: no module named pyocd"),
        (another_probe, r"has the probe localhost:\d+, but the USB device of the place is 127"),
        (no_port, r"the serial line of place b\d+ at 127.0.0.1:1 cannot be reached: .*refused"),
        (busy, r"cannot open the probe .*; another program over there may have it"),
    ],
)
def test_what_is_wrong_at_the_exporter(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Site, pytest.MonkeyPatch], None],
    words: str,
) -> None:
    site.resources.pop("RawSerialPort")
    site.resources["NetworkSerialPort"] = {"host": "127.0.0.1", "port": 1, "protocol": "raw"}
    site.export()
    spoil(site, monkeypatch)
    with site.hold() as held, pytest.raises((FarmError, DeviceGone), match=words):
        site.open(held)
    gone(site)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        (
            {"probe": "066DFF"},
            r"not the board of place b\d+: its probe has the serial number 127.* have 066DFF",
        ),
        ({"idcode": "0x10006449"}, "identification code is 0x10016449 where the place's tags has 0x10006449"),
        ({"uid": "ff" * 12}, "its chip has the unique ID 00000000.* where the place's tags has ffff"),
        ({"idcode": "f746"}, "where the place's tags"),
        ({"uid": "a board"}, "its tags uid and idcode have to be hexadecimal, and are 'a board' and None"),
    ],
)
def test_a_swapped_board_is_refused(site: Site, tags: dict[str, str], words: str) -> None:
    site.tags = tags
    site.resources.pop("RawSerialPort")
    site.resources["NetworkSerialPort"] = {"host": "127.0.0.1", "port": 1, "protocol": "raw"}
    site.export()
    with site.hold() as held, pytest.raises((RackError, FarmError), match=words):
        site.open(held)
    gone(site)


def test_an_emulators_target_has_no_usb_debugger(site: Site) -> None:
    site.resources.pop("RawSerialPort")
    site.resources["NetworkSerialPort"] = {"host": "127.0.0.1", "port": 1, "protocol": "raw"}
    site.export()
    with (
        site.hold() as held,
        pytest.raises(FarmError, match=r"needs a gdbrsp: probe.* a USB debugger at 1-1.2"),
    ):
        open_place(load_target(QEMU), held, Deadline.after(5))
