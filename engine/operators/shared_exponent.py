"""Integer gradients: int16 values that share one exponent a tensor. Source: docs/numerics.md.

An operator computes exact integers and stores them rounded to odd, at the smallest shift at which all fit an
int16. Rounding to odd: what is cut off is recorded in the lowest bit that is kept, so that rounding twice is
rounding once and errors have no sign of their own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.operators.fixed_point import Float32, Int64

Int16 = NDArray[np.int16]

GRADIENT_BITS = 15
ZERO_EXPONENT = -4096
"""Exponent of a tensor whose values are all 0: below any other."""
GRADIENT_MULTIPLIER_BITS = 31
"""Bits of the largest multiplier, where no sum asks for fewer."""
ALIGNMENT = 14
"""By how many bits `accumulate` may shift the larger operand up, so that the sum stays an int32."""


def round_to_odd(values: Int64, shift: int) -> Int64:
    """values / 2^shift; where bits are lost, the last one kept is set."""
    lost = values & ((1 << shift) - 1)
    rounded: Int64 = (values >> shift) | (lost != 0)
    return rounded


def shift_for(values: Int64) -> int:
    """The smallest shift at which all values fit an int16."""
    magnitude = int(np.bitwise_or.reduce((values ^ (values >> 63)).reshape(-1), initial=0))
    return max(0, magnitude.bit_length() - GRADIENT_BITS)


def share_exponent(values: Int64, exponent: int) -> tuple[Int16, int]:
    """Exact `values`·2^exponent as int16 with the shared exponent that keeps the most bits."""
    if not values.any():
        return values.astype(np.int16), ZERO_EXPONENT
    shift = shift_for(values)
    return round_to_odd(values, shift).astype(np.int16), exponent + shift


def power_of_two(exponent: int) -> np.float32:
    """2^exponent, the exponent kept within [−126, 56] so that no sum of gradients leaves a float32."""
    return np.float32(2.0 ** min(max(exponent, -126), 56))


def multiply_high(values: NDArray[np.int16], multiplier: NDArray[np.int32] | int) -> Int16:
    """(value·multiplier + 2^31) >> 32: SMMULR."""
    product = values.astype(np.int64) * np.asarray(multiplier, np.int64)
    scaled: Int16 = ((product + (1 << 31)) >> 32).astype(np.int16)
    return scaled


def multipliers(factors: NDArray[np.float32], bits: int) -> tuple[NDArray[np.int32], int]:
    """Factors ≥ 0 as (m, exponent): factor = m·2^(exponent − 32); the largest m has `bits` bits, ≤ 31."""
    largest = float(np.max(factors, initial=0.0))
    if largest == 0.0:
        return np.zeros(factors.shape, np.int32), 0
    _, top = np.frexp(largest)
    scaled = np.rint(np.ldexp(factors.astype(np.float64), bits - int(top)))
    exponent = 32 - bits + int(top)
    return np.minimum(scaled, 2.0**bits - 1).astype(np.int32), exponent


def multiplier_bits(terms: int, pixels: int) -> int:
    """Bits of a layer's largest multiplier: as many as let no 32-bit sum over its scaled gradient overflow.

    terms: products in a sum of the input gradient, OC·KH·KW. pixels: values in a sum of the bias gradient.
    A scaled gradient is at most 2^(bits − 17) in size, a weight 2^7.
    """
    return min(GRADIENT_MULTIPLIER_BITS, 41 - terms.bit_length(), 48 - pixels.bit_length())


def quantize(values: Float32) -> tuple[Int16, int]:
    """float32 values, finite and at most 2^60 in size, as int16 with a shared exponent.

    They become integers in units of 2^(E − 30), cut off towards 0, where 2^E is the power of two above the
    largest; below 2^−96 all are 0.
    """
    largest = float(np.max(np.abs(values), initial=0.0))
    if largest < 2.0**-96:
        return np.zeros(values.shape, np.int16), ZERO_EXPONENT
    _, top = np.frexp(largest)
    unit = int(top) - 30
    exact = np.trunc(values.astype(np.float64) * 2.0**-unit).astype(np.int64)
    return share_exponent(exact, unit)
