import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.elf import read_image
from harness.devices.factory import open_device
from harness.devices.native import NativeDevice
from harness.errors import DeviceError, DeviceGone, DeviceHang, LoadError
from harness.targets import Target, Toolchain

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
SOURCE = Path(__file__).parent / "firmware" / "native.c"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_native(tmp_path_factory.mktemp("native") / "firmware.elf", "-no-pie")


def compile_native(elf: Path, *flags: str) -> Path:
    subprocess.run(["gcc", "-O1", *flags, SOURCE, "-o", elf], check=True, timeout=60)
    return elf


@pytest.fixture
def device(qemu_target: Callable[..., Target]) -> Iterator[NativeDevice]:
    target = qemu_target().model_copy(
        update={"name": "host", "driver": "native", "toolchain": Toolchain(compilers=("gcc",))}
    )
    with open_device(target, Deadline.after(5)) as opened:
        assert isinstance(opened, NativeDevice)
        yield opened


@pytest.fixture
def running(device: NativeDevice, program: Path, soon: Deadline) -> NativeDevice:
    device.load(program, soon)
    device.serial().timeout = 5
    device.resume(soon)
    return device


def diagnosis(device: NativeDevice, kind: str) -> Diagnosis:
    deadline = Deadline.after(10)
    while (found := device.diagnose()).kind != kind and not deadline.expired:
        time.sleep(0.005)
    return found


def test_memory_is_painted_before_the_firmware_runs(
    device: NativeDevice, program: Path, soon: Deadline
) -> None:
    painted = read_image(program).symbols["painted"].address
    device.load(program, soon)
    device.write(painted, b"\x5a" * 256)
    assert device.read(painted, 256) == b"\x5a" * 256
    line = device.serial()
    line.timeout = 5
    device.resume(soon)
    line.write(b"p")
    assert line.read(1) == b"\x5a"


def test_halt_and_resume(running: NativeDevice, soon: Deadline) -> None:
    line = running.serial()
    line.write(b"x")
    assert line.read(1) == b"y"
    running.halt(soon)
    assert running.diagnose().sentence.startswith("the firmware process is halted")
    line.write(b"x")
    line.timeout = 0.05
    assert line.read(1) == b""
    running.resume(soon)
    line.timeout = 5
    assert line.read(1) == b"y"


def test_memory_is_read_while_running_and_halted(
    running: NativeDevice, program: Path, soon: Deadline
) -> None:
    address = read_image(program).symbols["command"].address
    running.write(address, b"abcd")
    running.halt(soon)
    assert running.read(address, 4) == b"abcd"
    with pytest.raises(DeviceError, match="reading 4 bytes at 0x8 failed"):
        running.read(8, 4)
    with pytest.raises(DeviceError, match="writing 1 bytes at 0x8 failed"):
        running.write(8, b"x")


@pytest.mark.parametrize(
    ("command", "kind", "sentence"),
    [
        (b"e", "exited", "the firmware process firmware.elf ended with exit code 5"),
        (b"k", "exited", "the firmware process firmware.elf was ended by SIGKILL"),
        (
            b"f",
            "fault",
            "the firmware process was ended by SIGSEGV: it accessed memory it does not have (about to fault)",
        ),
        (b"a", "fault", "the firmware process was ended by SIGABRT: it aborted"),
    ],
)
def test_ends_in_words(
    running: NativeDevice, command: bytes, kind: str, sentence: str, soon: Deadline
) -> None:
    running.serial().write(command)
    found = diagnosis(running, kind)
    assert (found.kind, found.sentence) == (kind, sentence)
    with pytest.raises(DeviceGone, match="host is gone"):
        running.read(0x400000, 4)
    with pytest.raises(DeviceGone):
        running.halt(soon)


def test_diagnosis_running_and_waiting(running: NativeDevice) -> None:
    assert diagnosis(running, "waiting").sentence == "the firmware waits for its link"
    running.serial().write(b"s")
    deadline = Deadline.after(10)
    while "in spin_here" not in (found := running.diagnose()).sentence:
        deadline.check(f"waiting for the firmware to spin; it said {found.sentence!r}")
        time.sleep(0.005)
    assert found.kind == "running"
    assert running.diagnose().kind == "running"  # looking at it did not stop it


def test_loading_again_starts_afresh(running: NativeDevice, program: Path, soon: Deadline) -> None:
    painted = read_image(program).symbols["painted"].address
    running.write(painted, b"\1")
    first = running.pid
    running.load(program, soon)
    assert running.pid != first
    assert not psutil.pid_exists(first)
    assert running.read(painted, 1) == b"\0"
    running.resume(soon)
    running.serial().write(b"x")
    assert running.serial().read(1) == b"y"


def test_nothing_is_left_after_close(running: NativeDevice) -> None:
    pid = running.pid
    running.close()
    running.close()
    assert not psutil.pid_exists(pid)


def test_before_load(device: NativeDevice, soon: Deadline) -> None:
    assert device.diagnose().sentence == "host: no firmware was loaded"
    for action in (lambda: device.read(0, 1), lambda: device.resume(soon), device.serial):
        with pytest.raises(DeviceError, match=r"loaded|load the firmware first"):
            action()


def test_wrong_elf_files(
    device: NativeDevice, tmp_path: Path, soon: Deadline, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(LoadError, match="link it with -no-pie"):
        device.load(compile_native(tmp_path / "pie.elf", "-pie", "-fPIE"), soon)
    with pytest.raises(LoadError, match="cannot be read"):
        device.load(tmp_path / "missing.elf", soon)
    if shutil.which("arm-none-eabi-gcc"):
        with pytest.raises(LoadError, match="built for EM_ARM"):
            device.load(request.getfixturevalue("firmware"), soon)


def test_an_expired_deadline_is_a_hang(device: NativeDevice, program: Path) -> None:
    with pytest.raises(DeviceHang):
        device.load(program, Deadline.after(0))


def test_versions_name_the_machine(device: NativeDevice) -> None:
    assert set(device.versions) == {"kernel", "machine"}
    assert sys.platform == "linux"
