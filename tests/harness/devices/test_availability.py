from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from harness.devices.availability import availability
from harness.targets import Target, Toolchain, load_target


def test_what_is_missing_says_how_to_get_it(qemu_target: Callable[..., Target]) -> None:
    found = availability(qemu_target(), which=lambda name: None)
    assert not found.usable
    assert {need.program: need.hint for need in found.missing} == {
        "qemu-system-arm": "apt install qemu-system-arm",
        "arm-none-eabi-gcc": "apt install gcc-arm-none-eabi libnewlib-arm-none-eabi",
    }


def test_what_is_installed_is_shown_with_its_path(qemu_target: Callable[..., Target]) -> None:
    found = availability(qemu_target(), which=lambda name: f"/usr/bin/{name}")
    assert found.usable
    assert [need.path for need in found.requirements] == [
        "/usr/bin/qemu-system-arm",
        "/usr/bin/arm-none-eabi-gcc",
    ]


def test_what_is_in_no_package_says_where_to_get_it() -> None:
    found = availability(load_target("renode-stm32f7"), which=lambda name: None)
    hint = {need.program: need.hint for need in found.missing}["renode"]
    assert hint == "install Renode 1.16 (package or portable archive, https://renode.io) and put it on PATH"


def test_a_second_compiler_is_optional_and_may_be_unknown(qemu_target: Callable[..., Target]) -> None:
    target = qemu_target().model_copy(
        update={"driver": "native", "toolchain": Toolchain(compilers=("gcc", "tcc"))}
    )
    found = availability(target, which=lambda name: "/usr/bin/gcc" if name == "gcc" else None)
    assert found.usable
    assert [need.program for need in found.requirements] == ["gcc", "tcc"]
    assert found.requirements[1].hint == "install tcc and put it on PATH"


def test_a_board_needs_its_pack_and_a_probe(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ports = [SimpleNamespace(vid=0x0403, serial_number="FTDI"), SimpleNamespace(vid=None, serial_number=None)]
    monkeypatch.setattr("serial.tools.list_ports.comports", lambda: ports)
    monkeypatch.setattr("cmsis_pack_manager.Cache", lambda *_: SimpleNamespace(data_path=str(tmp_path)))

    def missing() -> dict[str, str]:
        found = availability(load_target("stm32f746g-disco"), which=lambda name: name)
        return {need.program: need.hint for need in found.missing}

    pack = "Keil.STM32F7xx_DFP"
    assert missing() == {
        pack: "pyocd pack install stm32f746nghx",
        "debug probe": "connect STM32F746G-DISCO (Cortex-M7, 216 MHz) at CN14 (USB ST-LINK)",
    }
    folder = tmp_path / "Keil" / "STM32F7xx_DFP"
    folder.mkdir(parents=True)
    (folder / "2.15.1.pack").touch()
    assert set(missing()) == {"debug probe"}
    ports.append(SimpleNamespace(vid=0x0483, serial_number="066DFF"))
    assert missing() == {}


def test_a_part_that_pyocd_has_built_in_needs_no_pack() -> None:
    found = availability(load_target("nucleo-h743zi2"), which=lambda name: name)
    assert [need.program for need in found.requirements] == ["debug probe", "arm-none-eabi-gcc"]
