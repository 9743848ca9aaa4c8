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


GRADIENT_BLOCK_BYTES = 16384
"""What tb_conv2d_grad_input_i16 expands of the gradient at once, unless four pixels alone need more."""
GRADIENT_BLOCK_TILES = 16
UPDATE_BLOCK_BYTES = 8192
"""What tb_conv2d_update_i16 expands of the input at once, unless four channels alone need more."""
UPDATE_BLOCK_TILES = 32
UPDATE_CHUNK = 256
"""Pixels whose sums stay 32 bits wide; with more of them there are 64-bit totals."""
UPDATE_BLOCK_ROWS = 32
"""Output channels whose totals are kept at once."""


def _tiles_per_block(tiles: int, limit: int) -> int:
    """Tiles of a block, where as many blocks as `limit` asks for share them evenly."""
    blocks = -(-tiles // limit)
    return -(-tiles // blocks)


def conv2d_grad_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of tb_conv2d_grad_input_i16: a block of pixels and two rows of weights, both widened."""
    if not _is_pointwise(g):
        return 0
    pairs = 2 * -(-g.out_channels // 4)
    limit = min(GRADIENT_BLOCK_TILES, max(1, GRADIENT_BLOCK_BYTES // (16 * pairs)))
    tiles = _tiles_per_block(-(-g.in_height * g.in_width // 4), limit)
    return (16 * tiles + 8) * pairs


def conv2d_update_scratch(g: ConvGeometry, trainable: int) -> int:
    """Of tb_conv2d_update_i16 with that many trainable input channels: two rows of the gradient, a block of
    inputs, and the sums of both."""
    if trainable == 0:
        return 0
    pixels = g.out_height * g.out_width
    chunk = 4 * -(-min(pixels, UPDATE_CHUNK) // 4)
    columns = g.kernel_height * g.kernel_width * trainable
    limit = min(UPDATE_BLOCK_TILES, max(1, UPDATE_BLOCK_BYTES // (8 * chunk)))
    tiles = _tiles_per_block(-(-columns // 4), limit)
    pairs_of_rows = -(-min(g.out_channels, UPDATE_BLOCK_ROWS) // 2)
    totals = 64 * tiles * pairs_of_rows if pixels > UPDATE_CHUNK else 0
    return 4 * chunk + 8 * chunk * tiles + 32 * tiles + totals


def bias_update_scratch(channels: int) -> int:
    """Of tb_bias_update_i16: one sum a channel."""
    return 4 * channels


def _is_pointwise(g: ConvGeometry) -> bool:
    return (g.kernel_height, g.kernel_width, g.stride, g.padding) == (1, 1, 1, 0)
