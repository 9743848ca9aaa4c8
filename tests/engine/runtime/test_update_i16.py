"""tb_conv2d_update_i16.c and tb_bias_update_i16.c against their naive twins, bit for bit."""

import numpy as np
import pytest
from convolution_bindings_i16 import bias_update, conv2d_update
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import geometries, int8s, same_bits
from kernel_data import Step, Update, split_weights
from test_conv2d_i16 import KINDS, LARGEST, SEEDS, int16s, pointwise

from engine.operators import integer_gradients, reference
from engine.operators.reference import ConvGeometry, Rounding

IMAGES = 3  # per update, where gradients are accumulated
ROUNDINGS = st.sampled_from(list(Rounding))


@st.composite
def steps(draw: st.DrawFn) -> Step:
    learning_rate = draw(st.sampled_from([0.0, 1e-30, 1e-3, 0.1, 10.0]))
    if not draw(st.booleans()):
        return Step(learning_rate, draw(SEEDS))
    return Step(learning_rate, draw(SEEDS), draw(st.booleans()), True, float(np.float32(1 / IMAGES)))


def update_for(
    rng: np.random.Generator,
    gradient: np.ndarray,
    channels: int,
    step: Step,
    rounding: Rounding,
    stored: bool,
) -> Update:
    """An update that moves values by a hundredth up to 300, some channels frozen, some by far too much."""
    typical = float(np.sqrt(np.mean(gradient.astype(np.float64) ** 2))) if gradient.size else 0.0
    scale = 10.0 ** rng.uniform(-2, 2.5, channels) / (step.learning_rate * typical or 1.0)
    scale = np.clip(scale, 0, 1e37)
    scale[rng.random(channels) < 0.2] = 0
    scale[rng.random(channels) < 0.1] = 1e-42
    scale[rng.random(channels) < 0.1] = 1e20
    low = None
    if stored and rounding is Rounding.EXTENDED:
        low = rng.integers(0, 256, gradient.shape).astype(np.uint8)
    accumulator = None
    if step.accumulate:
        accumulator = (rng.normal(size=gradient.shape) * typical).astype(np.float32)
    return Update(scale.astype(np.float32), int(rng.integers(0, 99)), rounding, low, accumulator)


def expected_gradient(raw: np.ndarray, update: Update, step: Step) -> tuple[np.ndarray, np.ndarray | None]:
    """The gradient that is applied, and the accumulator afterwards."""
    if update.accumulator is None:
        return raw, None
    total = reference.accumulate(update.accumulator, raw)
    return reference.mean_gradient(total, IMAGES), np.zeros_like(total) if step.apply else total


def check(
    kernels: Kernels,
    g: ConvGeometry,
    kind: str,
    seed: int,
    share: float,
    rounding: Rounding,
    step: Step,
    exponent: int,
) -> None:
    rng = np.random.default_rng(seed)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width, g.in_channels), kind == "extreme")
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), kind == "extreme")
    gradient = int16s(rng, (g.out_height, g.out_width, g.out_channels), kind)
    channels = sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist())
    stored, in_zero = split_weights(weights, channels), int(rng.choice([-128, -1, 0, 3, 127]))
    assert stored.trainable is not None
    raw = np.zeros(stored.trainable.shape, np.float32)
    if channels:
        raw = integer_gradients.conv2d_grad_weight(gradient, exponent, x[:, :, channels], in_zero, g)
    update = update_for(rng, raw, g.out_channels, step, rounding, True)
    after, changed = conv2d_update(kernels, gradient, exponent, x, stored, g, in_zero, update, step)
    with np.errstate(over="ignore"):
        applied, accumulator = expected_gradient(raw, update, step)
        expected, low = stored.trainable, update.low
        if step.apply:
            keys = (step.step_key, update.stream)
            expected, low = reference.apply_int8(
                stored.trainable, applied, update.scale, step.learning_rate, rounding, *keys, update.low
            )
    same_bits(after, expected)
    if low is not None:
        same_bits(changed.low, low)
    if accumulator is not None:
        same_bits(changed.accumulator, accumulator)


@settings(max_examples=300, deadline=None)
@given(
    g=geometries(False),
    kind=KINDS,
    seed=SEEDS,
    share=st.sampled_from([0.0, 0.2, 0.6, 1.0]),
    rounding=ROUNDINGS,
    step=steps(),
    exponent=st.integers(-140, 70) | st.integers(-30, -10),
)
def test_weights(
    kernels: Kernels,
    g: ConvGeometry,
    kind: str,
    seed: int,
    share: float,
    rounding: Rounding,
    step: Step,
    exponent: int,
) -> None:
    check(kernels, g, kind, seed, share, rounding, step, exponent)


@pytest.mark.parametrize("rounding", list(Rounding))
@pytest.mark.parametrize("kind", ["ordinary", "extreme"])
@pytest.mark.parametrize(
    "g",
    [
        pointwise(16, 16, 40, 9),
        pointwise(8, 8, 150, 5),
        pointwise(17, 17, 21, 35),
        pointwise(33, 16, 6, 4),
        ConvGeometry(40, 41, 3, 20, 21, 16, 3, 3, 2, 1),
        ConvGeometry(23, 23, 2, 23, 23, 3, 3, 3, 1, 1),
    ],
    ids=lambda g: (
        f"{g.kernel_height}x{g.kernel_width}-{g.out_height}x{g.out_width}-{g.in_channels}-{g.out_channels}"
    ),
)
def test_many_pixels_and_channels(kernels: Kernels, g: ConvGeometry, kind: str, rounding: Rounding) -> None:
    """More than one block of channels, and more than one chunk of pixels."""
    for seed, share in enumerate((0.5, 1.0)):
        check(kernels, g, kind, seed, share, rounding, Step(0.01, 99), -20)


def test_the_largest_sum_of_a_chunk(kernels: Kernels) -> None:
    """256 pixels fill an int32; of 65536 the sum takes 64 bits."""
    for side in (16, 256):
        g = pointwise(side, side, 1, 2)
        x, gradient = np.full((side, side, 1), -128, np.int8), np.full((side, side, 2), -(2**14), np.int16)
        gradient[0, 0] = 1
        stored, exponent = split_weights(np.zeros((2, 1, 1, 1), np.int8), [0]), -25
        raw = integer_gradients.conv2d_grad_weight(gradient, exponent, x, 127, g)
        update, step = Update((100.5 / np.abs(raw[:, 0, 0, 0])).astype(np.float32)), Step(1.0)
        after, _ = conv2d_update(kernels, gradient, exponent, x, stored, g, 127, update, step)
        same_bits(
            after, reference.apply_int8(stored.trainable, raw, update.scale, 1.0, update.rounding, 0, 0)[0]
        )
        assert abs(int(after[0, 0, 0, 0])) in (100, 101)


@settings(max_examples=150, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3, 7, 8, 9, 16, 21])),
    kind=KINDS,
    seed=SEEDS,
    rounding=ROUNDINGS,
    step=steps(),
    exponent=st.integers(-140, 70) | st.integers(-30, -10),
    shift=st.integers(0, 4),
)
def test_biases(
    kernels: Kernels,
    shape: tuple[int, int, int],
    kind: str,
    seed: int,
    rounding: Rounding,
    step: Step,
    exponent: int,
    shift: int,
) -> None:
    rng = np.random.default_rng(seed)
    # A scaled gradient is below 2^14: (32767 · (2^31 − 1) + 2^31) >> 32 = 16383.
    gradient = np.minimum(int16s(rng, shape, kind), LARGEST - 1)
    limit = reference.bias_limit(shift)
    bias = rng.choice(np.array([-limit, limit, 0, 5, -1000, limit // 2]), shape[2]).astype(np.int32)
    raw = integer_gradients.bias_gradient(gradient, exponent)
    update = update_for(rng, raw, shape[2], step, rounding, False)
    actual, after = bias_update(kernels, gradient, exponent, bias, update, step, limit)
    with np.errstate(over="ignore"):
        applied, accumulator = expected_gradient(raw, update, step)
        expected = bias
        if step.apply:
            keys = (step.step_key, update.stream)
            expected = reference.apply_bias(
                bias, applied, update.scale, step.learning_rate, rounding, *keys, limit
            )
    same_bits(actual, expected)
    if accumulator is not None:
        same_bits(after.accumulator, accumulator)
