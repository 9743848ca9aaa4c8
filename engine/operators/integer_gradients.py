"""The naive twin of the int16 gradient kernels, written after docs/numerics.md, Integer gradients.

A gradient is int16 [H, W, C] and an exponent: value·2^exponent. Sums are exact integers; matrix products are
taken in float64, which holds them all (below 2^53), because NumPy is slow with integers. Weight and bias
gradients leave as float32: the exact sum, rounded once, times the power of two.
"""

from __future__ import annotations

import numpy as np

from engine.operators.fixed_point import Bool, Float32, Int8, Int32, Int64
from engine.operators.geometry import ConvGeometry, taps
from engine.operators.shared_exponent import (
    ALIGNMENT,
    Int16,
    multiply_high,
    power_of_two,
    quantize,
    round_to_odd,
    share_exponent,
)

LIMIT = np.float32(2.0**60)


def global_average_pool_grad(
    gradient: Float32, height: int, width: int, factor: np.float32
) -> tuple[Int16, int]:
    """dL/dx [H, W, C] from float32 dL/dy [C]; factor = float32(sx / (H·W·sy))."""
    row, exponent = quantize(np.clip(gradient * np.float32(factor), -LIMIT, LIMIT))
    return np.broadcast_to(row, (height, width, row.shape[0])).copy(), exponent


def masked_scale(gradient: Int16, mask: Bool, multiplier: Int32) -> Int16:
    """mask ? (g·m[c] + 2^31) >> 32 : 0; the exponent grows by a constant."""
    return np.where(mask, multiply_high(gradient, multiplier), np.int16(0))


def add_grad(gradient: Int16, mask: Bool, multiplier: int) -> Int16:
    """The same with one multiplier for all channels: the gradient of one input of an addition."""
    return np.where(mask, multiply_high(gradient, multiplier), np.int16(0))


def accumulate(a: Int16, exponent_a: int, b: Int16, exponent_b: int) -> tuple[Int16, int]:
    """Sum of two gradients: that of the higher exponent is shifted up by up to 14 bits to meet the other."""
    if exponent_a < exponent_b:
        a, exponent_a, b, exponent_b = b, exponent_b, a, exponent_a
    distance = exponent_a - exponent_b
    up = min(distance, ALIGNMENT)
    low = round_to_odd(b.astype(np.int64), min(distance - up, 16))
    return share_exponent((a.astype(np.int64) << up) + low, exponent_a - up)


def conv2d_grad_input(
    gradient: Int16, exponent: int, weights: Int8, geometry: ConvGeometry
) -> tuple[Int16, int]:
    """dL/dx [IH, IW, IC] from the gradient [OH, OW, OC] of the accumulator; weights [OC, KH, KW, IC]."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels))
    wide = gradient.astype(np.float64)
    for tap in taps(g):
        dx[tap.input] += wide[tap.output] @ weights[:, tap.ky, tap.kx, :].astype(np.float64)
    return share_exponent(dx.astype(np.int64), exponent)


def depthwise_conv2d_grad_input(
    gradient: Int16, exponent: int, weights: Int8, geometry: ConvGeometry
) -> tuple[Int16, int]:
    """dL/dx [IH, IW, C] from the gradient [OH, OW, C] of the accumulator; weights [C, KH, KW]."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels), np.int64)
    for tap in taps(g):
        dx[tap.input] += gradient[tap.output].astype(np.int64) * weights[:, tap.ky, tap.kx]
    return share_exponent(dx, exponent)


def conv2d_grad_weight(
    gradient: Int16, exponent: int, x: Int8, in_zero: int, geometry: ConvGeometry
) -> Float32:
    """dL/dw [OC, KH, KW, n]; `x` may hold a choice of the input channels: [IH, IW, n]."""
    g = geometry
    centered = x.astype(np.float64) - in_zero
    dw = np.zeros((g.out_channels, g.kernel_height, g.kernel_width, x.shape[2]))
    for tap in taps(g):
        pixels = gradient[tap.output].astype(np.float64).reshape(-1, g.out_channels)
        dw[:, tap.ky, tap.kx, :] = pixels.T @ centered[tap.input].reshape(-1, x.shape[2])
    return _real(dw.astype(np.int64), exponent)


def depthwise_conv2d_grad_weight(
    gradient: Int16, exponent: int, x: Int8, in_zero: int, geometry: ConvGeometry
) -> Float32:
    """dL/dw [n, KH, KW]; `gradient` and `x` may hold a choice of the channels: [.., .., n] each."""
    g = geometry
    centered = x.astype(np.int64) - in_zero
    dw = np.zeros((x.shape[2], g.kernel_height, g.kernel_width), np.int64)
    for tap in taps(g):
        products = gradient[tap.output].astype(np.int64) * centered[tap.input]
        dw[:, tap.ky, tap.kx] = products.sum(axis=(0, 1))
    return _real(dw, exponent)


def bias_gradient(gradient: Int16, exponent: int) -> Float32:
    """dL/db [C] from the gradient [H, W, C] of the accumulator."""
    return _real(gradient.astype(np.int64).sum(axis=(0, 1)), exponent)


def _real(total: Int64, exponent: int) -> Float32:
    """float32(total)·2^exponent: one rounding."""
    return total.astype(np.float32) * power_of_two(exponent)
