"""tb_conv2d.c and tb_depthwise.c against their NumPy twins, bit for bit."""

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

FORWARD = {False: reference.conv2d, True: reference.depthwise_conv2d}
GRAD_INPUT = {False: reference.conv2d_grad_input, True: reference.depthwise_conv2d_grad_input}
LAYERS = st.booleans().flatmap(layers)


@settings(max_examples=150, deadline=None)
@given(layer=LAYERS, masked=st.booleans())
def test_forward(kernels: Kernels, layer: Layer, masked: bool) -> None:
    q = layer.quantization
    expected, expected_mask = FORWARD[layer.depthwise](
        layer.x, layer.weights, layer.bias, layer.geometry, q.in_zero, q.multiplier, q.shift, q.out_zero
    )
    y, mask = kernels.convolution(
        layer.x, layer.stored, layer.bias, layer.geometry, q, depthwise=layer.depthwise, masked=masked
    )
    same_bits(y, expected)
    if mask is not None:
        same_bits(mask, expected_mask)


@settings(max_examples=150, deadline=None)
@given(layer=layers(False), data=st.data())
def test_rows_of_an_image(kernels: Kernels, layer: Layer, data: st.DataObject) -> None:
    g, q = layer.geometry, layer.quantization
    first = data.draw(st.integers(0, g.out_height - 1))
    end = data.draw(st.integers(first + 1, g.out_height))
    top, bottom = first * g.stride - g.padding, (end - 1) * g.stride - g.padding + g.kernel_height
    rows = layer.x[max(0, top) : bottom]
    strip = replace(g, in_height=len(rows), out_height=end - first)
    y, mask = kernels.convolution(
        rows, layer.stored, layer.bias, strip, q, depthwise=False, pad_top=max(0, -top)
    )
    expected, expected_mask = reference.conv2d(
        layer.x, layer.weights, layer.bias, g, q.in_zero, q.multiplier, q.shift, q.out_zero
    )
    same_bits(y, expected[first:end])
    same_bits(mask, expected_mask[first:end])


# What MCUNet's layers are like: whole blocks of pixels, several of them, and whole bytes of mask.
@pytest.mark.parametrize("trainable", [None, range(3, 40, 4)], ids=["whole", "split"])
@pytest.mark.parametrize(
    "g",
    [
        ConvGeometry(12, 12, 40, 12, 12, 24, 1, 1, 1, 0),
        ConvGeometry(4, 4, 580, 4, 4, 8, 1, 1, 1, 0),
        ConvGeometry(1, 1, 64, 1, 1, 10, 1, 1, 1, 0),
        ConvGeometry(16, 256, 48, 8, 128, 8, 3, 3, 2, 1),
        ConvGeometry(2, 3, 40, 1, 2, 6, 5, 5, 2, 2),
    ],
)
def test_blocks_of_pixels(kernels: Kernels, g: ConvGeometry, trainable: range | None) -> None:
    rng = np.random.default_rng(3)
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), False)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels), False)
    multiplier, shift = reference.multiplier_and_shift(10.0 ** rng.uniform(-4, -2, g.out_channels))
    bias = rng.integers(-9999, 9999, g.out_channels).astype(np.int32)
    stored, q = split_weights(weights, trainable), Quantization(-128, -3, multiplier, shift)
    expected, expected_mask = reference.conv2d(x, weights, bias, g, -128, multiplier, shift, -3)
    for masked in (False, True):
        y, mask = kernels.convolution(x, stored, bias, g, q, depthwise=False, masked=masked)
        same_bits(y, expected)
        if mask is not None:
            same_bits(mask, expected_mask)


@settings(max_examples=150, deadline=None)
@given(layer=LAYERS)
def test_grad_input(kernels: Kernels, layer: Layer) -> None:
    expected = GRAD_INPUT[layer.depthwise](layer.gradient, layer.weights, layer.geometry)
    actual = kernels.grad_input(layer.gradient, layer.stored, layer.geometry, depthwise=layer.depthwise)
    same_bits(actual, expected)
    assert np.isfinite(actual).all()


@pytest.mark.parametrize("depthwise", [False, True])
def test_a_kernel_larger_than_the_weight_copy(kernels: Kernels, depthwise: bool) -> None:
    rng = np.random.default_rng(7)
    g = ConvGeometry(10, 11, 18, 5, 6, 18, 9, 9, 2, 4)
    x, shape = int8s(rng, (10, 11, 18), False), (18, 9, 9) if depthwise else (18, 9, 9, 18)
    weights = int8s(rng, shape, False)
    multiplier, shift = reference.multiplier_and_shift(np.full(18, 1e-3))
    q = Quantization(-5, 3, multiplier, shift)
    bias = rng.integers(-9999, 9999, 18).astype(np.int32)
    y, mask = kernels.convolution(x, split_weights(weights, None), bias, g, q, depthwise=depthwise)
    expected, expected_mask = FORWARD[depthwise](x, weights, bias, g, -5, multiplier, shift, 3)
    same_bits(y, expected)
    same_bits(mask, expected_mask)
    gradient = rng.normal(size=(5, 6, 18)).astype(np.float32)
    dx = kernels.grad_input(gradient, split_weights(weights, None), g, depthwise=depthwise)
    same_bits(dx, GRAD_INPUT[depthwise](gradient, weights, g))


@settings(max_examples=200, deadline=None)
@given(
    scale=st.floats(1e-9, 8.0) | st.sampled_from([0.5 - 2.0**-33, 0.5 - 2.0**-40, 0.5, 1.0]),
    accumulators=st.lists(st.integers(-(2**26), 2**26) | st.integers(-1000, 1000), min_size=1, max_size=8),
    out_zero=st.integers(-128, 127),
)
def test_requantization_is_within_one_of_real_arithmetic(
    kernels: Kernels, scale: float, accumulators: list[int], out_zero: int
) -> None:
    count = len(accumulators)
    multiplier, shift = reference.multiplier_and_shift(np.full(count, scale))
    bias = np.clip(accumulators, -reference.bias_limit(shift), reference.bias_limit(shift)).astype(np.int32)
    g = ConvGeometry(1, 1, 1, 1, 1, count, 1, 1, 1, 0)
    nothing = split_weights(np.zeros((count, 1, 1, 1), np.int8), None)
    q = Quantization(0, out_zero, multiplier, shift)
    y, mask = kernels.convolution(np.zeros((1, 1, 1), np.int8), nothing, bias, g, q, depthwise=False)
    real = bias.astype(np.float64) * scale + out_zero
    assert (np.abs(y.reshape(-1) - np.clip(real, -128, 127)) <= 1).all()
    assert mask is not None
    inside = np.abs(real) < 127
    assert (mask.reshape(-1)[inside]).all()
    assert not mask.reshape(-1)[np.abs(real) > 130].any()
