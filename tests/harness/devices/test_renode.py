"""The Renode driver and the STM32F746 firmware, against a stand-in for Renode that executes it."""

import os
import re
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from pyocd.core.target import Target as PyocdTarget

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.devices.elf import Image, read_image
from harness.devices.factory import open_device
from harness.devices.renode import RenodeDevice
from harness.devices.renode_process import RenodeProcess
from harness.errors import (
    DeviceError,
    DeviceFault,
    DeviceGone,
    DeviceHang,
    HarnessError,
    LoadError,
    TargetError,
    ToolMissingError,
)
from harness.firmware.build import build_firmware
from harness.link.client import LinkClient, Step
from harness.measure.digest import state_digest
from harness.measure.sram import Span
from harness.run.session import Session
from harness.targets import Target, load_target

pytestmark = pytest.mark.emulator

TINY = Path(__file__).parents[2] / "data" / "tiny_trainer"
NAME = "renode-stm32f7"
RAM, FLASH = 0x20000000, 0x08000000
BKPT, BRANCH_TO_NOWHERE = b"\x00\xbe", bytes.fromhex("4ff080531847")  # mov.w r3, #0x10000000; bx r3


@pytest.fixture
def target() -> Target:
    return load_target(NAME)


Build = Callable[..., Path]


@pytest.fixture(scope="module")
def build(needs_emulator: None, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """`build("renode-stm32f7", TINY_CRASH=1)` returns the ELF file of the tiny trainer, built once."""
    built: dict[str, Path] = {}

    def build(name: str = NAME, *, sram_budget: int | None = None, **defines: int) -> Path:
        key = repr((name, sram_budget, sorted(defines.items())))
        if key not in built:
            folder = tmp_path_factory.mktemp("firmware")
            built[key] = build_firmware(
                TINY, load_target(name), folder, sram_budget=sram_budget, defines=defines
            ).elf
        return built[key]

    return build


@pytest.fixture
def device(stand_in: Any, target: Target, soon: Deadline) -> Iterator[RenodeDevice]:
    with open_device(target, soon) as opened:
        assert isinstance(opened, RenodeDevice)
        yield opened


@pytest.fixture
def loaded(device: RenodeDevice, build: Build, soon: Deadline) -> RenodeDevice:
    device.load(build(), soon)
    return device


@pytest.fixture
def image(build: Build) -> Image:
    return read_image(build())


def until_halted(device: RenodeDevice) -> None:
    deadline = Deadline.after(10)
    while not device.core.is_halted():
        deadline.check("waiting for the core to halt")
        time.sleep(0.001)


def until(device: RenodeDevice, kind: str) -> Diagnosis:
    deadline = Deadline.after(10)
    while (found := device.diagnose()).kind != kind and not deadline.expired:
        time.sleep(0.005)
    return found


def train(client: LinkClient, device: object, steps: int, deadline: Deadline) -> tuple[list[Step], str]:
    """Steps on the same random pictures everywhere, and the digest of the state after them."""
    info = client.info(deadline)
    client.reset(7, deadline)
    client.set_learning_rate(0.5, deadline)
    random = np.random.default_rng(1)
    done = []
    for number in range(steps):
        picture = random.integers(-128, 128, info.input_bytes, dtype=np.int8).tobytes()
        device.memory.write(info.input_address, picture)  # type: ignore[attr-defined]
        done.append(client.train(number % info.classes, deadline))
    spans = tuple(Span(span.address, span.length) for span in client.state_spans(deadline))
    return done, state_digest(device.memory, spans)  # type: ignore[attr-defined]


def test_twenty_training_steps_leave_the_state_they_leave_on_the_host(stand_in: Any, build: Build) -> None:
    results = []
    for name in ("host", NAME):
        deadline = Deadline.after(60)
        with open_device(load_target(name), deadline) as device:
            device.load(build(name), deadline)
            client = LinkClient(device.serial())
            device.resume(deadline)
            client.hello(deadline)
            steps, digest = train(client, device, 20, deadline)
            results.append(([step.loss for step in steps], [step.logits for step in steps], digest))
            assert client.counters.damaged_replies == client.counters.damaged_requests == 0
    assert results[0] == results[1]


def test_load_leaves_the_firmware_unrun_and_the_elf_in_memory(loaded: RenodeDevice, image: Image) -> None:
    assert loaded.core.is_halted()
    assert loaded.core.read_core_register("pc") == image.symbols["trainbench_reset"].address
    assert loaded.core.read_core_register("sp") == image.symbols["__stack_top"].address
    for segment in image.segments:
        assert loaded.read(segment.address, len(segment.data)) == segment.data
    assert loaded.versions["renode"] == "1.16.1.0"
    assert re.fullmatch("[0-9a-f]{64}", loaded.versions["renode platform"])


def test_a_device_can_be_loaded_again_while_its_firmware_runs(
    loaded: RenodeDevice, build: Build, image: Image, soon: Deadline
) -> None:
    loaded.resume(soon)
    LinkClient(loaded.serial()).hello(soon)
    loaded.load(build(), soon)
    assert loaded.core.read_core_register("pc") == image.symbols["trainbench_reset"].address
    loaded.resume(soon)
    LinkClient(loaded.serial()).hello(soon)


def test_the_core_is_what_the_part_has(device: RenodeDevice) -> None:
    assert device.core.name == "Cortex-M7"
    assert device.core.has_fpu
    assert {extension.name for extension in device.core.extensions} >= {"FPU", "DSP", "FPU_V5"}


def test_large_blocks_of_memory_go_through_files_and_small_ones_do_not(
    loaded: RenodeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    monitor = loaded._probe.client.monitor
    monkeypatch.setattr(
        loaded._probe.client, "monitor", lambda command: commands.append(command) or monitor(command)
    )
    data = np.random.default_rng(3).integers(0, 256, 320 << 10, dtype=np.uint8).tobytes()
    loaded.write(RAM, data)
    assert commands == []  # what is loaded while the machine is paused has to be reset afterwards
    assert loaded.read(RAM, len(data)) == data
    assert [command.split()[0] for command in commands] == ["sysbus.dtcm", "sysbus.sram1", "sysbus.sram2"]
    assert loaded.read(RAM + 0xFFF0, 32) == data[0xFFF0 : 0xFFF0 + 32]
    assert len(commands) == 3


def test_memory_while_running_does_not_stop_the_core(
    loaded: RenodeDevice, image: Image, soon: Deadline
) -> None:
    loaded.resume(soon)
    LinkClient(loaded.serial()).hello(soon)
    free = image.symbols["__free_start"].address
    data = bytes(range(256)) * 100
    loaded.write(free, data)
    assert loaded.read(free, len(data)) == data
    assert loaded._probe.client.running
    for action in (lambda: loaded.read(0x60000000, 4), lambda: loaded.write(0x60000000, b"x")):
        with pytest.raises(DeviceError, match="there is no memory at 0x60000000"):
            action()


def test_breakpoints_stop_once_each_time_whatever_traps_follow(
    loaded: RenodeDevice, image: Image, soon: Deadline
) -> None:
    place = image.symbols["board_uart_read"].address
    loaded.core.set_breakpoint(place)
    loaded.resume(soon)
    for _ in range(5):
        until_halted(loaded)
        assert loaded.core.read_core_register("pc") == place
        assert loaded.core.get_halt_reason() == PyocdTarget.HaltReason.BREAKPOINT
        loaded.serial().write(b"\0")  # or it would wait for ever
        loaded.core.resume()
    loaded.core.remove_breakpoint(place)
    time.sleep(0.05)
    loaded.core.resume()
    loaded.serial().write(b"\0")
    time.sleep(0.05)
    assert loaded.core.is_running()


def test_watchpoint(loaded: RenodeDevice, image: Image, soon: Deadline) -> None:
    loaded.resume(soon)
    client = LinkClient(loaded.serial())
    client.hello(soon)
    span = client.state_spans(soon)[0]
    loaded.halt(soon)
    loaded.core.set_watchpoint(span.address, 4, PyocdTarget.WatchpointType.WRITE)
    loaded.resume(soon)
    with pytest.raises(DeviceHang):
        client.reset(1, Deadline.after(0.5))
    assert loaded.core.get_halt_reason() == PyocdTarget.HaltReason.WATCHPOINT
    assert image.function_at(loaded.core.read_core_register("pc")) == "trainer_reset"


def test_steps_are_single_however_many_traps_they_cause(loaded: RenodeDevice) -> None:
    places = []
    for _ in range(2):
        loaded.core.reset_and_halt()
        walk = []
        for _ in range(8):
            loaded.core.step()
            walk.append(loaded.core.read_core_register("pc"))
        places.append(walk)
    assert places[0] == places[1]
    assert all(0 < after - before <= 4 for before, after in zip(places[0][:4], places[0][1:5], strict=True))


def test_registers_have_the_numbers_that_were_measured(loaded: RenodeDevice) -> None:
    core = loaded.core
    for name, value in (("r7", 0xDEADBEEF), ("psp", 0x20001000), ("primask", 1), ("s2", -1.25), ("s3", 2.5)):
        core.write_core_register(name, value)
    assert core.read_core_register("r7") == 0xDEADBEEF
    assert core.read_core_register("msp") == core.read_core_register("sp")
    assert core.read_core_register("psp") == 0x20001000
    assert core.read_core_register("primask") == 1
    assert (core.read_core_register("s2"), core.read_core_register("s3")) == (-1.25, 2.5)
    assert core.read_core_register("xpsr") & 0x1FF == 0
    core.write_core_register("primask", 0)
    assert core.read_core_register("control") & 2 == 0


def test_halting_and_resuming_a_hundred_times(loaded: RenodeDevice, soon: Deadline) -> None:
    loaded.resume(soon)
    client = LinkClient(loaded.serial())
    client.hello(soon)
    for _ in range(20):
        loaded.halt(soon)
        assert loaded.core.is_halted()
        loaded.resume(soon)
        assert loaded.core.is_running()
    client.reset(1, soon)


# Faults of the firmware


@pytest.mark.parametrize(
    ("crash", "error", "words"),
    [
        (1, DeviceFault, r"stack"),
        (2, DeviceFault, r"wrote 0x00000000, through a null pointer \(pc 0x0800.* in trainer_train_step\)"),
        (3, DeviceHang, r"timed out after 2 s.*the firmware runs at 0x0800.* in trainer_train_step"),
        (4, DeviceFault, r"undefined instruction \(pc 0x0800.* in trainer_train_step\)"),
    ],
)
def test_what_goes_wrong_in_the_firmware_is_told(
    device: RenodeDevice, build: Build, crash: int, error: type[DeviceError], words: str, soon: Deadline
) -> None:
    device.load(build(TINY_CRASH=crash), soon)
    session = Session(device, step_seconds=2.0)
    info = session.start()
    with pytest.raises(error, match=words):
        session.train(bytes(info.input_bytes), 0)


def test_a_write_beyond_the_budget_is_a_fault(device: RenodeDevice, build: Build, soon: Deadline) -> None:
    device.load(build(sram_budget=256 << 10, TINY_POKE=1), soon)
    session = Session(device, step_seconds=10.0)
    info = session.start()
    sample = struct.pack("<I", RAM + (256 << 10) + 16).ljust(info.input_bytes, b"\0")
    with pytest.raises(DeviceFault, match=r"wrote 0x20040010, outside its 256 KB budget"):
        session.train(sample, 0)


def test_a_breakpoint_instruction_is_a_fault(loaded: RenodeDevice, image: Image, soon: Deadline) -> None:
    loaded.write(image.symbols["trainer_predict"].address, BKPT)
    session = Session(loaded, step_seconds=10.0)
    info = session.start()
    with pytest.raises(DeviceFault, match=r"executed a BKPT instruction \(pc 0x0800.* in trainer_predict\)"):
        session.predict(bytes(info.input_bytes))


def test_a_branch_to_nowhere_is_a_fault_and_a_reset_recovers(
    loaded: RenodeDevice, build: Build, image: Image, soon: Deadline
) -> None:
    # Before the memory protection is on: afterwards it would catch that.
    place = image.symbols["board_init"].address
    loaded.write(place, BRANCH_TO_NOWHERE)
    loaded.resume(soon)
    found = until(loaded, "fault")
    assert re.search(r"left its program: it executes at 0x10000000", found.sentence)
    loaded.load(build(), soon)
    loaded.resume(soon)
    LinkClient(loaded.serial()).hello(soon)


def test_diagnosis_of_firmware_that_waits(loaded: RenodeDevice, soon: Deadline) -> None:
    assert loaded.diagnose().kind == "unknown"
    loaded.resume(soon)
    assert "in usart_wait" in until(loaded, "waiting").sentence
    assert loaded.core.is_running()


# Faults of Renode


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (
            "never-ready",
            DeviceHang,
            r"timed out after .* while Renode sets up its machine \(it last said: \(",
        ),
        ("dies-at-start", DeviceGone, "exit code 1 before its machine was set up"),
        (
            "error-line",
            DeviceError,
            "error executing command 'emulation CreateServerSocketTerminal' Address already in use",
        ),
        ("one-port", DeviceError, r"should listen on two ports, .*; it listens on: \d+$"),
        ("mute", DeviceGone, "did not answer its debug connection within"),
        (
            "load-fails",
            DeviceError,
            "'sysbus LoadBinary @.* failed: There was an error .* File does not exist",
        ),
        ("load-flips-a-bit", LoadError, "holds 0x.. where the file has 0x.."),
        ("reset-elsewhere", LoadError, "not at its reset handler"),
        ("no-trap-after-reset", DeviceGone, "did not reset its machine within"),
        ("dies-when-running", DeviceGone, "exit code 3"),
    ],
)
def test_what_goes_wrong_with_renode_is_told_and_nothing_remains(
    stand_in: Any, target: Target, build: Build, fault: str, error: type[HarnessError], words: str
) -> None:
    stand_in.play(fault)
    before = {child.pid for child in psutil.Process().children()}
    with pytest.raises(error, match=words):  # noqa: SIM117
        with open_device(target, Deadline.after(3 if fault == "never-ready" else 20)) as device:
            device._probe.client.timeout = 0.5  # type: ignore[attr-defined]
            device.load(build(), Deadline.after(20))
            device.resume(Deadline.after(5))
            time.sleep(0.2)
            device.halt(Deadline.after(5))
    assert {child.pid for child in psutil.Process().children()} == before


def test_an_interrupt_that_is_never_answered_ends_by_its_deadline(
    stand_in: Any, target: Target, build: Build, soon: Deadline
) -> None:
    stand_in.play("ignores-interrupt")
    with open_device(target, soon) as device:
        device.load(build(), soon)
        device.resume(soon)
        with pytest.raises(DeviceGone, match="did not stop within"):
            device.halt(Deadline.after(0.5))
        assert device.diagnose().kind == "unknown"
    stand_in.journal.unlink()  # nobody could take its breakpoint out


def test_renode_that_ignores_quit_is_killed(stand_in: Any, target: Target, soon: Deadline) -> None:
    stand_in.play("ignores-quit")
    with open_device(target, soon) as device:
        folder, pid = device._process.folder, device.pid  # type: ignore[attr-defined]
        assert folder.is_dir()
    assert not psutil.pid_exists(pid)
    assert not folder.exists()


def test_renode_is_asked_to_quit_and_its_breakpoints_are_taken_out(
    stand_in: Any, target: Target, build: Build, soon: Deadline
) -> None:
    with open_device(target, soon) as device:
        device.load(build(), soon)
        device.core.set_breakpoint(FLASH + 0x400)  # type: ignore[attr-defined]
        device.resume(soon)
    assert device._process.poll() == 0  # type: ignore[attr-defined]


def test_a_killed_renode_is_gone(loaded: RenodeDevice, soon: Deadline) -> None:
    loaded.resume(soon)
    os.kill(loaded.pid, signal.SIGKILL)
    for action in (lambda: loaded.read(RAM, 4), lambda: loaded.resume(soon), lambda: loaded.halt(soon)):
        with pytest.raises(DeviceGone, match="was ended by SIGKILL"):
            action()
    assert loaded.diagnose().kind == "exited"


def test_renode_ends_with_the_harness(stand_in: Any, build: Build, tmp_path: Path, soon: Deadline) -> None:
    script = textwrap.dedent(f"""
        import time
        from pathlib import Path
        from harness.deadline import Deadline
        from harness.devices.factory import open_device
        from harness.targets import load_target
        with open_device(load_target({NAME!r}), Deadline.after(20)) as device:
            device.load(Path({str(build())!r}), Deadline.after(20))
            device.resume(Deadline.after(20))
            print(device.pid, flush=True)
            time.sleep(60)
    """)
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    harness = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    )
    try:
        assert harness.stdout is not None
        renode = psutil.Process(int(harness.stdout.readline()))
        assert os.getpgid(renode.pid) == renode.pid
    finally:
        harness.kill()
        harness.communicate(timeout=10)
    while psutil.pid_exists(renode.pid) and renode.status() != psutil.STATUS_ZOMBIE:
        soon.check("waiting for Renode to follow its parent")
        time.sleep(0.01)
    stand_in.journal.unlink(missing_ok=True)  # it was killed with breakpoints armed


def test_pyocd_itself_reaches_renode_by_its_dialect(stand_in: Any, target: Target, soon: Deadline) -> None:
    assert target.renode is not None
    process = RenodeProcess(target, target.renode, soon)
    try:
        words = ["-u", f"gdbrsp:renode:127.0.0.1:{process.debug_port}", "-t", "cortex_m"]
        lines = ("write32 0x20020000 0xcafe0001", "read32 0x20020000 16", "reg msp control")
        shown = subprocess.run(
            [sys.executable, "-m", "pyocd", "cmd", *words, *(w for line in lines for w in ("-c", line))],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        process.quit()
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "cafe0001" in shown.stdout
    assert "msp = 0x00000000" in shown.stdout


def test_without_renode_the_install_line_is_told(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ToolMissingError, match=r"renode, which is not installed; to get it: .*renode\.io"):
        open_device(target, Deadline.after(5))


def test_a_folder_whose_name_renode_cannot_take(
    stand_in: Any, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spaced = tmp_path / "two words"
    spaced.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spaced))
    with pytest.raises(DeviceError, match="white space in its name"):
        open_device(target, Deadline.after(5))
    assert list(spaced.iterdir()) == []


def test_a_target_without_machine(target: Target) -> None:
    with pytest.raises(TargetError, match=r"no \[renode\] table"):
        RenodeDevice(target.model_copy(update={"renode": None}), Deadline.after(5))
