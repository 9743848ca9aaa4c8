import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import serial

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.elf import Symbol, read_image
from harness.devices.qemu import QemuDevice
from harness.errors import DeviceError, DeviceGone, DeviceHang, LoadError, TargetError, ToolMissingError
from harness.targets import Region, Target

pytestmark = pytest.mark.emulator


@pytest.fixture
def symbols(firmware: Path) -> dict[str, Symbol]:
    return read_image(firmware).symbols


@pytest.fixture
def running(loaded: QemuDevice, symbols: dict[str, Symbol], soon: Deadline) -> QemuDevice:
    """Past start-up code, which would clear what a test writes."""
    loaded.resume(soon)
    while loaded.read(symbols["counter"].address, 4) == bytes(4):
        soon.check("waiting for the firmware to count")
    return loaded


def command(device: QemuDevice, symbols: dict[str, Symbol], number: int) -> None:
    device.write(symbols["command"].address, number.to_bytes(4, "little"))


def diagnosis(device: QemuDevice, kind: str) -> Diagnosis:
    """The device's diagnosis once it is of this kind, or the last one after 10 s."""
    deadline = Deadline.after(10)
    while (found := device.diagnose()).kind != kind and not deadline.expired:
        time.sleep(0.005)
    return found


def test_load_leaves_the_firmware_unrun_and_the_elf_in_memory(
    loaded: QemuDevice, firmware: Path, symbols: dict[str, Symbol]
) -> None:
    assert loaded.core.is_halted()
    assert loaded.core.read_core_register("pc") == symbols["reset"].address
    for segment in read_image(firmware).segments:
        assert loaded.read(segment.address, len(segment.data)) == segment.data
    assert loaded.read(symbols["counter"].address, 4) == bytes(4)
    assert loaded.versions["qemu"][0].isdigit()
    assert loaded.versions["pyocd"]


def test_a_device_can_be_loaded_again_while_its_firmware_runs_in_a_sandbox(
    running: QemuDevice, firmware: Path, symbols: dict[str, Symbol], soon: Deadline
) -> None:
    command(running, symbols, 5)  # switches the MPU on, which forbids writing to flash
    running.load(firmware, soon)
    assert running.core.read_core_register("pc") == symbols["reset"].address


def test_memory_while_running_sees_the_firmware_move(
    running: QemuDevice, symbols: dict[str, Symbol], soon: Deadline
) -> None:
    counter = symbols["counter"].address
    seen: list[int] = []
    while len({*seen}) <= 10 and not soon.expired:
        seen.append(int.from_bytes(running.read(counter, 4), "little"))
    assert len({*seen}) > 10
    assert seen == sorted(seen)
    running.write(symbols["buffer"].address, b"abc")
    assert running.read(symbols["buffer"].address, 4) == b"abc\0"
    assert running.core.is_running()


def test_looking_at_running_firmware_does_not_change_its_ticks(
    running: QemuDevice, symbols: dict[str, Symbol]
) -> None:
    counts, looks = [], []
    for look in (False, True):
        command(running, symbols, 7)
        deadline = Deadline.after(60)
        looked = 0
        while running.read(symbols["command"].address, 4) != bytes(4):
            deadline.check("waiting for the timed loop")
            looked += 1
            if not look:
                time.sleep(0.2)
        counts.append(int.from_bytes(running.read(symbols["ticks"].address, 4), "little"))
        looks.append(looked)
    assert looks[1] > looks[0]
    assert counts[0] == counts[1]
    assert 80e6 / 40 <= counts[0] < 200e6 / 40


def test_memory_that_the_mpu_denies_to_the_firmware_is_still_ours(
    running: QemuDevice, symbols: dict[str, Symbol]
) -> None:
    command(running, symbols, 5)
    deadline = Deadline.after(5)
    while running.read(symbols["command"].address, 4) != bytes(4):
        deadline.check("waiting for the MPU to be set up")
    running.write(0x20050000, b"painted!")
    assert running.read(0x20050000, 8) == b"painted!"
    with pytest.raises(DeviceError, match="there is no memory at 0x61000000"):
        running.read(0x61000000, 4)


def test_serial_line_both_ways(running: QemuDevice) -> None:
    line = running.serial()
    line.timeout = 5
    message = bytes(range(200))
    assert line.write(message) == 200
    assert line.read(200) == bytes(byte + 1 for byte in message)
    line.timeout = 0.01
    assert line.read(1) == b""


def test_unmapped_memory_is_an_error_both_ways(loaded: QemuDevice) -> None:
    with pytest.raises(DeviceError, match="there is no memory at 0x61000000"):
        loaded.read(0x61000000, 4)
    with pytest.raises(DeviceError, match="there is no memory"):
        loaded.write(0x61000000, b"x")


def test_diagnosis_running(running: QemuDevice) -> None:
    found = running.diagnose()
    assert found.kind == "running"
    assert "runs at 0x0000" in found.sentence
    assert running.core.is_running()


def test_diagnosis_waiting(running: QemuDevice, symbols: dict[str, Symbol]) -> None:
    command(running, symbols, 3)
    found = diagnosis(running, "waiting")
    assert found.kind == "waiting"
    assert "waits for an interrupt" in found.sentence
    assert "wait_here" in found.sentence


def test_diagnosis_of_a_write_beyond_the_budget(running: QemuDevice, symbols: dict[str, Symbol]) -> None:
    command(running, symbols, 2)
    found = diagnosis(running, "fault")
    assert found.sentence.startswith(
        "memory protection fault: the firmware wrote 0x20050000, outside its 256 KB budget (pc 0x"
    )
    assert found.sentence.endswith("in poke_far)")
    assert found.registers["cfsr"] == 0x82
    assert found.registers["mmfar"] == 0x20050000


def test_diagnosis_of_an_undefined_instruction(running: QemuDevice, symbols: dict[str, Symbol]) -> None:
    command(running, symbols, 4)
    assert "undefined instruction" in diagnosis(running, "fault").sentence


def test_a_fault_record_from_before_a_reset_is_not_reported(
    running: QemuDevice, symbols: dict[str, Symbol], soon: Deadline
) -> None:
    command(running, symbols, 4)
    assert diagnosis(running, "fault").kind == "fault"
    running.core.reset_and_halt()
    assert running.diagnose().kind == "unknown"


def test_lockup(running: QemuDevice, symbols: dict[str, Symbol]) -> None:
    command(running, symbols, 6)
    found = diagnosis(running, "exited")
    assert found.kind == "exited"
    assert "locked up" in found.sentence
    assert "SIGABRT" in found.sentence


def test_emulator_killed_while_running(running: QemuDevice, soon: Deadline) -> None:
    os.kill(running.pid, signal.SIGKILL)
    with pytest.raises(DeviceGone, match="qemu-system-arm was ended by SIGKILL"):
        while not soon.expired:  # its memory is there for a moment longer
            running.read(0x20000000, 4)
    with pytest.raises(DeviceGone, match="SIGKILL"):
        running.resume(soon)
    assert running.diagnose().kind == "exited"
    with pytest.raises(serial.SerialException, match="closed its serial line"):
        while True:
            running.serial().timeout = 5
            running.serial().read(1)
    running.close()
    running.close()


def test_an_emulator_that_hangs_is_told_from_one_that_ended(running: QemuDevice) -> None:
    os.kill(running.pid, signal.SIGSTOP)
    found = running.diagnose()
    assert found.kind == "unknown"
    assert "does not answer" in found.sentence


def test_wrong_elf_files(
    device: QemuDevice, firmware: Path, tmp_path: Path, soon: Deadline, build_firmware: object
) -> None:
    with pytest.raises(LoadError, match="EM_X86_64"):
        device.load(Path(sys.executable).resolve(), soon)
    text = tmp_path / "text.elf"
    text.write_text("no firmware")
    with pytest.raises(LoadError, match="no intact ELF"):
        device.load(text, soon)
    with pytest.raises(LoadError, match="cannot be read"):
        device.load(tmp_path / "missing.elf", soon)
    cut = tmp_path / "cut.elf"
    cut.write_bytes(firmware.read_bytes()[:0x1010])
    with pytest.raises(LoadError, match="no intact ELF"):
        device.load(cut, soon)


def test_a_segment_outside_the_memory_map_is_refused(
    needs_emulator: None, firmware: Path, qemu_target: Callable[..., Target], soon: Deadline
) -> None:
    small = qemu_target().model_copy(
        update={"regions": (Region(name="flash", start=0, size=256, kind="flash"),)}
    )
    with QemuDevice(small, soon) as device, pytest.raises(LoadError, match="outside the memory of test-"):
        device.load(firmware, soon)


def test_read_back_finds_memory_that_does_not_hold_what_was_written(
    needs_emulator: None, firmware: Path, qemu_target: Callable[..., Target], soon: Deadline, tmp_path: Path
) -> None:
    # The machine's hole at 0x00800000 reads zero and ignores writes; the map claims that it is memory.
    holes = qemu_target().model_copy(
        update={"regions": (Region(name="hole", start=0x800000, size=1 << 20, kind="flash"),)}
    )
    moved = tmp_path / "moved.elf"
    subprocess.run(
        ["arm-none-eabi-objcopy", "-j", ".text", "--change-addresses", "0x800000", firmware, moved],
        check=True,
        timeout=30,
    )
    with (
        QemuDevice(holes, soon) as device,
        pytest.raises(LoadError, match=r"holds 0x00 where the file has"),
    ):
        device.load(moved, soon)


def test_an_expired_deadline_is_a_hang(loaded: QemuDevice) -> None:
    with pytest.raises(DeviceHang, match="resuming"):
        loaded.resume(Deadline.after(0))


def test_a_machine_qemu_does_not_have(
    needs_emulator: None, qemu_target: Callable[..., Target], soon: Deadline
) -> None:
    with pytest.raises(DeviceGone, match=r"exit code 1 .*unsupported machine type"):
        QemuDevice(qemu_target(machine="stm32f746"), soon)


def test_qemu_missing(qemu_target: Callable[..., Target], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissingError, match="apt install qemu-system-arm"):
        QemuDevice(qemu_target(), Deadline.after(5))


def test_a_target_without_machine(qemu_target: Callable[..., Target]) -> None:
    with pytest.raises(TargetError, match="no \\[qemu\\] table"):
        QemuDevice(qemu_target().model_copy(update={"qemu": None}), Deadline.after(5))


def test_the_working_directory_stays_and_scripts_in_it_do_not_run(
    needs_emulator: None,
    qemu_target: Callable[..., Target],
    soon: Deadline,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "pyocd_user.py").write_text("raise SystemExit('a script from the working directory ran')")
    (tmp_path / "pyocd.yaml").write_text("target_override: nonsense")
    monkeypatch.chdir(tmp_path)
    with QemuDevice(qemu_target(), soon):
        assert Path.cwd() == tmp_path


def test_no_orphan_when_the_harness_is_killed(
    needs_emulator: None, firmware: Path, tmp_path: Path, soon: Deadline
) -> None:
    script = textwrap.dedent(f"""
        import runpy, sys, time
        from pathlib import Path
        from harness.deadline import Deadline
        from harness.devices.qemu import QemuDevice
        make_target = runpy.run_path({str(Path(__file__).parent / "conftest.py")!r})["make_target"]
        with QemuDevice(make_target(), Deadline.after(20)) as device:
            device.load(Path({str(firmware)!r}), Deadline.after(20))
            device.resume(Deadline.after(20))
            print(device.pid, flush=True)
            time.sleep(60)
    """)
    harness = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    try:
        assert harness.stdout is not None
        qemu = psutil.Process(int(harness.stdout.readline()))
        assert qemu.is_running()
    finally:
        harness.kill()
        harness.communicate(timeout=10)
    while psutil.pid_exists(qemu.pid) and qemu.status() != psutil.STATUS_ZOMBIE:
        soon.check("waiting for QEMU to follow its parent")
        time.sleep(0.01)
