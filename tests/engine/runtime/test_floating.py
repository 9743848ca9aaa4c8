"""The kernels of float32 networks against their NumPy twin, bit for bit; vectors of four and eight lanes."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import floating_bindings as c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels, build_library
from kernel_cases import CHANNELS, KERNELS, same_bits
from kernel_data import Step

from engine.operators import reference as quantized
from engine.operators.floating import reference
from engine.operators.reference import ConvGeometry

BUILDS = {
    "gcc -O3": ["gcc", "-O3"],
    "clang -O3 -march=native": ["clang", "-O3", "-march=native"],
}
OTHER_BUILDS = [
    ["gcc", "-O0"],
    ["gcc", "-O2"],
    ["gcc", "-O3", "-march=native"],
    ["clang", "-O0"],
    ["clang", "-O2"],
    ["gcc", "-O1", "-fsanitize=undefined,float-cast-overflow", "-fno-sanitize-recover=all"],
    ["clang", "-O1", "-mavx"],
]
CLAMPS = [(0.0, 6.0), (0.0, 2.0**40), (-(2.0**40), 2.0**40), (-1.0, 0.5)]


def library(command: list[str], folder: Path) -> Kernels:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    build_library(command, folder / "kernels.so")
    return Kernels(folder / "kernels.so")


@pytest.fixture(scope="module", params=BUILDS)
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernels:
    return library(BUILDS[request.param], tmp_path_factory.mktemp("kernels"))


def floats(rng: np.random.Generator, shape: tuple[int, ...], limit: float | None = None) -> np.ndarray:
    """Of many magnitudes, zeros of both signs among them; with a limit: as large as they can become."""
    values = rng.normal(size=shape) * 10.0 ** rng.uniform(-3, 2, size=shape)
    if limit is not None:
        values = rng.choice([limit, -limit, limit / 3, 0.0, -0.0], shape)
    return np.where(rng.random(shape) < 0.1, 0.0, values).astype(np.float32)


@dataclass(frozen=True)
class Layer:
    geometry: ConvGeometry
    depthwise: bool
    x: np.ndarray
    weights: np.ndarray
    trainable: list[int] | None
    bias: np.ndarray
    gradient: np.ndarray

    @property
    def stored(self) -> c.FloatWeights:
        return c.split_float_weights(self.weights, self.trainable)


def make_layer(
    g: ConvGeometry, seed: int, share: float | None, *, depthwise: bool, extreme: bool = False
) -> Layer:
    rng = np.random.default_rng(seed)
    kernel = (g.kernel_height, g.kernel_width, g.in_channels)
    trainable = None
    if share is not None:
        count = max(1, round(share * g.in_channels))
        trainable = sorted(rng.permutation(g.in_channels)[:count].tolist())
    bias = floats(rng, (g.out_channels,), 2.0**60 if extreme else None)
    return Layer(
        g,
        depthwise,
        floats(rng, (g.in_height, g.in_width, g.in_channels), 2.0**40 if extreme else None),
        floats(rng, kernel if depthwise else (*kernel, g.out_channels), 2.0**60 if extreme else None),
        trainable,
        np.where(bias == 0, np.float32(0), bias),  # never −0: docs/numerics.md
        floats(rng, (g.out_height, g.out_width, g.out_channels), 2.0**40 if extreme else None),
    )


@st.composite
def layers(draw: st.DrawFn, *, depthwise: bool) -> Layer:
    kernel, stride, padding = (1, 1), 1, 0
    if draw(st.booleans()):
        kernel, stride = (draw(KERNELS), draw(KERNELS)), draw(st.sampled_from([1, 2, 3]))
        padding = draw(st.integers(0, min(max(kernel) // 2, min(kernel) - 1)))
    height, width = (draw(st.integers(max(1, k - 2 * padding), max(1, k - 2 * padding) + 9)) for k in kernel)
    inputs = draw(CHANNELS)
    out = ((size + 2 * padding - k) // stride + 1 for size, k in zip((height, width), kernel, strict=True))
    outputs = inputs if depthwise else draw(CHANNELS)
    g = ConvGeometry(height, width, inputs, *out, outputs, *kernel, stride, padding)
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([None, 0.2, 0.6, 1.0]))
    return make_layer(g, seed, share, depthwise=depthwise, extreme=draw(st.integers(0, 4)) == 0)


def assert_forward(kernels: Kernels, layer: Layer, clamp: tuple[float, float], *, masked: bool) -> None:
    g, depthwise = layer.geometry, layer.depthwise
    function = reference.depthwise_conv2d if depthwise else reference.conv2d
    expected, mask = reference.clamp(function(layer.x, layer.weights, layer.bias, g), *clamp)
    for in_place in {False, depthwise and g.stride == 1 and layer.x.shape == expected.shape}:
        options = {"depthwise": depthwise, "masked": masked, "in_place": in_place}
        y, bits = c.convolution(kernels, layer.x, layer.stored, layer.bias, g, clamp, **options)
        same_bits(y, expected)
        assert np.isfinite(y).all()
        assert (bits is None) == (not masked)
        if bits is not None:
            same_bits(bits, mask)


def assert_gradients(kernels: Kernels, layer: Layer) -> None:
    g, depthwise, gradient = layer.geometry, layer.depthwise, layer.gradient
    function = reference.depthwise_conv2d_grad_input if depthwise else reference.conv2d_grad_input
    expected = function(gradient, layer.weights, g)
    for in_place in {False, depthwise and g.stride == 1 and gradient.shape == expected.shape}:
        dx = c.grad_input(kernels, gradient, layer.stored, g, depthwise=depthwise, in_place=in_place)
        same_bits(dx, expected)
        assert np.isfinite(dx).all()
    chosen = layer.trainable if layer.trainable is not None else list(range(g.in_channels))
    x = np.ascontiguousarray(layer.x[..., chosen])
    if depthwise:
        wanted = reference.depthwise_conv2d_grad_weight(gradient[..., chosen], x, g)
        channels = layer.stored.channels
        dw = c.depthwise_grad_weight(kernels, gradient, layer.x, channels, len(chosen), g)
    else:
        wanted = reference.conv2d_grad_weight(gradient, x, g)
        dw = c.conv2d_grad_weight(kernels, gradient, x, g)
    same_bits(dw, wanted)
    assert np.isfinite(dw).all()


@settings(max_examples=150, deadline=None)
@given(layer=layers(depthwise=False), clamp=st.sampled_from(CLAMPS), masked=st.booleans())
def test_conv2d(kernels: Kernels, layer: Layer, clamp: tuple[float, float], masked: bool) -> None:
    assert_forward(kernels, layer, clamp, masked=masked)
    assert_gradients(kernels, layer)


@settings(max_examples=150, deadline=None)
@given(layer=layers(depthwise=True), clamp=st.sampled_from(CLAMPS), masked=st.booleans())
def test_depthwise_conv2d(kernels: Kernels, layer: Layer, clamp: tuple[float, float], masked: bool) -> None:
    assert_forward(kernels, layer, clamp, masked=masked)
    assert_gradients(kernels, layer)


GEOMETRIES = [
    (False, ConvGeometry(6, 5, 20, 6, 5, 35, 1, 1, 1, 0)),
    (False, ConvGeometry(1, 1, 33, 1, 1, 7, 1, 1, 1, 0)),
    (False, ConvGeometry(9, 9, 3, 5, 5, 16, 3, 3, 2, 1)),
    (True, ConvGeometry(8, 7, 39, 8, 7, 39, 3, 3, 1, 1)),
    (True, ConvGeometry(9, 9, 21, 5, 5, 21, 7, 7, 2, 3)),
    (True, ConvGeometry(6, 6, 16, 6, 6, 16, 5, 5, 1, 2)),
]


@pytest.mark.parametrize("command", OTHER_BUILDS, ids=" ".join)
def test_every_build(command: list[str], tmp_path: Path) -> None:
    kernels = library(command, tmp_path)
    for number, (depthwise, g) in enumerate(GEOMETRIES):
        layer = make_layer(g, number, 0.5, depthwise=depthwise)
        assert_forward(kernels, layer, (0.0, 6.0), masked=True)
        assert_gradients(kernels, layer)
        assert_elementwise(kernels, layer.gradient, number)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 7), st.integers(1, 7), CHANNELS),
    seed=st.integers(0, 2**32 - 1),
    extreme=st.booleans(),
)
def test_elementwise(kernels: Kernels, shape: tuple[int, ...], seed: int, extreme: bool) -> None:
    rng = np.random.default_rng(seed)
    assert_elementwise(kernels, floats(rng, shape, 2.0**40 if extreme else None), seed)


def assert_elementwise(kernels: Kernels, values: np.ndarray, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height, width, channels = values.shape
    other, mask = rng.permutation(values.reshape(-1)).reshape(values.shape), rng.random(values.shape) < 0.5
    for where in ("separate", "a", "b"):
        same_bits(c.add(kernels, values, other, where), reference.add(values, other))
    for in_place in (False, True):
        same_bits(c.masked(kernels, values, mask, in_place=in_place), reference.masked(values, mask))
    factor = float(np.float32(1 / (height * width)))
    same_bits(c.average_pool(kernels, values, factor), reference.average_pool(values, factor))
    row = values[0, 0] * np.float32(3e9)
    spread = c.average_pool_grad(kernels, row, height, width, factor)
    same_bits(spread, reference.average_pool_grad(row, height, width, factor))
    same_bits(c.bias_grad(kernels, values), reference.channel_sums(values))
    chosen = rng.permutation(channels).astype(np.uint16)
    count = 1 + seed % channels
    same_bits(c.select_channels(kernels, values, chosen, count), values[..., chosen[:count]])


@pytest.mark.parametrize("rate", [0.0, 0.1, 2.0**30])
@pytest.mark.parametrize("factor", [1.0, 3.7, 1e12, 1e-12])
@pytest.mark.parametrize(("accumulate", "apply"), [(False, True), (True, False), (True, True)])
def test_update(kernels: Kernels, rate: float, factor: float, accumulate: bool, apply: bool) -> None:
    """Also of gradients so large that steps overflow: values stay finite."""
    rng = np.random.default_rng(3)
    values, gradient = floats(rng, (41,)), floats(rng, (41,))
    gradient[:4] = [2.0**110, -(2.0**110), 2.0**61, 0.0]
    total = floats(rng, (41,)) if accumulate else None
    step = Step(rate, 0, apply, accumulate, 0.25)
    after, kept = c.update(kernels, gradient, factor, values, total, step)
    with np.errstate(over="ignore"):
        scaled = np.float32(factor) * np.clip(gradient, -(2.0**60), 2.0**60).astype(np.float32)
        summed = scaled if total is None else total + scaled
        mean = summed * np.float32(0.25) if accumulate else summed
        d = -(np.float32(rate) * mean)
    same_bits(after, quantized.move_float(values, d) if apply else values)
    assert np.isfinite(after).all()
    if kept is not None:
        same_bits(kept, np.zeros_like(summed) if apply else summed)
