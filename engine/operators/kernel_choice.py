"""Which C kernel an operator calls: chosen here, from shapes and constants, and nowhere else.

Each operator has a kernel for any shape, `general`, and fast ones that take some shapes. The C kernels do
not look whether they suit: built with -DTB_CHECKS they trap where they do not (engine/runtime/tb_fits.h).
"""

from __future__ import annotations

from dataclasses import dataclass

from engine.operators.geometry import ConvGeometry
from engine.operators.reference import AddParameters

NARROW_CHANNELS = (8, 16, 24)
"""Input channels of pointwise convolutions that have kernels of their own: their sums are short."""
DEPTHWISE_KERNELS = (3, 5, 7)
WINDOW_SLOTS = {
    **{(3, 1): (4, 6, 10, 18), (3, 2): (5, 9, 18)},
    **{(5, 1): (20,), (5, 2): (20,), (7, 1): (14,), (7, 2): (14,)},
}
"""Rows, with padding, that a window of a small image or of a strip of rows holds, ascending, by kernel size
and stride of the depthwise kernel."""
WINDOW_BYTES = 5632
"""The largest of these windows."""
DEPTHWISE_SHIFT = 8
"""At most: an int8 weight shifted by it is an int16."""
SHORT_SUM = 256
"""Pixels whose products with a gradient sum up within 32 bits (512 would: docs/numerics.md)."""
COPIED_TAPS = 49
"""Weights of a channel that the depthwise kernel of float32 gradients copies to its stack."""
ADD_SHIFTS = (22, 21, 20, 19)
ADD_MULTIPLIER = 2**23
"""Below it, 256 times a multiplier of an addition is an int32."""


@dataclass(frozen=True)
class Choice:
    """A kernel: the C function, the path's name, and what keeps a faster one from it, if there is one."""

    function: str
    path: str
    why: str = ""

    def __str__(self) -> str:
        """As in a comment of the generated C: `3x3_s1_rows` or `general: kernel 4x4`."""
        return f"{self.path}: {self.why}" if self.why else self.path


def _kernel(g: ConvGeometry) -> str:
    return f"kernel {g.kernel_height}x{g.kernel_width}"


def _not_pointwise(g: ConvGeometry) -> str:
    if (g.kernel_height, g.kernel_width) != (1, 1):
        return _kernel(g)
    return f"stride {g.stride}" if g.stride != 1 else f"padding {g.padding}"


def conv2d(g: ConvGeometry, *, split: bool) -> Choice:
    """Forward; `split`: the weights lie in two places."""
    if g.is_pointwise:
        path, why = ("pointwise_split" if split else "pointwise"), ""
        if not split and g.in_channels in NARROW_CHANNELS:
            path = f"pointwise_{g.in_channels}"
        elif not split and g.in_channels % 4 != 0:
            path, why = "pointwise_odd", f"{g.in_channels} input channels"
        return Choice(f"tb_conv2d_{path}_i8", path, why)
    if (g.kernel_height, g.kernel_width, g.in_channels) == (3, 3, 3) and not split:
        path = "stem_s2" if g.stride == 2 else "stem"
        return Choice(f"tb_conv2d_{path}_i8", path)
    return Choice("tb_conv2d_general_i8", "general", _not_pointwise(g))


def why_not_square(g: ConvGeometry) -> str:
    """What keeps a depthwise convolution from the fast kernels; empty where nothing does."""
    if g.kernel_height != g.kernel_width or g.kernel_height not in DEPTHWISE_KERNELS:
        return _kernel(g)
    if g.stride not in (1, 2):
        return f"stride {g.stride}"
    return f"padding {g.padding}" if g.padding != g.kernel_height // 2 else ""


def depthwise_quads(g: ConvGeometry) -> int:
    """Quads of columns in the window of a fast depthwise kernel, with padding and what tiles read beyond."""
    kernel, tiles = g.kernel_height, -(-g.out_width // 4)
    tile_words = (kernel + 4) // 2 if g.stride == 1 else (kernel + 7) // 2
    return (tiles - 1) * g.stride + (tile_words + 1) // 2


def depthwise_window(g: ConvGeometry) -> int:
    """Rows of the smallest window that holds all rows given at once in a fast depthwise kernel; 0: none."""
    rows = (g.out_height - 1) * g.stride + g.kernel_height
    row_bytes = 32 * depthwise_quads(g)
    fitting = (slots for slots in WINDOW_SLOTS[g.kernel_height, g.stride] if rows <= slots)
    return next((slots for slots in fitting if row_bytes * slots <= WINDOW_BYTES), 0)


def depthwise_conv2d(g: ConvGeometry, *, shift: int) -> Choice:
    """Forward; `g` counts the rows of one call, the most of them where calls differ."""
    why = why_not_square(g) or (f"shift {shift}" if shift > DEPTHWISE_SHIFT else "")
    if why:
        return Choice("tb_depthwise_general_i8", "general", why)
    slots = depthwise_window(g)
    window = f"window{slots}" if slots else "rows"
    path = f"{g.kernel_height}x{g.kernel_width}_s{g.stride}_{window}"
    return Choice(f"tb_depthwise_{path}_i8", path)


def conv2d_grad_input(g: ConvGeometry, *, gradient: str) -> Choice:
    """`gradient`: f32 or i16."""
    path, why = ("pointwise", "") if g.is_pointwise else ("general", _not_pointwise(g))
    return Choice(f"tb_conv2d_grad_input_{path}_{gradient}", path, why)


def depthwise_grad_input(g: ConvGeometry) -> Choice:
    """int16 gradients."""
    why = why_not_square(g)
    path = "general" if why else f"{g.kernel_height}x{g.kernel_width}_s{g.stride}"
    return Choice(f"tb_depthwise_grad_{path}_i16", path, why)


def depthwise_grad_input_f32(g: ConvGeometry) -> Choice:
    if g.kernel_height * g.kernel_width <= COPIED_TAPS:
        return Choice("tb_depthwise_grad_copied_f32", "copied")
    return Choice("tb_depthwise_grad_general_f32", "general", _kernel(g))


def conv2d_update(g: ConvGeometry) -> Choice:
    """int16 gradients; `long`: sums over the pixels need 64 bits."""
    path, why = ("pointwise", "") if g.is_pointwise else ("general", _not_pointwise(g))
    if g.out_height * g.out_width > SHORT_SUM:
        path += "_long"
    return Choice(f"tb_conv2d_update_{path}_i16", path, why)


def depthwise_update(g: ConvGeometry) -> Choice:
    """int16 gradients; `short`: 32 bits hold the sums over the pixels."""
    if g.out_height * g.out_width <= SHORT_SUM:
        square = (g.kernel_height, g.kernel_width, g.stride, g.padding) == (3, 3, 1, 1)
        path = "short_3x3" if square else "short"
        return Choice(f"tb_depthwise_update_{path}_i16", path)
    return Choice("tb_depthwise_update_general_i16", "general", f"{g.out_height}x{g.out_width} pixels")


def add(p: AddParameters) -> Choice:
    if p.shift not in ADD_SHIFTS:
        return Choice("tb_add_general_i8", "general", f"shift {p.shift}")
    if max(p.multiplier_a, p.multiplier_b) >= ADD_MULTIPLIER:
        return Choice("tb_add_general_i8", "general", "multiplier of 2^23 or more")
    return Choice(f"tb_add_s{p.shift}_i8", f"s{p.shift}")


def masked_scale(channels: int, *, gradient: str) -> Choice:
    """`gradient`: f32 or i16. Where a pixel starts at a byte of the mask, bytes of it are taken at a time."""
    if channels % 8 == 0:
        return Choice(f"tb_masked_scale_bytes_{gradient}", "bytes")
    return Choice(f"tb_masked_scale_general_{gradient}", "general", f"{channels} channels")
