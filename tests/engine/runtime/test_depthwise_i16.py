"""Input and weight gradients of depthwise convolutions in int16, both paths, against their naive twins."""

import numpy as np
import pytest
from depthwise_bindings_i16 import depthwise_grad_input, depthwise_update
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import geometries, int8s, same_bits
from kernel_data import Step, Update, split_weights
from test_conv2d_i16 import KINDS, SEEDS, int16s
from test_depthwise import depthwise_geometry, square_geometries
from test_update_i16 import ROUNDINGS, expected_gradient, steps, update_for

from engine.operators import integer_gradients, reference
from engine.operators.reference import ConvGeometry, Rounding
from engine.operators.scratch import depthwise_grad_reads_ahead
from engine.operators.shared_exponent import ZERO_EXPONENT

SHARES = st.sampled_from([None, 0.0, 0.4, 1.0])


def check_grad_input(
    kernels: Kernels, g: ConvGeometry, kind: str, seed: int, share: float | None, extreme: bool = False
) -> None:
    rng = np.random.default_rng(seed)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width), extreme)
    gradient = int16s(rng, (g.out_height, g.out_width, g.out_channels), kind)
    trainable = None
    if share is not None:
        trainable = sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist())
    exponent = int(rng.integers(-60, 20))
    actual, raised = depthwise_grad_input(kernels, gradient, exponent, split_weights(weights, trainable), g)
    expected, wanted = integer_gradients.depthwise_conv2d_grad_input(gradient, exponent, weights, g)
    same_bits(actual, expected)
    assert raised == wanted
    if depthwise_grad_reads_ahead(g):
        stored = split_weights(weights, trainable)
        actual, raised = depthwise_grad_input(kernels, gradient, exponent, stored, g, in_place=True)
        same_bits(actual, expected)
        assert raised == wanted


@settings(max_examples=250, deadline=None)
@given(g=geometries(True) | square_geometries(), kind=KINDS, seed=SEEDS, share=SHARES, extreme=st.booleans())
def test_grad_input(
    kernels: Kernels, g: ConvGeometry, kind: str, seed: int, share: float | None, extreme: bool
) -> None:
    check_grad_input(kernels, g, kind, seed, share, extreme)


@settings(max_examples=150, deadline=None)
@given(
    kernel=st.sampled_from([3, 5, 7]),
    stride=st.sampled_from([1, 2]),
    size=st.tuples(st.integers(1, 27), st.integers(1, 19)),
    channels=st.sampled_from([1, 3, 4, 8, 9]),
    kind=KINDS,
    seed=SEEDS,
)
def test_grad_input_of_the_fast_shapes(
    kernels: Kernels, kernel: int, stride: int, size: tuple[int, int], channels: int, kind: str, seed: int
) -> None:
    """Padded by half; heights of more than one strip."""
    g = depthwise_geometry(*size, channels, kernel, stride, kernel // 2)
    check_grad_input(kernels, g, kind, seed, None)


def test_the_largest_sum(kernels: Kernels) -> None:
    """49 products, each as large as it can be."""
    g = depthwise_geometry(9, 9, 4, 7, 1, 3)
    weights, gradient = np.full((4, 7, 7), -128, np.int8), np.full((9, 9, 4), -(2**15), np.int16)
    actual, raised = depthwise_grad_input(kernels, gradient, 5, split_weights(weights, None), g)
    expected, wanted = integer_gradients.depthwise_conv2d_grad_input(gradient, 5, weights, g)
    same_bits(actual, expected)
    assert raised == wanted


@pytest.mark.parametrize("stride", [1, 2])
def test_zeros_have_the_lowest_exponent(kernels: Kernels, stride: int) -> None:
    g = depthwise_geometry(6, 5, 5, 3, stride, 1)
    weights = np.full((5, 3, 3), 7, np.int8)
    zeros = np.zeros((g.out_height, g.out_width, 5), np.int16)
    actual, raised = depthwise_grad_input(kernels, zeros, 3, split_weights(weights, None), g)
    assert raised == ZERO_EXPONENT
    assert not actual.any()


@settings(max_examples=250, deadline=None)
@given(
    g=geometries(True),
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
    rng = np.random.default_rng(seed)
    weights = int8s(rng, (g.out_channels, g.kernel_height, g.kernel_width), kind == "extreme")
    x = int8s(rng, (g.in_height, g.in_width, g.in_channels), kind == "extreme")
    gradient = int16s(rng, (g.out_height, g.out_width, g.out_channels), kind)
    channels = sorted(rng.permutation(g.in_channels)[: round(share * g.in_channels)].tolist())
    stored, in_zero = split_weights(weights, channels), int(rng.choice([-128, -1, 0, 3, 127]))
    assert stored.trainable is not None
    chosen = gradient[:, :, channels], exponent, x[:, :, channels]
    raw = integer_gradients.depthwise_conv2d_grad_weight(*chosen, in_zero, g)
    update = update_for(rng, raw, g.out_channels, step, rounding, True)
    after, changed = depthwise_update(kernels, gradient, exponent, x, stored, g, in_zero, update, step)
    with np.errstate(over="ignore"):
        applied, accumulator = expected_gradient(raw, update, step)
        expected, low = stored.trainable, update.low
        if step.apply:
            keys = (step.step_key, update.stream)
            scale = update.scale[channels]
            expected, low = reference.apply_int8(
                stored.trainable, applied, scale, step.learning_rate, rounding, *keys, update.low
            )
    same_bits(after, expected)
    if low is not None:
        same_bits(changed.low, low)
    if accumulator is not None:
        same_bits(changed.accumulator, accumulator)


@pytest.mark.parametrize("width", [256, 300])
def test_the_largest_weight_gradient(kernels: Kernels, width: int) -> None:
    """More products than fit 32 bits, in one row and over all rows."""
    g = depthwise_geometry(width, width, 1, 1, 1, 0)
    x = np.full((width, width, 1), -128, np.int8)
    gradient = np.full((width, width, 1), -(2**15), np.int16)
    gradient[0, 0] = 1
    stored, step = split_weights(np.zeros((1, 1, 1), np.int8), [0]), Step(1.0)
    raw = integer_gradients.depthwise_conv2d_grad_weight(gradient, -25, x, 127, g)
    update = Update((100.5 / np.abs(raw[:, 0, 0])).astype(np.float32))
    after, _ = depthwise_update(kernels, gradient, -25, x, stored, g, 127, update, step)
    keys = (1.0, update.rounding, 0, 0)
    same_bits(after, reference.apply_int8(stored.trainable, raw, update.scale, *keys)[0])
    assert abs(int(after[0, 0, 0])) in (100, 101)
