"""The naive twins of the int16 gradient kernels beside plain arithmetic in Python integers and float64."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.operators import integer_gradients as twin
from engine.operators import real
from engine.operators.geometry import ConvGeometry
from engine.operators.shared_exponent import ZERO_EXPONENT, power_of_two

seeds = st.integers(0, 2**32 - 1)


@st.composite
def geometries(draw: st.DrawFn, *, depthwise: bool) -> ConvGeometry:
    height, width = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    kernel, stride = draw(st.sampled_from((1, 3, 5))), draw(st.integers(1, 3))
    padding = kernel // 2
    inputs = draw(st.integers(1, 5))
    outputs = inputs if depthwise else draw(st.integers(1, 5))
    sizes = [(size + 2 * padding - kernel) // stride + 1 for size in (height, width)]
    return ConvGeometry(height, width, inputs, *sizes, outputs, kernel, kernel, stride, padding)


def gradient_of(g: ConvGeometry, generator: np.random.Generator) -> np.ndarray:
    shape = (g.out_height, g.out_width, g.out_channels)
    limit = 2 ** int(generator.integers(0, 15))
    return generator.integers(-limit, limit + 1, shape).astype(np.int16)


def weights_of(g: ConvGeometry, generator: np.random.Generator, *, depthwise: bool) -> np.ndarray:
    kernel = (g.kernel_height, g.kernel_width)
    shape = (g.out_channels, *kernel) if depthwise else (g.out_channels, *kernel, g.in_channels)
    return generator.integers(-128, 128, shape, dtype=np.int8)


def check_shared(stored: np.ndarray, exponent: int, exact: np.ndarray, start: int) -> None:
    """Within one unit of the exact integers, which are at exponent `start`; exact where nothing is lost."""
    if not exact.any():
        assert exponent == ZERO_EXPONENT
        assert not stored.any()
        return
    unit = 2.0 ** (exponent - start)
    assert unit >= 1
    assert (np.abs(stored * unit - exact) < max(unit, 0.5)).all()


@settings(max_examples=60)
@given(geometries(depthwise=False), seeds, st.integers(-90, 40))
def test_conv2d(g: ConvGeometry, seed: int, exponent: int) -> None:
    generator = np.random.default_rng(seed)
    gradient, weights = gradient_of(g, generator), weights_of(g, generator, depthwise=False)
    dx, shared = twin.conv2d_grad_input(gradient, exponent, weights, g)
    exact = real.conv2d_grad_input(gradient.astype(np.float64), weights.astype(np.float64), g)
    check_shared(dx, shared, exact, exponent)
    x, zero = generator.integers(-128, 128, dx.shape, dtype=np.int8), int(generator.integers(-128, 128))
    dw = twin.conv2d_grad_weight(gradient, exponent, x, zero, g)
    exact = real.conv2d_grad_weight(gradient.astype(np.float64), x.astype(np.float64) - zero, g)
    assert dw.dtype == np.float32
    assert np.array_equal(dw, exact.astype(np.float32) * power_of_two(exponent))


@settings(max_examples=60)
@given(geometries(depthwise=True), seeds, st.integers(-90, 40))
def test_depthwise_conv2d(g: ConvGeometry, seed: int, exponent: int) -> None:
    generator = np.random.default_rng(seed)
    gradient, weights = gradient_of(g, generator), weights_of(g, generator, depthwise=True)
    dx, shared = twin.depthwise_conv2d_grad_input(gradient, exponent, weights, g)
    exact = real.depthwise_grad_input(gradient.astype(np.float64), weights.astype(np.float64), g)
    check_shared(dx, shared, exact, exponent)
    x, zero = generator.integers(-128, 128, dx.shape, dtype=np.int8), int(generator.integers(-128, 128))
    dw = twin.depthwise_conv2d_grad_weight(gradient, exponent, x, zero, g)
    exact = real.depthwise_grad_weight(gradient.astype(np.float64), x.astype(np.float64) - zero, g)
    assert np.array_equal(dw, exact.astype(np.float32) * power_of_two(exponent))


@given(st.lists(st.integers(-(2**14), 2**14), min_size=1, max_size=30), st.integers(-90, 40))
def test_bias_gradient(values: list[int], exponent: int) -> None:
    gradient = np.array(values, np.int16).reshape(1, -1, 1)
    assert twin.bias_gradient(gradient, exponent) == np.float32(sum(values)) * power_of_two(exponent)


INT16 = st.integers(-(2**15), 2**15 - 1)


@given(st.lists(st.tuples(INT16, INT16), min_size=1, max_size=6), st.integers(-60, 60), st.integers(-60, 60))
def test_accumulate(pairs: list[tuple[int, int]], exponent_a: int, exponent_b: int) -> None:
    a, b = (np.array(values, np.int16) for values in zip(*pairs, strict=True))
    y, exponent = twin.accumulate(a, exponent_a, b, exponent_b)
    swapped, same = twin.accumulate(b, exponent_b, a, exponent_a)
    assert (y.tolist(), exponent) == (swapped.tolist(), same)
    low = min(exponent_a, exponent_b)
    exact = [
        int(p) * 2 ** (exponent_a - low) + int(q) * 2 ** (exponent_b - low) for p, q in zip(a, b, strict=True)
    ]
    if not any(exact):
        assert (exponent, y.any()) == (ZERO_EXPONENT, False)
        return
    # A unit of the result; and below the 14 bits of alignment, one of the operand with the lower exponent.
    error = 2.0**exponent + 2.0 ** max(low, max(exponent_a, exponent_b) - 14)
    for found, expected in zip(y.tolist(), exact, strict=True):
        assert abs(found * 2.0**exponent - expected * 2.0**low) < error


@given(st.lists(st.tuples(INT16, st.booleans(), st.integers(0, 2**31 - 1)), min_size=1, max_size=6))
def test_masked_scale(cases: list[tuple[int, bool, int]]) -> None:
    gradient, mask, multiplier = (np.array(part).reshape(1, 1, -1) for part in zip(*cases, strict=True))
    found = twin.masked_scale(gradient.astype(np.int16), mask, multiplier.reshape(-1).astype(np.int32))
    expected = [(g * m + 2**31) >> 32 if kept else 0 for g, kept, m in cases]
    assert found.reshape(-1).tolist() == expected
    assert found.dtype == np.int16
    for g, kept, m in cases:
        one = twin.add_grad(np.array([g], np.int16), np.array([kept]), m)
        assert one.tolist() == [(g * m + 2**31) >> 32 if kept else 0]


@given(
    st.lists(st.floats(-(2.0**70), 2.0**70, width=32), min_size=1, max_size=5), st.floats(0.0, 1.0, width=32)
)
def test_global_average_pool_grad(gradient: list[float], factor: float) -> None:
    values = np.array(gradient, np.float32)
    dx, exponent = twin.global_average_pool_grad(values, 2, 3, np.float32(factor))
    assert dx.shape == (2, 3, len(gradient))
    assert (dx == dx[0, 0]).all()
    exact = np.clip((values * np.float32(factor)).astype(np.float64), -(2.0**60), 2.0**60)
    if np.abs(exact).max() < 2.0**-96:
        assert (exponent, dx.any()) == (ZERO_EXPONENT, False)
    else:
        unit = 2.0**exponent
        assert (np.abs(dx[0, 0] * unit - exact) < unit * (1 + 2.0**-13)).all()
