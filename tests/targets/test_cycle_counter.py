"""targets/common/cortex-m/cycle_counter.c, compiled for this computer with registers that the test sets."""

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "targets" / "common" / "cortex-m" / "cycle_counter.c"
PERIOD = (1 << 24) - 4096
MOST = 15 << 32
HARNESS = """
#include <stdint.h>
static uint32_t registers[8];
static volatile uint32_t *at(uint32_t address) {{
  return &registers[address == 0xE0001004u ? 1 : address == 0xE000E018u ? 2 : 0];
}}
#define CORTEX_M_H
#define REGISTER(address) (*at(address))
#define __builtin_trap() return UINT64_MAX
#include "{source}"
uint64_t ticks(uint32_t count, uint32_t systick) {{
  registers[1] = count;
  registers[2] = systick;
  return board_ticks();
}}
"""


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("counter")
    (folder / "harness.c").write_text(HARNESS.format(source=SOURCE))
    agent = ROOT / "harness" / "agent"
    command = [compiler, "-shared", "-fPIC", "-O1", f"-I{agent}", "harness.c", "-o", "counter.so"]
    subprocess.run(command, cwd=folder, check=True, timeout=60)
    library = ctypes.CDLL(str(folder / "counter.so"))
    library.ticks.restype = ctypes.c_uint64
    library.ticks.argtypes = (ctypes.c_uint32, ctypes.c_uint32)
    return library


def systick(elapsed: int) -> int:
    return PERIOD - 1 - elapsed % PERIOD


@given(total=st.integers(0, MOST), late=st.integers(-200_000, 200_000))
def test_all_64_bits_come_back_even_if_systick_is_read_early_or_late(
    counter: ctypes.CDLL, total: int, late: int
) -> None:
    assert counter.ticks(total & 0xFFFFFFFF, systick(total + late)) == total


@given(total=st.integers(0, MOST), off=st.integers(300_000, 700_000))
def test_a_systick_that_does_not_count_with_the_core_is_no_count(
    counter: ctypes.CDLL, total: int, off: int
) -> None:
    assert counter.ticks(total & 0xFFFFFFFF, systick(total + off)) == (1 << 64) - 1
