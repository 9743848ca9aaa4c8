"""Depthwise forward, plain and fast, against its NumPy twin: fast shapes, in place, in strips."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import Layer, int8s, layers, same_bits
from kernel_data import Quantization, split_weights

from engine.operators import reference
from engine.operators.reference import ConvGeometry

SEEDS = st.integers(0, 2**32 - 1)


def depthwise_geometry(
    height: int, width: int, channels: int, kernel: int, stride: int, padding: int
) -> ConvGeometry:
    out = ((size + 2 * padding - kernel) // stride + 1 for size in (height, width))
    return ConvGeometry(height, width, channels, *out, channels, kernel, kernel, stride, padding)


@st.composite
def square_geometries(draw: st.DrawFn) -> ConvGeometry:
    """Kernels that have a fast path, and one that has none, on maps from the smallest to several tiles."""
    kernel, stride = draw(st.sampled_from([3, 5, 7, 9])), draw(st.sampled_from([1, 2]))
    padding = draw(st.sampled_from([kernel // 2, kernel // 2, *range(kernel // 2 + 1)]))
    smallest = max(1, kernel - 2 * padding)
    height, width = (draw(st.integers(smallest, smallest + 19)) for _ in range(2))
    return depthwise_geometry(
        height, width, draw(st.sampled_from([1, 3, 4, 5, 8, 10, 16])), kernel, stride, padding
    )


def random_layer(
    g: ConvGeometry, seed: int, shift: int = 0, share: float | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, Quantization, tuple[int, ...] | None]:
    """x, weights, bias, quantization with both clamps in reach, and which channels are trainable."""
    rng = np.random.default_rng(seed)
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), False)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width), False)
    typical = 73 * 73 * g.kernel_height / 60 * 2.0**shift
    multiplier = (rng.uniform(0.2, 2, g.out_channels) / typical * 2.0**32).astype(np.int32)
    bias = rng.integers(-3000, 3000, g.out_channels).astype(np.int32)
    zeros = (-128, -7, 0, 127)
    q = Quantization(int(rng.choice(zeros)), int(rng.choice(zeros)), multiplier, shift)
    trainable = None
    if share is not None:
        count = round(share * g.in_channels)
        trainable = tuple(sorted(rng.permutation(g.in_channels)[:count].tolist()))
    return x, weights, bias, q, trainable


def expected_of(
    x: np.ndarray, weights: np.ndarray, bias: np.ndarray, g: ConvGeometry, q: Quantization
) -> tuple[np.ndarray, np.ndarray]:
    return reference.depthwise_conv2d(x, weights, bias, g, q.in_zero, q.multiplier, q.shift, q.out_zero)


@settings(max_examples=300, deadline=None)
@given(
    g=square_geometries(),
    seed=SEEDS,
    shift=st.sampled_from([0, 0, 0, 3, 8, 9]),
    share=st.sampled_from([None, 0.0, 0.4, 1.0]),
    in_place=st.booleans(),
    masked=st.booleans(),
)
def test_whole_images(
    kernels: Kernels,
    g: ConvGeometry,
    seed: int,
    shift: int,
    share: float | None,
    in_place: bool,
    masked: bool,
) -> None:
    x, weights, bias, q, trainable = random_layer(g, seed, shift, share)
    y, mask = kernels.depthwise_rows(
        x,
        split_weights(weights, trainable),
        bias,
        g,
        q,
        pad_top=g.padding,
        in_place=in_place,
        masked=masked,
    )
    expected, expected_mask = expected_of(x, weights, bias, g, q)
    same_bits(y, expected)
    if mask is not None:
        same_bits(mask, expected_mask)


@settings(max_examples=150, deadline=None)
@given(layer=layers(True), masked=st.booleans())
def test_any_layer_in_place(kernels: Kernels, layer: Layer, masked: bool) -> None:
    """Odd kernels and paddings too, where rows of outputs end behind the rows that they see."""
    g, q = layer.geometry, layer.quantization
    y, mask = kernels.depthwise_rows(
        layer.x, layer.stored, layer.bias, g, q, pad_top=g.padding, in_place=True, masked=masked
    )
    expected, expected_mask = expected_of(layer.x, layer.weights, layer.bias, g, q)
    same_bits(y, expected)
    if mask is not None:
        same_bits(mask, expected_mask)


@settings(max_examples=200, deadline=None)
@given(g=square_geometries(), seed=SEEDS, strip=st.integers(1, 5), beyond=st.integers(0, 2))
def test_strips_give_the_image(kernels: Kernels, g: ConvGeometry, seed: int, strip: int, beyond: int) -> None:
    """Strips of output rows, each from the input rows that it sees and up to two more."""
    x, weights, bias, q, _ = random_layer(g, seed)
    stored = split_weights(weights, None)
    expected, expected_mask = expected_of(x, weights, bias, g, q)
    for first in range(0, g.out_height, strip):
        rows = min(strip, g.out_height - first)
        top = first * g.stride - g.padding
        start = min(max(top, 0), g.in_height)
        end = min(max(top + (rows - 1) * g.stride + g.kernel_height + beyond, start), g.in_height)
        part = replace(g, in_height=end - start, out_height=rows)
        y, mask = kernels.depthwise_rows(x[start:end], stored, bias, part, q, pad_top=start - top)
        same_bits(y, expected[first : first + rows])
        same_bits(mask, expected_mask[first : first + rows])


@pytest.mark.parametrize("kernel", [3, 5, 7])
@pytest.mark.parametrize("stride", [1, 2])
def test_extreme_values(kernels: Kernels, kernel: int, stride: int) -> None:
    """Every product as large as it can be, and the largest biases."""
    g = depthwise_geometry(9, 11, 8, kernel, stride, kernel // 2)
    for sign, shift in ((1, 0), (-1, 3)):
        limit = reference.bias_limit(shift)
        x = np.full((9, 11, 8), -128, np.int8)
        weights = np.full((8, kernel, kernel), -128, np.int8)
        bias = np.array([limit, -limit] * 4, np.int32)
        q = Quantization(127, 3 * sign, np.full(8, 2**31 - 1, np.int32), shift)
        y, mask = kernels.depthwise_rows(x, split_weights(weights, None), bias, g, q, pad_top=g.padding)
        expected, expected_mask = expected_of(x, weights, bias, g, q)
        same_bits(y, expected)
        same_bits(mask, expected_mask)
