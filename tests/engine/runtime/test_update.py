"""tb_update.c against its NumPy twins, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import Layer, float32s, layers, same_bits
from kernel_data import Step, Update, split_weights

from engine.operators import reference
from engine.operators.reference import ConvGeometry, Rounding

ROUNDINGS = st.sampled_from(list(Rounding))
KEYS = st.integers(0, 2**32 - 1)
IMAGES = 3  # per update, where gradients are accumulated


def weight_gradient(layer: Layer, channels: list[int]) -> np.ndarray:
    x, zero = layer.x[:, :, channels], layer.quantization.in_zero
    if layer.depthwise:
        gradient = layer.gradient[:, :, channels]
        return reference.depthwise_conv2d_grad_weight(gradient, x, zero, layer.geometry)
    return reference.conv2d_grad_weight(layer.gradient, x, zero, layer.geometry)


@st.composite
def updates(
    draw: st.DrawFn, gradient: np.ndarray, channels: int, step: Step, largest: float, stored: bool
) -> Update:
    """An update that moves values by a hundredth up to `largest`: rounding, steps and clamps all occur.

    scale [channels], with frozen ones among them; low bytes (where `stored`: int8 weights) and accumulator of
    the gradient's shape.
    """
    rng = np.random.default_rng(draw(KEYS))
    typical = np.sqrt(np.mean(gradient.astype(np.float64) ** 2)) if gradient.size else 0.0
    scale = 10.0 ** rng.uniform(-2, np.log10(largest), channels) / (step.learning_rate * typical or 1.0)
    scale[rng.random(channels) < 0.2] = 0
    rounding = draw(ROUNDINGS)
    low = None
    if stored and rounding is Rounding.EXTENDED:
        low = rng.integers(0, 256, gradient.shape).astype(np.uint8)
    accumulator = None
    if step.accumulate:
        accumulator = (rng.normal(size=gradient.shape) * typical).astype(np.float32)
    return Update(scale.astype(np.float32), draw(KEYS), rounding, low, accumulator)


@st.composite
def steps(draw: st.DrawFn, accumulate: bool) -> Step:
    learning_rate = draw(st.sampled_from([0.0, 1e-6, 1e-3, 0.1, 10.0]))
    apply = draw(st.booleans()) if accumulate else True
    mean = float(np.float32(1 / IMAGES)) if accumulate else 1.0
    return Step(learning_rate, draw(KEYS), apply, accumulate, mean)


def expected_gradient(
    gradient: np.ndarray, update: Update, step: Step
) -> tuple[np.ndarray, np.ndarray | None]:
    """The gradient that is applied, and the accumulator afterwards."""
    if update.accumulator is None:
        return gradient, None
    total = reference.accumulate(update.accumulator, gradient)
    return reference.mean_gradient(total, IMAGES), np.zeros_like(total) if step.apply else total


@settings(max_examples=200, deadline=None)
@given(layer=st.booleans().flatmap(layers), accumulate=st.booleans(), data=st.data())
def test_weights(kernels: Kernels, layer: Layer, accumulate: bool, data: st.DataObject) -> None:
    channels = list(layer.trainable if layer.trainable is not None else range(layer.geometry.in_channels))
    stored = split_weights(layer.weights, channels)
    before, raw = stored.trainable, weight_gradient(layer, channels)
    assert before is not None and before.shape == raw.shape
    step = data.draw(steps(accumulate))
    update = data.draw(updates(raw, layer.geometry.out_channels, step, 300.0, True))
    in_zero = layer.quantization.in_zero
    weights, after = kernels.update(
        layer.gradient, layer.x, stored, layer.geometry, in_zero, update, step, depthwise=layer.depthwise
    )
    gradient, accumulator = expected_gradient(raw, update, step)
    scale = update.scale[channels] if layer.depthwise else update.scale
    expected, low = before, update.low
    if step.apply:
        expected, low = reference.apply_int8(
            before, gradient, scale, step.learning_rate, update.rounding, step.step_key, update.stream, low
        )
    same_bits(weights, expected)
    if low is not None:
        same_bits(after.low, low)
    if accumulator is not None:
        same_bits(after.accumulator, accumulator)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 6), st.integers(1, 6), st.sampled_from([1, 3, 4, 8, 17])),
    seed=KEYS,
    extreme=st.booleans(),
    accumulate=st.booleans(),
    shift=st.integers(0, 4),
    data=st.data(),
)
def test_biases(
    kernels: Kernels,
    shape: tuple[int, int, int],
    seed: int,
    extreme: bool,
    accumulate: bool,
    shift: int,
    data: st.DataObject,
) -> None:
    rng = np.random.default_rng(seed)
    gradient, limit = float32s(rng, shape, extreme), reference.bias_limit(shift)
    choices = np.array([-limit, limit, 0, 5, -1000, limit // 2])
    bias = rng.choice(choices, shape[2]).astype(np.int32)
    raw, step = reference.bias_gradient(gradient), data.draw(steps(accumulate))
    update = data.draw(updates(raw, shape[2], step, 2.0**31, False))
    actual, after = kernels.bias_update(gradient, bias, update, step, limit)
    applied, accumulator = expected_gradient(raw, update, step)
    expected = bias
    if step.apply:
        keys = (step.step_key, update.stream)
        expected = reference.apply_bias(
            bias, applied, update.scale, step.learning_rate, update.rounding, *keys, limit
        )
    same_bits(actual, expected)
    assert (np.abs(actual.astype(np.int64)) <= limit).all()
    if accumulator is not None:
        same_bits(after.accumulator, accumulator)


@settings(max_examples=60, deadline=None)
@given(
    seed=KEYS, classes=st.integers(1, 11), features=st.sampled_from([1, 2, 15, 16, 17, 160]), data=st.data()
)
def test_classifier(kernels: Kernels, seed: int, classes: int, features: int, data: st.DataObject) -> None:
    rng = np.random.default_rng(seed)
    accumulate = data.draw(st.booleans())
    step = data.draw(steps(accumulate))
    shapes = ((classes, features), (classes,), (classes,), (features,), (classes, features), (classes,))
    weights, bias, dz, x, weight_sum, bias_sum = (rng.normal(size=s).astype(np.float32) for s in shapes)
    accumulators = (weight_sum, bias_sum) if accumulate else None
    new_weights, new_bias, after = kernels.fully_connected_update(dz, x, weights, bias, accumulators, step)
    if not accumulate:
        expected = reference.fully_connected_update(weights, bias, dz, x, step.learning_rate)
    else:
        totals = weight_sum + reference.fully_connected_grad_weight(dz, x), bias_sum + dz
        means = (reference.mean_gradient(t, IMAGES) for t in totals)
        expected = weights, bias
        if step.apply:
            expected = reference.fully_connected_update_accumulated(weights, bias, *means, step.learning_rate)
        assert after is not None
        for actual, total in zip(after, totals, strict=True):
            same_bits(actual, np.zeros_like(total) if step.apply else total)
    same_bits(new_weights, expected[0])
    same_bits(new_bias, expected[1])


def test_a_diverging_classifier_stays_finite(kernels: Kernels) -> None:
    limit = np.float32(2.0**60)
    weights = np.array([[limit, -limit, 0.0]], np.float32)
    features = np.array([-3e38, 3e38, 1.0], np.float32)
    step = Step(2.0**30, 0, True, False, 1.0)
    dz = np.ones(1, np.float32)
    bias = -weights[0, :1]
    new_weights, new_bias, _ = kernels.fully_connected_update(dz, features, weights, bias, None, step)
    same_bits(new_weights, np.array([[limit, -limit, -(2.0**30)]], np.float32))
    same_bits(new_bias, np.array([-limit], np.float32))
    with np.errstate(over="ignore"):
        expected, _ = reference.fully_connected_update(weights, bias, dz, features, 2.0**30)
    same_bits(new_weights, expected)


def test_a_channel_with_scale_zero_stays(kernels: Kernels) -> None:
    rng = np.random.default_rng(3)
    g = ConvGeometry(4, 4, 8, 4, 4, 6, 1, 1, 1, 0)
    stored = split_weights(rng.integers(-127, 128, (6, 1, 1, 8)).astype(np.int8), range(8))
    gradient = np.full((4, 4, 6), 2.0**60, np.float32)
    x = np.full((4, 4, 8), 127, np.int8)
    scale = np.array([0, 1, 0, 1, 0, 1], np.float32)
    for rounding in Rounding:
        low = np.full((6, 1, 1, 8), 128, np.uint8) if rounding is Rounding.EXTENDED else None
        update = Update(scale, 1, rounding, low)
        weights, _ = kernels.update(gradient, x, stored, g, -128, update, Step(1.0), depthwise=False)
        same_bits(weights[::2], stored.trainable[::2])
        assert (weights[1::2] == -128).all()


def test_stochastic_rounding_uses_every_bit_of_its_draws(kernels: Kernels) -> None:
    rng = np.random.default_rng(4)
    g = ConvGeometry(1, 1, 256, 1, 1, 256, 1, 1, 1, 0)
    weights = rng.integers(-100, 100, (256, 1, 1, 256)).astype(np.int8)
    x, gradient = (
        rng.integers(-128, 128, (1, 1, 256)).astype(np.int8),
        rng.normal(size=(1, 1, 256)).astype(np.float32),
    )
    update, step = Update(np.ones(256, np.float32), 7, Rounding.STOCHASTIC), Step(0.01, 2**31)
    after, _ = kernels.update(
        gradient, x, split_weights(weights, range(256)), g, 0, update, step, depthwise=False
    )
    dw = reference.conv2d_grad_weight(gradient, x, 0, g)
    same_bits(after, reference.apply_int8(weights, dw, update.scale, 0.01, Rounding.STOCHASTIC, 2**31, 7)[0])
    drift = (after.astype(float) - weights + 0.01 * dw).mean()
    assert abs(drift) < 0.01, "stochastic rounding is unbiased"


@pytest.mark.parametrize("rounding", list(Rounding))
def test_the_largest_bias_step_saturates(kernels: Kernels, rounding: Rounding) -> None:
    bias = np.array([2**30, -(2**30), 2**30, -(2**30)], np.int32)
    gradient = np.array([[[-(2.0**60), 2.0**60, 2.0**60, -(2.0**60)]]], np.float32)
    update = Update(np.ones(4, np.float32), 0, rounding)
    after, _ = kernels.bias_update(gradient, bias, update, Step(1.0), 2**30)
    assert after.tolist() == [2**30, -(2**30), 0, 0]


@pytest.mark.parametrize("rounding", list(Rounding))
def test_sub_integer_steps(kernels: Kernels, rounding: Rounding) -> None:
    """A step of a tenth, 1000 times: lost by nearest, kept by the other two up to saturation."""
    g = ConvGeometry(1, 1, 1, 1, 1, 1, 1, 1, 1, 0)
    stored = split_weights(np.zeros((1, 1, 1, 1), np.int8), [0])
    low = np.full((1, 1, 1, 1), 128, np.uint8) if rounding is Rounding.EXTENDED else None
    update = Update(np.ones(1, np.float32), 5, rounding, low)
    x, gradient = np.ones((1, 1, 1), np.int8), np.full((1, 1, 1), -0.1, np.float32)
    for t in range(1000):
        step = Step(1.0, reference.step_key(42, t))
        weights, after = kernels.update(gradient, x, stored, g, 0, update, step, depthwise=False)
        update, stored = replace(update, low=after.low), replace(stored, trainable=weights)
    moved = int(stored.trainable[0, 0, 0, 0])
    expected = {Rounding.NEAREST: (0, 0), Rounding.STOCHASTIC: (70, 127), Rounding.EXTENDED: (100, 105)}[
        rounding
    ]
    assert expected[0] <= moved <= expected[1]


@given(x=KEYS)
@settings(max_examples=50, deadline=None)
def test_mix(kernels: Kernels, x: int) -> None:
    assert kernels.mix(x) == int(reference.mix(x))
