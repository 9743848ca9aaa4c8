"""The NumPy twins against scalar loops that follow docs/numerics.md word for word, order of summation too."""

import numpy as np
import pytest

from engine.operators import reference
from engine.operators.reference import ConvGeometry

GEOMETRIES = [
    ConvGeometry(4, 3, 3, 4, 3, 5, 1, 1, 1, 0),
    ConvGeometry(5, 4, 2, 5, 4, 3, 3, 3, 1, 1),
    ConvGeometry(6, 5, 3, 3, 3, 2, 3, 3, 2, 1),
    ConvGeometry(4, 7, 2, 2, 4, 2, 5, 3, 2, 1),
    ConvGeometry(3, 3, 2, 3, 3, 2, 7, 7, 1, 3),
]


def taps(g: ConvGeometry, oy: int, ox: int) -> list[tuple[int, int, int, int]]:
    """(ky, kx, iy, ix) of the taps inside the image, row-major."""
    found = []
    for ky in range(g.kernel_height):
        for kx in range(g.kernel_width):
            iy, ix = oy * g.stride + ky - g.padding, ox * g.stride + kx - g.padding
            if 0 <= iy < g.in_height and 0 <= ix < g.in_width:
                found.append((ky, kx, iy, ix))
    return found


def pixels(g: ConvGeometry) -> list[tuple[int, int]]:
    return [(oy, ox) for oy in range(g.out_height) for ox in range(g.out_width)]


def tensors(g: ConvGeometry, depthwise: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    shape = (g.out_channels, g.kernel_height, g.kernel_width, 1 if depthwise else g.in_channels)
    x = rng.integers(-128, 128, (g.in_height, g.in_width, g.in_channels)).astype(np.int8)
    w = rng.integers(-128, 128, shape).astype(np.int8)
    gradient = rng.normal(size=(g.out_height, g.out_width, g.out_channels)).astype(np.float32)
    return x, w, gradient


def depthwise_of(g: ConvGeometry) -> ConvGeometry:
    return ConvGeometry(**{**g.__dict__, "out_channels": g.in_channels})


@pytest.fixture(params=[False, True], ids=["conv2d", "depthwise"])
def depthwise(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_forward(geometry: ConvGeometry, depthwise: bool) -> None:
    g = depthwise_of(geometry) if depthwise else geometry
    x, w, _ = tensors(g, depthwise)
    zx, zy, bias = -9, 5, np.arange(-2, g.out_channels - 2, dtype=np.int32) * 1000
    multiplier, shift = reference.multiplier_and_shift(np.linspace(0.001, 0.6, g.out_channels))
    function = reference.depthwise_conv2d if depthwise else reference.conv2d
    y, mask = function(x, w[:, :, :, 0] if depthwise else w, bias, g, zx, multiplier, shift, zy)
    for oy, ox in pixels(g):
        for oc in range(g.out_channels):
            acc = int(bias[oc])
            for ky, kx, iy, ix in taps(g, oy, ox):
                for ic in [oc] if depthwise else range(g.in_channels):
                    acc += int(w[oc, ky, kx, 0 if depthwise else ic]) * (int(x[iy, ix, ic]) - zx)
            t = ((acc * 2**shift) * int(multiplier[oc]) + zy * 2**32 + 2**31) >> 32
            assert y[oy, ox, oc] == max(-128, min(127, t))
            assert mask[oy, ox, oc] == (-128 <= t <= 127)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_grad_input(geometry: ConvGeometry, depthwise: bool) -> None:
    g = depthwise_of(geometry) if depthwise else geometry
    _, w, gradient = tensors(g, depthwise)
    function = reference.depthwise_conv2d_grad_input if depthwise else reference.conv2d_grad_input
    expected = np.zeros((g.in_height, g.in_width, g.in_channels), np.float32)
    for iy, ix, ic in np.ndindex(*expected.shape):
        for oc in [ic] if depthwise else range(g.out_channels):
            for ky in range(g.kernel_height):
                for kx in range(g.kernel_width):
                    for oy, ox in pixels(g):
                        if oy * g.stride + ky - g.padding == iy and ox * g.stride + kx - g.padding == ix:
                            weight = np.float32(w[oc, ky, kx, 0 if depthwise else ic])
                            expected[iy, ix, ic] += gradient[oy, ox, oc] * weight
    actual = function(gradient, w[:, :, :, 0] if depthwise else w, g)
    assert actual.dtype == np.float32 and actual.tobytes() == expected.tobytes()


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_grad_weight(geometry: ConvGeometry, depthwise: bool) -> None:
    g = depthwise_of(geometry) if depthwise else geometry
    x, w, gradient = tensors(g, depthwise)
    zx, expected = 3, np.zeros(w.shape, np.float32)
    for oy, ox in pixels(g):
        for ky, kx, iy, ix in taps(g, oy, ox):
            for oc in range(g.out_channels):
                for j in range(w.shape[3]):
                    value = np.float32(int(x[iy, ix, oc if depthwise else j]) - zx)
                    expected[oc, ky, kx, j] += gradient[oy, ox, oc] * value
    function = reference.depthwise_conv2d_grad_weight if depthwise else reference.conv2d_grad_weight
    actual = function(gradient, x, zx, g)
    assert actual.dtype == np.float32 and actual.tobytes() == expected.tobytes()


def test_sums_of_floats_run_in_order() -> None:
    """2^24 + 1 − 2^24 is 0 from the left and 1 from the right."""
    terms = np.array([2.0**24, 1, -(2.0**24)], np.float32)
    assert reference.bias_gradient(terms.reshape(3, 1, 1))[0] == 0
    assert reference.bias_gradient(terms[[0, 2, 1]].reshape(3, 1, 1))[0] == 1
    ones = np.ones((1, 3), np.float32)
    assert reference.fully_connected(terms, ones, np.zeros(1, np.float32))[0] == 0
    assert reference.fully_connected_grad_input(terms, ones.T)[0] == 0


def test_the_generator_is_the_documented_one() -> None:
    def mix(x: int) -> int:
        x ^= x >> 16
        x = x * 0x7FEB352D & 0xFFFFFFFF
        x ^= x >> 15
        x = x * 0x846CA68B & 0xFFFFFFFF
        return x ^ x >> 16

    for x in (0, 1, 2**31, 2**32 - 1, 123456789):
        assert int(reference.mix(x)) == mix(x)
    key = reference.step_key(7, 2**32 - 1)
    assert key == mix((7 + 0x9E3779B9 * (2**32 - 1)) % 2**32)
    stream_key = mix(key ^ (5 * 0x85EBCA6B) % 2**32)
    draws = reference.uniform(key, 5, 100)
    assert draws.tolist() == [(mix((stream_key + i) % 2**32) >> 8) * 2.0**-24 for i in range(100)]
    many = reference.uniform(key, 6, 100_000)
    assert many.min() >= 0 and many.max() < 1
    assert abs(many.mean() - 0.5) < 0.005 and abs(many.var() - 1 / 12) < 0.001
