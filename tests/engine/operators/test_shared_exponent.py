"""The number format of int16 gradients: what is lost, what can never happen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from engine.operators.shared_exponent import (
    ZERO_EXPONENT,
    multiplier_bits,
    multipliers,
    multiply_high,
    power_of_two,
    quantize,
    round_to_odd,
    share_exponent,
)

INTEGERS = st.integers(-(2**31), 2**31 - 1)
EXTREMES = np.array([-(2**15), -(2**15) + 1, -1, 0, 1, 2**15 - 1], np.int16)


def array(values: list[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)


@given(INTEGERS, st.integers(0, 20), st.integers(0, 20))
def test_rounding_to_odd_twice_is_rounding_once(value: int, first: int, second: int) -> None:
    once = round_to_odd(array([value]), first + second)
    assert once == round_to_odd(round_to_odd(array([value]), first), second)


@given(INTEGERS, st.integers(0, 16))
def test_rounding_to_odd_is_exact_or_odd_and_near(value: int, shift: int) -> None:
    rounded = int(round_to_odd(array([value]), shift)[0])
    assert abs(rounded * 2**shift - value) < 2**shift
    assert rounded * 2**shift == value or rounded % 2 == 1


def test_rounding_to_odd_favours_no_side() -> None:
    values = np.arange(-(2**12), 2**12, dtype=np.int64)
    assert int((round_to_odd(values, 6) * 64 - values).sum()) == 0


@given(st.lists(INTEGERS, min_size=1, max_size=6), st.integers(-200, 200))
def test_sharing_keeps_as_many_bits_as_fit(values: list[int], exponent: int) -> None:
    exact = array(values)
    stored, shared = share_exponent(exact, exponent)
    if not exact.any():
        assert (shared, stored.tolist()) == (ZERO_EXPONENT, [0] * len(values))
        return
    shift = shared - exponent
    assert stored.tolist() == round_to_odd(exact, shift).tolist(), "all fit"
    assert shift >= 0
    if shift > 0:
        previous = exact >> (shift - 1)
        assert previous.min() < -(2**15) or previous.max() >= 2**15, "one shift less would do"


@pytest.mark.parametrize("values", [[-1], [0, -1, 0], [-1, -1]])
def test_minus_one_is_not_zero(values: list[int]) -> None:
    stored, exponent = share_exponent(array(values), 7)
    assert (stored.tolist(), exponent) == (values, 7)


@given(
    st.lists(st.floats(0, 2.0**29, width=32), min_size=1, max_size=5).filter(any),
    st.integers(15, 31),
)
def test_multipliers_are_the_nearest(factors: list[float], bits: int) -> None:
    found, exponent = multipliers(np.array(factors, np.float32), bits)
    unit = 2.0 ** (exponent - 32)
    assert found.dtype == np.int32
    assert 2 ** (bits - 1) <= found.max() < 2**bits
    largest_stored = (
        np.abs(found * unit - np.array(factors)) <= np.where(found == 2**bits - 1, 1.0, 0.5) * unit
    )
    assert largest_stored.all()


def test_factors_of_a_dead_layer_are_zero() -> None:
    found, exponent = multipliers(np.zeros(3, np.float32), 31)
    assert (found.tolist(), exponent) == ([0, 0, 0], 0)


@given(st.integers(1, 2**17 - 1), st.integers(1, 2**24 - 1))
def test_no_sum_of_a_scaled_gradient_leaves_32_bits(terms: int, pixels: int) -> None:
    bits = multiplier_bits(terms, pixels)
    assert 24 <= bits <= 31
    scaled = multiply_high(EXTREMES, np.full(len(EXTREMES), 2**bits - 1, np.int32))
    largest = int(np.abs(scaled.astype(np.int64)).max())
    assert largest <= 2**14
    assert largest * 128 * terms < 2**31
    assert largest * pixels < 2**31
    if bits < 31:
        assert 2 * largest * 128 * terms * 2 > 2**31 or 2 * largest * pixels * 2 > 2**31, "not too few either"


def test_multipliers_of_common_layers_have_all_bits() -> None:
    assert multiplier_bits(1023, 2**17 - 1) == 31
    assert multiplier_bits(1024, 1) == 30


FLOATS = st.floats(-(2.0**60), 2.0**60, width=32)


@given(st.lists(FLOATS, min_size=1, max_size=6))
def test_quantized_gradients_are_near(values: list[float]) -> None:
    exact = np.array(values, np.float32)
    stored, exponent = quantize(exact)
    largest = float(np.abs(exact).max())
    if largest < 2.0**-96:
        assert (exponent, stored.any()) == (ZERO_EXPONENT, False)
        return
    unit = 2.0**exponent
    assert (np.abs(stored * unit - exact.astype(np.float64)) < unit * (1 + 2.0**-13)).all()
    assert np.abs(stored.astype(np.int64)).max() >= 2**14 - 1, "all bits are used"


@pytest.mark.parametrize(
    ("exponent", "expected"), [(0, 1.0), (-126, 2.0**-126), (-4096, 2.0**-126), (56, 2.0**56), (99, 2.0**56)]
)
def test_powers_of_two_stay_where_nothing_overflows(exponent: int, expected: float) -> None:
    assert float(power_of_two(exponent)) == expected
    largest = np.float32(2.0**52 * 2.0**16) * power_of_two(exponent)
    assert np.isfinite(largest)
