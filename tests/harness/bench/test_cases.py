"""What is measured, and what a case says of itself."""

import pytest

from engine.operators.geometry import ConvGeometry
from harness.bench.cases import CASES, DEPTHWISE, LEAST_WORK, Case, Kernel, select_cases
from harness.errors import UsageError

POINTWISE = ConvGeometry(8, 8, 40, 8, 8, 160, 1, 1, 1, 0)
STRIDED = ConvGeometry(9, 9, 6, 5, 5, 6, 3, 3, 2, 1)


@pytest.mark.parametrize(
    ("case", "name", "shape", "macs"),
    [
        (Case(Kernel.CONV2D, POINTWISE), "conv2d", "8x8x40->160 1x1", 64 * 40 * 160),
        (Case(Kernel.CONV2D, POINTWISE, True), "conv2d+mask", "8x8x40->160 1x1", 64 * 40 * 160),
        (
            Case(Kernel.CONV2D_UPDATE_I16, POINTWISE, trainable=7),
            "conv2d_update_i16",
            "8x8x40->160 1x1 train 7",
            64 * 7 * 160,
        ),
        (Case(Kernel.DEPTHWISE_CONV2D, STRIDED), "depthwise_conv2d", "9x9x6->6 3x3 s2", 25 * 9 * 6),
        (Case(Kernel.ADD, POINTWISE), "add", "8x8x40", 64 * 40),
        (Case(Kernel.FULLY_CONNECTED, POINTWISE), "fully_connected", "40->160", 40 * 160),
    ],
)
def test_name_shape_and_work(case: Case, name: str, shape: str, macs: int) -> None:
    assert (case.name, case.shape, case.macs) == (name, shape, macs)


def test_every_kernel_is_measured_and_no_case_twice() -> None:
    assert {case.kernel for case in CASES} == set(Kernel)
    labels = [(case.name, case.shape) for case in CASES]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.name} {case.shape}")
def test_a_case_is_a_shape_that_exists(case: Case) -> None:
    g = case.geometry
    assert g.out_height == (g.in_height + 2 * g.padding - g.kernel_height) // g.stride + 1
    assert g.out_width == (g.in_width + 2 * g.padding - g.kernel_width) // g.stride + 1
    assert case.macs * case.repeats >= LEAST_WORK
    assert 0 < case.multiplier < 2**31
    assert case.scratch >= 0
    assert case.kernel not in DEPTHWISE or g.in_channels == g.out_channels
    assert case.trainable is None or 0 < case.trainable < g.in_channels


def test_selection() -> None:
    assert select_cases(None) == select_cases([]) == CASES
    assert {case.name for case in select_cases(["add", "add+mask"])} == {"add", "add+mask"}
    with pytest.raises(UsageError, match="no kernel named 'gemm' is measured; there are: conv2d, "):
        select_cases(["add", "gemm"])
