"""What goes wrong with a real emulator: each fault is caused, and ends as one sentence of the right class."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.base import Device
from harness.devices.factory import open_device
from harness.errors import DeviceError, DeviceFault, DeviceGone, DeviceHang, LinkError, LoadError
from harness.firmware.build import Firmware, build_firmware
from harness.run.session import Session
from harness.targets import load_target

pytestmark = [
    pytest.mark.emulator,
    pytest.mark.skipif(
        shutil.which("qemu-system-arm") is None or shutil.which("arm-none-eabi-gcc") is None,
        reason="needs qemu-system-arm and arm-none-eabi-gcc",
    ),
]

TINY = Path(__file__).parents[1] / "data" / "tiny_trainer"
QEMU = "qemu-mps2-an500"
SAMPLE = bytes(8 * 8 * 3)
SECONDS = 20.0


@contextmanager
def opened(name: str, firmware: Firmware, step_seconds: float = SECONDS) -> Iterator[tuple[Device, Session]]:
    with open_device(load_target(name), Deadline.after(SECONDS)) as device:
        device.load(firmware.elf, Deadline.after(SECONDS))
        yield device, Session(device, step_seconds=step_seconds)


def build(folder: Path, name: str = QEMU, trainer: Path = TINY, **defines: int) -> Firmware:
    return build_firmware(trainer, load_target(name), folder, defines=defines)


def assert_one_sentence(error: DeviceError, *words: str) -> None:
    text = str(error)
    assert "\n" not in text
    for word in words:
        assert word in text, text


def test_a_write_to_nowhere_is_a_fault_with_its_place(tmp_path: Path) -> None:
    with opened(QEMU, build(tmp_path, TINY_CRASH=2)) as (_, session):
        session.start()
        with pytest.raises(DeviceFault) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, QEMU, "a training step", "trainer_train_step")


def test_a_stack_overflow_is_a_fault(tmp_path: Path) -> None:
    with opened(QEMU, build(tmp_path, TINY_CRASH=1)) as (_, session):
        session.start()
        with pytest.raises(DeviceFault) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, QEMU, "stack")


def test_an_endless_loop_is_a_hang_with_its_place(tmp_path: Path) -> None:
    with opened(QEMU, build(tmp_path, TINY_CRASH=3), step_seconds=2.0) as (_, session):
        session.start()
        with pytest.raises(DeviceHang) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, QEMU, "timed out after 2 s", "trainer_train_step")


@pytest.mark.parametrize("name", [QEMU, "host"])
def test_a_killed_device_is_gone(tmp_path: Path, name: str) -> None:
    with opened(name, build(tmp_path, name)) as (device, session):
        session.start()
        os.kill(device.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        with pytest.raises(DeviceGone) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, name, "SIGKILL")


def test_a_crash_on_the_host_is_a_fault(tmp_path: Path) -> None:
    with opened("host", build(tmp_path, "host", TINY_CRASH=2)) as (_, session):
        session.start()
        with pytest.raises((DeviceFault, DeviceGone)) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, "host")


def test_the_wrong_elf_is_refused_before_it_runs(tmp_path: Path) -> None:
    native = build(tmp_path, "host")
    with open_device(load_target(QEMU), Deadline.after(SECONDS)) as device:
        with pytest.raises(LoadError, match=r"EM_X86_64|EM_AARCH64"):
            device.load(native.elf, Deadline.after(SECONDS))
        cut = tmp_path / "cut.elf"
        cut.write_bytes(native.elf.read_bytes()[:100])
        with pytest.raises(LoadError, match=r"cut\.elf"):
            device.load(cut, Deadline.after(SECONDS))


def garbled_trainer(folder: Path, statement: str) -> Path:
    """The tiny trainer, with `statement` at the start of each training step."""
    shutil.copytree(TINY, folder)
    source = folder / "trainer.c"
    head = "float trainer_train_step(uint32_t label) {"
    text = source.read_text()
    assert text.count(head) == 1
    source.write_text(text.replace(head, f"{head}\n  {statement}"))
    return folder


UART = "*(volatile uint32_t *)0x40004000u"
READY = "while (*(volatile uint32_t *)0x40004004u & 1u) {}"


def test_endless_garbage_on_the_line_is_a_link_error(tmp_path: Path) -> None:
    shout = f"for (;;) for (uint32_t i = 0; i < 9; i++) {{ {READY} {UART} = i % 9u ? 0xA5u + i : 0u; }}"
    firmware = build(tmp_path / "out", trainer=garbled_trainer(tmp_path / "trainer", shout))
    with opened(QEMU, firmware, step_seconds=10.0) as (_, session):
        session.start()
        with pytest.raises((LinkError, DeviceHang)) as caught:
            session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, QEMU)


def test_some_garbage_on_the_line_is_survived_and_reported(tmp_path: Path) -> None:
    noise = f"for (uint32_t i = 0; i < 40; i++) {{ {READY} {UART} = 1u + i * 37u % 251u; }}"
    firmware = build(tmp_path / "out", trainer=garbled_trainer(tmp_path / "trainer", noise))
    with opened(QEMU, firmware) as (_, session):
        session.start()
        session.reset(1)
        session.set_learning_rate(0.1)
        noisy = [session.train(SAMPLE, 1).loss for _ in range(3)]
        assert "damaged" in str(session.link_trouble())
    with opened(QEMU, build(tmp_path / "clean")) as (_, session):
        session.start()
        session.reset(1)
        session.set_learning_rate(0.1)
        assert noisy == [session.train(SAMPLE, 1).loss for _ in range(3)]
        assert session.link_trouble() is None


def test_a_small_budget_faults_in_one_sentence(tmp_path: Path) -> None:
    target = load_target(QEMU)
    firmware = build_firmware(TINY, target, tmp_path, sram_budget=9216, defines={"TINY_ARENA": 8000})
    with opened(QEMU, firmware) as (_, session), pytest.raises(DeviceFault) as caught:
        session.start()
        session.train(SAMPLE, 0)
    assert_one_sentence(caught.value, QEMU, "budget")


def test_no_process_is_left(tmp_path: Path) -> None:
    before = {process.pid for process in psutil.Process().children(recursive=True)}
    firmware = build(tmp_path, TINY_CRASH=2)
    with opened(QEMU, firmware) as (_, session), pytest.raises(DeviceFault):
        session.start()
        session.train(SAMPLE, 0)
    assert {process.pid for process in psutil.Process().children(recursive=True)} <= before
