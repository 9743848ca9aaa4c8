"""Hypothesis strategies: random layers of awkward shapes, with ordinary and with extreme values."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from kernel_data import Quantization, Weights, split_weights

from engine.operators.reference import ConvGeometry, bias_limit, multiplier_and_shift

# Below, at and above the block sizes 4 and 16, and around multiples of them.
CHANNELS = st.sampled_from([1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 21, 33])
KERNELS = st.sampled_from([1, 3, 5, 7])
LARGEST_SUM = 2**28  # of weight · (x − zero), before the shift


@dataclass(frozen=True)
class Layer:
    """A convolution with everything its kernels take. weights in full; stored as `stored`."""

    geometry: ConvGeometry
    quantization: Quantization
    depthwise: bool
    x: np.ndarray
    weights: np.ndarray
    stored: Weights
    trainable: tuple[int, ...] | None
    bias: np.ndarray
    gradient: np.ndarray


def int8s(rng: np.random.Generator, shape: tuple[int, ...], extreme: bool) -> np.ndarray:
    """Random int8, or only the two ends of its range."""
    if extreme:
        return rng.choice(np.array([-128, 127], np.int8), shape)
    return rng.integers(-128, 128, shape).astype(np.int8)


def float32s(rng: np.random.Generator, shape: tuple[int, ...], extreme: bool) -> np.ndarray:
    """Random gradients of many magnitudes, zeros among them; extreme: as large as they can become, ±2^60."""
    values = rng.normal(size=shape) * 10.0 ** rng.uniform(-6, 3, size=shape)
    if extreme:
        values = rng.choice([2.0**60, -(2.0**60), 2.0**59, 0.0, -0.0], shape)
    return np.where(rng.random(shape) < 0.2, 0.0, values).astype(np.float32)


@st.composite
def geometries(draw: st.DrawFn, depthwise: bool) -> ConvGeometry:
    if draw(st.booleans()):
        kernel, stride, padding = (1, 1), 1, 0
    else:
        kernel, stride = (draw(KERNELS), draw(KERNELS)), draw(st.sampled_from([1, 2]))
        padding = draw(st.integers(0, max(kernel) // 2))
    height, width = (draw(st.integers(max(1, k - 2 * padding), max(1, k - 2 * padding) + 9)) for k in kernel)
    in_channels = draw(CHANNELS)
    return ConvGeometry(
        height,
        width,
        in_channels,
        (height + 2 * padding - kernel[0]) // stride + 1,
        (width + 2 * padding - kernel[1]) // stride + 1,
        in_channels if depthwise else draw(CHANNELS),
        *kernel,
        stride,
        padding,
    )


@st.composite
def scales(draw: st.DrawFn, count: int, fan_in: int) -> np.ndarray:
    """Requantization scales: ordinary, next to 0, next to 1/2 on both sides, and above 1 (shift > 0)."""
    ordinary = st.floats(1e-4, 0.1)
    awkward = st.sampled_from(
        [1e-9, 0.25, 0.5 - 2.0**-40, 0.5 - 2.0**-33, 0.5 - 2.0**-30, 0.5, 0.7, 1.0, 5.3]
    )
    chosen = np.array(draw(st.lists(ordinary | awkward, min_size=count, max_size=count)))
    while (
        multiplier_and_shift(chosen)[1] > 0
        and 255 * 128 * fan_in > LARGEST_SUM >> multiplier_and_shift(chosen)[1]
    ):
        chosen = chosen / 2
    return chosen


@st.composite
def layers(draw: st.DrawFn, depthwise: bool) -> Layer:
    g = draw(geometries(depthwise))
    taps = g.kernel_height * g.kernel_width
    fan_in = taps if depthwise else taps * g.in_channels
    multiplier, shift = multiplier_and_shift(draw(scales(g.out_channels, fan_in)))
    zeros = st.sampled_from([-128, -1, 0, 3, 127])
    quantization = Quantization(draw(zeros), draw(zeros), multiplier, shift)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    extreme, limit = draw(st.booleans()), bias_limit(shift)
    if draw(st.booleans()):
        bias = rng.integers(-1000, 1001, g.out_channels)
    else:
        bias = rng.choice(np.array([-limit, limit, 0, 1, -1]), g.out_channels)
    shape = (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels)
    weights = int8s(rng, shape[:3] if depthwise else shape, extreme)
    share, trainable = draw(st.sampled_from([None, 0.0, 0.2, 0.6, 0.9, 1.0])), None
    if share is not None:
        trainable = tuple(sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist()))
    return Layer(
        g,
        quantization,
        depthwise,
        int8s(rng, (g.in_height, g.in_width, g.in_channels), extreme),
        weights,
        split_weights(weights, trainable),
        trainable,
        bias.astype(np.int32),
        float32s(rng, (g.out_height, g.out_width, g.out_channels), draw(st.booleans())),
    )


def same_bits(actual: np.ndarray, expected: np.ndarray) -> None:
    """Equal shape, type and bytes: −0 is not +0."""
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    if actual.tobytes() != np.ascontiguousarray(expected).tobytes():
        where = np.argwhere(
            np.atleast_1d((actual != expected) | (np.signbit(actual) != np.signbit(expected)))
        )
        place = tuple(where[0]) if where.size else ()
        raise AssertionError(
            f"{len(where)} of {actual.size} differ, first at {place}: "
            f"{np.atleast_1d(actual)[place]!r}, expected {np.atleast_1d(expected)[place]!r}"
        )
