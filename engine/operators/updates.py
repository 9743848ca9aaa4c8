"""The naive twin of the update kernels: stochastic gradient descent on stored integers.

Source: docs/numerics.md.

Every function returns new arrays. Tensors are in stored order, the trainable part only: conv2d [OC, KH, KW,
n], depthwise [n, KH, KW]; the position in that order numbers the draws of stochastic rounding.
"""

from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.operators.fixed_point import Float32, Int8, Int32

UInt8 = NDArray[np.uint8]
UInt32 = NDArray[np.uint32]


class Rounding(IntEnum):
    """How a real-valued step becomes an integer one; the values of tb_rounding_t."""

    NEAREST = 0
    STOCHASTIC = 1
    EXTENDED = 2


def mix(x: ArrayLike) -> UInt32:
    """A bijective hash of uint32 values, elementwise."""
    h = np.asarray(x, dtype=np.uint64) & 0xFFFFFFFF
    h ^= h >> 16
    h = (h * 0x7FEB352D) & 0xFFFFFFFF
    h ^= h >> 15
    h = (h * 0x846CA68B) & 0xFFFFFFFF
    h ^= h >> 16
    return h.astype(np.uint32)


def step_key(seed: int, step: int) -> int:
    """Key of one training step; `step` counts from 0 since the reset. uint32."""
    return int(mix((seed + 0x9E3779B9 * step) & 0xFFFFFFFF))


def uniform(key: int, stream: int, count: int) -> Float32:
    """The draws in [0, 1) for elements 0 to count − 1 of tensor number `stream` in the step of this key."""
    stream_key = int(mix(key ^ ((stream * 0x85EBCA6B) & 0xFFFFFFFF)))
    index = np.arange(count, dtype=np.uint64)
    return (mix(stream_key + index) >> 8).astype(np.float32) * np.float32(2.0**-24)


def mean_gradient(accumulator: Float32, images: int) -> Float32:
    """What an accumulator filled by `images` images is applied as."""
    return accumulator * np.float32(1.0 / images)


def apply_int8(
    weights: Int8,
    gradient: Float32,
    scale: Float32,
    learning_rate: float,
    rounding: Rounding,
    key: int,
    stream: int,
    low: UInt8 | None = None,
) -> tuple[Int8, UInt8 | None]:
    """Update stored int8 weights by stochastic gradient descent, `scale` per index of the first axis.

    Returns (weights, low), as `move_int8`.
    """
    return move_int8(weights, descent(gradient, scale, learning_rate), rounding, key, stream, low)


def move_int8(
    weights: Int8, d: Float32, rounding: Rounding, key: int, stream: int, low: UInt8 | None = None
) -> tuple[Int8, UInt8 | None]:
    """Add real steps d to stored int8 weights. Returns (weights, low).

    `key` is the step's key and `stream` the tensor's number (stochastic rounding); `low` holds the low bytes
    where the rounding is extended, else None.
    """
    half = np.float32(0.5)
    if rounding is Rounding.EXTENDED:
        if low is None:
            raise ValueError("Extended rounding needs the low bytes of the weights.")
        n = np.floor(np.clip(d * np.float32(256.0), _f(-65536.0), _f(65536.0)) + half).astype(np.int32)
        value = np.clip((weights.astype(np.int32) * 256 + low) + n, -32768, 32767)
        return (value >> 8).astype(np.int8), (value & 255).astype(np.uint8)
    stochastic = rounding is Rounding.STOCHASTIC
    offset = uniform(key, stream, weights.size).reshape(weights.shape) if stochastic else half
    n = np.floor(np.clip(d, _f(-256.0), _f(256.0)) + offset).astype(np.int32)
    return np.clip(weights.astype(np.int32) + n, -128, 127).astype(np.int8), low


def apply_bias(
    bias: Int32,
    gradient: Float32,
    scale: Float32,
    learning_rate: float,
    rounding: Rounding,
    key: int,
    stream: int,
    limit: int,
) -> Int32:
    """Update stored int32 biases [C] by stochastic gradient descent."""
    return move_bias(bias, descent(gradient, scale, learning_rate), rounding, key, stream, limit)


def move_bias(bias: Int32, d: Float32, rounding: Rounding, key: int, stream: int, limit: int) -> Int32:
    """Add real steps d to stored int32 biases [C], kept within ±limit (`bias_limit` of the layer's shift)."""
    d = np.clip(d, _f(-(2.0**30)), _f(2.0**30))
    offset = uniform(key, stream, bias.size) if rounding is Rounding.STOCHASTIC else np.float32(0.5)
    n = np.floor(d + offset).astype(np.int64)
    updated: Int32 = np.clip(bias.astype(np.int64) + n, -limit, limit).astype(np.int32)
    return updated


def fully_connected_update(
    weights: Float32, bias: Float32, dz: Float32, features: Float32, learning_rate: float
) -> tuple[Float32, Float32]:
    """Update the float32 classifier, weights [K, C] and bias [K], from dL/dlogits [K] of one image."""
    t = _f(learning_rate) * dz
    return _saturated(weights - t[:, None] * features[None, :]), _saturated(bias - t)


def fully_connected_update_accumulated(
    weights: Float32, bias: Float32, weight_gradient: Float32, bias_gradient: Float32, learning_rate: float
) -> tuple[Float32, Float32]:
    """Update the float32 classifier from the `mean_gradient` of its accumulators."""
    rate = _f(learning_rate)
    return _saturated(weights - rate * weight_gradient), _saturated(bias - rate * bias_gradient)


def move_float(values: Float32, d: Float32) -> Float32:
    """Add real steps d to stored float32 values."""
    return _saturated(values + d)


def _saturated(values: Float32) -> Float32:
    """Within ±2^60, so that a classifier that diverges stays finite."""
    return np.clip(values, _f(-(2.0**60)), _f(2.0**60))


def _f(value: float) -> np.float32:
    return np.float32(value)


def descent(gradient: Float32, scale: Float32, learning_rate: float) -> Float32:
    """d = −(step·gradient), step = lr·scale[c]."""
    step = _f(learning_rate) * scale.astype(np.float32)
    return -(step.reshape(-1, *[1] * (gradient.ndim - 1)) * gradient)
