"""Every shape has exactly one kernel, which exists, and its comment says why it is the general one."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.operators import kernel_choice
from engine.operators.geometry import ConvGeometry
from engine.operators.kernel_choice import Choice
from engine.operators.reference import AddParameters

RUNTIME = Path(__file__).parents[3] / "engine" / "runtime"
DECLARED = set(re.findall(r"\btb_\w+_(?:i8|i16|f32)\b", (RUNTIME / "tb_kernels.h").read_text("utf-8")))
SIZES = st.integers(1, 40)


@st.composite
def geometries(draw: st.DrawFn, depthwise: bool) -> ConvGeometry:
    kernel = draw(st.sampled_from([(1, 1), (3, 3), (5, 5), (7, 7), (4, 4), (3, 5), (9, 9)]))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    size = [draw(st.integers(max(1, k - 2 * padding), 60)) for k in kernel]
    out = [(s + 2 * padding - k) // stride + 1 for s, k in zip(size, kernel, strict=True)]
    channels = draw(st.sampled_from([1, 2, 3, 4, 8, 12, 30]))
    out_channels = channels if depthwise else draw(SIZES)
    return ConvGeometry(*size, channels, *out, out_channels, *kernel, stride, padding)


def check(choice: Choice) -> None:
    assert choice.function in DECLARED
    assert f"_{choice.path}_" in choice.function
    assert bool(choice.why) == (choice.path.startswith(("general", "pointwise_odd")))


@given(geometries(False), st.booleans())
def test_convolutions(g: ConvGeometry, split: bool) -> None:
    forward = kernel_choice.conv2d(g, split=split)
    check(forward)
    assert forward.path.startswith("pointwise") == g.is_pointwise
    assert forward.path.endswith("_split") == (g.is_pointwise and split)
    for gradient in ("f32", "i16"):
        check(kernel_choice.conv2d_grad_input(g, gradient=gradient))
    update = kernel_choice.conv2d_update(g)
    check(update)
    # 512 products of at most 255 and 2^14 fit 32 bits; the short kernels are given half as many.
    assert update.path.endswith("_long") or g.out_height * g.out_width * 255 * 2**14 < 2**31


@given(geometries(True), st.integers(0, 31))
def test_depthwise_convolutions(g: ConvGeometry, shift: int) -> None:
    forward = kernel_choice.depthwise_conv2d(g, shift=shift)
    for choice in (
        forward,
        kernel_choice.depthwise_grad_input(g),
        kernel_choice.depthwise_grad_input_f32(g),
        kernel_choice.depthwise_update(g),
    ):
        check(choice)
    if "window" in forward.path:
        assert 127 << shift < 2**15  # weights are shifted in int16
        slots = kernel_choice.depthwise_window(g)
        for rows in range(1, g.out_height):  # a window that holds all rows holds some of them
            assert 0 < kernel_choice.depthwise_window(replace(g, out_height=rows)) <= slots


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1), st.integers(1, 22))
def test_additions(a: int, b: int, shift: int) -> None:
    choice = kernel_choice.add(AddParameters(a, b, 0, shift))
    check(choice)
    assert choice.path == "general" or 256 * max(a, b) < 2**31


@given(SIZES)
def test_masked_scale(channels: int) -> None:
    for gradient in ("f32", "i16"):
        check(kernel_choice.masked_scale(channels, gradient=gradient))


SQUARE = ConvGeometry(8, 8, 8, 8, 8, 8, 3, 3, 1, 1)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        (kernel_choice.conv2d(SQUARE, split=False), "general: kernel 3x3"),
        (
            kernel_choice.conv2d(ConvGeometry(8, 8, 4, 4, 4, 4, 1, 1, 2, 0), split=False),
            "general: stride 2",
        ),
        (
            kernel_choice.conv2d(ConvGeometry(8, 8, 6, 8, 8, 4, 1, 1, 1, 0), split=False),
            "pointwise_odd: 6 input channels",
        ),
        (kernel_choice.conv2d(ConvGeometry(9, 9, 3, 5, 5, 4, 3, 3, 2, 1), split=False), "stem_s2"),
        (kernel_choice.conv2d(ConvGeometry(9, 9, 3, 9, 9, 4, 3, 3, 1, 1), split=False), "stem"),
        (kernel_choice.depthwise_conv2d(SQUARE, shift=0), "3x3_s1_window10"),
        (kernel_choice.depthwise_conv2d(SQUARE, shift=9), "general: shift 9"),
        (
            kernel_choice.depthwise_conv2d(ConvGeometry(64, 64, 8, 64, 64, 8, 3, 3, 1, 1), shift=0),
            "3x3_s1_rows",
        ),
        (
            kernel_choice.depthwise_conv2d(ConvGeometry(8, 8, 8, 5, 5, 8, 4, 4, 1, 0), shift=0),
            "general: kernel 4x4",
        ),
        (
            kernel_choice.depthwise_grad_input(ConvGeometry(8, 8, 8, 6, 6, 8, 3, 3, 1, 0)),
            "general: padding 0",
        ),
        (
            kernel_choice.conv2d_update(ConvGeometry(17, 17, 8, 17, 17, 8, 1, 1, 1, 0)),
            "pointwise_long",
        ),
        (kernel_choice.add(AddParameters(1, 1, 0, 18)), "general: shift 18"),
        (kernel_choice.add(AddParameters(1, 2**23, 0, 20)), "general: multiplier of 2^23 or more"),
        (kernel_choice.masked_scale(12, gradient="i16"), "general: 12 channels"),
    ],
)
def test_what_comments_say(choice: Choice, said: str) -> None:
    assert str(choice) == said
