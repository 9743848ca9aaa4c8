"""Constants of the integer forward pass: exact, minimal, refused where nothing fits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import GraphError
from engine.operators.fixed_point import (
    add_parameters,
    bias_limit,
    multiplier_and_shift,
    pack_mask,
    requantize,
    unpack_mask,
)

SCALES = st.floats(1e-12, 1e4)


@given(scales=st.lists(SCALES, min_size=1, max_size=5))
def test_multipliers_are_the_nearest_and_the_shift_is_minimal(scales: list[float]) -> None:
    multipliers, shift = multiplier_and_shift(scales)
    unit = 2.0 ** (32 - shift)
    assert (np.abs(multipliers / unit - np.array(scales)) <= 0.5 / unit * (1 + 1e-9)).all()
    assert (multipliers >= 0).all()
    if shift > 0:
        assert round(max(scales) * unit * 2) >= 2**31, "one shift less would do"


def test_a_scale_that_rounds_up_to_a_half_takes_a_shift() -> None:
    multipliers, shift = multiplier_and_shift([0.5 - 2.0**-40])
    assert (multipliers.tolist(), shift) == ([2**30], 1)
    multipliers, shift = multiplier_and_shift([0.5 - 2.0**-32])
    assert (multipliers.tolist(), shift) == ([2**31 - 1], 0)


@pytest.mark.parametrize("scale", [-0.1, float("nan"), float("inf"), 2.0**40])
def test_impossible_scales_are_refused(scale: float) -> None:
    with pytest.raises(GraphError, match=r"[Ss]cale"):
        multiplier_and_shift([0.1, scale])


@given(scale=st.floats(1e-9, 4.0), bias=st.integers(-(2**30), 2**30), zero=st.integers(-128, 127))
def test_requantize_rounds_to_nearest_and_marks_clamps(scale: float, bias: int, zero: int) -> None:
    multiplier, shift = multiplier_and_shift(scale)
    limit = bias_limit(shift)
    acc = max(-limit, min(limit, bias))
    y, kept = requantize([acc], multiplier, shift, zero)
    exact = (acc * int(multiplier[0]) * 2**shift + (zero << 32)) / 2**32
    assert abs(int(y[0]) - max(-128.0, min(127.0, exact))) <= 0.5 + 1e-6
    assert kept[0] == (-128.5 <= exact < 127.5)


@settings(max_examples=200)
@given(scales=st.tuples(SCALES, SCALES, SCALES), zeros=st.tuples(*[st.integers(-128, 127)] * 3))
def test_no_addition_overflows(scales: tuple[float, float, float], zeros: tuple[int, int, int]) -> None:
    try:
        p = add_parameters(scales[0], zeros[0], scales[1], zeros[1], scales[2], zeros[2])
    except GraphError:
        assert (scales[0] + scales[1]) / scales[2] > 2**21, "a shift of 1 would do"
        return
    largest = 128 * (p.multiplier_a + p.multiplier_b) + abs(p.offset)
    assert largest < 2**31
    assert p.shift == 22 or largest >= 2**29, "a larger shift would do"


@given(bits=st.lists(st.booleans(), min_size=1, max_size=40))
def test_masks_survive_packing(bits: list[bool]) -> None:
    mask = np.array(bits)
    packed = pack_mask(mask)
    assert packed.size == (len(bits) + 7) // 8
    assert np.array_equal(unpack_mask(packed, mask.shape), mask)
    assert [bool(packed[i >> 3] >> (i & 7) & 1) for i in range(len(bits))] == bits
