"""Which input pixels a convolution pairs with which output pixels."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from engine.operators.fixed_point import Float32, Int8


@dataclass(frozen=True)
class ConvGeometry:
    """Shape of a convolution; `padding` on all four sides, in input pixels."""

    in_height: int
    in_width: int
    in_channels: int
    out_height: int
    out_width: int
    out_channels: int
    kernel_height: int
    kernel_width: int
    stride: int
    padding: int

    @property
    def is_pointwise(self) -> bool:
        """One tap a pixel: as `tb_is_pointwise`."""
        return (self.kernel_height, self.kernel_width, self.stride, self.padding) == (1, 1, 1, 0)


@dataclass(frozen=True)
class Tap:
    """A kernel position and the (row, column) slices of output and input pixels that it pairs."""

    ky: int
    kx: int
    output: tuple[slice, slice]
    input: tuple[slice, slice]


def _span(k: int, in_size: int, out_size: int, stride: int, padding: int) -> tuple[slice, slice]:
    first = max(0, -((k - padding) // stride))
    last = min(out_size - 1, (in_size - 1 - k + padding) // stride)
    count = max(0, last - first + 1)
    start = first * stride + k - padding
    if count == 0:
        return slice(0, 0), slice(0, 0)
    return slice(first, first + count), slice(start, start + (count - 1) * stride + 1, stride)


def taps(geometry: ConvGeometry) -> Iterator[Tap]:
    """Kernel positions in row-major order."""
    g = geometry
    for ky in range(g.kernel_height):
        rows_out, rows_in = _span(ky, g.in_height, g.out_height, g.stride, g.padding)
        for kx in range(g.kernel_width):
            columns_out, columns_in = _span(kx, g.in_width, g.out_width, g.stride, g.padding)
            yield Tap(ky, kx, (rows_out, columns_out), (rows_in, columns_in))


def patches(x: Int8, zero: int, geometry: ConvGeometry) -> Iterator[tuple[int, int, Float32]]:
    """Output pixels in row-major order, each with the inputs it sees: (oy, ox, x − zero as [KH, KW, IC]).

    Positions outside the image are 0: their products add ±0, which never changes a sum that started at +0.
    """
    g = geometry
    below = max(0, (g.out_height - 1) * g.stride + g.kernel_height - g.padding - g.in_height)
    right = max(0, (g.out_width - 1) * g.stride + g.kernel_width - g.padding - g.in_width)
    border = ((g.padding, below), (g.padding, right), (0, 0))
    padded = np.pad(x.astype(np.int32) - zero, border).astype(np.float32)
    for oy in range(g.out_height):
        for ox in range(g.out_width):
            top, left = oy * g.stride, ox * g.stride
            yield oy, ox, padded[top : top + g.kernel_height, left : left + g.kernel_width]
