"""tb_add.c, tb_elementwise.c and tb_pool.c against their NumPy twins, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import float32s, int8s, same_bits

from engine.errors import GraphError
from engine.operators import reference

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4, 7, 8, 9, 16, 24, 33]))
SEEDS = st.integers(0, 2**32 - 1)
ZEROS = st.integers(-128, 127)
SCALES = st.floats(1e-3, 10.0)


@settings(max_examples=150, deadline=None)
@given(
    shape=SHAPES,
    seed=SEEDS,
    extreme=st.booleans(),
    scales=st.tuples(SCALES, SCALES, SCALES),
    masked=st.booleans(),
    where=st.sampled_from(["separate", "a", "b"]),
    data=st.data(),
)
def test_add(
    kernels: Kernels,
    shape: tuple[int, int, int],
    seed: int,
    extreme: bool,
    scales: tuple[float, float, float],
    masked: bool,
    where: str,
    data: st.DataObject,
) -> None:
    zero_a, zero_b, zero_y = (data.draw(ZEROS) for _ in range(3))
    rng = np.random.default_rng(seed)
    a, b = int8s(rng, shape, extreme), int8s(rng, shape, extreme)
    p = reference.add_parameters(scales[0], zero_a, scales[1], zero_b, scales[2], zero_y)
    y, mask = kernels.add(a, b, p, masked=masked, where=where)
    expected, expected_mask = reference.add(a, b, p)
    same_bits(y, expected)
    if masked:
        same_bits(mask, expected_mask)
    real_a, real_b = (a.astype(float) - zero_a) * scales[0], (b.astype(float) - zero_b) * scales[1]
    real = np.clip((real_a + real_b) / scales[2] + zero_y, -128, 127)
    # The constants are rounded to 2^-shift: an error of at most a half for each of a, b and the offset.
    assert (np.abs(y - real) <= 0.5 + 128.5 * 2.0**-p.shift + 1e-9).all()


# One shift each; the third has a multiplier that times 256 is no int32.
@pytest.mark.parametrize(
    ("scales", "zeros", "shift"),
    [
        ((0.02, 0.03, 0.04), (-128, 5, 17), 22),
        ((0.1, 0.09, 0.08), (-128, 5, 17), 22),
        ((0.12, 0.001, 0.05), (-3, 5, 1), 22),
        ((0.12, 0.001, 0.05), (-128, 5, 17), 21),
        ((0.2, 0.1, 0.03), (-3, 5, 1), 20),
        ((0.2, 0.1, 0.03), (-128, 5, 17), 19),
        ((0.9, 0.1, 0.03), (-3, 5, 1), 18),
    ],
)
def test_add_of_all_pairs(
    kernels: Kernels, scales: tuple[float, float, float], zeros: tuple[int, int, int], shift: int
) -> None:
    a, b = (side.astype(np.int8) for side in np.meshgrid(np.arange(-128, 128), np.arange(-128, 128)))
    p = reference.add_parameters(scales[0], zeros[0], scales[1], zeros[1], scales[2], zeros[2])
    assert p.shift == shift
    y, mask = kernels.add(a, b, p)
    expected, expected_mask = reference.add(a, b, p)
    same_bits(y, expected)
    same_bits(mask, expected_mask)
    assert 0 < expected_mask.mean() < 1


def test_add_refuses_scales_that_no_shift_fits() -> None:
    with pytest.raises(GraphError, match="too large"):
        reference.add_parameters(1e9, 0, 1.0, 0, 1.0, 0)


@settings(max_examples=60, deadline=None)
@given(
    shape=SHAPES,
    seed=SEEDS,
    extreme=st.booleans(),
    where=st.sampled_from(["separate", "a in place", "b in place", "only a", "only b"]),
)
def test_add_grad(
    kernels: Kernels, shape: tuple[int, int, int], seed: int, extreme: bool, where: str
) -> None:
    rng = np.random.default_rng(seed)
    gradient, mask = float32s(rng, shape, extreme), rng.random(shape) < 0.6
    factor_a, factor_b = np.float32(rng.uniform(0.1, 9)), np.float32(rng.uniform(0.1, 9))
    expected = reference.add_grad(gradient, mask, factor_a, factor_b)
    for actual, wanted in zip(
        kernels.add_grad(gradient, mask, float(factor_a), float(factor_b), where), expected, strict=True
    ):
        if actual is not None:
            same_bits(actual, wanted)
            assert (np.abs(actual) <= reference.LIMIT).all()


@settings(max_examples=60, deadline=None)
@given(shape=SHAPES, seed=SEEDS, extreme=st.booleans())
def test_masked_scale(kernels: Kernels, shape: tuple[int, int, int], seed: int, extreme: bool) -> None:
    rng = np.random.default_rng(seed)
    gradient, mask = float32s(rng, shape, extreme), rng.random(shape) < 0.6
    scale = (10.0 ** rng.uniform(-9, 2, shape[2])).astype(np.float32)
    actual = kernels.masked_scale(gradient, mask, scale)
    same_bits(actual, reference.masked_scale(gradient, mask, scale))
    assert (np.abs(actual) <= reference.LIMIT).all()
    assert (actual[~mask] == 0).all()


@settings(max_examples=40, deadline=None)
@given(shape=SHAPES, seed=SEEDS, zero=ZEROS, in_place=st.booleans())
def test_accumulate_and_dequantize(
    kernels: Kernels, shape: tuple[int, int, int], seed: int, zero: int, in_place: bool
) -> None:
    rng = np.random.default_rng(seed)
    a, b = float32s(rng, shape, False), float32s(rng, shape, False)
    same_bits(kernels.accumulate(a, b, in_place=in_place), reference.accumulate(a, b))
    x, scale = int8s(rng, shape, False), np.float32(rng.uniform(1e-3, 2))
    same_bits(kernels.dequantize(x, zero, float(scale)), reference.dequantize(x, zero, scale))
    same_bits(kernels.dequantize_grad(a, float(scale)), reference.dequantize_grad(a, scale))


@settings(max_examples=60, deadline=None)
@given(
    shape=SHAPES,
    seed=SEEDS,
    extreme=st.booleans(),
    zeros=st.tuples(ZEROS, ZEROS),
    ratio=st.floats(0.01, 30.0),
)
def test_global_average_pool(
    kernels: Kernels,
    shape: tuple[int, int, int],
    seed: int,
    extreme: bool,
    zeros: tuple[int, int],
    ratio: float,
) -> None:
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    x = int8s(rng, shape, extreme)
    multipliers, shift = reference.multiplier_and_shift(ratio / (height * width))
    y = kernels.global_average_pool(x, zeros[0], int(multipliers[0]), shift, zeros[1])
    same_bits(y, reference.global_average_pool(x, zeros[0], int(multipliers[0]), shift, zeros[1]))
    real = (x.astype(float) - zeros[0]).mean(axis=(0, 1)) * ratio + zeros[1]
    assert (np.abs(y - np.clip(real, -128, 127)) <= 1).all()
    df, factor = float32s(rng, (channels,), False), np.float32(ratio / (height * width))
    same_bits(
        kernels.global_average_pool_grad(df, height, width, float(factor)),
        reference.global_average_pool_grad(df, height, width, factor),
    )


@pytest.mark.parametrize("value", [-128, 127])
def test_global_average_pool_of_many_equal_pixels(kernels: Kernels, value: int) -> None:
    x = np.full((32, 33, 17), value, np.int8)
    multipliers, shift = reference.multiplier_and_shift(1 / (32 * 33))
    y = kernels.global_average_pool(x, 3, int(multipliers[0]), shift, 3)
    same_bits(y, reference.global_average_pool(x, 3, int(multipliers[0]), shift, 3))
    assert (y == value).all()
