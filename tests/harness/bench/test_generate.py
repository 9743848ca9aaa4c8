"""The folder that the benchmark is compiled from."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.codegen.folder import RUNTIME
from harness.bench.cases import CASES, Kernel, select_cases
from harness.bench.generate import FIRMWARE, cases_header, reference_header, write_bench
from harness.errors import UsageError


def test_kernels_have_the_numbers_of_the_firmware() -> None:
    listed = re.findall(r"BENCH_(\w+) = (\d+)", (FIRMWARE / "bench.h").read_text())
    assert {name: int(number) for name, number in listed} == {kind.name: kind.value for kind in Kernel}


def test_a_row_for_each_case() -> None:
    text = cases_header(select_cases(["add", "conv2d+mask"]))
    assert text.count("{BENCH_ADD, 0, ") == len(select_cases(["add"]))
    assert text.count("{BENCH_CONV2D, 1, ") == len(select_cases(["conv2d+mask"]))
    assert f"#define BENCH_CASES {len(select_cases(['add', 'conv2d+mask']))}u" in text


def test_every_function_of_the_kernels_is_renamed() -> None:
    header = reference_header(sorted(RUNTIME.glob("tb_*.[ch]")))
    declared = re.findall(r"^\w+ (tb_\w+)\(", (RUNTIME / "tb_kernels.h").read_text(), re.MULTILINE)
    assert len(declared) > 20
    for name in declared:
        assert f"#define {name} reference_{name}\n" in header


def test_too_many_or_no_cases_are_refused(tmp_path: Path) -> None:
    for cases in ((), CASES * 3):
        with pytest.raises(UsageError, match="takes 1 to 250 cases"):
            write_bench(tmp_path / "bench", cases)


@pytest.mark.parametrize("compiler", ["gcc", "clang", "arm-none-eabi-gcc"])
def test_no_warnings(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    folder = tmp_path / "bench"
    write_bench(folder, CASES)
    flags = [
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Wconversion",
        "-Werror",
        "-ffp-contract=off",
        "-DTRAINER_PROFILE=1",
    ]
    if compiler.startswith("arm"):
        flags += ["-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"]
    sources = [folder / "bench.c", folder / "bench_kernels.c", *sorted(folder.glob("reference_*.c"))]
    for source in sources:
        done = subprocess.run(
            [compiler, *flags, "-fsyntax-only", source],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def test_the_reference_is_plain_c(tmp_path: Path) -> None:
    if shutil.which("arm-none-eabi-gcc") is None:
        pytest.skip("arm-none-eabi-gcc is not installed")
    folder = tmp_path / "bench"
    write_bench(folder, select_cases(["add"]))
    flags = ["-std=c99", "-O1", "-ffp-contract=off", "-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard"]
    found: dict[str, bool] = {}
    for name in ("tb_add.c", "reference_tb_add.c"):
        done = subprocess.run(
            ["arm-none-eabi-gcc", *flags, "-mfpu=fpv5-sp-d16", "-S", folder / name, "-o", "-"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        found[name] = re.search(r"\b(smlawb|ssat16|pkhtb)\b", done.stdout) is not None
    assert found == {"tb_add.c": True, "reference_tb_add.c": False}
