"""Arena bytes that the kernels of float32 networks need only while they run; what the C indexes must fit."""

from __future__ import annotations

from engine.operators.geometry import ConvGeometry

LARGEST_LANES = 8
"""TB_FLOAT_LANES at the most: channels that a depthwise kernel computes side by side."""
_FLOAT = 4


def conv2d_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of tb_float_conv2d: all weights in order, where they lie in two places."""
    return _weights(g) * g.out_channels if split else 0


def conv2d_grad_scratch(g: ConvGeometry) -> int:
    """Of tb_float_conv2d_grad_input: the weights transposed."""
    return _weights(g) * g.out_channels


def depthwise_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of tb_float_depthwise_conv2d: a block's weights and its plane; all weights where they are split."""
    return _lanes(_taps(g) + _input_plane(g)) + (_weights(g) if split else 0)


def depthwise_grad_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of tb_float_depthwise_conv2d_grad_input: the same, the plane being that of the gradient spread out."""
    plane = (g.in_height + g.kernel_height - 1) * (g.in_width + g.kernel_width - 1)
    return _lanes(_taps(g) + plane) + (_weights(g) if split else 0)


def depthwise_grad_weight_scratch(g: ConvGeometry) -> int:
    """Of tb_float_depthwise_conv2d_grad_weight: a block's sums, its plane, and its gradient."""
    return _lanes(_taps(g) + _input_plane(g) + g.out_height * g.out_width)


def _taps(g: ConvGeometry) -> int:
    return g.kernel_height * g.kernel_width


def _weights(g: ConvGeometry) -> int:
    """Bytes of the weights of one output channel, or of all where the layer is depthwise."""
    return _FLOAT * _taps(g) * g.in_channels


def _input_plane(g: ConvGeometry) -> int:
    """Pixels that the taps of all outputs see."""
    rows = (g.out_height - 1) * g.stride + g.kernel_height
    return rows * ((g.out_width - 1) * g.stride + g.kernel_width)


def _lanes(pixels: int) -> int:
    return _FLOAT * LARGEST_LANES * pixels
