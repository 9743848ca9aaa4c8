"""Targets and firmware for the device tests; the firmware is built here, with the real toolchain."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.devices.qemu import QemuDevice
from harness.targets import Budget, QemuStart, Region, Target, TickUnit, Toolchain

SOURCES = Path(__file__).parent / "firmware"
CORES = {
    "cortex-m7": ("mps2-an500", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"),
    "cortex-m4": ("mps2-an386", "-mcpu=cortex-m4 -mfloat-abi=hard -mfpu=fpv4-sp-d16"),
    "cortex-m3": ("mps2-an385", "-mcpu=cortex-m3"),
    "cortex-m33": ("mps2-an505", ""),
    "cortex-m55": ("mps3-an547", ""),
}


STAND_IN = Path(__file__).parent / "renode_stand_in" / "stand_in.py"


class StandIn:
    """`play(NAME)` chooses a fault; `complaints` is what was done that Renode does not forgive."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "bin"
        self._folder.mkdir()
        self.journal = folder / "journal"
        monkeypatch.setenv("PATH", f"{self._folder}{os.pathsep}{os.environ['PATH']}")
        self.play(None)

    def play(self, fault: str | None) -> None:
        program = self._folder / "renode"
        words = [sys.executable, str(STAND_IN), "--journal", str(self.journal)]
        words += ["--play", fault] if fault else []
        program.write_text(f'#!/bin/sh\nexec {" ".join(words)} "$@"\n')
        program.chmod(0o755)

    def complaints(self) -> list[str]:
        return self.journal.read_text().splitlines() if self.journal.exists() else []


@pytest.fixture(scope="session")
def needs_emulator() -> None:
    missing = [name for name in ("qemu-system-arm", "arm-none-eabi-gcc") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def make_target(core: str = "cortex-m7", machine: str | None = None) -> Target:
    return Target(
        name=f"test-{core}",
        title=core,
        driver="qemu",
        core=core,
        tick_unit=TickUnit.INSTRUCTIONS,
        toolchain=Toolchain(compilers=("arm-none-eabi-gcc",)),
        regions=(
            Region(name="flash", start=0, size=4 << 20, kind="flash"),
            Region(name="ram", start=0x20000000, size=4 << 20, kind="ram"),
        ),
        budget=Budget(part="STM32F746", sram_bytes=320 * 1024),
        qemu=QemuStart(machine=machine or CORES[core][0]),
        folder=SOURCES,
    )


def build(core: str, folder: Path) -> Path:
    elf = folder / f"{core}.elf"
    flags = CORES[core][1].split()
    subprocess.run(
        [
            *("arm-none-eabi-gcc", *flags, "-mthumb", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding"),
            *("-nostdlib", "-T", str(SOURCES / "firmware.ld"), str(SOURCES / "firmware.c"), "-o", str(elf)),
        ],
        check=True,
        timeout=60,
    )
    return elf


@pytest.fixture
def qemu_target() -> Callable[..., Target]:
    """`qemu_target(core, machine=None)` makes a target description."""
    return make_target


@pytest.fixture
def build_firmware(needs_emulator: None) -> Callable[[str, Path], Path]:
    """`build_firmware(core, folder)` returns the ELF file."""
    return build


@pytest.fixture(scope="session")
def firmware(needs_emulator: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("cortex-m7", tmp_path_factory.mktemp("firmware"))


@pytest.fixture
def soon() -> Deadline:
    return Deadline.after(20)


@pytest.fixture
def device(needs_emulator: None, soon: Deadline) -> Iterator[QemuDevice]:
    with QemuDevice(make_target(), soon) as opened:
        yield opened


@pytest.fixture
def loaded(device: QemuDevice, firmware: Path, soon: Deadline) -> QemuDevice:
    device.load(firmware, soon)
    return device


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Makes the stand-in the program `renode`; nothing may be done that Renode would not forgive."""
    pytest.importorskip("unicorn", reason="the stand-in for Renode needs the PyPI package unicorn")
    program = StandIn(tmp_path, monkeypatch)
    yield program
    assert program.complaints() == []
