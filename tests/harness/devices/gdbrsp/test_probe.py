"""pyOCD's own CortexM on top of a real QEMU."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyocd.core.exceptions import CoreRegisterAccessError, TransferFaultError
from pyocd.core.target import Target as PyocdTarget

from harness.deadline import Deadline
from harness.devices.elf import read_image
from harness.devices.qemu import QemuDevice
from harness.targets import Target

pytestmark = pytest.mark.emulator

State, HaltReason = PyocdTarget.State, PyocdTarget.HaltReason


def until_halted(device: QemuDevice) -> None:
    deadline = Deadline.after(10)
    while not device.core.is_halted():
        deadline.check("waiting for the core to halt")
        time.sleep(0.001)


def word(device: QemuDevice, address: int) -> int:
    return int.from_bytes(device.read(address, 4), "little")


def until_counting(device: QemuDevice, counter: int) -> None:
    """Start-up code clears RAM, so nothing written before this would last."""
    deadline = Deadline.after(10)
    while word(device, counter) == 0:
        deadline.check("waiting for the firmware to count")


@pytest.mark.parametrize(
    ("core", "name", "architecture", "extensions"),
    [
        ("cortex-m3", "Cortex-M3", "ARMv7M", {"MPU"}),
        ("cortex-m4", "Cortex-M4", "ARMv7M", {"DSP", "FPU", "FPU_V4", "MPU"}),
        ("cortex-m7", "Cortex-M7", "ARMv7M", {"DSP", "FPU", "FPU_DP", "FPU_V5", "MPU"}),
        ("cortex-m33", "Cortex-M33", "ARMv8M_MAIN", {"DSP", "FPU", "FPU_V5", "MPU", "SEC"}),
        (
            "cortex-m55",
            "Cortex-M55",
            "ARMv8M_MAIN",
            {"DSP", "FPU", "FPU_DP", "FPU_HP", "FPU_V5", "MPU", "MVE", "MVE_FP", "SEC"},
        ),
    ],
)
def test_cores_are_identified(
    needs_emulator: None,
    qemu_target: Callable[..., Target],
    core: str,
    name: str,
    architecture: str,
    extensions: set[str],
) -> None:
    with QemuDevice(qemu_target(core), Deadline.after(20)) as device:
        assert device.core.name == name
        assert device.core.architecture.name == architecture
        found = {extension.name for extension in device.core.extensions}
        assert found - {"RAS", "SEC_V81", "UDE"} == extensions
        assert device.core.has_fpu == ("FPU" in extensions)
        assert len(device.core.fpb.hw_breakpoints) == 8
        assert device.core.dwt.watchpoint_count == 4
        assert device.core.is_halted()


@pytest.mark.parametrize("core", ["cortex-m7", "cortex-m4", "cortex-m3"])
def test_firmware_runs_steps_and_resets(
    build_firmware: Callable[[str, Path], Path],
    qemu_target: Callable[..., Target],
    core: str,
    tmp_path: Path,
    soon: Deadline,
) -> None:
    elf = build_firmware(core, tmp_path)
    symbols = read_image(elf).symbols
    with QemuDevice(qemu_target(core), soon) as device:
        device.load(elf, soon)
        assert device.core.read_core_register("pc") == symbols["reset"].address
        device.core.step()
        assert device.core.read_core_register("pc") == symbols["start"].address
        assert device.core.get_halt_reason() == HaltReason.DEBUG
        device.resume(soon)
        until_counting(device, symbols["counter"].address)
        assert word(device, symbols["initialised"].address) == 0x12345678


def test_twenty_resets_each_stop_at_the_reset_handler(loaded: QemuDevice, firmware: Path) -> None:
    symbols = read_image(firmware).symbols
    for _ in range(20):
        loaded.core.resume()
        loaded.core.reset_and_halt()
        assert loaded.core.is_halted()
        assert loaded.core.read_core_register("pc") == symbols["reset"].address
    loaded.core.reset()
    assert loaded.core.get_state() == State.RUNNING


def test_breakpoint_stops_each_time_and_can_be_removed(loaded: QemuDevice, firmware: Path) -> None:
    symbols = read_image(firmware).symbols
    assert loaded.core.set_breakpoint(symbols["tick"].address)
    counts = []
    for _ in range(5):
        loaded.core.resume()
        until_halted(loaded)
        assert loaded.core.read_core_register("pc") == symbols["tick"].address
        assert loaded.core.get_halt_reason() == HaltReason.BREAKPOINT
        counts.append(word(loaded, symbols["counter"].address))
    assert counts == list(range(counts[0], counts[0] + 5))
    loaded.core.remove_breakpoint(symbols["tick"].address)
    loaded.core.resume()
    assert loaded.core.get_state() == State.RUNNING


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PyocdTarget.WatchpointType.WRITE, HaltReason.WATCHPOINT),
        (PyocdTarget.WatchpointType.READ, HaltReason.WATCHPOINT),
        (PyocdTarget.WatchpointType.READ_WRITE, HaltReason.WATCHPOINT),
    ],
)
def test_watchpoint_stops_at_the_access(
    loaded: QemuDevice, firmware: Path, kind: object, expected: object, soon: Deadline
) -> None:
    symbols = read_image(firmware).symbols
    watched = symbols["watched"].address
    loaded.core.resume()
    until_counting(loaded, symbols["counter"].address)
    loaded.core.halt()
    loaded.core.set_watchpoint(watched, 4, kind)
    loaded.core.resume()
    loaded.write(symbols["command"].address, b"\1\0\0\0")
    until_halted(loaded)
    assert loaded.core.get_halt_reason() == expected
    loaded.core.remove_watchpoint(watched, 4, kind)
    loaded.core.resume()
    while word(loaded, watched) == 0:
        soon.check("waiting for the write that was watched")
    assert loaded.core.get_state() == State.RUNNING


def test_floating_point_registers(loaded: QemuDevice, firmware: Path) -> None:
    symbols = read_image(firmware).symbols
    loaded.core.set_breakpoint(symbols["tick"].address)
    loaded.core.resume()
    until_halted(loaded)
    assert loaded.core.read_core_register("s3") == 2.5
    loaded.core.write_core_register("s2", -1.25)
    assert loaded.core.read_core_register("s2") == -1.25
    assert loaded.core.read_core_register("s3") == 2.5
    loaded.core.write_core_register("r7", 0xDEADBEEF)
    assert loaded.core.read_core_register("r7") == 0xDEADBEEF


SPECIAL = ("msp", "psp", "primask", "basepri", "faultmask", "control")


def execute(device: QemuDevice, address: int, code: str) -> None:
    """Step through instructions of 4 or 2 bytes, written as hexadecimal words, put at `address`."""
    device.write(address, bytes.fromhex(code))
    device.core.write_core_register("pc", address)
    for _ in code.split():
        device.core.step()


def test_special_registers_that_the_server_does_not_offer_are_read_by_the_core(loaded: QemuDevice) -> None:
    core = loaded.core
    core.write_core_register("r7", 0x20001230)
    execute(loaded, 0x20010000, "87f30988 72b6")  # msr psp, r7; cpsid i
    before = {name: core.read_core_register(name) for name in ("r0", "r7", "pc", "sp", "xpsr")}
    values = dict(zip(SPECIAL, (core.read_core_register(name) for name in SPECIAL), strict=True))
    assert values == {
        **dict.fromkeys(SPECIAL, 0),
        "msp": before["sp"],
        "psp": 0x20001230,
        "primask": 1,
    }
    assert {name: core.read_core_register(name) for name in before} == before
    assert loaded.read(0x20010000, 6) == bytes.fromhex("87f3098872b6")


def test_a_special_register_that_cannot_be_read_now_is_an_error_not_a_zero(loaded: QemuDevice) -> None:
    execute(loaded, 0x20010000, "4ff00103 83f31488")  # mov r3, #1; msr control, r3: no privileges any more
    with pytest.raises(CoreRegisterAccessError, match="psp"):
        loaded.core.read_core_register("psp")
    assert loaded.core.read_core_register("pc") == 0x20010008
    with pytest.raises(CoreRegisterAccessError, match="msp"):
        loaded.core.write_core_register("msp", 0)


def test_faults_of_reads_writes_and_the_system_space(loaded: QemuDevice) -> None:
    for action in (
        lambda: loaded.core.read32(0x61000000),
        lambda: loaded.core.write32(0x61000000, 1),
        lambda: loaded.core.read_memory_block8(0x60FFFFF0, 32),
        lambda: loaded.core.write32(0xE000ED88, 0),
    ):
        with pytest.raises(TransferFaultError):
            action()
    assert loaded.core.read32(0xE000ED00) >> 4 & 0xFFF == 0xC27
    assert loaded.core.is_halted()


@pytest.mark.parametrize("size", [1, 3, 4096, 300_001])
def test_bulk_write_reads_back_at_odd_addresses(loaded: QemuDevice, size: int) -> None:
    data = bytes((7 * index + index // 251) & 0xFF for index in range(size))
    loaded.write(0x20100001, data)
    assert loaded.read(0x20100001, size) == data
    assert loaded.read(0x20100000, 1) == b"\0"
    assert loaded.read(0x20100001 + size, 1) == b"\0"
