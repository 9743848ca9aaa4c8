"""Firmware for every target: what it reserves, that it is reproducible, and what a failed build says."""

import shutil
import subprocess
from pathlib import Path

import pytest

from harness.deadline import Deadline
from harness.errors import BuildError, DeviceHang, TargetError, ToolMissingError, UsageError
from harness.firmware.build import AGENT_FOLDER, TRAINER_H_FOLDER, Firmware, build_firmware, first_error
from harness.firmware.elf_sections import read_elf
from harness.targets import TARGETS_ROOT, load_target

TINY = Path(__file__).resolve().parents[2] / "data" / "tiny_trainer"
MICROCONTROLLERS = ("qemu-mps2-an500", "qemu-mps2-an386")
STRICT = (
    "-std=c99",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Werror",
    "-fsyntax-only",
    "-DTRAINBENCH_STACK_BYTES=64",
)


def build(target: str, folder: Path, **options: object) -> Firmware:
    try:
        return build_firmware(TINY, load_target(target), folder, **options)  # type: ignore[arg-type]
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def an500(tmp_path_factory: pytest.TempPathFactory) -> Firmware:
    return build("qemu-mps2-an500", tmp_path_factory.mktemp("an500"))


@pytest.mark.parametrize(
    ("target", "compiler"), [("host", "gcc"), ("host", "clang"), *((name, None) for name in MICROCONTROLLERS)]
)
def test_every_target_accounts_for_the_same_trainer(
    target: str, compiler: str | None, tmp_path: Path
) -> None:
    firmware = build(target, tmp_path, compiler=compiler)
    assert firmware.sram.arena_bytes == 220
    assert firmware.sram.state_bytes == 48
    assert 16 <= firmware.sram.static_bytes <= 64  # learning rate and three logits, and alignment
    assert firmware.sections.trainer_text > 0
    assert not firmware.large_layout


def test_owners_are_all_the_sram_between_stack_and_free(an500: Firmware) -> None:
    sram = an500.sram
    assert sram.stack.start == 0x20000000
    assert sram.free is not None
    parts = (sram.static_bytes, sram.state_bytes, sram.agent_bytes, sram.arena_bytes)
    assert sum(parts) == sram.free.start - sram.stack.end
    assert sram.free.end == 0x20400000


def test_agent_and_board_are_all_in_the_agents_part(an500: Firmware) -> None:
    spans = an500.sram.agent
    for symbol in an500.symbols:
        if (
            symbol.name.startswith(("agent_re", "board_ring", "trainbench_fault_record"))
            and symbol.address >= 2**29
        ):
            assert any(span.start <= symbol.address < span.end for span in spans), symbol
    assert 2000 < an500.sram.agent_bytes < 2600


def test_flash_is_what_the_file_loads(an500: Firmware) -> None:
    size = subprocess.run(
        ["arm-none-eabi-size", an500.elf], capture_output=True, text=True, check=True
    ).stdout
    text, data, _ = (int(word) for word in size.splitlines()[1].split()[:3])
    assert an500.sections.flash == text + data


def test_needs_no_libm_and_no_system_calls(an500: Firmware) -> None:
    names = read_elf(an500.elf).symbols
    assert not {"_sbrk", "malloc", "printf", "expf", "_write"} & set(names)


def test_same_sources_give_the_same_file_from_any_folder(an500: Firmware, tmp_path: Path) -> None:
    trainer = tmp_path / "a trainer: $of mine"
    shutil.copytree(TINY, trainer)
    again = build_firmware(trainer, load_target("qemu-mps2-an500"), tmp_path / "out put")
    assert again.digest == an500.digest


def test_provenance(an500: Firmware) -> None:
    assert "arm-none-eabi-gcc" in an500.toolchain
    assert {
        load_target("qemu-mps2-an500").toolchain.optimization,
        "-mcpu=cortex-m7",
        "-mfpu=fpv5-sp-d16",
        "-ffp-contract=off",
        "-fno-fast-math",
    } <= set(an500.flags)


def test_optimization_and_stack_are_options(an500: Firmware, tmp_path: Path) -> None:
    firmware = build("qemu-mps2-an500", tmp_path, optimization="-O0", stack_bytes=4096)
    assert firmware.sections.trainer_text != an500.sections.trainer_text
    assert firmware.sram.stack.size == 4096
    assert [flag for flag in firmware.flags if flag.startswith("-O")] == ["-O0"]


def test_arena_that_does_not_fit_moves_to_the_psram(tmp_path: Path) -> None:
    for target, psram in zip(MICROCONTROLLERS, (0x60000000, 0x21000000), strict=True):
        firmware = build(target, tmp_path / target, defines={"TINY_ARENA": 5 << 20})
        assert firmware.large_layout
        assert firmware.sram.arena[0].start == psram
        assert firmware.sram.arena_bytes == (5 << 20) + 220
        assert firmware.sram.free is not None
        assert firmware.sram.free.start < 0x20010000


def test_arena_that_fits_nowhere_is_a_build_error(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"qemu-mps2-an500 does not build: .*overflowed by \d+ bytes"):
        build("qemu-mps2-an500", tmp_path, defines={"TINY_ARENA": 17 << 20})


def test_small_change_after_a_build_is_taken_up(tmp_path: Path) -> None:
    first = build("qemu-mps2-an500", tmp_path)
    second = build("qemu-mps2-an500", tmp_path, defines={"TINY_CLASSES": 4})
    assert second.sram.state_bytes == 64 > first.sram.state_bytes


def test_budget_is_checked(tmp_path: Path) -> None:
    for budget in (0, 1000, 5 << 20):
        with pytest.raises(UsageError, match="multiples of 1024 bytes up to 4194304"):
            build("qemu-mps2-an500", tmp_path, sram_budget=budget)
    with pytest.raises(UsageError, match="host cannot enforce"):
        build("host", tmp_path, sram_budget=1024)


def test_no_sanitizers_on_a_microcontroller(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no sanitizers"):
        build("qemu-mps2-an500", tmp_path, sanitize=True)


def trainer_with(folder: Path, old: str, new: str) -> Path:
    shutil.copytree(TINY, folder)
    text = (folder / "trainer.c").read_text()
    assert old in text
    (folder / "trainer.c").write_text(text.replace(old, new, 1))
    return folder


@pytest.mark.parametrize("target", ["host", "qemu-mps2-an500"])
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("return logits;", "return logits", r"trainer\.c:\d+:\d+: error: "),
        ("float y = 1.0f + x / 4096.0f;", "extern float expf(float); float y = expf(x);", "undefined .*expf"),
        (
            "float y = 1.0f",
            "extern void *malloc(__SIZE_TYPE__); float y = (float)(__SIZE_TYPE__)malloc(9)",
            "_sbrk",
        ),
    ],
)
def test_first_error_of_the_tools_is_quoted(
    target: str, old: str, new: str, sentence: str, tmp_path: Path
) -> None:
    if target == "host" and sentence == "_sbrk":
        pytest.skip("a process has a heap")
    trainer = trainer_with(tmp_path / "trainer", old, new)
    with pytest.raises(BuildError, match=sentence) as caught:
        build_firmware(trainer, load_target(target), tmp_path / "out")
    assert (tmp_path / "out" / "build.log").is_file()
    assert "build.log" in str(caught.value)


def test_folder_without_a_trainer(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"no trainer: it has to hold trainer\.h"):
        build_firmware(tmp_path, load_target("host"), tmp_path / "out")


def test_target_without_firmware_parts(tmp_path: Path) -> None:
    target = load_target("host").model_copy(update={"firmware": None})
    with pytest.raises(TargetError, match=r"no \[firmware\] table"):
        build_firmware(TINY, target, tmp_path)


def test_deadline(tmp_path: Path) -> None:
    with pytest.raises(DeviceHang):
        build("host", tmp_path, deadline=Deadline.after(0.01))


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        (
            "FAILED: trainer/a.o\ncc -o a.o: error: x\na.c:3:1: error: no\nninja: stopped",
            "cc -o a.o: error: x",
        ),
        ("[1/2] cc\na.c:9: warning: hm\na.c:3:1: error: no\na.c:4:1: error: yes", "a.c:3:1: error: no"),
        (
            "ld: a.o: undefined reference to `expf'\ncollect2: error: ld returned 1",
            "ld: a.o: undefined reference to `expf'",
        ),
        ("something else\n", "something else"),
        ("", "the tools said nothing"),
    ],
)
def test_first_error(output: str, expected: str) -> None:
    assert first_error(output) == expected


@pytest.mark.parametrize(
    ("compiler", "flags", "folders"),
    [
        ("gcc", (), ("host",)),
        ("clang", (), ("host",)),
        ("arm-none-eabi-gcc", ("-mcpu=cortex-m7", "-mthumb"), ("common/cortex-m", "common/mps2")),
    ],
)
def test_agent_and_boards_have_no_warnings(
    compiler: str, flags: tuple[str, ...], folders: tuple[str, ...]
) -> None:
    includes = [
        f"-I{folder}" for folder in (AGENT_FOLDER, TRAINER_H_FOLDER, TARGETS_ROOT / "common" / "cortex-m")
    ]
    sources = [
        *AGENT_FOLDER.glob("*.c"),
        *(path for name in folders for path in (TARGETS_ROOT / name).glob("*.c")),
    ]
    assert len(sources) > 3
    outcome = subprocess.run([compiler, *STRICT, *flags, *includes, *sources], capture_output=True, text=True)
    assert (outcome.returncode, outcome.stderr) == (0, "")
