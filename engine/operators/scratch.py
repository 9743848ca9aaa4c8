"""Arena bytes that the kernels need only while they run; what the C kernels index must fit in here.

One function a kernel family, of shapes alone. A convolution over some rows of an image is the geometry with
those rows.
"""

from __future__ import annotations

from engine.operators.geometry import ConvGeometry
from engine.operators.kernel_choice import SHORT_SUM, depthwise_quads, depthwise_window, why_not_square

FORWARD_BLOCK_PIXELS = 120
FORWARD_NARROW_PIXELS = 224
"""Of a block whose sums have no more than 8 terms."""
FORWARD_BLOCK_BYTES = 4096
"""What the forward kernels of conv2d expand of the input at once, ..."""
FORWARD_FIELDS_BYTES = 2048
"""... of receptive fields less (they bind the peak: the stem, beside the image), ..."""
FORWARD_LEAST_PIXELS = 16
FORWARD_LEAST_BYTES = 18560
"""... but up to this many where a block would have fewer pixels than that."""


def conv2d_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of any forward kernel of conv2d (tb_conv2d_block.h): a block of pixels, two rows of weights, widened.

    `split`: the weights lie in two places, each padded on its own.
    """
    terms = 4 * -(-g.kernel_height * g.kernel_width * g.in_channels // 4) + (4 if split else 0)
    pixels = g.out_height * g.out_width
    fitting = FORWARD_BLOCK_BYTES if g.is_pointwise else FORWARD_FIELDS_BYTES
    largest = FORWARD_BLOCK_PIXELS if terms > 8 else FORWARD_NARROW_PIXELS
    most = min(largest, fitting // (2 * terms))
    if most < FORWARD_LEAST_PIXELS:
        most = min(FORWARD_LEAST_PIXELS, FORWARD_LEAST_BYTES // (2 * terms))
    most = max(4, most // 4 * 4)
    blocks = -(-pixels // most)
    block = 4 * -(-pixels // (4 * blocks))
    receptive_fields = 0 if g.is_pointwise else 4 * terms
    return block * (2 * terms + 2) + 4 * terms + receptive_fields


LARGEST_LANES = 8
"""TB_LANES at the most: channels that the plain depthwise kernel computes side by side."""


def depthwise_scratch(g: ConvGeometry, *, masked: bool, slots: int | None = None) -> int:
    """Of any forward kernel of depthwise_conv2d: weights and a window of rows of a few channels.

    slots: of the window (0: a ring of rows); None: of the one that is chosen.
    """
    slides = 2 * g.padding < min(g.kernel_height, g.kernel_width)
    rows = g.kernel_height if slides else (g.out_height - 1) * g.stride + g.kernel_height
    columns = (g.out_width - 1) * g.stride + g.kernel_width
    plain = LARGEST_LANES * (rows * columns + g.kernel_height * g.kernel_width)
    if why_not_square(g):
        return plain
    return max(plain, _depthwise_planes(g, masked, depthwise_window(g) if slots is None else slots))


def _depthwise_planes(g: ConvGeometry, masked: bool, slots: int) -> int:
    """Of the fast ones: int16 planes of four channels, their tables of weights, a byte of mask a tile."""
    kernel = g.kernel_height
    rows = g.out_height if slots else 1
    tables = 0 if kernel == 3 and slots else 16 * (2 * kernel - 1) * (kernel - 1)
    mask = 4 * -(-g.out_width // 4) * rows if masked else 0
    return 32 * depthwise_quads(g) * (slots or kernel) + tables + mask


GRADIENT_SLOTS = 12
"""Rows of the window of the fast kernels of depthwise_conv2d_grad_input_i16."""
GRADIENT_TABLE_BYTES = 168
"""Of a channel's weights there."""


def depthwise_grad_scratch(g: ConvGeometry) -> int:
    """Of any kernel of depthwise_conv2d_grad_input_i16: planes of four channels, and weights."""
    plain = LARGEST_LANES * g.kernel_height * g.kernel_width
    kernel = g.kernel_height
    if why_not_square(g):
        return plain
    tiles = -(-g.in_width // (4 * g.stride))
    taps = kernel if g.stride == 1 else kernel // 2 + 1
    quads = tiles - 1 + ((taps + 4) // 2 + 1) // 2
    if depthwise_grad_reads_ahead(g):
        plain += 2 * LARGEST_LANES * g.in_height * g.in_width
    return max(plain, 32 * quads * GRADIENT_SLOTS + 4 * GRADIENT_TABLE_BYTES)


def depthwise_grad_reads_ahead(g: ConvGeometry) -> bool:
    """Whether the kernel of depthwise_conv2d_grad_input_i16 may write over its gradient.

    Where the window of rows holds the whole image, a group of channels is read before any of it is written.
    """
    return not why_not_square(g) and g.stride == 1 and g.in_height <= GRADIENT_SLOTS + 1 - g.kernel_height


def depthwise_update_scratch(g: ConvGeometry) -> int:
    """Of depthwise_conv2d_update_i16: sums of a few channels, each in groups of four; none for long sums."""
    taps = g.kernel_height * g.kernel_width
    return 4 * LARGEST_LANES * -(-taps // 4) * 4 if g.out_height * g.out_width <= SHORT_SUM else 0


GRADIENT_BLOCK_BYTES = 8192
GRADIENT_BLOCK_TILES = 16
"""What tb_conv2d_grad_input_pointwise_i16 expands at once, and how many times four pixels, ..."""
GRADIENT_MORE_BYTES = 12288
GRADIENT_LEAST_TILES = 4
"""... but up to this many bytes where a block would have fewer pixels than that."""
UPDATE_BLOCK_BYTES = 8192
"""What the kernels of conv2d_update_i16 expand of the input at once, unless four channels alone need more."""
UPDATE_BLOCK_TILES = 32
UPDATE_CHUNK = SHORT_SUM
"""Pixels that a long sum takes at once; with more of them there are 64-bit totals."""
UPDATE_BLOCK_ROWS = 32
"""Output channels whose totals are kept at once."""


def _tiles_per_block(tiles: int, limit: int) -> int:
    """Tiles of a block, where as many blocks as `limit` asks for share them evenly."""
    blocks = -(-tiles // limit)
    return -(-tiles // blocks)


def conv2d_grad_scratch(g: ConvGeometry, *, split: bool) -> int:
    """Of conv2d_grad_input_i16: a block of pixels and two rows of weights, both widened.

    On a host: four pixels in 32 bits.
    """
    if not g.is_pointwise:
        return 0
    pairs = -(-g.out_channels // 2)
    limit = min(GRADIENT_BLOCK_TILES, GRADIENT_BLOCK_BYTES // (16 * pairs))
    if limit < GRADIENT_LEAST_TILES:
        limit = max(1, min(GRADIENT_LEAST_TILES, GRADIENT_MORE_BYTES // (16 * pairs)))
    tiles = _tiles_per_block(-(-(g.in_height * g.in_width) // 4), limit)
    return max(16 * tiles + 8, 32) * pairs


def conv2d_update_scratch(g: ConvGeometry, trainable: int) -> int:
    """Of conv2d_update_i16 with that many trainable input channels: two rows of the gradient, a block of
    inputs, and the sums of both."""
    if trainable == 0:
        return 0
    pixels = g.out_height * g.out_width
    pairs = -(-min(pixels, UPDATE_CHUNK) // 2)
    columns = g.kernel_height * g.kernel_width * trainable
    limit = max(1, min(UPDATE_BLOCK_TILES, UPDATE_BLOCK_BYTES // (16 * pairs)))
    tiles = _tiles_per_block(-(-columns // 4), limit)
    pairs_of_rows = -(-min(g.out_channels, UPDATE_BLOCK_ROWS) // 2)
    totals = 64 * tiles * pairs_of_rows if pixels > UPDATE_CHUNK else 0
    return 8 * pairs + 16 * pairs * tiles + 32 * tiles + totals


def bias_update_scratch(channels: int) -> int:
    """Of tb_bias_update_i16: one sum a channel."""
    return 4 * channels
