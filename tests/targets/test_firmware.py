"""Trainer, agent and board on every target: same bits everywhere, exact ticks, faults that are told."""

import struct
from typing import Any, cast

import psutil
import pytest

from harness.deadline import Deadline
from harness.devices.base import Diagnosis
from harness.errors import DeviceError, DeviceHang
from harness.link.frames import Frame, encode_frame
from harness.link.messages import PredictRequest
from harness.targets import TickUnit, load_target

BOARDS = ("qemu-mps2-an500", "qemu-mps2-an386")
EMULATORS = (*BOARDS, "renode-stm32f7")
STEPS = 20
pytestmark = pytest.mark.emulator


def soon() -> Deadline:
    return Deadline.after(30)


@pytest.fixture(scope="module")
def reference(start_tiny: Any) -> tuple[str, list[float]]:
    """State digest and losses of gcc on the host, as the target says."""
    with start_tiny("host") as run:
        losses = [step.loss for step in run.train(STEPS)]
        return run.state_digest(), losses


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("host", {"optimization": "-O0"}),
        ("host", {"optimization": "-O2"}),
        ("host", {"optimization": "-O3"}),
        ("host", {"compiler": "clang"}),
        *((board, {}) for board in EMULATORS),
        *((board, {"optimization": "-O0"}) for board in BOARDS),
    ],
)
def test_same_state_and_losses_everywhere(
    start_tiny: Any, reference: tuple[str, list[float]], target: str, options: dict[str, str]
) -> None:
    with start_tiny(target, **options) as run:
        losses = [step.loss for step in run.train(STEPS)]
        assert (run.state_digest(), losses) == reference
        assert run.client.counters.resends == 0


@pytest.mark.parametrize("board", [*EMULATORS, "host"])
def test_info_agrees_with_the_firmware_and_the_target(start_tiny: Any, board: str) -> None:
    with start_tiny(board) as run:
        target = load_target(board)
        layout = run.firmware.sram
        assert (run.info.tick_unit, run.info.ticks_per_count) == (target.tick_unit, target.ticks_per_count)
        assert (run.info.stack_bottom, run.info.stack_top) == (layout.stack.start, layout.stack.end)
        assert (run.info.arena_address, run.info.arena_length) == (
            layout.arena[0].start,
            layout.arena[0].size,
        )
        assert layout.arena_bytes == run.info.arena_bytes
        assert layout.state_bytes == run.info.state_bytes


@pytest.mark.parametrize("board", EMULATORS)
def test_ticks_are_the_same_from_run_to_run(start_tiny: Any, board: str) -> None:
    series = []
    for _ in range(2):
        with start_tiny(board) as run:
            assert run.info.tick_unit is TickUnit.INSTRUCTIONS
            series.append([step.ticks for step in run.train(5)])
    assert series[0] == series[1]
    unit = load_target(board).ticks_per_count
    assert all(ticks > 0 and ticks % unit == 0 for ticks in series[0])


def test_bytes_that_arrive_during_a_step_do_not_count(start_tiny: Any) -> None:
    with start_tiny(BOARDS[0]) as run:
        quiet = run.train(1)[0].ticks
        run.client.reset(7, soon())
        for _ in range(5):
            # Stale requests sit in the UART while the step runs.
            run.client._stream.write(encode_frame(Frame(PredictRequest.kind, 1, b"")) * 3)
            assert run.client.train(0, soon()).ticks == quiet


def test_counter_that_wraps_keeps_counting(start_tiny: Any) -> None:
    """Reloaded every 64 counts, the counter wraps three times in a step; each wrap costs its interrupt."""
    ticks = []
    for defines in ({"TINY_SPIN": 4000}, {"TINY_SPIN": 4000, "BOARD_TIMER_RELOAD": 63}):
        with start_tiny(BOARDS[0], defines=defines) as run:
            ticks.append(run.train(1)[0].ticks)
    assert ticks[0] > 3 * 64 * 40
    assert 0 <= ticks[1] - ticks[0] <= 5 * 3 * 40


@pytest.mark.parametrize("board", [BOARDS[0], "renode-stm32f7"])
def test_ticks_are_the_instructions_of_the_call(start_tiny: Any, board: str) -> None:
    """TINY_SPIN adds a loop of two instructions a turn; 40 000 turns are 80 000 instructions."""
    ticks = []
    for spin in (1, 40_001):
        with start_tiny(board, defines={"TINY_SPIN": spin}) as run:
            ticks.append(run.train(1)[0].ticks)
    assert abs(ticks[1] - ticks[0] - 80_000) <= load_target(board).ticks_per_count


@pytest.mark.parametrize("board", EMULATORS)
def test_stack_depth_is_the_same_from_run_to_run(start_tiny: Any, board: str) -> None:
    depths = set()
    for _ in range(3):
        with start_tiny(board) as run:
            stack = run.firmware.sram.stack
            run.train(2)
            contents = run.device.memory.read(stack.start, stack.size)
            depths.add(len(contents.lstrip(b"\0")))
    assert len(depths) == 1
    assert 64 < depths.pop() < 512


@pytest.mark.parametrize("board", BOARDS)
def test_arena_in_psram_trains_the_same(
    start_tiny: Any, reference: tuple[str, list[float]], board: str
) -> None:
    with start_tiny(board, defines={"TINY_ARENA": 5 << 20}) as run:
        assert run.firmware.large_layout
        run.train(STEPS)
        assert run.state_digest() == reference[0]


def train_into_silence(run: Any, *kinds: str) -> Diagnosis:
    """Start a step that never ends, and look at the device until its diagnosis is one of `kinds`."""
    run.client.reset(7, soon())
    with pytest.raises(DeviceHang):
        run.client.train(0, Deadline.after(0.3))
    deadline = soon()
    while (diagnosis := run.device.diagnose()).kind not in kinds:
        deadline.check(f"waiting for {kinds}, found {diagnosis}")
    return cast(Diagnosis, diagnosis)


def fault_of(run: Any) -> str:
    return train_into_silence(run, "fault").sentence


def record_of(run: Any) -> tuple[int, ...]:
    address = next(s.address for s in run.firmware.symbols if s.name == "trainbench_fault_record")
    return struct.unpack("<7I", run.device.memory.read(address, 28))


@pytest.mark.parametrize("board", BOARDS)
def test_stack_overflow_faults_below_the_stack(start_tiny: Any, board: str) -> None:
    with start_tiny(board, defines={"TINY_CRASH": 1}) as run:
        sentence = fault_of(run)
        magic, cfsr, _, mmfar, *_ = record_of(run)
        assert magic == 0xFA17FA17
        assert cfsr & 0x92, hex(cfsr)
        assert mmfar < run.info.stack_bottom or cfsr & 0x10, sentence


@pytest.mark.parametrize("board", BOARDS)
def test_write_through_a_null_pointer_faults(start_tiny: Any, board: str) -> None:
    with start_tiny(board, defines={"TINY_CRASH": 2}) as run:
        assert "0x00000000" in fault_of(run)
        magic, cfsr, _, mmfar, _, pc, lr = record_of(run)
        assert (magic, cfsr & 0x82, mmfar) == (0xFA17FA17, 0x82, 0)
        named = {symbol.name: symbol.address for symbol in run.firmware.symbols}
        assert 0 <= pc - (named["trainer_train_step"] & ~1) < 64
        assert lr != 0


def test_undefined_instruction_faults(start_tiny: Any) -> None:
    with start_tiny(BOARDS[0], defines={"TINY_CRASH": 4}) as run:
        assert "undefined instruction" in fault_of(run)


def test_endless_loop_is_seen_running(start_tiny: Any) -> None:
    with start_tiny(BOARDS[0], defines={"TINY_CRASH": 3}) as run:
        assert "trainer_train_step" in train_into_silence(run, "running").sentence


@pytest.mark.parametrize("crash", [1, 2, 4])
def test_host_process_ends_with_its_fault(start_tiny: Any, crash: int) -> None:
    with start_tiny("host", defines={"TINY_CRASH": crash}) as run:
        process = psutil.Process(run.device.pid)
        run.client.reset(7, soon())
        with pytest.raises(DeviceError):
            run.client.train(0, soon())
        # Its sockets close a moment before it is gone.
        deadline = soon()
        while process.status() != psutil.STATUS_ZOMBIE:
            deadline.check("the firmware process ends")
        assert run.device.diagnose().kind == "fault"


ARENA = {"TINY_ARENA": 100_000}
POKE = {"TINY_POKE": 1}


def needed(run: Any) -> int:
    """Bytes from the start of SRAM that the firmware occupies."""
    return int(run.firmware.sram.free.start) - 0x20000000


@pytest.mark.parametrize("board", BOARDS)
def test_budget_that_suffices_and_the_next_smaller_one(start_tiny: Any, board: str) -> None:
    with start_tiny(board, defines=ARENA) as run:
        enough = -(-needed(run) // 1024) * 1024
    with start_tiny(board, defines=ARENA, sram_budget=enough) as run:
        assert run.train(2)[1].ticks > 0
    with start_tiny(board, defines=ARENA, sram_budget=enough - 1024) as run:
        last = 0x20000000 + needed(run) - 1
        assert f"{last:#010x}" in fault_of(run)


@pytest.mark.parametrize("kilobytes", [117, 320, 321, 1025, 4095])
def test_budget_ends_exactly_where_it_should(start_tiny: Any, kilobytes: int) -> None:
    """The last word below the budget can be written, the first above it cannot."""
    limit = 0x20000000 + kilobytes * 1024
    with start_tiny(BOARDS[0], defines=POKE, sram_budget=kilobytes * 1024) as run:
        run.client.reset(7, soon())
        poke(run, limit - 4)
        run.client.train(0, soon())
        poke(run, limit)
        assert f"{limit:#010x}" in fault_of(run)


@pytest.mark.parametrize("address", [0x1FFFFFFC, 0x00400000, 0x20400000, 0x21000000, 0x3FFFFFFC])
def test_aliases_and_surroundings_are_closed(start_tiny: Any, address: int) -> None:
    with start_tiny(BOARDS[0], defines=POKE) as run:
        poke(run, address)
        assert f"{address:#010x}" in fault_of(run)


def test_psram_is_open_only_without_a_budget(start_tiny: Any) -> None:
    with start_tiny(BOARDS[1], defines=POKE) as run:
        poke(run, 0x21000000)
        assert run.client.train(0, soon()).ticks > 0
    with start_tiny(BOARDS[1], defines=POKE, sram_budget=320 * 1024) as run:
        poke(run, 0x21000000)
        assert "0x21000000" in fault_of(run)


def poke(run: Any, address: int) -> None:
    """Make the next training step write to `address`."""
    run.put(address.to_bytes(8, "little") + bytes(run.info.input_bytes - 8))
