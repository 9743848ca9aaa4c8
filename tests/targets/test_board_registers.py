"""Every register, field, interrupt and base address of the boards' headers, looked up in the vendor's SVD.

Where the SVD contradicts the reference manual, the manual is followed, and `MANUAL` says so.
"""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from board_code import BOARDS, COMMON, HEADERS, part_values, read_header

from harness.targets import load_target

FOLDER = Path("/work/shared/data/svd")
FILES = {
    "stm32f7": "STM32F7x6.svd",
    "stm32h7": "STM32H743x.svd",
    "stm32f4": "STM32F446.svd",
    "stm32l4": "STM32L4R5.svd",
}

# What the SVD calls otherwise than the manual.
NAMES = {
    "stm32f7": {"RCC_DCKCFGR2": ("RCC", "DKCFGR2"), "DBGMCU_CR": ("DBG", "DBGMCU_CR")},
    "stm32f4": {"DBGMCU_CR": ("DBG", "DBGMCU_CR")},
    "stm32h7": {"FLASH_ACR": ("Flash", "ACR"), "AXI_TARG7_FN_MOD": ("AXI", "AXI_TARG7_FN_MOD")},
    "stm32l4": {},
}
FIELD_NAMES = {"RCC_D2CCIP2R_USART234578SEL": "USART234578SRC"}

# Where the SVD is wrong: what it has → what the manual has, and where.
MANUAL = {
    # RM0390, RM0433, RM0432, FLASH_ACR: LATENCY[3:0]; the SVD leaves out bit 3, which no rate here needs.
    ("stm32f4", "FLASH_ACR_LATENCY"): ((0, 3), (0, 4)),
    ("stm32h7", "FLASH_ACR_LATENCY"): ((0, 3), (0, 4)),
    ("stm32l4", "FLASH_ACR_LATENCY"): ((0, 3), (0, 4)),
    # RM0433, SYSCFG_PWRCR: ODEN is bit 0, the others are reserved.
    ("stm32h7", "SYSCFG_PWRCR_ODEN"): ((0, 4), (0, 1)),
}
# Of which the SVD says nothing at all.
ABSENT = {
    # RM0432: PWR_CR5 at offset 0x80, R1MODE in bit 8.
    "stm32l4": {"PWR_CR5": 0x40007080, "PWR_CR5_R1MODE": (8, 1)},
    # RM0433: DBGMCU at 0x5C001000 for the core. pyOCD has the same addresses (below).
    "stm32h7": {
        "DBGMCU_IDC": 0x5C001000,
        "DBGMCU_IDC_REV_ID": (16, 16),
        "DBGMCU_CR": 0x5C001004,
        "DBGMCU_CR_DBGSLEEP_D1": (0, 1),
    },
}
# The SVD of the F446 ends at interrupt 89; the vector table of RM0390 ends at 96, FMPI2C1 error.
LAST_INTERRUPT = {"stm32f4": (89, 96)}


@cache
def peripherals(family: str) -> dict[str, Any]:
    """Of the family's SVD file by name, derived ones complete."""
    svd = pytest.importorskip("cmsis_svd")
    path = FOLDER / FILES[family]
    if not path.is_file():
        pytest.skip(f"the vendor's register description {path.name} is not here")
    return {p.name: p for p in svd.SVDParser.for_xml_file(str(path)).get_device().peripherals}


def register(family: str, name: str) -> Any | None:
    peripheral, _, rest = name.partition("_")
    peripheral, rest = NAMES[family].get(name, (peripheral, rest))
    found = peripherals(family).get(peripheral)
    return found and next((r for r in found.registers if r.name == rest), None)


def address(family: str, name: str) -> int | None:
    found = register(family, name)
    if found is None:
        return None
    peripheral = NAMES[family].get(name, (name.partition("_")[0], ""))[0]
    return int(peripherals(family)[peripheral].base_address + found.address_offset)


def place(fields: Any, name: str) -> tuple[int, int] | None:
    """(lowest bit, bits). A field may be described bit by bit, as NAME0, NAME1, …: they have to adjoin."""
    for field in fields:
        if field.name == name:
            return field.bit_offset, field.bit_width
    split = {int(m[1]): f for f in fields if (m := re.fullmatch(rf"{name}(\d)", f.name)) and f.bit_width == 1}
    if not split:
        return None
    low = split[0].bit_offset
    assert [split[n].bit_offset for n in range(len(split))] == [low + n for n in range(len(split))]
    return low, len(split)


@pytest.mark.parametrize("family", HEADERS)
def test_registers_are_where_the_vendor_says(family: str) -> None:
    absent = ABSENT.get(family, {})
    for name, where in read_header(family).registers.items():
        found = address(family, name)
        assert (found is None) == (name in absent), name
        assert where == (absent[name] if found is None else found), name


@pytest.mark.parametrize("family", HEADERS)
def test_fields_are_where_the_vendor_says(family: str) -> None:
    absent = ABSENT.get(family, {})
    for name, (parent, bit, bits) in read_header(family).fields.items():
        if name in absent:
            assert (bit, bits) == absent[name], name
            continue
        described = register(family, parent)
        assert described is not None, parent
        found = place(described.fields, FIELD_NAMES.get(name, name.removeprefix(f"{parent}_")))
        wrong, right = MANUAL.get((family, name), (None, found))
        assert wrong is None or found == wrong, f"the SVD no longer contradicts the manual on {name}"
        assert (bit, bits) == right, name


@pytest.mark.parametrize("family", HEADERS)
def test_bases_and_interrupts_are_the_vendors(family: str) -> None:
    header = read_header(family)
    for name, base in header.bases.items():
        assert peripherals(family)[name].base_address == base, name
    # By the interrupt's name: the SVD of the H743 lists that of USART3 with another peripheral.
    known = {i.name: i.value for p in peripherals(family).values() for i in p.interrupts or []}
    assert header.interrupts
    for name, number in header.interrupts.items():
        assert known[name] == number, name


@pytest.mark.parametrize("board", BOARDS)
def test_the_vector_table_is_as_long_as_the_parts(board: str) -> None:
    target = load_target(board)
    assert target.board is not None
    family = target.board.family
    last = max(i.value for p in peripherals(family).values() for i in p.interrupts or [])
    described, true = LAST_INTERRUPT.get(family, (last, last))
    assert last == described
    assert int(part_values(target)["PART_INTERRUPTS"]) == true + 1


@pytest.mark.parametrize("board", BOARDS)
def test_usart_and_pins_have_the_registers_of_the_common_code(board: str) -> None:
    target = load_target(board)
    assert target.board is not None
    family, part = target.board.family, part_values(target)
    usart = peripherals(family)[part["USART_BASE"].removesuffix("_BASE")]
    header = "usart_sr.h" if family == "stm32f4" else "usart_isr.h"
    assert f'#include "{header}"' in (target.folder / "part.h").read_text()
    text = (COMMON / header).read_text()
    offsets = {r.name: r.address_offset for r in usart.registers}
    fields = {f"{r.name}_{f.name}": (f.bit_offset, f.bit_width) for r in usart.registers for f in r.fields}
    registers = re.findall(r"USART_(\w+) REGISTER\(USART_BASE \+ (0x\w+)u\)", text)
    assert len(registers) >= 6
    for name, offset in registers:
        assert offsets[name] == int(offset, 16), name
    used = re.findall(r"#define (\w+_\w+) \(1u << (\d+)\)", text)
    assert len(used) >= 7
    for name, bit in used:
        assert fields[name] == (int(bit), 1), name
    gpio = dict(re.findall(r"GPIO_(\w+)_OFFSET (0x\w+)u", (COMMON / "gpio.h").read_text()))
    for role in ("TX", "RX"):
        port = peripherals(family)[part[f"LINK_{role}_PORT"].removesuffix("_BASE")]
        offsets = {r.name: r.address_offset for r in port.registers}
        assert {name: int(value, 16) for name, value in gpio.items()} == {
            "MODER": offsets["MODER"],
            "AFRL": offsets["AFRL"],
        }
        assert offsets["AFRH"] == offsets["AFRL"] + 4
        pin = int(part[f"LINK_{role}_PIN"])
        mode = next(r for r in port.registers if r.name == "MODER").fields
        assert (2 * pin, 2) in {(f.bit_offset, f.bit_width) for f in mode}


@pytest.mark.parametrize("board", BOARDS)
def test_the_link_enables_its_own_ports_and_usart(board: str) -> None:
    target = load_target(board)
    part = part_values(target)
    enabled = set(re.findall(r"field_write\(\w+?ENR\d?_(\w+?)EN,", (target.folder / "part.c").read_text()))
    names = (part[key].removesuffix("_BASE") for key in ("USART_BASE", "LINK_TX_PORT", "LINK_RX_PORT"))
    assert enabled == set(names)


def test_core_registers_are_where_the_vendor_says() -> None:
    names = {
        "SCB_CFSR": ("SCB", "CFSR_UFSR_BFSR_MMFSR"),
        "SCB_SHCSR": ("SCB", "SHCRS"),  # so in the SVD
        "SCB_CPACR": ("FPU_CPACR", "CPACR"),
        "SCB_CCSIDR": ("PF", "CCSIDR"),
        "MPU_TYPE": ("MPU", "MPU_TYPER"),
        "MPU_RNR": ("MPU", "MPU_RNR"),
        "SYST_CSR": ("STK", "CSR"),
        "SYST_RVR": ("STK", "RVR"),
        "SYST_CVR": ("STK", "CVR"),
    }
    common = COMMON.parent / "cortex-m"
    text = "".join((common / name).read_text() for name in ("cortex_m.h", "cache.c", "cycle_counter.c"))
    checked = 0
    for name, where in re.findall(r"#define (\w+) REGISTER\((0x\w+)u\)", text):
        peripheral, rest = names.get(name, (name.partition("_")[0], name.partition("_")[2]))
        found = peripherals("stm32f7").get(peripheral)
        for described in found.registers if found else ():
            if described.name in (rest, name):
                assert found.base_address + described.address_offset == int(where, 16), name
                checked += 1
    assert checked >= 15


def test_identification_registers_are_the_vendors() -> None:
    names = {"stm32f7": ("DBG", "DBGMCU_IDCODE"), "stm32f4": ("DBG", "DBGMCU_IDCODE")}
    names["stm32l4"] = ("DBGMCU", "IDCODE")
    for board in BOARDS:
        part = load_target(board).board
        assert part is not None
        if part.family == "stm32h7":  # absent in its SVD; pyOCD's own target has it
            from pyocd.target.builtin.target_STM32H743xx import DBGMCU

            assert (part.idcode_address, 0x5C001004) == (DBGMCU.IDC, DBGMCU.CR)
            continue
        peripheral, rest = names[part.family]
        found = peripherals(part.family)[peripheral]
        described = next(r for r in found.registers if r.name == rest)
        assert found.base_address + described.address_offset == part.idcode_address
        assert place(described.fields, "REV_ID") == (16, 16)
