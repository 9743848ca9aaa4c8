"""What `trainbench bench` measures: every kernel at the shapes of MCUNet, 128 x 128 pixels."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from engine.operators import kernel_choice, scratch
from engine.operators.fixed_point import AddParameters
from engine.operators.geometry import ConvGeometry
from harness.errors import UsageError

LEAST_WORK = 200_000
"""Multiply-accumulates of a case at the least: smaller ones are repeated, so that a tick of 40 is little."""


ADDITION = AddParameters(2180000, 2180000, 1 << 21, 22)
"""Of inputs on scales about half the output's: hardly a sum is clamped. As in bench_kernels.c."""


class Kernel(IntEnum):
    """Numbers as in cases.h; names as those of the graph's operators."""

    CONV2D = 0
    DEPTHWISE_CONV2D = 1
    ADD = 2
    GLOBAL_AVERAGE_POOL = 3
    FULLY_CONNECTED = 4
    CONV2D_GRAD_INPUT_I16 = 5
    DEPTHWISE_CONV2D_GRAD_INPUT_I16 = 6
    CONV2D_UPDATE_I16 = 7
    DEPTHWISE_CONV2D_UPDATE_I16 = 8
    BIAS_UPDATE_I16 = 9
    MASKED_SCALE_I16 = 10
    ADD_GRAD_I16 = 11
    ACCUMULATE_I16 = 12
    GLOBAL_AVERAGE_POOL_GRAD_I16 = 13


DEPTHWISE = (
    Kernel.DEPTHWISE_CONV2D,
    Kernel.DEPTHWISE_CONV2D_GRAD_INPUT_I16,
    Kernel.DEPTHWISE_CONV2D_UPDATE_I16,
)
CONVOLUTIONS = (
    *DEPTHWISE,
    Kernel.CONV2D,
    Kernel.CONV2D_GRAD_INPUT_I16,
    Kernel.CONV2D_UPDATE_I16,
)


@dataclass(frozen=True)
class Case:
    """One kernel at one shape.

    Elementwise kernels, pools and bias updates use the input side of the geometry only; the classifier its
    channels. `trainable` input channels (of a depthwise kernel: channels) lie apart from the frozen ones;
    None: all are in one place.
    """

    kernel: Kernel
    geometry: ConvGeometry
    masked: bool = False
    """A forward kernel writes its clamp mask."""
    trainable: int | None = None

    @property
    def name(self) -> str:
        return f"{self.kernel.name.lower()}{'+mask' if self.masked else ''}"

    @property
    def shape(self) -> str:
        g = self.geometry
        if self.kernel is Kernel.FULLY_CONNECTED:
            return f"{g.in_channels}->{g.out_channels}"
        text = f"{g.in_height}x{g.in_width}x{g.in_channels}"
        if self.kernel in CONVOLUTIONS:
            text += f"->{g.out_channels} {g.kernel_height}x{g.kernel_width}"
            text += f" s{g.stride}" if g.stride > 1 else ""
        if self.trainable is not None:
            text += f" train {self.trainable}"
        return text

    @property
    def macs(self) -> int:
        """Multiply-accumulates, taps on padding included; of kernels without any, elements."""
        g = self.geometry
        if self.kernel is Kernel.FULLY_CONNECTED:
            return g.in_channels * g.out_channels
        if self.kernel not in CONVOLUTIONS:
            return g.in_height * g.in_width * g.in_channels
        taps = g.out_height * g.out_width * g.kernel_height * g.kernel_width
        updates = self.kernel in (Kernel.CONV2D_UPDATE_I16, Kernel.DEPTHWISE_CONV2D_UPDATE_I16)
        inputs = self.trainable if updates and self.trainable is not None else g.in_channels
        return taps * inputs * (1 if self.kernel in DEPTHWISE else g.out_channels)

    @property
    def repeats(self) -> int:
        return max(1, -(-LEAST_WORK // self.macs))

    @property
    def multiplier(self) -> int:
        """Requantization that spreads sums of random products over an int8 and clamps few."""
        g = self.geometry
        terms = g.kernel_height * g.kernel_width * (1 if self.kernel in DEPTHWISE else g.in_channels)
        if self.kernel is Kernel.GLOBAL_AVERAGE_POOL:
            return 2**31 // (g.in_height * g.in_width)
        return round(2**32 / (180 * math.sqrt(terms)))

    @property
    def function(self) -> str | None:
        """The C kernel that the compiler chooses; None where there is but one."""
        g, split = self.geometry, self.trainable is not None
        match self.kernel:
            case Kernel.CONV2D:
                return kernel_choice.conv2d(g, split=split).function
            case Kernel.DEPTHWISE_CONV2D:
                return kernel_choice.depthwise_conv2d(g, shift=0).function
            case Kernel.ADD:
                return kernel_choice.add(ADDITION).function
            case Kernel.CONV2D_GRAD_INPUT_I16:
                return kernel_choice.conv2d_grad_input(g, gradient="i16").function
            case Kernel.DEPTHWISE_CONV2D_GRAD_INPUT_I16:
                return kernel_choice.depthwise_grad_input(g).function
            case Kernel.CONV2D_UPDATE_I16:
                return kernel_choice.conv2d_update(g).function
            case Kernel.DEPTHWISE_CONV2D_UPDATE_I16:
                return kernel_choice.depthwise_update(g).function
            case Kernel.MASKED_SCALE_I16:
                return kernel_choice.masked_scale(g.in_channels, gradient="i16").function
            case _:
                return None

    @property
    def scratch(self) -> int:
        """Bytes, as the compiler plans them."""
        g, split = self.geometry, self.trainable is not None
        match self.kernel:
            case Kernel.CONV2D:
                return scratch.conv2d_scratch(g, split=split)
            case Kernel.DEPTHWISE_CONV2D:
                return scratch.depthwise_scratch(g, masked=self.masked)
            case Kernel.DEPTHWISE_CONV2D_GRAD_INPUT_I16:
                return scratch.depthwise_grad_scratch(g)
            case Kernel.DEPTHWISE_CONV2D_UPDATE_I16:
                return scratch.depthwise_update_scratch(g)
            case Kernel.CONV2D_GRAD_INPUT_I16:
                return scratch.conv2d_grad_scratch(g, split=split)
            case Kernel.CONV2D_UPDATE_I16:
                return scratch.conv2d_update_scratch(
                    g, g.in_channels if self.trainable is None else self.trainable
                )
            case Kernel.BIAS_UPDATE_I16:
                return scratch.bias_update_scratch(g.in_channels)
            case _:
                return 0


def _pointwise(size: int, inputs: int, outputs: int) -> ConvGeometry:
    return ConvGeometry(size, size, inputs, size, size, outputs, 1, 1, 1, 0)


def _square(size: int, inputs: int, outputs: int, kernel: int, stride: int) -> ConvGeometry:
    out = (size - 1) // stride + 1
    return ConvGeometry(size, size, inputs, out, out, outputs, kernel, kernel, stride, kernel // 2)


POINTWISE = (
    *((64, 16, 8), (64, 8, 32), (32, 32, 16), (32, 16, 48), (32, 48, 16), (16, 48, 24), (16, 24, 120)),
    *((16, 120, 24), (8, 120, 40), (8, 40, 160), (8, 160, 48), (8, 48, 240), (4, 240, 96), (4, 96, 384)),
    *((4, 384, 96), (4, 96, 576), (4, 576, 160)),
)
"""(pixels on a side, input channels, output channels); of equal blocks, the first."""
DEPTHWISE_SHAPES = (
    *((64, 16, 3, 1), (64, 32, 3, 2), (32, 48, 3, 1), (32, 48, 7, 2), (16, 120, 3, 1), (16, 120, 3, 2)),
    *((8, 160, 7, 1), (8, 160, 5, 1), (8, 144, 3, 1), (8, 240, 7, 2), (4, 384, 5, 1), (4, 576, 3, 1)),
)
"""(pixels on a side, channels, kernel, stride)."""
TRAINED_POINTWISE = ((8, 48, 192), (8, 192, 48), (8, 48, 240), (4, 240, 96), (4, 96, 384), (4, 576, 160))
"""Those of the last blocks, which published schemes train or pass gradients through."""
TRAINED_DEPTHWISE = ((8, 192, 3, 1), (8, 240, 7, 2), (4, 384, 5, 1), (4, 576, 3, 1))
MAPS = ((32, 16), (8, 48), (4, 96))
"""Of residual additions: (pixels on a side, channels)."""


def _forward() -> Iterator[Case]:
    for masked in (False, True):
        yield Case(Kernel.CONV2D, _square(128, 3, 16, 3, 2), masked)
        for size, inputs, outputs in POINTWISE:
            yield Case(Kernel.CONV2D, _pointwise(size, inputs, outputs), masked)
        for size, channels, kernel, stride in DEPTHWISE_SHAPES:
            yield Case(Kernel.DEPTHWISE_CONV2D, _square(size, channels, channels, kernel, stride), masked)
        for size, channels in MAPS:
            yield Case(Kernel.ADD, _pointwise(size, channels, channels), masked)
    yield Case(Kernel.CONV2D, _pointwise(8, 48, 192), True, trainable=12)
    yield Case(Kernel.DEPTHWISE_CONV2D, _square(8, 192, 192, 3, 1), True, trainable=48)
    yield Case(Kernel.GLOBAL_AVERAGE_POOL, _pointwise(4, 160, 160))
    yield Case(Kernel.FULLY_CONNECTED, _pointwise(1, 160, 10))


def _backward() -> Iterator[Case]:
    for size, inputs, outputs in TRAINED_POINTWISE:
        g = _pointwise(size, inputs, outputs)
        yield Case(Kernel.CONV2D_GRAD_INPUT_I16, g)
    yield Case(Kernel.CONV2D_GRAD_INPUT_I16, _pointwise(8, 48, 192), trainable=12)
    for size, inputs, outputs in TRAINED_POINTWISE:
        yield Case(Kernel.CONV2D_UPDATE_I16, _pointwise(size, inputs, outputs))
    yield Case(Kernel.CONV2D_UPDATE_I16, _pointwise(8, 12, 192))  # 12 of 48 channels are trained
    for kind in (Kernel.DEPTHWISE_CONV2D_GRAD_INPUT_I16, Kernel.DEPTHWISE_CONV2D_UPDATE_I16):
        for size, channels, kernel, stride in TRAINED_DEPTHWISE:
            yield Case(kind, _square(size, channels, channels, kernel, stride))
    for size, channels in ((8, 240), (4, 576)):
        yield Case(Kernel.BIAS_UPDATE_I16, _pointwise(size, channels, channels))
        yield Case(Kernel.MASKED_SCALE_I16, _pointwise(size, channels, channels))
    for size, channels in MAPS:
        yield Case(Kernel.ADD_GRAD_I16, _pointwise(size, channels, channels))
        yield Case(Kernel.ACCUMULATE_I16, _pointwise(size, channels, channels))
    yield Case(Kernel.GLOBAL_AVERAGE_POOL_GRAD_I16, _pointwise(4, 160, 160))


CASES = (*_forward(), *_backward())


def select_cases(names: list[str] | None) -> tuple[Case, ...]:
    """The cases of these kernels, all without names. UsageError for a name that no case has."""
    known = dict.fromkeys(case.name for case in CASES)
    unknown = next((name for name in names or () if name not in known), None)
    if unknown is not None:
        raise UsageError(f"no kernel named {unknown!r} is measured; there are: {', '.join(known)}")
    return tuple(case for case in CASES if not names or case.name in names)
