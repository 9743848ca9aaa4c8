"""The folder of renode-stm32f7: one memory map in four files, and the addresses of the part."""

import itertools
import re
import shutil
from pathlib import Path

import pytest

from engine.compiler import CompileOptions, compile_trainer
from engine.frontends import load_backbone
from engine.schemes import load_scheme
from harness.firmware.build import build_firmware
from harness.run.prepare import SCHEME_LIBRARY
from harness.targets import load_target

ROOT = Path(__file__).parents[2]
TARGET = load_target("renode-stm32f7")
assert TARGET.renode is not None
PLATFORM = (TARGET.folder / TARGET.renode.platform).read_text()
SVD = Path("/work/shared/data/svd/STM32F7x6.svd")


def platform_memories() -> dict[str, tuple[int, int]]:
    pattern = r"(\w+): Memory\.MappedMemory @ (?:\{\s*)?sysbus (0x\w+)[^:]*?size: (0x\w+)"
    blocks = re.split(r"\n(?=\w+:)", PLATFORM)
    found = (re.search(pattern, block, re.DOTALL) for block in blocks)
    return {match[1]: (int(match[2], 16), int(match[3], 16)) for match in found if match}


def test_the_platform_has_the_memory_of_the_part() -> None:
    assert platform_memories() == {
        "itcm": (0, 16 << 10),
        "flash": (0x08000000, 1 << 20),
        "dtcm": (0x20000000, 64 << 10),
        "sram1": (0x20010000, 240 << 10),
        "sram2": (0x2004C000, 16 << 10),
    }


def test_target_file_platform_file_and_link_script_have_one_memory_map() -> None:
    assert TARGET.renode is not None
    memories = platform_memories()
    assert {m.name: (m.start, m.size) for m in TARGET.renode.memories} == {
        name: place for name, place in memories.items() if name != "itcm"
    }
    ram = sorted(place for name, place in memories.items() if name in ("dtcm", "sram1", "sram2"))
    assert all(start + size == following for (start, size), (following, _) in itertools.pairwise(ram))
    regions = {region.kind: (region.start, region.size) for region in TARGET.regions}
    assert regions == {"flash": memories["flash"], "ram": (ram[0][0], sum(size for _, size in ram))}
    linked = re.findall(r"ORIGIN = (0x\w+), LENGTH = (\w+)", (TARGET.folder / "memory.ld").read_text())
    assert [(int(start, 16), length) for start, length in linked] == [
        (regions["flash"][0], "1M"),
        (regions["ram"][0], "320K"),
    ]
    assert TARGET.budget is not None
    assert TARGET.budget.sram_bytes == regions["ram"][1]


def test_the_counter_counts_one_for_each_instruction() -> None:
    mips = int(re.search(r"PerformanceInMips: (\d+)", PLATFORM)[1])  # type: ignore[index]
    frequencies = re.findall(
        r"(?:systickFrequency|(?<=DWT @ sysbus 0xE0001000\n    )frequency): (\d+)", PLATFORM
    )
    assert mips == 100  # at 108 and 216 the count is wrong
    assert [int(value) for value in frequencies] == [mips * 10**6] * 2


def test_the_script_does_everything_in_the_order_that_was_measured() -> None:
    assert TARGET.renode is not None
    script = (TARGET.folder / TARGET.renode.script).read_text()
    steps = (
        'mach create "f746"',
        "LoadPlatformDescription $ORIGIN/stm32f746.repl",
        "SetGlobalQuantum",
        "SetGlobalAdvanceImmediately true",
        "macro reset",
        "cpu VectorTableOffset 0x08000000",
        "runMacro $reset",
        "CreateServerSocketTerminal $uart",
        "connector Connect sysbus.usart1",
        "StartGdbServer $gdb false",
        'log "READY"',
    )
    places = [script.index(step) for step in steps]
    assert places == sorted(places)


@pytest.mark.skipif(not SVD.is_file(), reason="the vendor's register description is not here")
def test_registers_are_where_the_vendor_says() -> None:
    import xml.etree.ElementTree as ET

    peripherals = {p.findtext("name"): p for p in ET.parse(SVD).getroot().iter("peripheral")}

    def address(peripheral: str, register: str) -> int:
        found = peripherals[peripheral]
        source = peripherals[found.get("derivedFrom")] if found.get("derivedFrom") else found
        offsets = {r.findtext("name"): r.findtext("addressOffset") for r in source.iter("register")}
        return int(found.findtext("baseAddress") or "", 0) + int(offsets[register] or "", 0)

    board = (TARGET.folder / "board.c").read_text()
    macros = {name: int(value, 16) for name, value in re.findall(r"(\w+) REGISTER\((0x\w+)u\)", board)}
    assert macros == {f"RCC_{name}": address("RCC", name) for name in ("AHB1ENR", "APB2ENR")}
    part = dict(re.findall(r"#define (\w+) (\w+?)u\b", (TARGET.folder / "part.h").read_text()))
    usart = int(part["USART_BASE"], 16)
    shared = (TARGET.folder / "../common/stm32/usart_isr.h").read_text()
    for name, offset in re.findall(r"USART_(\w+) REGISTER\(USART_BASE \+ (0x\w+)u\)", shared):
        assert usart + int(offset, 16) == address("USART1", name), name
    for port in "AB":
        base = int(re.search(rf"GPIO{port} (0x\w+)u", board)[1], 16)  # type: ignore[index]
        assert base == address(f"GPIO{port}", "MODER")
        assert base + 0x20 == address(f"GPIO{port}", "AFRL")
    interrupts = {i.findtext("name"): i.findtext("value") for i in peripherals["USART1"].iter("interrupt")}
    assert interrupts["USART1"] == part["USART_IRQ"]


@pytest.mark.emulator
def test_a_real_trainer_links_within_the_part(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    backbone = load_backbone(ROOT / "fixtures" / "backbones" / "mcunet-5fps-cifar10.npz")
    scheme = load_scheme("sparse-49kb", backbone, SCHEME_LIBRARY)
    compile_trainer(backbone, scheme, CompileOptions(classes=2), tmp_path / "trainer")
    built = build_firmware(tmp_path / "trainer", TARGET, tmp_path / "out")
    layout = built.sram
    assert layout.free.end == 0x20000000 + (320 << 10)
    assert layout.free.size > 0
    assert built.sections.text + built.sections.rodata + built.sections.data < 1 << 20
