"""tb_conv2d_grad_i16.c against its naive twin, bit for bit."""

import numpy as np
import pytest
from convolution_bindings_i16 import conv2d_grad_input
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import geometries, int8s, same_bits
from kernel_data import split_weights

from engine.operators import integer_gradients
from engine.operators.reference import ConvGeometry
from engine.operators.scratch import GRADIENT_MORE_BYTES, conv2d_grad_scratch
from engine.operators.shared_exponent import ZERO_EXPONENT

SEEDS = st.integers(0, 2**32 - 1)
LARGEST = 2**14
"""Of a gradient's values behind masked_scale_i16, for up to 1023 products a sum."""


def int16s(rng: np.random.Generator, shape: tuple[int, ...], kind: str) -> np.ndarray:
    """Values of many sizes, extreme ones, small ones, zeros, values that rise, or channels of zeros."""
    if kind == "zero":
        return np.zeros(shape, np.int16)
    if kind == "tiny":
        return rng.choice(np.array([-1, 0, 0, 0, 1], np.int16), shape)
    if kind == "extreme":
        return rng.choice(np.array([-LARGEST, LARGEST, 0, -1], np.int16), shape)
    size = 2.0 ** rng.uniform(0, 14, shape)
    if kind == "rising":
        size = np.sort(size.reshape(-1)).reshape(shape)
    values = (rng.uniform(-1, 1, shape) * size).astype(np.int16)
    return values * rng.integers(0, 2, shape[-1], np.int16) if kind == "quiet" else values


KINDS = st.sampled_from(["ordinary", "extreme", "tiny", "zero", "rising", "quiet"])


def pointwise(height: int, width: int, in_channels: int, out_channels: int) -> ConvGeometry:
    return ConvGeometry(height, width, in_channels, height, width, out_channels, 1, 1, 1, 0)


def check(
    kernels: Kernels, g: ConvGeometry, kind: str, seed: int, share: float | None, extreme: bool
) -> None:
    rng = np.random.default_rng(seed)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels), extreme)
    gradient = int16s(rng, (g.out_height, g.out_width, g.out_channels), kind)
    trainable = None
    if share is not None:
        trainable = sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist())
    exponent = int(rng.integers(-60, 20))
    stored = split_weights(weights, trainable)
    actual, raised = conv2d_grad_input(kernels, gradient, exponent, stored, g)
    expected, wanted = integer_gradients.conv2d_grad_input(gradient, exponent, weights, g)
    same_bits(actual, expected)
    assert raised == wanted


@settings(max_examples=200, deadline=None)
@given(
    g=geometries(False),
    kind=KINDS,
    seed=SEEDS,
    share=st.sampled_from([None, 0.0, 0.2, 0.6, 1.0]),
    extreme=st.booleans(),
)
def test_grad_input(
    kernels: Kernels, g: ConvGeometry, kind: str, seed: int, share: float | None, extreme: bool
) -> None:
    check(kernels, g, kind, seed, share, extreme)


@pytest.mark.parametrize("kind", ["ordinary", "rising", "extreme"])
@pytest.mark.parametrize("share", [None, 0.3])
@pytest.mark.parametrize(
    "g",
    [pointwise(8, 8, 18, 240), pointwise(9, 9, 6, 64), pointwise(5, 3, 7, 999), pointwise(17, 4, 5, 3)],
    ids=lambda g: f"{g.in_height}x{g.in_width}x{g.in_channels}-{g.out_channels}",
)
def test_several_blocks_of_pixels(kernels: Kernels, g: ConvGeometry, share: float | None, kind: str) -> None:
    pixels = g.in_height * g.in_width
    assert conv2d_grad_scratch(g, split=False) < 2 * -(-pixels // 4) * 4 * (g.out_channels + 1)
    for seed in range(3):
        check(kernels, g, kind, seed, share, seed == 0)


def test_the_largest_sum(kernels: Kernels) -> None:
    g = pointwise(2, 3, 3, 1023)
    weights = np.full((1023, 1, 1, 3), -128, np.int8)
    weights[:, :, :, 1] = 127
    gradient = np.full((2, 3, 1023), -LARGEST, np.int16)
    actual, raised = conv2d_grad_input(kernels, gradient, 5, split_weights(weights, None), g)
    expected, wanted = integer_gradients.conv2d_grad_input(gradient, 5, weights, g)
    same_bits(actual, expected)
    assert raised == wanted == 5 + 16


def test_zeros_have_the_lowest_exponent(kernels: Kernels) -> None:
    g = pointwise(2, 2, 4, 4)
    weights, gradient = np.zeros((4, 1, 1, 4), np.int8), np.full((2, 2, 4), 77, np.int16)
    actual, raised = conv2d_grad_input(kernels, gradient, 3, split_weights(weights, None), g)
    assert raised == ZERO_EXPONENT
    assert not actual.any()


@given(
    pixels=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    channels=st.tuples(st.integers(1, 999), st.integers(1, 999)),
)
def test_scratch_is_bounded(pixels: tuple[int, int], channels: tuple[int, int]) -> None:
    g = pointwise(*pixels, *channels)
    least = 16 * (g.out_channels + 1)  # four pixels in 32 bits
    assert conv2d_grad_scratch(g, split=True) <= max(GRADIENT_MORE_BYTES + 4 * (g.out_channels + 1), least)
