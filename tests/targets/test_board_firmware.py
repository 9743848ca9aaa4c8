"""Firmware of the boards: strict compilation, the part's memory, the same bits on the nearest emulator."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from board_code import BOARDS, part_values

from engine.compiler import CompileOptions, compile_trainer
from engine.frontends import load_backbone
from engine.schemes import load_scheme
from harness.devices.board import CLOCK_SYMBOL
from harness.devices.clocks import CLOCK_TREES
from harness.devices.elf import read_image
from harness.errors import BuildError
from harness.firmware.build import build_firmware
from harness.run.prepare import SCHEME_LIBRARY
from harness.targets import Target, TickUnit, load_target

ROOT = Path(__file__).parents[2]
TINY = ROOT / "tests" / "data" / "tiny_trainer"
PARTS = {  # flash and RAM, KB, of the datasheets; what RAM is made of is in memory.ld
    "stm32f746g-disco": (1024, 64 + 240 + 16),
    "nucleo-h743zi2": (2048, 512),
    "nucleo-f446re": (512, 112 + 16),
    "nucleo-l4r5zi": (2048, 192 + 64 + 384),
}
NEAREST = {"stm32f746g-disco": "qemu-mps2-an500", "nucleo-f446re": "qemu-mps2-an386"}


def strict(target: Target) -> Target:
    flags = (*target.toolchain.flags, "-Wconversion", "-Werror")
    return target.model_copy(update={"toolchain": target.toolchain.model_copy(update={"flags": flags})})


@pytest.fixture(scope="module")
def needs_compiler() -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")


@pytest.mark.parametrize("board", BOARDS)
def test_one_memory_map_in_target_file_and_link_script(board: str) -> None:
    target = load_target(board)
    regions = {region.kind: (region.start, region.size >> 10) for region in target.regions}
    linked = re.findall(r"ORIGIN = (0x\w+), LENGTH = (\d+)([KM])", (target.folder / "memory.ld").read_text())
    places = [(int(start, 16), int(size) << (10 if unit == "M" else 0)) for start, size, unit in linked]
    assert places == [regions["flash"], regions["ram"]]
    assert (regions["flash"][1], regions["ram"][1]) == PARTS[board]
    assert target.budget is not None
    assert target.budget.sram_bytes == regions["ram"][1] << 10
    assert target.tick_unit is TickUnit.CYCLES


@pytest.mark.parametrize("board", BOARDS)
def test_both_sides_take_the_external_clock_for_the_same(board: str) -> None:
    target = load_target(board)
    assert target.board is not None
    assert int(part_values(target)["HSE_HZ"]) == target.board.hse_hz


@pytest.mark.parametrize("board", BOARDS)
def test_pyocd_has_heard_of_the_part(board: str) -> None:
    """Built in, or what pyOCD takes the board for when it reads its ID."""
    from pyocd.board.board_ids import BOARD_ID_TO_INFO
    from pyocd.target import TARGET

    part = load_target(board).board
    assert part is not None
    if part.pack is None:
        assert part.part in TARGET
        flash = next(r for r in TARGET[part.part].MEMORY_MAP if r.is_flash)
        assert flash.start == load_target(board).regions[0].start
    else:
        assert part.part in {info.target for info in BOARD_ID_TO_INFO.values()}
        assert part.part not in TARGET, "it is built in by now: the pack is not needed any more"


@pytest.mark.emulator
@pytest.mark.parametrize("board", BOARDS)
def test_firmware_is_strict_c_and_lies_where_the_part_boots(
    needs_compiler: None, board: str, tmp_path: Path
) -> None:
    target = strict(load_target(board))
    built = build_firmware(TINY, target, tmp_path)
    layout = built.sram
    ram = next(region for region in target.regions if region.kind == "ram")
    assert layout.stack.start == ram.start
    assert layout.free.end == ram.start + ram.size
    image = read_image(built.elf)
    assert min(segment.address for segment in image.segments) == 0x08000000
    tree = CLOCK_TREES[target.board.family] if target.board else None
    assert tree is not None
    assert image.symbols[CLOCK_SYMBOL].size >= 4 * (3 + len(tree.registers))
    build_firmware(TINY, target, tmp_path / "budget", sram_budget=64 << 10)


@pytest.fixture(scope="module")
def people_detection(needs_compiler: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trainer")
    backbone = load_backbone(ROOT / "fixtures" / "backbones" / "mcunet-5fps-cifar10.npz")
    scheme = load_scheme("sparse-49kb", backbone, SCHEME_LIBRARY)
    compile_trainer(backbone, scheme, CompileOptions(classes=2), folder)
    return folder


@pytest.mark.emulator
@pytest.mark.parametrize("board", ["stm32f746g-disco", "nucleo-h743zi2", "nucleo-l4r5zi"])
def test_a_real_trainer_links_within_the_part(people_detection: Path, board: str, tmp_path: Path) -> None:
    built = build_firmware(people_detection, load_target(board), tmp_path)
    flash, _ = PARTS[board]
    assert built.sram.free.size > 0
    assert built.sections.flash < flash << 10


@pytest.mark.emulator
def test_a_part_that_is_too_small_is_refused_with_what_is_lacking(
    people_detection: Path, tmp_path: Path
) -> None:
    with pytest.raises(BuildError, match=r"overflowed by \d+ bytes"):
        build_firmware(people_detection, load_target("nucleo-f446re"), tmp_path)


@pytest.mark.emulator
@pytest.mark.parametrize("board", NEAREST)
def test_the_code_of_the_board_trains_the_same_on_the_nearest_emulator(start_tiny: Any, board: str) -> None:
    """Trainer and agent with the board's compiler flags; only the board's own code is the emulator's."""
    with start_tiny("host") as run:
        losses = [step.loss for step in run.train(20)]
        reference = run.state_digest(), losses
    flags = load_target(board).toolchain
    emulator = load_target(NEAREST[board])
    assert (flags.flags, flags.optimization) == (emulator.toolchain.flags, emulator.toolchain.optimization)
    with start_tiny(NEAREST[board]) as run:
        losses = [step.loss for step in run.train(20)]
        assert (run.state_digest(), losses) == reference
