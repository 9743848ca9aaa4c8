"""tb_elementwise_i16.c and the int16 gradient of tb_pool.c against their NumPy twins, bit for bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_bindings import Kernels
from kernel_cases import float32s, same_bits

from engine.operators import integer_gradients
from engine.operators.shared_exponent import ALIGNMENT, ZERO_EXPONENT

SHAPES = st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3, 4, 7, 8, 9, 16, 24, 33]))
SEEDS = st.integers(0, 2**32 - 1)


def int16s(rng: np.random.Generator, shape: tuple[int, ...], bits: int) -> np.ndarray:
    """Random int16 of at most `bits` bits and a sign, many of them at the ends; bits 0: 0 and -1."""
    limit = 1 << bits
    values = rng.integers(-limit, limit, shape)
    ends = rng.choice([-limit, limit - 1, 0, -1], shape)
    return np.where(rng.random(shape) < 0.3, ends, values).astype(np.int16)


@settings(max_examples=100, deadline=None)
@given(shape=SHAPES, seed=SEEDS, kept=st.sampled_from([0.0, 0.5, 1.0]), in_place=st.booleans())
def test_masked_products(
    kernels: Kernels, shape: tuple[int, int, int], seed: int, kept: float, in_place: bool
) -> None:
    rng = np.random.default_rng(seed)
    gradient, mask = int16s(rng, shape, 15), rng.random(shape) < kept
    multiplier = rng.integers(0, 2**31, shape[2]).astype(np.int32)
    multiplier[rng.random(shape[2]) < 0.3] = 2**31 - 1
    same_bits(
        kernels.masked_scale_i16(gradient, mask, multiplier),
        integer_gradients.masked_scale(gradient, mask, multiplier),
    )
    factor = int(multiplier[0])
    same_bits(
        kernels.add_grad_i16(gradient, mask, factor, in_place=in_place),
        integer_gradients.add_grad(gradient, mask, factor),
    )


@settings(max_examples=150, deadline=None)
@given(
    shape=SHAPES,
    seed=SEEDS,
    bits=st.tuples(st.integers(0, 15), st.integers(0, 15)),
    distance=st.integers(-40, 40) | st.sampled_from([-ALIGNMENT, ALIGNMENT, 0, 1, -1]),
    where=st.sampled_from(["separate", "a", "b"]),
)
def test_accumulate(
    kernels: Kernels,
    shape: tuple[int, int, int],
    seed: int,
    bits: tuple[int, int],
    distance: int,
    where: str,
) -> None:
    rng = np.random.default_rng(seed)
    a, b = int16s(rng, shape, bits[0]), int16s(rng, shape, bits[1])
    # Magnitudes that grow along the tensor: what is stored has to be shifted again and again.
    a = (a.reshape(-1) >> np.linspace(bits[0], 0, a.size).astype(np.int16)).reshape(shape)
    y, exponent = kernels.accumulate_i16(a, -20 + distance, b, -20, where)
    expected, expected_exponent = integer_gradients.accumulate(a, -20 + distance, b, -20)
    same_bits(y, expected)
    assert exponent == expected_exponent


@pytest.mark.parametrize("where", ["separate", "a", "b"])
def test_accumulate_of_nothing(kernels: Kernels, where: str) -> None:
    zeros, b = np.zeros((3, 3, 5), np.int16), np.arange(45, dtype=np.int16).reshape(3, 3, 5)
    assert kernels.accumulate_i16(zeros, ZERO_EXPONENT, zeros, ZERO_EXPONENT, where)[1] == ZERO_EXPONENT
    assert kernels.accumulate_i16(zeros, -3, zeros, 40, where)[1] == ZERO_EXPONENT
    y, exponent = kernels.accumulate_i16(b, -7, zeros, ZERO_EXPONENT, where)
    assert (y.astype(float) * 2.0**exponent == b * 2.0**-7).all()


@settings(max_examples=100, deadline=None)
@given(shape=SHAPES, seed=SEEDS, extreme=st.booleans(), size=st.integers(-40, 20))
def test_global_average_pool_grad(
    kernels: Kernels, shape: tuple[int, int, int], seed: int, extreme: bool, size: int
) -> None:
    rng = np.random.default_rng(seed)
    height, width, channels = shape
    df, factor = float32s(rng, (channels,), extreme), np.float32(rng.uniform(0.5, 2) * 10.0**size)
    dx, exponent = kernels.global_average_pool_grad_i16(df, height, width, float(factor))
    expected, expected_exponent = integer_gradients.global_average_pool_grad(df, height, width, factor)
    same_bits(dx, expected)
    assert exponent == expected_exponent
    real = np.clip(df * factor, -(2.0**60), 2.0**60).astype(float)
    if exponent != ZERO_EXPONENT:
        assert np.abs(dx[0, 0].astype(int)).max() >= 2**14
        assert (np.abs(dx[0, 0] * 2.0**exponent - real) <= 2.0**exponent).all()
