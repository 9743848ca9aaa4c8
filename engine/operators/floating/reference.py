"""The naive twin of the kernels of float32 networks, written after docs/numerics.md, Float32 networks.

Activations and gradients are float32 HWC arrays (batch 1), weights [KH, KW, IC, OC], depthwise [KH, KW, C],
all channels in the network's order. Masks are bool arrays of the activation's shape. Loops run over what is
summed, in the order that is fixed; NumPy runs over results.
"""

from __future__ import annotations

import numpy as np

from engine.operators.fixed_point import Bool, Float32
from engine.operators.geometry import ConvGeometry, taps

LIMIT = 2.0**40
"""No activation and no gradient of one is larger: sums of products of them stay finite (docs/numerics.md)."""


def clamp(values: Float32, low: float, high: float) -> tuple[Float32, Bool]:
    """(values within [low, high], which of them lay strictly between, so that a gradient passes)."""
    least, most = np.float32(low), np.float32(high)
    clamped = np.where(values < least, least, np.where(values > most, most, values))
    return clamped, (values > least) & (values < most)


def limited(values: Float32) -> Float32:
    """Within ±LIMIT."""
    return clamp(values, -LIMIT, LIMIT)[0]


def conv2d(x: Float32, weights: Float32, bias: Float32, geometry: ConvGeometry) -> Float32:
    """Sums [OH, OW, OC] of a convolution, not clamped yet."""
    y = _rows_of(bias, geometry.out_height, geometry.out_width)
    for tap in taps(geometry):
        for ic in range(geometry.in_channels):
            y[tap.output] += x[(*tap.input, slice(ic, ic + 1))] * weights[tap.ky, tap.kx, ic]
    return y


def depthwise_conv2d(x: Float32, weights: Float32, bias: Float32, geometry: ConvGeometry) -> Float32:
    """Sums [OH, OW, C] of a depthwise convolution, not clamped yet."""
    y = _rows_of(bias, geometry.out_height, geometry.out_width)
    for tap in taps(geometry):
        y[tap.output] += x[tap.input] * weights[tap.ky, tap.kx]
    return y


def conv2d_grad_input(gradient: Float32, weights: Float32, geometry: ConvGeometry) -> Float32:
    """dL/dx [IH, IW, IC] from the gradient [OH, OW, OC] of the sums."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels), np.float32)
    for tap in taps(g):
        for oc in range(g.out_channels):
            dx[tap.input] += gradient[(*tap.output, slice(oc, oc + 1))] * weights[tap.ky, tap.kx, :, oc]
    return limited(dx)


def depthwise_conv2d_grad_input(gradient: Float32, weights: Float32, geometry: ConvGeometry) -> Float32:
    """dL/dx [IH, IW, C]; the taps from last to first: the outputs that a pixel reaches in row-major order."""
    g = geometry
    dx = np.zeros((g.in_height, g.in_width, g.in_channels), np.float32)
    for tap in reversed(list(taps(g))):
        dx[tap.input] += gradient[tap.output] * weights[tap.ky, tap.kx]
    return limited(dx)


def conv2d_grad_weight(gradient: Float32, x: Float32, geometry: ConvGeometry) -> Float32:
    """dL/dw [KH, KW, n, OC] of those n input channels that `x` [IH, IW, n] holds."""
    g = geometry
    dw = np.zeros((g.kernel_height, g.kernel_width, x.shape[2], g.out_channels), np.float32)
    for tap in taps(g):
        inputs = x[tap.input].reshape(-1, x.shape[2])
        outputs = gradient[tap.output].reshape(-1, g.out_channels)
        for pixel, row in zip(inputs, outputs, strict=True):
            dw[tap.ky, tap.kx] += pixel[:, None] * row
    return dw


def depthwise_conv2d_grad_weight(gradient: Float32, x: Float32, geometry: ConvGeometry) -> Float32:
    """dL/dw [KH, KW, n] of those n channels that `gradient` [OH, OW, n] and `x` [IH, IW, n] hold."""
    dw = np.zeros((geometry.kernel_height, geometry.kernel_width, x.shape[2]), np.float32)
    for tap in taps(geometry):
        inputs = x[tap.input].reshape(-1, x.shape[2])
        outputs = gradient[tap.output].reshape(-1, x.shape[2])
        for pixel, row in zip(inputs, outputs, strict=True):
            dw[tap.ky, tap.kx] += row * pixel
    return dw


def channel_sums(values: Float32) -> Float32:
    """Sums [C] over the pixels of [H, W, C] in row-major order: the gradient of a bias."""
    sums = np.zeros(values.shape[2], np.float32)
    for pixel in values.reshape(-1, values.shape[2]):
        sums += pixel
    return sums


def add(a: Float32, b: Float32) -> Float32:
    """The residual addition."""
    return limited(a + b)


def average_pool(x: Float32, factor: float) -> Float32:
    """Mean over height and width: [H, W, C] → [C]; factor = float32(1 / (H·W))."""
    return channel_sums(x) * np.float32(factor)


def average_pool_grad(gradient: Float32, height: int, width: int, factor: float) -> Float32:
    """dL/dx [H, W, C] from dL/dy [C]."""
    return _rows_of(limited(gradient * np.float32(factor)), height, width)


def masked(gradient: Float32, mask: Bool) -> Float32:
    """The gradient where the clamp left the value alone, else 0."""
    return np.where(mask, gradient, np.float32(0.0))


def _rows_of(row: Float32, height: int, width: int) -> Float32:
    """[height, width, C] of one row [C]."""
    return np.broadcast_to(row, (height, width, row.shape[0])).copy()
