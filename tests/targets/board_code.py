"""The C of the boards, read and run without one: headers parsed, clock code compiled for this computer."""

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.targets import Target, load_target

BOARDS = ("stm32f746g-disco", "nucleo-h743zi2", "nucleo-f446re", "nucleo-l4r5zi")
COMMON = Path(__file__).parents[2] / "targets" / "common" / "stm32"
HEADERS = {"stm32f7": "stm32f7.h", "stm32h7": "stm32h7.h", "stm32f4": "stm32f4.h", "stm32l4": "stm32l4.h"}


@dataclass(frozen=True)
class Header:
    """Of a family: registers (name → address), fields (name → register, bit, bits), bases and interrupts."""

    registers: dict[str, int]
    fields: dict[str, tuple[str, int, int]]
    bases: dict[str, int]
    interrupts: dict[str, int]


def read_header(family: str) -> Header:
    """Every #define of the header is one of four kinds, or this fails."""
    text = (COMMON / HEADERS[family]).read_text()
    header = Header({}, {}, {}, {})
    for line in re.findall(r"^#define (?!STM32\w\w_H\b)(.*)$", text, re.MULTILINE):
        if match := re.fullmatch(r"(\w+)_BASE (0x[0-9A-F]{8})u", line):
            header.bases[match[1]] = int(match[2], 16)
        elif match := re.fullmatch(r"(\w+)_IRQ (\d+)u", line):
            header.interrupts[match[1]] = int(match[2])
        elif match := re.fullmatch(r"(\w+) (0x[0-9A-F]{8})u", line):
            header.registers[match[1]] = int(match[2], 16)
        elif match := re.fullmatch(r"(\w+) (\w+), (\d+)u, (\d+)u", line):
            assert match[1].startswith(f"{match[2]}_"), f"{match[1]} is said to be in {match[2]}"
            header.fields[match[1]] = (match[2], int(match[3]), int(match[4]))
        else:
            raise AssertionError(f"{HEADERS[family]}: {line} is of no kind that can be looked up")
    return header


def part_values(target: Target) -> dict[str, str]:
    """The #defines of part.h, as text without comments."""
    text = (target.folder / "part.h").read_text()
    found = re.findall(r"^#define (\w+)[ \t]+(\S+)", text, re.MULTILINE)
    return {name: value.removesuffix("u") for name, value in found}


READ = ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32)
WRITE = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_uint32)

HARNESS = """
#include <stdint.h>
#define STM32_FIELD_H
uint32_t (*read_callback)(uint32_t);
void (*write_callback)(uint32_t, uint32_t);
static uint32_t register_read(uint32_t address) {{ return read_callback(address); }}
static void register_write(uint32_t address, uint32_t value) {{ write_callback(address, value); }}
#include "field_access.h"
int failed;
void field_wait(uint32_t address, uint32_t bit, uint32_t bits, uint32_t value) {{
  for (int turn = 0; turn < 4; turn++) if (field_read(address, bit, bits) == value) return;
  failed = 1;
}}
#include "part.h"
#undef USART_BASE
#include "{clock}"
#include "{part}"
uint32_t core_hz(const uint32_t *values, uint32_t hse) {{ return clock_rates(values, hse).core; }}
uint32_t usart_hz(const uint32_t *values, uint32_t hse) {{ return clock_rates(values, hse).usart; }}
"""


class ClockCode:
    """The clock code of a board; registers are Python's."""

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library

    def rates(self, values: list[int], external: int) -> tuple[int, int]:
        array = (ctypes.c_uint32 * len(values))(*values)
        core, usart = self._library.core_hz, self._library.usart_hz
        core.restype = usart.restype = ctypes.c_uint32
        return core(array, ctypes.c_uint32(external)), usart(array, ctypes.c_uint32(external))

    @property
    def registers(self) -> list[int]:
        found = (ctypes.c_uint32 * 16).in_dll(self._library, "clock_registers")
        return list(found)[: list(found).index(0)]

    def start(self, read: Callable[[int], int], write: Callable[[int, int], None], also: str = "") -> bool:
        """clock_start() with these registers, and the function `also`; whether all waits came to an end."""
        kept = READ(read), WRITE(write)
        for name, callback in zip(("read_callback", "write_callback"), kept, strict=True):
            address = ctypes.cast(callback, ctypes.c_void_p).value
            ctypes.c_void_p.in_dll(self._library, name).value = address
        failed = ctypes.c_int.in_dll(self._library, "failed")
        failed.value = 0
        self._library.clock_start()
        if also:
            getattr(self._library, also)()
        return not failed.value


def compile_clock(name: str, folder: Path) -> ClockCode:
    """The clock code and part.c of a board, for this computer."""
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    target = load_target(name)
    assert target.firmware is not None
    clock = next(s for s in target.firmware.sources if "clock_" in s)
    sources = {"clock": (target.folder / clock).resolve(), "part": target.folder / "part.c"}
    (folder / f"{name}.c").write_text(HARNESS.format(**sources))
    includes = [COMMON, target.folder, COMMON.parent / "cortex-m"]
    library = folder / f"{name}.so"
    folders = [f"-I{path}" for path in includes]
    command = [compiler, "-shared", "-fPIC", "-O1", *folders, str(folder / f"{name}.c"), "-o", str(library)]
    subprocess.run(command, check=True, timeout=60)
    return ClockCode(ctypes.CDLL(str(library)))
