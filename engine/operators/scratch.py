"""Arena bytes that the kernels need only while they run; what the C kernels index must fit in here.

One function a kernel family, of shapes alone. A convolution over some rows of an image is the geometry with
those rows.
"""

from __future__ import annotations

from engine.operators.geometry import ConvGeometry


def conv2d_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of tb_conv2d_i8: one gathered row of weights, where they lie in two places."""
    return g.kernel_height * g.kernel_width * g.in_channels if split else 0


def depthwise_scratch(g: ConvGeometry) -> int:
    """Of tb_depthwise_conv2d_i8."""
    return 0
