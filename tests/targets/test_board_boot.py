"""The boards' firmware, machine code and all, from reset to its first sleep: Unicorn, over a model."""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from board_code import BOARDS, part_values, read_header
from board_model import AFTER_RESET, EXPECTED, REVISION_V, Part

from harness.devices.board import CLOCK_MAGIC, CLOCK_SYMBOL
from harness.devices.clocks import CLOCK_TREES
from harness.devices.elf import Image, read_image
from harness.firmware.build import build_firmware
from harness.targets import Target, load_target

unicorn = pytest.importorskip("unicorn")
TINY = Path(__file__).parents[1] / "data" / "tiny_trainer"
WFI = b"\x30\xbf"
VTOR, CCR, MPU_TYPE, MPU_CTRL, CCSIDR = 0xE000ED08, 0xE000ED14, 0xE000ED90, 0xE000ED94, 0xE000ED80
DCISW, DCCISW = 0xE000EF60, 0xE000EF74
LINES = [(sets - 1) << 13 | (4 - 1) << 3 | 1 for sets in (32, 128)]  # 4 ways of 32-byte lines: 4 and 16 KB
CACHES = {"stm32f746g-disco": LINES[0], "nucleo-h743zi2": LINES[1]}
PAGES = (
    0xE000E000,
    0xE0001000,
    0xE0042000,
    0x5C001000,
    0x51008000,
    0x52002000,
    0x40011000,
    0x40004000,
    0x40007000,
)
PAGES += (
    0x40008000,
    0x40020000,
    0x40021000,
    0x40022000,
    0x40023000,
    0x48001000,
    0x58000000,
    0x58020000,
    0x58024000,
)
pytestmark = pytest.mark.emulator


class Silicon:
    """A core, memories, registers: those of the clocks answer, all others keep what is written."""

    def __init__(self, target: Target, image: Image, silent: str = "") -> None:
        assert target.board is not None
        family = target.board.family
        self.image = image
        self.part = Part(read_header(family), AFTER_RESET[family] | {"DBGMCU_IDC": REVISION_V}, silent)
        self.other = {MPU_TYPE: 8 << 8, CCSIDR: CACHES.get(target.name, 0)}
        self.lines: dict[int, list[int]] = {DCISW: [], DCCISW: []}
        self.uc = uc = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        model = "CORTEX_M7" if target.core == "Cortex-M7" else "CORTEX_M4"
        uc.ctl_set_cpu_model(getattr(unicorn.arm_const, f"UC_CPU_ARM_{model}"))
        for region in target.regions:
            uc.mem_map(region.start, region.size)
        for page in PAGES:
            uc.mmio_map(page, 0x1000, self._read, page, self._write, page)
        for segment in image.segments:
            uc.mem_write(segment.address, segment.data)

    def _read(self, uc: object, offset: int, size: int, page: int) -> int:
        at = page + offset
        return self.part.read(at) if at in self.part.values else self.other.get(at, 0)

    def _write(self, uc: object, offset: int, size: int, value: int, page: int) -> None:
        at = page + offset
        if at in self.lines:
            self.lines[at].append(value)
        elif at in self.part.values:
            self.part.write(at, value)
        else:
            self.other[at] = value

    def run(self) -> None:
        """From reset until the core sleeps, traps, or 3 million instructions have run."""
        stack, handler = struct.unpack("<II", self.uc.mem_read(0x08000000, 8))
        self.uc.reg_write(unicorn.arm_const.UC_ARM_REG_SP, stack)
        self.uc.emu_start(handler, 0xFFFFFFFE, count=3_000_000)

    @property
    def pc(self) -> int:
        return int(self.uc.reg_read(unicorn.arm_const.UC_ARM_REG_PC))

    def words(self, symbol: str, count: int) -> tuple[int, ...]:
        address = self.image.symbols[symbol].address
        return struct.unpack(f"<{count}I", self.uc.mem_read(address, 4 * count))


@pytest.fixture(scope="module", params=BOARDS)
def booted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Target, Silicon]]:
    target, silicon = boot(request.param, tmp_path_factory.mktemp("boot"))
    silicon.run()
    yield target, silicon


def boot(name: str, folder: Path, silent: str = "") -> tuple[Target, Silicon]:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    target = load_target(name)
    elf = build_firmware(TINY, target, folder, defines={"CLOCK_MOST_TURNS": 50}).elf
    return target, Silicon(target, read_image(elf), silent)


def test_it_sleeps_in_wait_for_its_first_byte(booted: tuple[Target, Silicon]) -> None:
    _, silicon = booted
    assert bytes(silicon.uc.mem_read(silicon.pc - 2, 2)) == WFI
    assert silicon.image.function_at(silicon.pc) in ("usart_wait", "board_wait")


def test_its_record_of_the_clock_is_what_the_harness_expects(booted: tuple[Target, Silicon]) -> None:
    target, silicon = booted
    assert target.board is not None
    tree = CLOCK_TREES[target.board.family]
    values = {name: silicon.part.named()[name] for name in tree.registers}
    rates = EXPECTED[target.name]
    assert silicon.words(CLOCK_SYMBOL, 3 + len(values)) == (
        *(CLOCK_MAGIC, rates.core, rates.usart),
        *values.values(),
    )


def test_the_serial_port_is_on_at_115200_baud(booted: tuple[Target, Silicon]) -> None:
    target, silicon = booted
    part, header = part_values(target), read_header(target.board.family if target.board else "")
    base = header.bases[part["USART_BASE"].removesuffix("_BASE")]
    is_f4 = header.registers.get("PWR_CR") is not None
    brr, cr1 = (base + 0x08, base + 0x0C) if is_f4 else (base + 0x0C, base + 0x00)
    clocks_per_bit = silicon.other[brr] / (
        256 if "USART_IS_LOW_POWER" in (target.folder / "part.h").read_text() else 1
    )
    assert EXPECTED[target.name].usart / clocks_per_bit == pytest.approx(115200, rel=0.005)
    assert silicon.other[cr1] == (1 << 13 if is_f4 else 1) | 1 << 2 | 1 << 3 | 1 << 5
    for role in ("TX", "RX"):
        port = header.bases[part[f"LINK_{role}_PORT"].removesuffix("_BASE")]
        pin = int(part[f"LINK_{role}_PIN"])
        assert silicon.other[port] >> 2 * pin & 3 == 2
        function = silicon.other[port + 0x20 + pin // 8 * 4] >> pin % 8 * 4 & 0xF
        assert function == int(part["LINK_FUNCTION"])


def test_vectors_limits_and_caches(booted: tuple[Target, Silicon]) -> None:
    target, silicon = booted
    assert silicon.other[VTOR] == 0x08000000
    assert silicon.other[MPU_CTRL] == 5
    is_cached = target.core == "Cortex-M7"
    assert silicon.other[CCR] >> 16 & 3 == (3 if is_cached else 0)
    debug = next(
        field for field in read_header(target.board.family if target.board else "").fields if "SLEEP" in field
    )
    assert silicon.part.get(debug) == 1


def test_every_line_of_the_data_cache_is_settled_before_sleep(booted: tuple[Target, Silicon]) -> None:
    target, silicon = booted
    if target.name not in CACHES:
        assert silicon.lines == {DCISW: [], DCCISW: []}
        return
    sets = (CACHES[target.name] >> 13) + 1
    every = [way << 30 | number << 5 for number in range(sets) for way in range(4)]
    assert sorted(silicon.lines[DCISW]) == sorted(silicon.lines[DCCISW]) == sorted(every)


@pytest.mark.parametrize(
    ("name", "silent"), [("stm32f746g-disco", "RCC_CR_HSERDY"), ("nucleo-l4r5zi", "RCC_CR_PLLRDY")]
)
def test_what_does_not_start_traps_where_the_harness_names_it(name: str, silent: str, tmp_path: Path) -> None:
    _, silicon = boot(name, tmp_path, silent)
    with pytest.raises(unicorn.UcError):
        silicon.run()
    assert silicon.image.function_at(silicon.pc) == "clock_did_not_start"
