"""Integer arithmetic of the forward pass: requantization and clamp masks. Source: docs/numerics.md."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.errors import GraphError

Int8 = NDArray[np.int8]
Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Bool = NDArray[np.bool_]

MAXIMUM_SHIFT = 30
MAXIMUM_ADD_SHIFT = 22


def multiplier_and_shift(scales: ArrayLike) -> tuple[Int32, int]:
    """Multipliers (int32, one per channel) and the left shift they share, for float64 `scales` = sx·sw[c]/sy.

    M = round(s · 2^(32 − shift)), ties to even, with the smallest shift for which every M fits an int32
    (s · 2^−shift < 1/2, also after rounding). Raises GraphError for a scale that is negative, not finite or
    too large.
    """
    exact = np.atleast_1d(np.asarray(scales, dtype=np.float64))
    if not np.all(np.isfinite(exact)) or np.any(exact < 0):
        raise GraphError(
            f"Requantization scales must be finite and not negative, found {exact.min()} to {exact.max()}."
        )
    for shift in range(MAXIMUM_SHIFT + 1):
        rounded = np.rint(np.ldexp(exact, 32 - shift))
        if np.all(rounded < 2.0**31):
            return rounded.astype(np.int32), shift
    raise GraphError(
        f"Requantization scale {exact.max()} is too large: it must be below 2^{MAXIMUM_SHIFT - 1}."
    )


def bias_limit(shift: int) -> int:
    """Largest magnitude of a stored int32 bias of a layer with this shift."""
    return 2**30 >> shift


def requantize(accumulator: ArrayLike, multiplier: ArrayLike, shift: int, zero: int) -> tuple[Int8, Bool]:
    """Round and clamp int32 accumulators to int8; `multiplier` broadcasts against `accumulator`.

    Returns (y, mask), both of the accumulator's shape; mask is True where nothing was clamped.
    """
    product = (np.asarray(accumulator, dtype=np.int64) << shift) * np.asarray(multiplier, dtype=np.int64)
    exact = (product + (zero << 32) + (1 << 31)) >> 32
    return clamp_to_int8(exact)


def clamp_to_int8(values: Int64) -> tuple[Int8, Bool]:
    """Clamp integers to −128…127. Returns (int8 values, True where nothing was clamped)."""
    clamped = np.clip(values, -128, 127)
    return clamped.astype(np.int8), clamped == values


@dataclass(frozen=True)
class AddParameters:
    """Constants of the quantized addition t = (a·multiplier_a + b·multiplier_b + offset) >> shift."""

    multiplier_a: int
    multiplier_b: int
    offset: int
    shift: int


def add_parameters(
    scale_a: float, zero_a: int, scale_b: float, zero_b: int, scale_y: float, zero_y: int
) -> AddParameters:
    """Constants for y = a + b with the largest shift ≤ 22 at which the sum fits an int32.

    Raises GraphError if an input's scale is so much larger than the output's that no shift fits.
    """
    ratio_a, ratio_b = scale_a / scale_y, scale_b / scale_y
    exact_offset = zero_y - zero_a * ratio_a - zero_b * ratio_b
    for shift in range(MAXIMUM_ADD_SHIFT, 0, -1):
        multiplier_a, multiplier_b = round(ratio_a * 2**shift), round(ratio_b * 2**shift)
        offset = round(exact_offset * 2**shift) + 2 ** (shift - 1)
        if 128 * (multiplier_a + multiplier_b) + abs(offset) < 2**31:
            return AddParameters(multiplier_a, multiplier_b, offset, shift)
    raise GraphError(
        f"The scales {scale_a} and {scale_b} of an addition are too large for its output scale {scale_y}."
    )


def pack_mask(mask: Bool) -> NDArray[np.uint8]:
    """One bit per element in flat order, element i in bit i & 7 of byte i >> 3; unused bits are 0."""
    return np.packbits(mask.reshape(-1), bitorder="little")


def unpack_mask(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> Bool:
    """The inverse of `pack_mask` for an array of `shape`."""
    count = int(np.prod(shape))
    return np.unpackbits(packed, count=count, bitorder="little").reshape(shape).astype(np.bool_)
