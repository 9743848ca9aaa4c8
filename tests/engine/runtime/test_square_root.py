"""tb_square_root.h against NumPy's square root, which IEEE 754 defines to the last bit."""

import ctypes
import shutil
from pathlib import Path

import numpy as np
import pytest
from kernel_bindings import FLAGS, run_tool
from kernel_cases import same_bits

SOURCE = Path(__file__).with_name("square_root.c")


@pytest.mark.parametrize("function", ["by_instruction", "by_integers"])
@pytest.mark.parametrize("command", [("gcc", "-O0"), ("gcc", "-O3"), ("clang", "-O2")], ids=" ".join)
def test_every_exponent(tmp_path: Path, command: tuple[str, ...], function: str) -> None:
    """Also numbers below the normal ones, squares, and their neighbours; no library is needed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    library = tmp_path / "square_root.so"
    run_tool([*command, *FLAGS, "-shared", "-fPIC", "-Wl,-z,defs", SOURCE, "-o", library])
    rng = np.random.default_rng(1)
    random = rng.integers(0, 0x7F800000, 400_000).astype(np.uint32).view(np.float32)
    squares = np.arange(1, 4097, dtype=np.float32) ** 2
    near = [np.nextafter(squares, np.float32(side)) for side in (0, np.inf)]
    small = np.arange(0, 5000, dtype=np.uint32).view(np.float32)
    largest = np.array([0x7F7FFFFF, 0x00800000, 0x007FFFFF, 1], np.uint32).view(np.float32)
    values = np.concatenate([random, squares, *near, small, largest])
    roots = np.zeros_like(values)
    call = getattr(ctypes.CDLL(str(library)), function)
    call(values.ctypes.data_as(ctypes.c_void_p), roots.ctypes.data_as(ctypes.c_void_p), values.size)
    same_bits(roots, np.sqrt(values))
