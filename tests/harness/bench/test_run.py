"""A benchmark, as far as it can be checked without a device, and a small one on an emulator."""

from pathlib import Path

import pytest

from engine.operators.geometry import ConvGeometry
from harness.bench import run
from harness.bench.cases import Case, Kernel
from harness.bench.generate import write_bench
from harness.bench.run import RESULT, Measured, check_result, run_bench
from harness.bench.table import COLUMNS, bench_figures
from harness.devices.availability import availability
from harness.errors import MeasurementError, UsageError
from harness.targets import load_target

SMALL = ConvGeometry(5, 3, 12, 5, 3, 7, 1, 1, 1, 0)
CASES = (
    Case(Kernel.CONV2D, SMALL, masked=True),
    Case(Kernel.CONV2D, SMALL, trainable=5),
    Case(Kernel.ADD, ConvGeometry(5, 3, 13, 5, 3, 13, 1, 1, 1, 0), masked=True),
    Case(Kernel.CONV2D_UPDATE_I16, SMALL),
    Case(Kernel.ACCUMULATE_I16, ConvGeometry(5, 3, 13, 5, 3, 13, 1, 1, 1, 0)),
)
DONE, TOO_LARGE, OVERRUN = 1, 2, 3


def an500() -> object:
    target = load_target("qemu-mps2-an500")
    missing = availability(target).missing
    if missing:
        pytest.skip(f"{missing[0].program} is not installed")
    return target


def test_equal_bits_are_accepted() -> None:
    check_result(CASES[0], 4, RESULT.pack(4, DONE, 1000, 0, 0))


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            (4, DONE, 1000, 3, 17),
            "3 of 1000 bytes differ between the kernel and the reference, the first at 17",
        ),
        ((4, DONE, 0, 0, 0), "0 of 0 bytes differ"),
        ((3, DONE, 1000, 0, 0), "it ran case 3"),
        ((4, 9, 1000, 0, 0), "with status 9"),
        ((4, TOO_LARGE, 0, 0, 0), "more memory than the benchmark has"),
        ((4, OVERRUN, 1000, 0, 0), "wrote behind the"),
    ],
)
def test_anything_else_is_an_error(result: tuple[int, ...], message: str) -> None:
    with pytest.raises(MeasurementError, match=f"^conv2d\\+mask 5x3x12->7 1x1: .*{message}"):
        check_result(CASES[0], 4, RESULT.pack(*result))


def test_figures() -> None:
    table = bench_figures([Measured(CASES[2], 1950.0, 3900.0)])
    assert tuple(table.columns) == COLUMNS
    assert table.iloc[0].tolist() == ["add+mask", "5x3x13", 195, 1950, 10.0, 3900, 20.0, 2.0]


def test_a_target_that_counts_no_instructions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="host counts nanoseconds; take a target that counts instructions"):
        run_bench(load_target("host"), CASES, tmp_path, 60.0, lambda done, total: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.emulator
def test_small_cases_on_an_emulator(tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    measured = run_bench(an500(), CASES, tmp_path, 60.0, lambda done, total: heard.append((done, total)))
    assert heard == [(done, len(CASES)) for done in range(len(CASES) + 1)]
    assert [entry.case for entry in measured] == list(CASES)
    for entry in measured:
        assert 0.3 < entry.per_mac < 200
        assert entry.reference_instructions > entry.instructions


def _square(height: int, width: int, channels: int, stride: int, *, stem: bool = False) -> ConvGeometry:
    out = ((height - 1) // stride + 1, (width - 1) // stride + 1)
    return ConvGeometry(height, width, 3 if stem else channels, *out, channels, 3, 3, stride, 1)


ODD = (
    *((2, 64, 8, 1), (2, 63, 5, 1), (3, 6, 4, 1), (4, 4, 8, 1), (7, 9, 12, 1), (16, 18, 13, 1), (1, 1, 3, 1)),
    *((4, 64, 8, 2), (3, 61, 5, 2), (8, 9, 4, 2), (7, 18, 12, 2), (17, 15, 13, 2), (2, 3, 8, 2)),
)
"""Height, width, channels and stride, for every window of a 3x3 depthwise kernel."""
ODD_CASES = [
    Case(kernel, geometry, masked=masked)
    for masked in (False, True)
    for kernel, geometry in (
        *((Kernel.DEPTHWISE_CONV2D, _square(*shape)) for shape in ODD),
        *((Kernel.CONV2D, _square(*shape, 2, stem=True)) for shape in ((9, 33, 8), (17, 64, 5), (2, 3, 16))),
    )
]


@pytest.mark.emulator
def test_assembly_at_odd_shapes(tmp_path: Path) -> None:
    """What no host runs: edges, tails of channels and columns, runs in both directions."""
    assert len(run_bench(an500(), ODD_CASES, tmp_path, 60.0, lambda done, total: None)) == len(ODD_CASES)


@pytest.mark.emulator
def test_a_kernel_that_differs_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference of this build gets a bit of the mask wrong."""
    target = an500()

    def write(folder: Path, cases: tuple[Case, ...]) -> None:
        write_bench(folder, cases)
        wrapper = folder / "reference_tb_add.c"
        wrapper.write_text(
            '#include "reference.h"\n#include "tb_kernels.h"\n#undef tb_add_s22_i8\n'
            "#define OPERANDS const tb_add_t *add, const int8_t *a, const int8_t *b, int8_t *y\n"
            "void tb_add_s22_i8(OPERANDS, uint8_t *mask, uint32_t count);\n"
            "void reference_tb_add_s22_i8(OPERANDS, uint8_t *mask, uint32_t count) {\n"
            "  tb_add_s22_i8(add, a, b, y, mask, count);\n  mask[(count - 1) / 8] ^= 1u;\n}\n"
        )

    monkeypatch.setattr(run, "write_bench", write)
    with pytest.raises(MeasurementError, match=r"^add\+mask 5x3x13: 1 of \d+ bytes differ"):
        run_bench(target, [CASES[2]], tmp_path, 60.0, lambda done, total: None)
