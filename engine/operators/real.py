"""Convolutions and their gradients in float64: the floating-point copy of the kernels.

Arrays are HWC, weights [OC, KH, KW, IC]; depthwise weights [C, KH, KW]. `x` is centred (zero point
subtracted).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engine.operators.reference import ConvGeometry

Real = NDArray[np.float64]


def _padded_shape(g: ConvGeometry) -> tuple[int, int]:
    height = max(g.in_height + 2 * g.padding, (g.out_height - 1) * g.stride + g.kernel_height)
    width = max(g.in_width + 2 * g.padding, (g.out_width - 1) * g.stride + g.kernel_width)
    return height, width


def _taps(g: ConvGeometry) -> Iterator[tuple[int, int, tuple[slice, slice]]]:
    """(ky, kx, the window of the padded input that this tap sees)."""
    for ky in range(g.kernel_height):
        for kx in range(g.kernel_width):
            rows = slice(ky, ky + (g.out_height - 1) * g.stride + 1, g.stride)
            columns = slice(kx, kx + (g.out_width - 1) * g.stride + 1, g.stride)
            yield ky, kx, (rows, columns)


def _pad(x: Real, g: ConvGeometry) -> Real:
    padded = np.zeros((*_padded_shape(g), x.shape[2]))
    padded[g.padding : g.padding + g.in_height, g.padding : g.padding + g.in_width] = x
    return padded


def _crop(x: Real, g: ConvGeometry) -> Real:
    return x[g.padding : g.padding + g.in_height, g.padding : g.padding + g.in_width]


def conv2d(x: Real, weight: Real, g: ConvGeometry) -> Real:
    padded = _pad(x, g)
    out = np.zeros((g.out_height, g.out_width, weight.shape[0]))
    for ky, kx, window in _taps(g):
        out += padded[window] @ weight[:, ky, kx, :].T
    return out


def conv2d_grad_input(gradient: Real, weight: Real, g: ConvGeometry) -> Real:
    padded = np.zeros((*_padded_shape(g), weight.shape[3]))
    for ky, kx, window in _taps(g):
        padded[window] += gradient @ weight[:, ky, kx, :]
    return _crop(padded, g)


def conv2d_grad_weight(gradient: Real, x: Real, g: ConvGeometry) -> Real:
    padded = _pad(x, g)
    out = np.zeros((gradient.shape[2], g.kernel_height, g.kernel_width, x.shape[2]))
    for ky, kx, window in _taps(g):
        out[:, ky, kx, :] = np.tensordot(gradient, padded[window], axes=((0, 1), (0, 1)))
    return out


def depthwise(x: Real, weight: Real, g: ConvGeometry) -> Real:
    padded = _pad(x, g)
    out = np.zeros((g.out_height, g.out_width, weight.shape[0]))
    for ky, kx, window in _taps(g):
        out += padded[window] * weight[:, ky, kx]
    return out


def depthwise_grad_input(gradient: Real, weight: Real, g: ConvGeometry) -> Real:
    padded = np.zeros((*_padded_shape(g), weight.shape[0]))
    for ky, kx, window in _taps(g):
        padded[window] += gradient * weight[:, ky, kx]
    return _crop(padded, g)


def depthwise_grad_weight(gradient: Real, x: Real, g: ConvGeometry) -> Real:
    padded = _pad(x, g)
    out = np.zeros((gradient.shape[2], g.kernel_height, g.kernel_width))
    for ky, kx, window in _taps(g):
        out[:, ky, kx] = (gradient * padded[window]).sum(axis=(0, 1))
    return out
